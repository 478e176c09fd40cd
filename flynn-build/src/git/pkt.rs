//! Git's packet lines (gitprotocol-common, "pkt-line Format").

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The most bytes of content in one packet.
pub(crate) const MOST: usize = 65_516;
pub(crate) const FLUSH: &[u8] = b"0000";

/// Appends a packet of `content`, which is at most [`MOST`] bytes long.
pub(crate) fn put(out: &mut Vec<u8>, content: &[u8]) {
    let content = content.get(..MOST).unwrap_or(content);
    out.extend(format!("{:04x}", content.len() + 4).as_bytes());
    out.extend(content);
}

/// Reads the content of a packet; none is a flush packet.
pub(crate) async fn read(input: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0; 4];
    input.read_exact(&mut head).await?;
    match length(&head)? {
        None => Ok(None),
        Some(length) => {
            let mut content = vec![0; length];
            input.read_exact(&mut content).await?;
            Ok(Some(content))
        }
    }
}

/// The length of the content behind the head of a packet; none is a flush packet.
pub(crate) fn length(head: &[u8]) -> io::Result<Option<usize>> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "not a packet line");
    let text = std::str::from_utf8(head).map_err(|_| wrong())?;
    if text.len() != 4 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    match usize::from_str_radix(text, 16).map_err(|_| wrong())? {
        0 => Ok(None),
        length @ 4.. => Ok(Some(length - 4)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn packets_round_trip() {
        let mut out = Vec::new();
        put(&mut out, b"version=1\n");
        put(&mut out, b"");
        out.extend(FLUSH);
        let mut input = out.as_slice();
        assert_eq!(read(&mut input).await.unwrap().unwrap(), b"version=1\n");
        assert_eq!(read(&mut input).await.unwrap().unwrap(), b"");
        assert_eq!(read(&mut input).await.unwrap(), None);
        assert!(read(&mut input).await.is_err());
    }

    #[test]
    fn heads_are_four_hexadecimal_digits() {
        for bad in [&b"+00a"[..], b"zzzz", b"0001", b"0003", b"00a", "00é".as_bytes()] {
            assert!(length(bad).is_err(), "{bad:?}");
        }
    }
}
