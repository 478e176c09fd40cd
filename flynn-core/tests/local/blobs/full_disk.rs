use super::*;
use crate::small_disk::SmallDisk;

fn assert_full(put: Result<Blob, BlobError>) {
    match put {
        Err(BlobError::Unavailable { source, .. }) => {
            let source = source.downcast_ref::<io::Error>().unwrap();
            assert_eq!(source.kind(), io::ErrorKind::StorageFull, "{source}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn content_that_does_not_fit_leaves_nothing_behind() {
    let disk = SmallDisk::new("size=2m");
    let blobs = open(disk.path()).await;
    let kept = put(&blobs, vec![1; 100_000]).await;
    for _ in 0..3 {
        assert_full(blobs.put(reader(vec![2; 4 << 20]), None).await);
        assert!(incoming(disk.path()).is_empty());
        assert_eq!(blobs.list(None, 10).await.unwrap(), [kept]);
    }
    let fits = put(&blobs, vec![3; 1_500_000]).await;
    assert_eq!(read(&blobs, fits.digest).await.unwrap(), vec![3; 1_500_000]);
    assert_eq!(read(&blobs, kept.digest).await.unwrap(), vec![1; 100_000]);
}

#[tokio::test]
async fn a_disk_without_room_for_another_file_is_told() {
    // The root, two directories and 256 shards; then one file fits.
    let disk = SmallDisk::new("nr_inodes=260");
    let blobs = open(disk.path()).await;
    let kept = put(&blobs, "fits").await;
    assert_full(blobs.put(reader("does not"), None).await);
    assert_eq!(blobs.list(None, 10).await.unwrap(), [kept]);
    blobs.remove(kept.digest, Timestamp::from_millis(u64::MAX)).await.unwrap();
    put(&blobs, "does not").await;
}
