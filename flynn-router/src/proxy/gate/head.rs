//! What a request head has to look like to get in.

use super::super::Failure;

/// The most bytes and fields of a head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLimits {
    pub(crate) bytes: usize,
    pub(crate) fields: usize,
}

/// How the body after a head is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// What the gate has to know of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) framing: Framing,
    /// Whether the bytes after the request may turn out to be another protocol.
    pub(crate) upgrade: bool,
}

/// hyper keeps the two greatest lengths for itself.
pub(crate) const LONGEST_BODY: u64 = u64::MAX - 2;
const LONGEST_TARGET: usize = 32 << 10;

/// Judges a complete head, which ends with an empty line.
pub(crate) fn judge(head: &[u8], limits: HeadLimits) -> Result<Head, Failure> {
    let bad = Failure::BadRequest;
    let mut lines = Lines(head);
    let version_11 = request_line(lines.next_line()?)?;
    let (mut hosts, mut length, mut chunked, mut upgrade, mut fields) = (0, None, false, false, 0);
    loop {
        let line = lines.next_line()?;
        if line.is_empty() {
            break;
        }
        fields += 1;
        if fields > limits.fields {
            return Err(Failure::HeadTooLarge);
        }
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case(b"host") {
            hosts += 1;
            if hosts > 1 {
                return Err(bad("two Host fields"));
            }
        } else if name.eq_ignore_ascii_case(b"content-length") {
            if length.replace(body_length(value)?).is_some() {
                return Err(bad("two Content-Length fields"));
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if chunked {
                return Err(bad("two Transfer-Encoding fields"));
            }
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(bad("a Transfer-Encoding other than chunked"));
            }
            chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            upgrade = version_11;
        }
    }
    if hosts == 0 && version_11 {
        return Err(bad("no Host field"));
    }
    let framing = match (length, chunked) {
        (Some(_), true) => return Err(bad("Content-Length and Transfer-Encoding")),
        (None, true) if !version_11 => return Err(bad("Transfer-Encoding in HTTP/1.0")),
        (None, true) => Framing::Chunked,
        (None | Some(0), false) => Framing::None,
        (Some(length), false) => Framing::Length(length),
    };
    Ok(Head { framing, upgrade })
}

/// The lines of a head without their ends.
struct Lines<'a>(&'a [u8]);

impl<'a> Lines<'a> {
    fn next_line(&mut self) -> Result<&'a [u8], Failure> {
        let end = self.0.iter().position(|b| *b == b'\n').unwrap_or(self.0.len());
        let (line, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        let line = line.strip_suffix(b"\r").ok_or(Failure::BadRequest("a line that does not end with CR LF"))?;
        // A field value may hold a tab and bytes beyond ASCII; nothing else that is not visible.
        let is_clean = line.iter().all(|b| matches!(b, b'\t' | b' '..=b'~' | 0x80..));
        if is_clean { Ok(line) } else { Err(Failure::BadRequest("a control character")) }
    }
}

/// Whether the request is in HTTP/1.1; if not, it is in HTTP/1.0.
fn request_line(line: &[u8]) -> Result<bool, Failure> {
    let bad = Failure::BadRequest("a malformed request line");
    let mut parts = line.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(bad);
    };
    let target_holds = !target.is_empty() && target.iter().all(|b| b.is_ascii_graphic());
    if method.is_empty() || !method.iter().all(|b| is_token(*b)) || !target_holds {
        return Err(bad);
    }
    if target.len() > LONGEST_TARGET {
        return Err(Failure::HeadTooLarge);
    }
    if http::Uri::try_from(target).is_err() {
        return Err(Failure::BadRequest("a malformed request target"));
    }
    match version {
        b"HTTP/1.1" => Ok(true),
        b"HTTP/1.0" => Ok(false),
        _ => Err(Failure::BadRequest("an unknown version of HTTP")),
    }
}

fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Failure> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Failure::BadRequest("a folded field"));
    }
    let colon = line.iter().position(|b| *b == b':').ok_or(Failure::BadRequest("a field without a colon"))?;
    let (name, rest) = line.split_at(colon);
    if name.is_empty() || !name.iter().all(|b| is_token(*b)) {
        return Err(Failure::BadRequest("a malformed field name"));
    }
    Ok((name, rest.get(1..).unwrap_or_default().trim_ascii()))
}

