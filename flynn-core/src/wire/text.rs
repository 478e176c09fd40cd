//! Principals and seats as one short word each.

use std::error::Error;
use std::str::FromStr;

use super::WireError;
use crate::election::{Epoch, Seat};
use crate::error::BoxError;
use crate::rule::Principal;

const PRINCIPAL: &str = "principal";
const SEAT: &str = "seat";

/// A principal as text: `system`, `controller:EPOCH`, or `bearer:`, `node:` or `router:` and an id.
pub(crate) fn encode_principal(principal: &Principal) -> String {
    match principal {
        Principal::System => String::from("system"),
        Principal::Controller(epoch) => format!("controller:{epoch}"),
        Principal::Bearer(token) => format!("bearer:{token}"),
        Principal::Node(node) => format!("node:{node}"),
        Principal::Router(router) => format!("router:{router}"),
    }
}

/// The principal that is written `text`.
pub(crate) fn decode_principal(text: &str) -> Result<Principal, WireError> {
    match text.split_once(':') {
        None if text == "system" => Ok(Principal::System),
        Some(("controller", epoch)) => parse(PRINCIPAL, epoch).map(|epoch| Principal::Controller(Epoch(epoch))),
        Some(("bearer", token)) => parse(PRINCIPAL, token).map(Principal::Bearer),
        Some(("node", node)) => parse(PRINCIPAL, node).map(Principal::Node),
        Some(("router", router)) => parse(PRINCIPAL, router).map(Principal::Router),
        _ => Err(unreadable(PRINCIPAL, "expected system, controller:EPOCH, bearer:ID, node:ID or router:ID")),
    }
}

/// A seat as text: `controller`, or `deployment:` and an id.
pub(crate) fn encode_seat(seat: &Seat) -> String {
    match seat {
        Seat::Controller => String::from("controller"),
        Seat::Deployment(deployment) => format!("deployment:{deployment}"),
    }
}

/// The seat that is written `text`.
pub(crate) fn decode_seat(text: &str) -> Result<Seat, WireError> {
    match text.split_once(':') {
        None if text == "controller" => Ok(Seat::Controller),
        Some(("deployment", deployment)) => parse(SEAT, deployment).map(Seat::Deployment),
        _ => Err(unreadable(SEAT, "expected controller or deployment:ID")),
    }
}

fn parse<T: FromStr<Err: Error + Send + Sync + 'static>>(what: &'static str, text: &str) -> Result<T, WireError> {
    text.parse().map_err(|source| unreadable(what, source))
}

fn unreadable(what: &'static str, source: impl Into<BoxError>) -> WireError {
    WireError::Unreadable { what, id: None, field: String::from("."), source: source.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::arbitrary;

    proptest! {
        #[test]
        fn principals_round_trip(principal in arbitrary::principal()) {
            prop_assert_eq!(decode_principal(&encode_principal(&principal)).unwrap(), principal);
        }

        #[test]
        fn seats_round_trip(seat in arbitrary::seat()) {
            prop_assert_eq!(decode_seat(&encode_seat(&seat)).unwrap(), seat);
        }

        #[test]
        fn no_text_panics(text in "((system|controller|bearer|node|router|deployment):?)?.{0,40}") {
            let _ = (decode_principal(&text), decode_seat(&text));
        }
    }

    #[test]
    fn principals_and_seats_keep_their_words() {
        let id = "0190a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b";
        let check = |text: &str, principal| assert_eq!(decode_principal(text).unwrap(), principal);
        check("system", Principal::System);
        check("controller:7", Principal::Controller(Epoch(7)));
        check(&format!("bearer:{id}"), Principal::Bearer(id.parse().unwrap()));
        check(&format!("node:{id}"), Principal::Node(id.parse().unwrap()));
        check(&format!("router:{id}"), Principal::Router(id.parse().unwrap()));
        assert_eq!(decode_seat("controller").unwrap(), Seat::Controller);
        assert_eq!(decode_seat(&format!("deployment:{id}")).unwrap(), Seat::Deployment(id.parse().unwrap()));
        for bad in ["", "System", "system:", "controller", "controller:", "controller:-1", "bearer:7", "root", "node"] {
            assert!(decode_principal(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "controller:1", "deployment", "deployment:x"] {
            assert!(decode_seat(bad).is_err(), "{bad:?}");
        }
    }
}
