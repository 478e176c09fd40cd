//! Which requests the engine takes, and what it has to know of them.
//!
//! It is stricter than the gate: a head that it does not know to be plain, HTTP/1.1 and in origin form is left to
//! the reference path, which refuses it or serves it.

use memchr::memchr;

use super::super::gate::{Framing, HeadLimits, LONGEST_BODY};

const LONGEST_TARGET: usize = 32 << 10;

/// A part of a head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(super) fn of(self, head: &[u8]) -> &[u8] {
        head.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// One field of a head. Its value has no space around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) kind: Kind,
    pub(super) name: Span,
    pub(super) value: Span,
}

/// What a field is to the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Passed on, unless it is nominated by `Connection`.
    Other,
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Te,
    Trailer,
    Accept,
    ForwardedFor,
    RequestId,
    /// Meant for this connection alone, or written by the router itself, or a look-alike of what it writes.
    Ends,
}

/// What is known of a request once its head was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestHead {
    pub(super) method: Span,
    pub(super) target: Span,
    /// The target without its query.
    pub(super) path: Span,
    pub(super) host: Span,
    pub(super) framing: Framing,
    pub(super) is_head: bool,
    /// Whether a `Content-Length` was sent, which may be zero.
    pub(super) has_length: bool,
    /// Whether the client ends its connection after this.
    pub(super) closes: bool,
    pub(super) expects: bool,
    pub(super) wants_trailers: bool,
    /// Whether fields are nominated by `Connection`.
    pub(super) nominates: bool,
    pub(super) wants_html: bool,
}

/// Reads a whole head, which ends with an empty line. None if it is not for the engine.
pub(super) fn parse(head: &[u8], limits: HeadLimits, fields: &mut Vec<Field>) -> Option<RequestHead> {
    fields.clear();
    let mut at = line_end(head, 0)?;
    let mut request = request_line(head.get(..at)?)?;
    at += 2;
    let (mut host, mut length, mut chunked) = (None, None, false);
    loop {
        let end = line_end(head, at)?;
        if end == at {
            break;
        }
        if fields.len() == limits.fields {
            return None;
        }
        let field = field(head, at, end)?;
        let value = field.value.of(head);
        match field.kind {
            Kind::Other | Kind::Ends | Kind::ForwardedFor | Kind::RequestId | Kind::Trailer => {
                match field.name.of(head) {
                    name if name.eq_ignore_ascii_case(b"upgrade") => return None,
                    name if name.eq_ignore_ascii_case(b"expect") => {
                        if !value.eq_ignore_ascii_case(b"100-continue") {
                            return None;
                        }
                        request.expects = true;
                    }
                    _ => {}
                }
            }
            Kind::Host => {
                if host.replace(field.value).is_some() {
                    return None;
                }
            }
            Kind::ContentLength => {
                if length.replace(number(value)?).is_some() {
                    return None;
                }
            }
            Kind::TransferEncoding => {
                if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return None;
                }
                chunked = true;
            }
            Kind::Connection => {
                for token in tokens(value) {
                    match token {
                        token if token.eq_ignore_ascii_case(b"close") => request.closes = true,
                        token if token.eq_ignore_ascii_case(b"keep-alive") => {}
                        _ => request.nominates = true,
                    }
                }
            }
            Kind::Te => request.wants_trailers |= tokens(value).any(|token| token.eq_ignore_ascii_case(b"trailers")),
            Kind::Accept => request.wants_html |= value.windows(9).any(|part| part == b"text/html"),
        }
        fields.push(field);
        at = end + 2;
    }
    request.host = host?;
    request.has_length = length.is_some();
    request.framing = match (length, chunked) {
        (Some(_), true) => return None,
        (None, true) => Framing::Chunked,
        (None | Some(0), false) => Framing::None,
        (Some(length), false) => Framing::Length(length),
    };
    Some(request)
}

/// The parts of a list, without space around them.
pub(super) fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// Where the line that begins at `from` ends, which has to be with CR LF.
fn line_end(head: &[u8], from: usize) -> Option<usize> {
    let end = from + memchr(b'\n', head.get(from..)?)?;
    let end = end.checked_sub(1).filter(|end| *end >= from)?;
    (head.get(end) == Some(&b'\r')).then_some(end)
}

fn span(start: usize, end: usize) -> Option<Span> {
    Some(Span { start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()? })
}

fn request_line(line: &[u8]) -> Option<RequestHead> {
    let line = line.strip_suffix(b" HTTP/1.1")?;
    let space = memchr(b' ', line)?;
    let (method, target) = (line.get(..space)?, line.get(space + 1..)?);
    let is_method = !method.is_empty() && method.iter().all(|byte| is_token(*byte)) && method != b"CONNECT";
    let is_target = target.first() == Some(&b'/') && target.iter().all(|byte| TARGET[usize::from(*byte)]);
    if !is_method || !is_target || target.len() > LONGEST_TARGET {
        return None;
    }
    let query = memchr(b'?', target).unwrap_or(target.len());
    Some(RequestHead {
        method: span(0, space)?,
        target: span(space + 1, line.len())?,
        path: span(space + 1, space + 1 + query)?,
        host: Span::default(),
        framing: Framing::None,
        is_head: method == b"HEAD",
        has_length: false,
        closes: false,
        expects: false,
        wants_trailers: false,
        nominates: false,
        wants_html: false,
    })
}