fn body_length(value: &[u8]) -> Result<u64, Failure> {
    let bad = Failure::BadRequest("a malformed Content-Length");
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(bad);
    }
    let length = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
    length.filter(|length| *length < LONGEST_BODY).ok_or(bad)
}

/// Whether `byte` may be in a token (RFC 9110 §5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 1 << 16, fields: 4 };

    fn check(head: &str, expect: Result<Framing, &str>) {
        let judged = judge(head.as_bytes(), LIMITS).map(|head| head.framing);
        match (judged, expect) {
            (Ok(framing), Ok(wanted)) => assert_eq!(framing, wanted, "{head:?}"),
            (Err(failure), Err(wanted)) => assert!(failure.to_string().contains(wanted), "{head:?}: {failure}"),
            (judged, expect) => panic!("{head:?}: {judged:?} is not {expect:?}"),
        }
    }

    #[test]
    fn good_heads_say_how_their_body_ends() {
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok(Framing::None));
        check("GET / HTTP/1.0\r\n\r\n", Ok(Framing::None));
        check("GET http://a/ HTTP/1.1\r\nhost:a\r\n\r\n", Ok(Framing::None));
        check("OPTIONS * HTTP/1.1\r\nHost: a\r\nX: \u{e4}\t1\r\n\r\n", Ok(Framing::None));
        check("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 007\r\n\r\n", Ok(Framing::Length(7)));
        check("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked \r\n\r\n", Ok(Framing::Chunked));
    }

    #[test]
    fn each_way_to_smuggle_is_refused() {
        for (fields, why) in [
            ("Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n", "Content-Length and Transfer"),
            ("Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n", "Content-Length and Transfer"),
            ("Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n", "two Content-Length"),
            ("Host: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n", "two Content-Length"),
            ("Host: a\r\nContent-Length: 1, 1\r\n", "malformed Content-Length"),
            ("Host: a\r\nContent-Length: +1\r\n", "malformed Content-Length"),
            ("Host: a\r\nContent-Length: -1\r\n", "malformed Content-Length"),
            ("Host: a\r\nContent-Length: 0x1\r\n", "malformed Content-Length"),
            ("Host: a\r\nContent-Length:\r\n", "malformed Content-Length"),
            ("Host: a\r\nContent-Length: 99999999999999999999\r\n", "malformed Content-Length"),
            ("Host: a\r\nTransfer-Encoding: gzip, chunked\r\n", "other than chunked"),
            ("Host: a\r\nTransfer-Encoding: chunked, chunked\r\n", "other than chunked"),
            ("Host: a\r\nTransfer-Encoding: xchunked\r\n", "other than chunked"),
            ("Host: a\r\nTransfer-Encoding: \"chunked\"\r\n", "other than chunked"),
            ("Host: a\r\nTransfer-Encoding:\r\n", "other than chunked"),
            ("Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "two Transfer-Encoding"),
            ("Host: a\r\nTransfer-Encoding : chunked\r\n", "field name"),
            ("Host: a\r\n Transfer-Encoding: chunked\r\n", "folded"),
            ("Host: a\r\nX: 1\r\n\tchunked\r\n", "folded"),
            ("Host: a\r\nX: 1\nContent-Length: 1\r\n", "CR LF"),
            ("Host: a\r\nX: 1\rContent-Length: 1\r\n", "control"),
            ("Host: a\r\nX: \0\r\n", "control"),
            ("Host: a\r\nX\r\n", "colon"),
            ("Host: a\r\n: x\r\n", "field name"),
            ("Host: a\r\nHost: a\r\n", "two Host"),
            ("", "no Host"),
            ("Host: a\r\nA: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\n", "too large"),
        ] {
            check(&format!("POST / HTTP/1.1\r\n{fields}\r\n"), Err(why));
        }
        check("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Err("in HTTP/1.0"));
    }

    #[test]
    fn request_lines_have_three_parts() {
        for line in [
            "GET  / HTTP/1.1",
            "GET /",
            "GET / HTTP/1.1 x",
            " GET / HTTP/1.1",
            "GET /a b HTTP/1.1",
            "G\u{e4}T / HTTP/1.1",
            "GET /\u{e4} HTTP/1.1",
            "GET\t/\tHTTP/1.1",
            "GET / HTTP/2.0",
            "GET / http/1.1",
            "GET / HTTP/1.1 ",
            "",
        ] {
            check(&format!("{line}\r\nHost: a\r\n\r\n"), Err("bad request"));
        }
    }
}
