//! What is written as one short word: principals, seats, scopes, object ids, members and cursors.

use std::error::Error;
use std::str::FromStr;

use super::WireError;
use crate::election::{Epoch, Seat};
use crate::error::BoxError;
use crate::noun::{Kind, ObjectId};
use crate::port::{Cursor, Member};
use crate::revision::Revision;
use crate::rule::Principal;
use crate::scope::Scope;

/// A value that is written as one word.
pub(crate) trait Text: Sized {
    /// The word for it.
    fn encode(&self) -> String;

    /// The value that is written `text`.
    fn decode(text: &str) -> Result<Self, WireError>;
}

/// `system`, `controller:EPOCH`, or `bearer:`, `node:` or `router:` and an id.
impl Text for Principal {
    fn encode(&self) -> String {
        match self {
            Self::System => String::from("system"),
            Self::Controller(epoch) => format!("controller:{epoch}"),
            Self::Bearer(token) => format!("bearer:{token}"),
            Self::Node(node) => format!("node:{node}"),
            Self::Router(router) => format!("router:{router}"),
        }
    }

    fn decode(text: &str) -> Result<Self, WireError> {
        const WHAT: &str = "principal";
        match text.split_once(':') {
            None if text == "system" => Ok(Self::System),
            Some(("controller", epoch)) => parse(WHAT, epoch).map(|epoch| Self::Controller(Epoch(epoch))),
            Some(("bearer", token)) => parse(WHAT, token).map(Self::Bearer),
            Some(("node", node)) => parse(WHAT, node).map(Self::Node),
            Some(("router", router)) => parse(WHAT, router).map(Self::Router),
            _ => Err(unreadable(WHAT, "expected system, controller:EPOCH, bearer:ID, node:ID or router:ID")),
        }
    }
}

/// `controller`, or `deployment:` and an id.
impl Text for Seat {
    fn encode(&self) -> String {
        match self {
            Self::Controller => String::from("controller"),
            Self::Deployment(deployment) => format!("deployment:{deployment}"),
        }
    }

    fn decode(text: &str) -> Result<Self, WireError> {
        const WHAT: &str = "seat";
        match text.split_once(':') {
            None if text == "controller" => Ok(Self::Controller),
            Some(("deployment", deployment)) => parse(WHAT, deployment).map(Self::Deployment),
            _ => Err(unreadable(WHAT, "expected controller or deployment:ID")),
        }
    }
}

/// `all`, `router`, or `team:`, `app:` or `node:` and an id.
impl Text for Scope {
    fn encode(&self) -> String {
        match self {
            Self::All => String::from("all"),
            Self::Team(team) => format!("team:{team}"),
            Self::App(app) => format!("app:{app}"),
            Self::Node(node) => format!("node:{node}"),
            Self::Router => String::from("router"),
        }
    }

    fn decode(text: &str) -> Result<Self, WireError> {
        const WHAT: &str = "scope";
        match text.split_once(':') {
            None if text == "all" => Ok(Self::All),
            None if text == "router" => Ok(Self::Router),
            Some(("team", team)) => parse(WHAT, team).map(Self::Team),
            Some(("app", app)) => parse(WHAT, app).map(Self::App),
            Some(("node", node)) => parse(WHAT, node).map(Self::Node),
            _ => Err(unreadable(WHAT, "expected all, router, team:ID, app:ID or node:ID")),
        }
    }
}

/// A kind and an id, such as `app:0190a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b`.
impl Text for ObjectId {
    fn encode(&self) -> String {
        format!("{}:{}", self.kind(), self.uuid())
    }

    fn decode(text: &str) -> Result<Self, WireError> {
        const WHAT: &str = "object id";
        let (kind, id) = text.split_once(':').ok_or_else(|| unreadable(WHAT, "expected KIND:ID"))?;
        let kind = Kind::from_text(kind).ok_or_else(|| unreadable(WHAT, "this kind of object is unknown"))?;
        parse::<crate::id::Id<()>>(WHAT, id).map(|id| Self::new(kind, id.uuid()))
    }
}

/// `node:` or `router:` and an id.
impl Text for Member {
    fn encode(&self) -> String {
        match self {
            Self::Node(node) => format!("node:{node}"),
            Self::Router(router) => format!("router:{router}"),
        }
    }

