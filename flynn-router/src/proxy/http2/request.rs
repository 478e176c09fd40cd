//! A request of HTTP/2 in the form that one of HTTP/1.1 has, judged by the same rules.

use http::header::{CONTENT_LENGTH, COOKIE, HOST, HeaderValue, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri};
use http_body::Body;

use super::super::Failure;

/// The longest target, as in HTTP/1.1.
const LONGEST_TARGET: usize = 32 << 10;

/// Rewrites a request: the authority becomes the `Host` field, the target the path, cookies one field, and a body
/// without a length is said to be chunked.
pub(super) fn as_of_http1<B: Body>(request: &mut Request<B>, most_fields: usize) -> Result<(), Failure> {
    if request.headers().len() > most_fields {
        return Err(Failure::HeadTooLarge);
    }
    if request.headers().get_all(HOST).iter().nth(1).is_some() {
        return Err(Failure::BadRequest("two Host fields"));
    }
    if request.headers().get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        return Err(Failure::BadRequest("two Content-Length fields"));
    }
    set_host(request)?;
    if *request.method() != Method::CONNECT {
        set_target(request)?;
    }
    join_cookies(request);
    let has_length = request.headers().contains_key(CONTENT_LENGTH);
    if !has_length && !request.body().is_end_stream() {
        request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    Ok(())
}

/// `:authority` is what counts, and a `Host` field may only say the same (RFC 9113 §8.3.1).
fn set_host<B>(request: &mut Request<B>) -> Result<(), Failure> {
    let host = request.headers().get(HOST);
    let Some(authority) = request.uri().authority() else {
        return host.map(drop).ok_or(Failure::BadRequest("no :authority"));
    };
    if host.is_some_and(|host| !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())) {
        return Err(Failure::BadRequest("a Host field that differs from :authority"));
    }
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Failure::BadRequest("a malformed :authority"))?;
    request.headers_mut().insert(HOST, host);
    Ok(())
}

fn set_target<B>(request: &mut Request<B>) -> Result<(), Failure> {
    let target = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    if target.as_str().len() > LONGEST_TARGET {
        return Err(Failure::HeadTooLarge);
    }
    let is_rooted = target.as_str().starts_with('/') || (target == "*" && *request.method() == Method::OPTIONS);
    if !is_rooted || !target.as_str().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::BadRequest("a malformed :path"));
    }
    *request.uri_mut() = Uri::from(target);
    Ok(())
}

/// HTTP/2 may send each cookie as a field of its own; others know one field only (RFC 9113 §8.2.3).
fn join_cookies<B>(request: &mut Request<B>) {
    let fields = request.headers();
    if fields.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let all: Vec<&[u8]> = fields.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    // Values joined by visible characters are one.
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        request.headers_mut().insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body::{Frame, SizeHint};
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;

    /// A body that is sent or not.
    struct Sent(bool);

    impl Body for Sent {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(None)
        }

        fn is_end_stream(&self) -> bool {
            !self.0
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::default()
        }
    }

    fn request(uri: &str, fields: &[(&str, &str)], body: bool) -> Request<Sent> {
        let mut builder = Request::builder().uri(uri);
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        builder.body(Sent(body)).unwrap()
    }

    #[test]
    fn a_request_looks_like_one_of_http1() {
        let mut read = request("https://a.example:8443/x?y=z", &[("cookie", "a=1"), ("cookie", "b=2")], true);
        as_of_http1(&mut read, 10).unwrap();
        assert_eq!(read.uri(), "/x?y=z");
        assert_eq!(read.headers()[HOST], "a.example:8443");
        assert_eq!(read.headers().get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
        assert_eq!(read.headers()[TRANSFER_ENCODING], "chunked");
        for (fields, body) in [(&[("content-length", "3")][..], true), (&[], false)] {
            let mut read = request("https://a.example/", fields, body);
            as_of_http1(&mut read, 10).unwrap();
            assert!(!read.headers().contains_key(TRANSFER_ENCODING));
        }
        let mut read = request("/", &[("host", "a.example")], false);
        as_of_http1(&mut read, 10).unwrap();
        assert_eq!(read.headers()[HOST], "a.example");
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let check = |uri: &str, fields: &[(&str, &str)], expect: Failure| {
            assert_eq!(as_of_http1(&mut request(uri, fields, false), 3), Err(expect), "{uri} {fields:?}");
        };
        check("/", &[], Failure::BadRequest("no :authority"));
        check("https://a/", &[("host", "b")], Failure::BadRequest("a Host field that differs from :authority"));
        check("/", &[("host", "b"), ("host", "b")], Failure::BadRequest("two Host fields"));
        let lengths = [("content-length", "1"), ("content-length", "1")];
        check("https://a/", &lengths, Failure::BadRequest("two Content-Length fields"));
        check("https://a/", &[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")], Failure::HeadTooLarge);
        check(&format!("https://a/{}", "x".repeat(LONGEST_TARGET)), &[], Failure::HeadTooLarge);
        assert!(as_of_http1(&mut request("https://A/", &[("host", "a")], false), 3).is_ok());
    }
}
