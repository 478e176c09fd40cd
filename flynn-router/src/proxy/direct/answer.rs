//! The head of an answer as a client gets it.

use std::mem::MaybeUninit;

use super::chunked::ChunkFilter;
use super::forward::{push_field, push_lower, push_number, push_rules};
use super::request::tokens;
use super::worker::DATE;
use crate::rules::FieldRules;

/// The most fields and bytes of an answer's head.
const MOST_FIELDS: usize = 200;
pub(super) const LARGEST_HEAD: usize = 256 << 10;

/// What an answer goes by, beside its own head.
pub(super) struct Asked<'a> {
    /// Whether the answer has no body because only its head was asked for.
    pub(super) is_head: bool,
    pub(super) wants_trailers: bool,
    /// Whether the client's connection ends after this.
    pub(super) closes: bool,
    pub(super) rules: &'a FieldRules,
    /// The value of a `Date` field, for an answer without one.
    pub(super) date: &'a dyn Fn() -> [u8; DATE],
}

/// What was read.
#[derive(Debug)]
pub(super) enum Read {
    /// The head is not whole.
    Part,
    /// An interim answer of so many bytes, which goes no further.
    Interim(usize),
    Whole(Answer),
    /// It is no answer in HTTP.
    Malformed,
}

/// An answer of which the body is still to come.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The length of its head.
    pub(super) length: usize,
    pub(super) rest: Rest,
    /// Whether the instance keeps the connection.
    pub(super) keeps: bool,
}

/// What of a body is still to come.
#[derive(Debug)]
pub(super) enum Rest {
    Nothing,
    Length(u64),
    Chunked(Box<ChunkFilter>),
    /// Up to the end of the connection. The client gets it in chunks.
    ToEnd,
    /// The body broke off.
    Broken,
}

/// Reads the head of an answer and writes the client's to `out`.
pub(super) fn read(bytes: &[u8], asked: &Asked<'_>, out: &mut Vec<u8>) -> Read {
    let mut space = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut head = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut head, bytes, &mut space);
    let length = match parsed {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Read::Part,
        Err(_) => return Read::Malformed,
    };
    match head.code {
        None | Some(101) | Some(..100) => Read::Malformed,
        Some(100..200) => Read::Interim(length),
        Some(status) => whole(&head, status, length, asked, out).map_or(Read::Malformed, Read::Whole),
    }
}

