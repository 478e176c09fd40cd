//! What happens to header fields on their way through.

use std::net::{IpAddr, SocketAddr};

use flynn_core::Timestamp;
use http::Uri;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::uri::PathAndQuery;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_START: HeaderName = HeaderName::from_static("x-request-start");

/// The fields that an instance can trust, since the router writes them.
const OURS: [HeaderName; 7] =
    [FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PORT, FORWARDED_PREFIX, FORWARDED_PROTO, REQUEST_ID, REQUEST_START];

/// What the router knows of a request beside its fields.
pub(crate) struct Origin<'a> {
    pub(crate) client: IpAddr,
    pub(crate) local: SocketAddr,
    /// Whether it came over TLS.
    pub(crate) secured: bool,
    /// The authority that the client asked for.
    pub(crate) authority: &'a HeaderValue,
    pub(crate) request_id: &'a str,
    pub(crate) received: Timestamp,
}

/// Makes a client's fields those for an instance. `upgrade` is the protocol asked for, if the request is passed
/// on as an upgrade.
pub(crate) fn to_instance(fields: &mut HeaderMap, upgrade: Option<&HeaderValue>, origin: &Origin<'_>) {
    let wants_trailers = contains_token(fields, &TE, "trailers");
    let is_chunked = fields.contains_key(TRANSFER_ENCODING);
    remove_hop_by_hop(fields);
    fields.remove(EXPECT);
    fields.remove(FORWARDED_PREFIX);
    fields.remove(PROXY_AUTHORIZATION);
    remove_look_alikes(fields);
    if wants_trailers {
        fields.insert(TE, HeaderValue::from_static("trailers"));
        fields.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    if is_chunked {
        // Said explicitly, since the body of a chunked GET would be left out otherwise.
        fields.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if let Some(protocol) = upgrade {
        fields.insert(UPGRADE, protocol.clone());
        fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    let chain = fields.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let chain: Vec<String> = chain.map(str::to_owned).chain([origin.client.to_string()]).collect();
    set(fields, FORWARDED_FOR, &chain.join(", "));
    set(fields, FORWARDED_PORT, &origin.local.port().to_string());
    fields.insert(FORWARDED_PROTO, HeaderValue::from_static(if origin.secured { "https" } else { "http" }));
    fields.insert(FORWARDED_HOST, origin.authority.clone());
    fields.insert(HOST, origin.authority.clone());
    set(fields, REQUEST_ID, origin.request_id);
    set(fields, REQUEST_START, &origin.received.as_millis().to_string());
}

/// Takes the prefix of a route off the path and says so to the instance.
pub(crate) fn strip_prefix(head: &mut Parts, prefix: &str) {
    let Some(whole) = head.uri.path_and_query().map(PathAndQuery::as_str) else { return };
    let Some(rest) = whole.strip_prefix(prefix).filter(|_| !prefix.is_empty()) else { return };
    let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    // What is left of a valid path is one.
    if let Ok(path) = rest.parse::<PathAndQuery>() {
        head.uri = Uri::from(path);
        set(&mut head.headers, FORWARDED_PREFIX, prefix);
    }
}

/// Makes an instance's fields those for a client.
pub(crate) fn to_client(fields: &mut HeaderMap, upgrade: Option<&HeaderValue>) {
    remove_hop_by_hop(fields);
    fields.remove(PROXY_AUTHENTICATE);
    if let Some(protocol) = upgrade {
        fields.insert(UPGRADE, protocol.clone());
        fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

/// The protocol that a message asks for or agrees to.
pub(crate) fn upgrade(fields: &HeaderMap) -> Option<HeaderValue> {
    let protocol = fields.get(UPGRADE)?;
    contains_token(fields, &CONNECTION, "upgrade").then(|| protocol.clone())
}

/// The client's id of a request, if it can be taken over.
pub(crate) fn client_request_id(fields: &HeaderMap) -> Option<String> {
    let id = fields.get(REQUEST_ID)?.to_str().ok();
    id.filter(|id| is_safe_id(id.as_bytes())).map(str::to_owned)
}

pub(crate) fn is_safe_id(id: &[u8]) -> bool {
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'=' | b'+' | b'/');
    (20..=200).contains(&id.len()) && id.iter().all(allowed)
}

/// Whether a browser would show an HTML page.
pub(crate) fn wants_html(fields: &HeaderMap) -> bool {
    let accepted = fields.get(http::header::ACCEPT).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("text/html"))
}

fn set(fields: &mut HeaderMap, name: HeaderName, value: &str) {
    // All values written here are made of visible characters.
    if let Ok(value) = HeaderValue::from_str(value) {
        fields.insert(name, value);
    }
}

fn contains_token(fields: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(fields, name).any(|found| found.eq_ignore_ascii_case(token))
}

fn tokens<'a>(fields: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = fields.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

/// Removes what is meant for this one connection (RFC 9110 §7.6.1). What delimits the body, and the host, cannot
/// be nominated away.
fn remove_hop_by_hop(fields: &mut HeaderMap) {
    if fields.contains_key(CONNECTION) {
        let nominated: Vec<_> = tokens(fields, &CONNECTION)
            .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
            .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
            .collect();
        for name in nominated {
            fields.remove(name);
        }
    }
    for name in [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE] {
        fields.remove(name);
    }
}

/// Removes fields such as `X_Forwarded_For`, which many frameworks cannot tell from those the router writes.
fn remove_look_alikes(fields: &mut HeaderMap) {
    let with_underscore = fields.keys().filter(|name| name.as_str().contains('_'));
    let look_alikes: Vec<HeaderName> = with_underscore
        .filter(|name| {
            let dashed = name.as_str().replace('_', "-");
            OURS.iter().any(|ours| ours.as_str() == dashed)
        })
        .cloned()
        .collect();
    for name in look_alikes {
        fields.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(lines: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| -> (HeaderName, HeaderValue) {
            (name.parse().unwrap(), value.parse().unwrap())
        };
        lines.iter().map(pair).collect()
    }

    fn passed(lines: &[(&str, &str)]) -> HeaderMap {
        let mut map = fields(lines);
        let origin = Origin {
            client: IpAddr::from([10, 0, 0, 9]),
            local: ([10, 0, 0, 1], 8080).into(),
            secured: false,
            authority: &HeaderValue::from_static("a.example:8080"),
            request_id: "0123456789abcdef0123",
            received: Timestamp::from_millis(1_234),
        };
        to_instance(&mut map, None, &origin);
        map
    }

    #[test]
    fn an_instance_learns_where_a_request_came_from() {
        let map = passed(&[("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "https"), ("host", "spoofed")]);
        for (name, value) in [
            ("x-forwarded-for", "1.2.3.4, 10.0.0.9"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-port", "8080"),
            ("x-forwarded-host", "a.example:8080"),
            ("host", "a.example:8080"),
            ("x-request-id", "0123456789abcdef0123"),
            ("x-request-start", "1234"),
        ] {
            assert_eq!(map.get_all(name).iter().collect::<Vec<_>>(), [value], "{name}");
        }
    }

    #[test]
    fn look_alikes_of_the_routers_fields_are_removed() {
        let map = passed(&[("x_forwarded_for", "1.1.1.1"), ("x-forwarded_proto", "https"), ("x_mine", "1")]);
        assert!(!map.contains_key("x_forwarded_for") && !map.contains_key("x-forwarded_proto"));
        assert!(map.contains_key("x_mine"));
    }

    #[test]
    fn ids_of_clients_are_kept_if_safe() {
        let check = |id: &str, expect: bool| {
            assert_eq!(client_request_id(&fields(&[("x-request-id", id)])).is_some(), expect, "{id:?}");
        };
        check(&"a".repeat(19), false);
        check(&"a".repeat(20), true);
        check(&"a".repeat(200), true);
        check(&"a".repeat(201), false);
        check("01234567890123456789 x=y", false);
        check("0123456789-0123456789_.", true);
    }

    #[test]
    fn trailers_can_still_be_asked_for() {
        let map = passed(&[("te", "gzip, trailers"), ("connection", "te")]);
        assert_eq!(map["te"], "trailers");
        assert!(!passed(&[("te", "gzip")]).contains_key("te"));
    }

    proptest! {
        /// What is left is a path with the same query, and with the prefix before it the path that was sent.
        #[test]
        fn a_prefix_comes_off_whole(rest in "(/[a-z%./]{0,8}){0,3}", query in "(\\?[a-z/?=]{0,8})?") {
            let sent = format!("/api{rest}{query}");
            let (mut head, ()) = http::Request::builder().uri(&sent).body(()).unwrap().into_parts();
            strip_prefix(&mut head, "/api");
            let left = head.uri.to_string();
            let path = if rest.is_empty() { "/" } else { rest.as_str() };
            prop_assert_eq!(&left, &format!("{path}{query}"), "of {}", sent);
            prop_assert_eq!(head.headers[FORWARDED_PREFIX].as_bytes(), b"/api");
        }

        /// Whatever is nominated is gone, in both directions, and nothing else of the client's is.
        #[test]
        fn nominated_fields_do_not_pass(
            present in proptest::collection::btree_set("x-[a-z]{1,3}", 0..12),
            nominated in proptest::collection::vec("x-[a-z]{1,3}|host|content-length|close|[ ,]{0,3}", 0..8),
            lines in 1_usize..3,
        ) {
            let mut map: HeaderMap = present
                .iter()
                .map(|name| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_static("1")))
                .collect();
            map.insert(HOST, HeaderValue::from_static("a"));
            map.insert(CONTENT_LENGTH, HeaderValue::from_static("5"));
            for chunk in nominated.chunks(nominated.len().div_ceil(lines).max(1)) {
                map.append(CONNECTION, chunk.join(", ").parse().unwrap());
            }
            let before = map.clone();
            to_client(&mut map, None);
            let is_nominated = |name: &str| nominated.iter().flat_map(|list| list.split(',')).any(|token| token.trim() == name);
            for name in &present {
                prop_assert_eq!(map.contains_key(name.as_str()), !is_nominated(name), "{} of {:?}", name, before);
            }
            prop_assert!(map.contains_key(HOST) && map.contains_key(CONTENT_LENGTH) && !map.contains_key(CONNECTION));
        }
    }
}
