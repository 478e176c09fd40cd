//! The head of a request as an instance gets it: written from what was read, never copied whole.

use std::io::Write;
use std::net::IpAddr;

use flynn_core::Timestamp;

use super::super::gate::Framing;
use super::super::handler::Ends;
use super::request::{Field, Kind, RequestHead, tokens};
use crate::rules::FieldRules;

/// What the router knows of a request beside its head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) ends: Ends,
    pub(super) request_id: &'a [u8],
    pub(super) received: Timestamp,
    pub(super) rules: &'a FieldRules,
    /// What is taken off the path.
    pub(super) prefix: Option<&'a str>,
}

/// Writes the head for an instance to `out`.
pub(super) fn write(out: &mut Vec<u8>, head: &[u8], request: &RequestHead, fields: &[Field], origin: &Origin<'_>) {
    let rules = origin.rules;
    out.extend_from_slice(request.method.of(head));
    out.push(b' ');
    let target = request.target.of(head);
    let stripped = origin.prefix.and_then(|prefix| Some((prefix, target.strip_prefix(prefix.as_bytes())?)));
    match stripped {
        Some((_, rest)) => {
            if !rest.starts_with(b"/") {
                out.push(b'/');
            }
            out.extend_from_slice(rest);
        }
        None => out.extend_from_slice(target),
    }
    out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    let host = request.host.of(head);
    out.extend_from_slice(host);
    for field in fields {
        let passes = match field.kind {
            Kind::Other | Kind::Accept | Kind::Trailer => true,
            Kind::Host | Kind::ContentLength | Kind::TransferEncoding | Kind::Connection | Kind::Te => false,
            Kind::ForwardedFor | Kind::RequestId | Kind::Ends => false,
        };
        let name = field.name.of(head);
        let is_nominated = || request.nominates && nominated(head, fields, name);
        if passes && !is_nominated() && !rules.touch(name) {
            out.extend_from_slice(b"\r\n");
            push_lower(out, name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(field.value.of(head));
        }
    }
    match request.framing {
        Framing::Chunked => out.extend_from_slice(b"\r\ntransfer-encoding: chunked"),
        Framing::Length(length) => push_field(out, b"content-length", |out| push_number(out, length)),
        Framing::None if request.has_length => out.extend_from_slice(b"\r\ncontent-length: 0"),
        Framing::None => {}
    }
    if request.wants_trailers {
        out.extend_from_slice(b"\r\nte: trailers\r\nconnection: te");
    }
    let mut own = |name: &[u8], value: &mut dyn FnMut(&mut Vec<u8>)| {
        if !rules.touch(name) {
            push_field(out, name, value);
        }
    };
    own(b"x-forwarded-for", &mut |out| {
        for field in fields.iter().filter(|field| field.kind == Kind::ForwardedFor) {
            let (name, value) = (field.name.of(head), field.value.of(head));
            let is_text = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
            if is_text && !(request.nominates && nominated(head, fields, name)) {
                out.extend_from_slice(value);
                out.extend_from_slice(b", ");
            }
        }
        push_address(out, origin.ends.client.ip());
    });
    own(b"x-forwarded-port", &mut |out| push_number(out, u64::from(origin.ends.local.port())));
    own(b"x-forwarded-proto", &mut |out| out.extend_from_slice(b"http"));
    own(b"x-forwarded-host", &mut |out| out.extend_from_slice(host));
    own(b"x-request-id", &mut |out| out.extend_from_slice(origin.request_id));
    own(b"x-request-start", &mut |out| push_number(out, origin.received.as_millis()));
    if let Some((prefix, _)) = stripped {
        own(b"x-forwarded-prefix", &mut |out| out.extend_from_slice(prefix.as_bytes()));
    }
    push_rules(out, rules);
    out.extend_from_slice(b"\r\n\r\n");
}

/// Writes the fields that rules set.
pub(super) fn push_rules(out: &mut Vec<u8>, rules: &FieldRules) {
    for (name, value) in rules.fields() {
        push_field(out, name.as_str().as_bytes(), |out| out.extend_from_slice(value.as_bytes()));
    }
}

/// Whether `Connection` says that the field is for this connection alone (RFC 9110 §7.6.1).
fn nominated(head: &[u8], fields: &[Field], name: &[u8]) -> bool {
    let mut lists = fields.iter().filter(|field| field.kind == Kind::Connection);
    lists.any(|list| tokens(list.value.of(head)).any(|token| token.eq_ignore_ascii_case(name)))
}

pub(super) fn push_field(out: &mut Vec<u8>, name: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    value(out);
}

pub(super) fn push_lower(out: &mut Vec<u8>, name: &[u8]) {
    out.extend(name.iter().map(u8::to_ascii_lowercase));
}

pub(super) fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        // Below ten.
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// A number with sixteen digits of base 16.
pub(super) fn hex(number: u64) -> [u8; 16] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    std::array::from_fn(|at| DIGITS[(number >> (60 - 4 * at)) as usize & 15])
}

fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (at, part) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                push_number(out, u64::from(part));
            }
        }
        // Writing to memory does not fail.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::gate::HeadLimits;
    use super::super::request::parse;
    use super::*;

    fn forwarded(head: &str, rules: &FieldRules, prefix: Option<&str>) -> String {
        let mut fields = Vec::new();
        let request = parse(head.as_bytes(), HeadLimits { bytes: 1 << 16, fields: 100 }, &mut fields).unwrap();
        let ends = Ends { client: ([10, 0, 0, 9], 1_000).into(), local: ([10, 0, 0, 1], 8_080).into() };
        let received = Timestamp::from_millis(1_234);
        let origin = Origin { ends, request_id: b"id", received, rules, prefix };
        let mut out = Vec::new();
        write(&mut out, head.as_bytes(), &request, &fields, &origin);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_head_is_written_anew() {
        let head = "POST /api/x?y HTTP/1.1\r\nHost: A:80\r\nX-Forwarded-For: 1.2.3.4\r\nConnection: close, X-Mine\r\n\
                    X-Mine: 1\r\nX-Kept: 2\r\nX-Old: 3\r\nx_forwarded_proto: https\r\nContent-Length: 007\r\nTE: gzip, trailers\r\n\r\n";
        let rules = FieldRules::default().with("x-old", "4").unwrap().without("x-request-start").unwrap();
        assert_eq!(
            forwarded(head, &rules, Some("/api")),
            "POST /x?y HTTP/1.1\r\nhost: A:80\r\nx-kept: 2\r\ncontent-length: 7\r\nte: trailers\r\nconnection: te\r\n\
             x-forwarded-for: 1.2.3.4, 10.0.0.9\r\nx-forwarded-port: 8080\r\nx-forwarded-proto: http\r\n\
             x-forwarded-host: A:80\r\nx-request-id: id\r\nx-forwarded-prefix: /api\r\nx-old: 4\r\n\r\n"
        );
        let head = "GET /api?a HTTP/1.1\r\nHost: a\r\n\r\n";
        assert!(forwarded(head, &FieldRules::default(), Some("/api")).starts_with("GET /?a HTTP/1.1\r\nhost: a\r\n"));
    }

    proptest! {
        #[test]
        fn numbers_and_addresses_are_written_as_always(number in any::<u64>(), address in any::<IpAddr>()) {
            let text = |write: &dyn Fn(&mut Vec<u8>)| {
                let mut out = Vec::new();
                write(&mut out);
                String::from_utf8(out).unwrap()
            };
            prop_assert_eq!(text(&|out| push_number(out, number)), number.to_string());
            prop_assert_eq!(text(&|out| out.extend_from_slice(&hex(number))), format!("{number:016x}"));
            prop_assert_eq!(text(&|out| push_address(out, address)), address.to_string());
        }
    }
}
