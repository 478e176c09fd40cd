use std::io;

use flynn_core::port::BlobReader;
use tokio::io::{AsyncReadExt, copy, sink};

const BLOCK: u64 = 512;

/// The content of a plain file of a layer, by its path from the root; none if it is not there or has more than
/// `most_bytes`. It reads as far as the file. Paths of more than 100 bytes are not found.
pub(crate) async fn layer_file(mut layer: BlobReader, path: &str, most_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; BLOCK as usize];
    loop {
        match layer.read_exact(&mut header).await {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let bytes = size(&header)?;
        if is_file(&header) && name(&header) == path.as_bytes() {
            if bytes > most_bytes {
                return Ok(None);
            }
            let mut content = Vec::new();
            let count = (&mut layer).take(bytes).read_to_end(&mut content).await?;
            return Ok((count as u64 == bytes).then_some(content));
        }
        let padded = bytes.next_multiple_of(BLOCK);
        if copy(&mut (&mut layer).take(padded), &mut sink()).await? < padded {
            return Ok(None);
        }
    }
}

fn is_file(header: &[u8; BLOCK as usize]) -> bool {
    matches!(header.get(156), Some(b'0' | b'\0'))
}

fn name(header: &[u8; BLOCK as usize]) -> &[u8] {
    let name = header.get(..100).unwrap_or_default();
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    name.strip_prefix(b"./").unwrap_or(name)
}

/// The length of an entry in octal digits. No file that is looked for follows one so long that they do not suffice.
fn size(header: &[u8; BLOCK as usize]) -> io::Result<u64> {
    let digits = header.get(124..136).unwrap_or_default();
    let text = std::str::from_utf8(digits).unwrap_or_default().trim_matches(['\0', ' ']);
    if text.is_empty() {
        return Ok(0);
    }
    u64::from_str_radix(text, 8).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "an entry has no length"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::LayerFiles;

    #[tokio::test]
    async fn a_file_is_found_by_its_path() {
        let layer = LayerFiles::default()
            .folder("a", 0o755, (0, 0))
            .file("a/long", 0o644, (0, 0), &[b'x'; 1_500])
            .file("a/b", 0o644, (0, 0), b"content")
            .file("a/empty", 0o644, (0, 0), b"")
            .into_tar();
        let cut: Vec<u8> = layer.iter().copied().take(512 + 512 + 1_536 + 512 + 3).collect();
        for (layer, path, most, expect) in [
            (&layer, "a/b", 7, Some(&b"content"[..])),
            (&layer, "a/b", 6, None),
            (&layer, "a/empty", 0, Some(b"")),
            (&layer, "a/", 9_999, None),
            (&layer, "b", 9_999, None),
            (&cut, "a/b", 7, None),
            (&cut, "a/empty", 7, None),
        ] {
            let reader: BlobReader = Box::new(std::io::Cursor::new(layer.clone()));
            assert_eq!(layer_file(reader, path, most).await.unwrap().as_deref(), expect, "{path} {most}");
        }
    }

    #[tokio::test]
    async fn what_is_no_archive_is_an_error() {
        let reader: BlobReader = Box::new(std::io::Cursor::new(vec![b'x'; 2_048]));
        assert!(layer_file(reader, "a", 1).await.is_err());
    }
}