    fn decode(text: &str) -> Result<Self, WireError> {
        const WHAT: &str = "member";
        match text.split_once(':') {
            Some(("node", node)) => parse(WHAT, node).map(Self::Node),
            Some(("router", router)) => parse(WHAT, router).map(Self::Router),
            _ => Err(unreadable(WHAT, "expected node:ID or router:ID")),
        }
    }
}

/// A revision and a place in it, such as `17.0`; `newest` for the beginning.
impl Text for Cursor {
    fn encode(&self) -> String {
        match self.0 {
            None => String::from("newest"),
            Some((revision, place)) => format!("{revision}.{place}"),
        }
    }

    fn decode(text: &str) -> Result<Self, WireError> {
        const WHAT: &str = "cursor";
        if text == "newest" {
            return Ok(Self(None));
        }
        let (revision, place) = text.split_once('.').ok_or_else(|| unreadable(WHAT, "expected newest or N.N"))?;
        Ok(Self(Some((Revision::new(parse(WHAT, revision)?), parse(WHAT, place)?))))
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
    use std::fmt;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::arbitrary;

    fn round_trip<T: Text + PartialEq + fmt::Debug>(value: T) -> Result<(), TestCaseError> {
        prop_assert_eq!(T::decode(&value.encode()).unwrap(), value);
        Ok(())
    }

    proptest! {
        #[test]
        fn words_round_trip(
            principal in arbitrary::principal(),
            seat in arbitrary::seat(),
            scope in arbitrary::scope(),
            id in arbitrary::object_id(),
            member in arbitrary::member(),
            cursor in arbitrary::cursor(),
        ) {
            round_trip(principal)?;
            round_trip(seat)?;
            round_trip(scope)?;
            round_trip(id)?;
            round_trip(member)?;
            round_trip(cursor)?;
        }

        #[test]
        fn no_text_panics(text in "((system|controller|bearer|node|router|deployment|app|all|7)[:.]?)?.{0,40}") {
            let _ = (Principal::decode(&text), Seat::decode(&text), Scope::decode(&text));
            let _ = (ObjectId::decode(&text), Member::decode(&text), Cursor::decode(&text));
        }
    }

    const ID: &str = "0190a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b";

    fn check<T: Text + PartialEq + fmt::Debug>(text: &str, value: T) {
        assert_eq!(T::decode(text).unwrap(), value);
        assert_eq!(value.encode(), text);
    }

    fn refuse<T: Text + fmt::Debug>(texts: &[&str]) {
        for bad in texts {
            assert!(T::decode(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn principals_and_seats_keep_their_words() {
        check("system", Principal::System);
        check("controller:7", Principal::Controller(Epoch(7)));
        check(&format!("bearer:{ID}"), Principal::Bearer(ID.parse().unwrap()));
        check(&format!("node:{ID}"), Principal::Node(ID.parse().unwrap()));
        check(&format!("router:{ID}"), Principal::Router(ID.parse().unwrap()));
        check("controller", Seat::Controller);
        check(&format!("deployment:{ID}"), Seat::Deployment(ID.parse().unwrap()));
        refuse::<Principal>(&[
            "",
            "System",
            "system:",
            "controller",
            "controller:",
            "controller:-1",
            "bearer:7",
            "root",
            "node",
        ]);
        refuse::<Seat>(&["", "controller:1", "deployment", "deployment:x"]);
    }

    #[test]
    fn what_is_asked_for_keeps_its_words() {
        check("all", Scope::All);
        check("router", Scope::Router);
        check(&format!("team:{ID}"), Scope::Team(ID.parse().unwrap()));
        check(&format!("app:{ID}"), Scope::App(ID.parse().unwrap()));
        check(&format!("node:{ID}"), Scope::Node(ID.parse().unwrap()));
        check(&format!("log_drain:{ID}"), ObjectId::LogDrain(ID.parse().unwrap()));
        check(&format!("node:{ID}"), Member::Node(ID.parse().unwrap()));
        check(&format!("router:{ID}"), Member::Router(ID.parse().unwrap()));
        check("newest", Cursor(None));
        check("17.2", Cursor(Some((Revision::new(17), 2))));
        refuse::<Scope>(&["", "All", "all:", "team", "app:", "app:7", "router:1"]);
        refuse::<ObjectId>(&["", "app", "app:", "later:0190a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b", "app:7"]);
        refuse::<Member>(&["", "node", "node:7", "app:0190a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b"]);
        refuse::<Cursor>(&["", "17", "17.", ".1", "17.-1", "17.4294967296"]);
    }
}
