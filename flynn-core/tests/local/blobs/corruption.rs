use super::*;

/// What a reader gets at a time, and at most before it learns that content is corrupt.
const CHUNK: usize = 256 << 10;

/// Damages a blob on the disk and says how much of it a reader gets before the error.
async fn damage(length: usize, damage: impl FnOnce(&mut Vec<u8>)) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path()).await;
    let mut content: Vec<u8> = (0..length).map(|at| (at / 251) as u8).collect();
    let digest = put(&blobs, content.clone()).await.digest;
    damage(&mut content);
    fs::write(place(directory.path(), digest), content).unwrap();

    let mut reader = blobs.open(digest).await.unwrap();
    let mut got = Vec::new();
    let error = reader.read_to_end(&mut got).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    let inner = error.get_ref().unwrap().downcast_ref::<BlobError>();
    assert!(matches!(inner, Some(BlobError::Corrupt { expected, .. }) if *expected == digest), "{inner:?}");
    let again = reader.read(&mut [0; 16]).await.unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::InvalidData, "an error is not followed by an end");
    got.len()
}

#[tokio::test]
async fn a_flipped_bit_anywhere_is_found_before_the_last_chunk_is_handed_out() {
    for length in [1, 1_000, CHUNK, CHUNK + 1, 3 * CHUNK] {
        for at in [0, length / 2, length - 1] {
            for bit in [0, 7] {
                let got = damage(length, |content| content[at] ^= 1 << bit).await;
                assert_eq!(got, (length - 1) / CHUNK * CHUNK, "{length} bytes, byte {at}, bit {bit}");
            }
        }
    }
}

#[tokio::test]
async fn missing_and_additional_bytes_are_found() {
    for length in [1, CHUNK, 2 * CHUNK + 5] {
        damage(length, |content| content.truncate(length - 1)).await;
        damage(length, Vec::clear).await;
        damage(length, |content| content.push(0)).await;
    }
    damage(0, |content| content.push(0)).await;
}

/// A file that shrinks while it is read.
#[tokio::test]
async fn content_that_is_cut_under_its_reader_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path()).await;
    let digest = put(&blobs, vec![1; 4 * CHUNK]).await.digest;
    let mut reader = blobs.open(digest).await.unwrap();
    reader.read_exact(&mut [0; 10]).await.unwrap();
    fs::OpenOptions::new().write(true).open(place(directory.path(), digest)).unwrap().set_len(100).unwrap();
    let error = reader.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[tokio::test]
async fn corrupt_content_can_be_put_again() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path()).await;
    let blob = put(&blobs, "abc").await;
    fs::write(place(directory.path(), blob.digest), "ab").unwrap();
    put(&blobs, "abc").await;
    assert_eq!(read(&blobs, blob.digest).await.unwrap(), b"abc", "a wrong length is replaced");

    fs::write(place(directory.path(), blob.digest), "abd").unwrap();
    blobs.remove(blob.digest, Timestamp::from_millis(u64::MAX)).await.unwrap();
    put(&blobs, "abc").await;
    assert_eq!(read(&blobs, blob.digest).await.unwrap(), b"abc");
}