fn field(head: &[u8], start: usize, end: usize) -> Option<Field> {
    let line = head.get(start..end)?;
    let colon = memchr(b':', line)?;
    let (name, rest) = (line.get(..colon)?, line.get(colon + 1..)?);
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return None;
    }
    // Folded, so that no byte is decided on by itself.
    let is_dirty = rest.iter().fold(false, |dirty, byte| dirty | (*byte < b' ' && *byte != b'\t') | (*byte == 0x7f));
    if is_dirty {
        return None;
    }
    let value = rest.trim_ascii_start();
    let from = end - value.len();
    let until = from + value.trim_ascii_end().len();
    Some(Field { kind: kind(name), name: span(start, start + colon)?, value: span(from, until)? })
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number < LONGEST_BODY).then_some(number)
}

fn kind(name: &[u8]) -> Kind {
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    match name.len() {
        2 if is(b"te") => Kind::Te,
        4 if is(b"host") => Kind::Host,
        6 if is(b"accept") => Kind::Accept,
        6 if is(b"expect") => Kind::Ends,
        7 if is(b"trailer") => Kind::Trailer,
        7 if is(b"upgrade") => Kind::Ends,
        10 if is(b"connection") => Kind::Connection,
        10 if is(b"keep-alive") => Kind::Ends,
        12 if is(b"x-request-id") => Kind::RequestId,
        14 if is(b"content-length") => Kind::ContentLength,
        15 if is(b"x-forwarded-for") => Kind::ForwardedFor,
        16 if is(b"proxy-connection") => Kind::Ends,
        17 if is(b"transfer-encoding") => Kind::TransferEncoding,
        19 if is(b"proxy-authorization") => Kind::Ends,
        12 | 15..=18 if matches!(name.first(), Some(b'x' | b'X')) && is_ours(name) => Kind::Ends,
        _ => Kind::Other,
    }
}

/// Whether the router writes this field, or many frameworks could not tell it from one that it writes.
fn is_ours(name: &[u8]) -> bool {
    const OURS: [&[u8]; 7] = [
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
        b"x-request-id",
        b"x-request-start",
    ];
    let alike = |(byte, own): (&u8, &u8)| byte.eq_ignore_ascii_case(own) || (*byte == b'_' && *own == b'-');
    OURS.iter().any(|own| own.len() == name.len() && name.iter().zip(*own).all(alike))
}

/// Whether `byte` may be in a token (RFC 9110 §5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

const TOKEN: [bool; 256] = allowed(b"!#$%&'*+-.^_`|~");
/// What may be in a target without any doubt about its meaning.
const TARGET: [bool; 256] = allowed(b"-._~!$&'()*+,;=:@%/?");

/// Letters, digits and these.
const fn allowed(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::gate::judge;
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 1 << 16, fields: 8 };

    fn read(head: &str) -> Option<(RequestHead, Vec<Field>)> {
        let mut fields = Vec::new();
        parse(head.as_bytes(), LIMITS, &mut fields).map(|request| (request, fields))
    }

    #[test]
    fn plain_requests_are_taken() {
        let head = "POST /a/b?c=d HTTP/1.1\r\nHost:  a.example \r\nContent-Length: 007\r\nX:\r\n\r\n";
        let (request, fields) = read(head).unwrap();
        let text = |span: Span| std::str::from_utf8(span.of(head.as_bytes())).unwrap();
        assert_eq!((text(request.method), text(request.target), text(request.path)), ("POST", "/a/b?c=d", "/a/b"));
        assert_eq!((text(request.host), request.framing), ("a.example", Framing::Length(7)));
        assert_eq!((text(fields[2].name), text(fields[2].value)), ("X", ""));
        let (request, _) =
            read("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Close\r\nTE: trailers\r\n\r\n").unwrap();
        assert!(request.closes && request.wants_trailers && !request.nominates);
    }

    #[test]
    fn everything_else_is_left_to_the_reference_path() {
        for head in [
            "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: \u{1}\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n X: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
        ] {
            assert!(read(head).is_none(), "{head:?}");
        }
    }

    #[test]
    fn fields_of_the_router_and_their_look_alikes_end_here() {
        for name in ["X-Forwarded-Proto", "x_forwarded_for", "X-Request_Id", "Keep-Alive", "x-request-start"] {
            assert_eq!(kind(name.as_bytes()), Kind::Ends, "{name}");
        }
        for name in ["x_mine", "x-forwarded-fot", "x-b3-traceid", "accept-encoding"] {
            assert_eq!(kind(name.as_bytes()), Kind::Other, "{name}");
        }
    }

    proptest! {
        /// What the engine takes, the gate lets in, and both see the same end of the request.
        #[test]
        fn the_gate_lets_in_what_is_taken(
            lines in proptest::collection::vec(
                "(Host|X|Content-Length|Transfer-Encoding|Connection|TE| X|X )(:|: | :|)\
                 (a|5|chunked|close|\u{e4}|\u{1}|\t|a b|)?(\r\n|\n|\r)?",
                0..5,
            ),
            start in "(GET|POST|G T) (/|/a\\?b|\\*|http://a/|/\u{e4}|/\\{)( HTTP/1.1| HTTP/1.0|)",
        ) {
            let lines: String = lines.iter().map(|line| if line.ends_with('\n') { line.clone() } else { format!("{line}\r\n") }).collect();
            let head = format!("{start}\r\nHost: a\r\n{lines}\r\n");
            if let Some((request, fields)) = read(&head) {
                let judged = judge(head.as_bytes(), LIMITS);
                prop_assert!(judged.is_ok_and(|judged| judged.framing == request.framing && !judged.upgrade), "{:?}", head);
                prop_assert_eq!(fields.len(), head.matches("\r\n").count() - 2);
            }
        }
    }
}