fn whole(
    head: &httparse::Response<'_, '_>,
    status: u16,
    length: usize,
    asked: &Asked<'_>,
    out: &mut Vec<u8>,
) -> Option<Answer> {
    let is_11 = head.version == Some(1);
    let (mut content, mut chunked, mut coded, mut closes, mut keeps) = (None, false, false, false, false);
    let (mut nominates, mut has_date, mut announced) = (false, false, Vec::new());
    for field in head.headers.iter() {
        let value = field.value;
        match field.name.len() {
            4 => has_date |= field.name.eq_ignore_ascii_case("date"),
            7 if field.name.eq_ignore_ascii_case("trailer") => {
                announced.extend_from_slice(value);
                announced.push(b',');
            }
            10 if field.name.eq_ignore_ascii_case("connection") => {
                for token in tokens(value) {
                    match token {
                        token if token.eq_ignore_ascii_case(b"close") => closes = true,
                        token if token.eq_ignore_ascii_case(b"keep-alive") => keeps = true,
                        _ => nominates = true,
                    }
                }
            }
            14 if field.name.eq_ignore_ascii_case("content-length") => {
                for part in value.split(|byte| *byte == b',') {
                    let number = number(part.trim_ascii())?;
                    if content.replace(number).is_some_and(|other| other != number) {
                        return None;
                    }
                }
            }
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                coded = true;
                let last = tokens(value).last();
                chunked = last.is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"));
            }
            _ => {}
        }
    }
    if coded && !is_11 {
        return None;
    }
    let is_bodiless = asked.is_head || matches!(status, 204 | 304);
    let rest = match (is_bodiless, coded, content) {
        (true, ..) => Rest::Nothing,
        (false, true, _) if chunked => {
            let announced = if asked.wants_trailers { announced } else { Vec::new() };
            Rest::Chunked(Box::new(ChunkFilter::new(true, announced)))
        }
        (false, false, Some(0)) => Rest::Nothing,
        (false, false, Some(length)) => Rest::Length(length),
        (false, ..) => Rest::ToEnd,
    };
    let rules = asked.rules;
    out.extend_from_slice(b"HTTP/1.1 ");
    push_number(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(head.reason.unwrap_or_default().as_bytes());
    for field in head.headers.iter() {
        let name = field.name.as_bytes();
        let is_nominated = || nominates && nominated(head, name);
        // No trailers follow where there is no body.
        let is_void = || is_bodiless && name.eq_ignore_ascii_case(b"trailer");
        if !ends(name) && !is_nominated() && !is_void() && !rules.touch(name) {
            out.extend_from_slice(b"\r\n");
            push_lower(out, name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(field.value);
        }
    }
    match &rest {
        Rest::Chunked(_) | Rest::ToEnd => out.extend_from_slice(b"\r\ntransfer-encoding: chunked"),
        // Of an answer without a body, it says what the body would have been.
        _ => {
            if let Some(content) = content.filter(|_| status != 204 && !coded) {
                push_field(out, b"content-length", |out| push_number(out, content));
            }
        }
    }
    if asked.closes {
        out.extend_from_slice(b"\r\nconnection: close");
    }
    if !has_date && !rules.touch(b"date") {
        push_field(out, b"date", |out| out.extend_from_slice(&(asked.date)()));
    }
    push_rules(out, rules);
    out.extend_from_slice(b"\r\n\r\n");
    let keeps = !closes && (is_11 || keeps) && !matches!(rest, Rest::ToEnd);
    Some(Answer { status, length, rest, keeps })
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether a field is for this one connection, or is written by the router itself.
fn ends(name: &[u8]) -> bool {
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    match name.len() {
        2 => is(b"te"),
        7 => is(b"upgrade"),
        10 => is(b"connection") || is(b"keep-alive"),
        14 => is(b"content-length"),
        16 => is(b"proxy-connection"),
        17 => is(b"transfer-encoding"),
        18 => is(b"proxy-authenticate"),
        _ => false,
    }
}

fn nominated(head: &httparse::Response<'_, '_>, name: &[u8]) -> bool {
    let mut lists = head.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("connection"));
    lists.any(|list| tokens(list.value).any(|token| token.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: [u8; DATE] = *b"Thu, 01 Jan 1970 00:00:00 GMT";

    fn told(head: &str, is_head: bool) -> Option<(String, Answer)> {
        let rules = FieldRules::default().without("server").unwrap();
        let asked = Asked { is_head, wants_trailers: true, closes: false, rules: &rules, date: &|| DAY };
        let mut out = Vec::new();
        match read(head.as_bytes(), &asked, &mut out) {
            Read::Whole(answer) => Some((String::from_utf8(out).unwrap(), answer)),
            _ => None,
        }
    }

    #[test]
    fn a_head_is_written_anew() {
        let head = "HTTP/1.1 200 Fine\r\nServer: x\r\nX-A: 1\r\nConnection: X-B\r\nX-B: 2\r\nContent-Length: 3, 3\r\n\
                    Proxy-Authenticate: x\r\nKeep-Alive: 5\r\nDate: now\r\n\r\nabc";
        let (text, answer) = told(head, false).unwrap();
        assert_eq!(text, "HTTP/1.1 200 Fine\r\nx-a: 1\r\ndate: now\r\ncontent-length: 3\r\n\r\n");
        assert_eq!((answer.length, answer.keeps), (head.len() - 3, true));
        assert!(matches!(answer.rest, Rest::Length(3)));
    }

    #[test]
    fn the_end_of_a_body_is_found_as_rfc_9112_says() {
        let rest = |head: &str, is_head| {
            told(&format!("{head}\r\n\r\n"), is_head).map(|(text, answer)| {
                let kind = match answer.rest {
                    Rest::Nothing => "nothing".to_owned(),
                    Rest::Length(length) => length.to_string(),
                    Rest::Chunked(_) => "chunks".to_owned(),
                    Rest::ToEnd => "to the end".to_owned(),
                    Rest::Broken => "broken".to_owned(),
                };
                (kind, answer.keeps, text.contains("content-length"), text.contains("chunked"))
            })
        };
        let expect = |kind: &str, keeps, length, chunked| Some((kind.to_owned(), keeps, length, chunked));
        assert_eq!(rest("HTTP/1.1 200 X\r\nContent-Length: 5", true), expect("nothing", true, true, false));
        assert_eq!(rest("HTTP/1.1 304 X\r\nContent-Length: 5", false), expect("nothing", true, true, false));
        assert_eq!(rest("HTTP/1.1 204 X\r\nContent-Length: 5", false), expect("nothing", true, false, false));
        assert_eq!(rest("HTTP/1.1 200 X\r\nContent-Length: 0", false), expect("nothing", true, true, false));
        assert_eq!(rest("HTTP/1.1 200 X\r\nTransfer-Encoding: chunked", true), expect("nothing", true, false, false));
        assert_eq!(rest("HTTP/1.1 200 X\r\nTransfer-Encoding: Chunked", false), expect("chunks", true, false, true));
        let both = "HTTP/1.1 200 X\r\nContent-Length: 5\r\nTransfer-Encoding: chunked";
        assert_eq!(rest(both, false), expect("chunks", true, false, true));
        assert_eq!(rest("HTTP/1.1 200 X\r\nTransfer-Encoding: gzip", false), expect("to the end", false, false, true));
        assert_eq!(rest("HTTP/1.1 200 X", false), expect("to the end", false, false, true));
        assert_eq!(rest("HTTP/1.0 200 X\r\nContent-Length: 5", false), expect("5", false, true, false));
        for malformed in [
            "HTTP/1.1 200 X\r\nContent-Length: 5\r\nContent-Length: 6",
            "HTTP/1.1 200 X\r\nContent-Length: +5",
            "HTTP/1.1 200 X\r\nContent-Length:",
            "HTTP/1.0 200 X\r\nTransfer-Encoding: chunked",
            "HTTP/1.1 101 X",
            "HTTP/1.1 099 X",
            "HTTP/1.1 200 X\r\nX : 1",
            "SSH-2.0-x",
        ] {
            assert!(told(&format!("{malformed}\r\n\r\n"), false).is_none(), "{malformed:?}");
        }
    }

    #[test]
    fn interim_answers_go_no_further() {
        let asked =
            Asked { is_head: false, wants_trailers: false, closes: true, rules: &FieldRules::default(), date: &|| DAY };
        let mut out = Vec::new();
        let early = b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 X\r\n\r\n";
        let Read::Interim(length) = read(early, &asked, &mut out) else { panic!("it is one") };
        assert!(out.is_empty());
        assert!(matches!(read(&early[length..length + 10], &asked, &mut out), Read::Part));
        assert!(matches!(read(&early[length..], &asked, &mut out), Read::Whole(_)));
        assert!(out.ends_with(b"connection: close\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n"));
    }
}
