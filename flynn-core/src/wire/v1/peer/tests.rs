mod fixtures;
mod refused;
mod values;

use std::fmt;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::change::Batch;
use crate::error::Chain;
use crate::port::TailError;
use crate::port::{Archived, Measure, Page};
use crate::wire::arbitrary::peer as any_of;

fn round_trip<T: Form + PartialEq + fmt::Debug>(value: T) -> Result<(), TestCaseError> {
    let message = encode("message", &value).unwrap();
    prop_assert_eq!(&decode::<T>("message", &message).unwrap(), &value);
    let mut later: Value = serde_json::from_str(&message).unwrap();
    if let Some(fields) = later.as_object_mut() {
        fields.insert(String::from("later"), json!({"deep": [1, {"type": "x"}]}));
    }
    prop_assert_eq!(decode::<T>("message", &later.to_string()).unwrap(), value);
    Ok(())
}

fn page_round_trip<T: Form + PartialEq + fmt::Debug>(page: Page<T>) -> Result<(), TestCaseError> {
    let (read, opaque) = decode_page("page", &encode_page("page", &page).unwrap()).unwrap();
    prop_assert_eq!(read, page);
    prop_assert!(opaque.is_empty());
    Ok(())
}

proptest! {
    #[test]
    fn batches_round_trip(batch in any_of::batch(), committed in any_of::committed()) {
        round_trip(batch)?;
        round_trip(committed)?;
    }

    #[test]
    fn refusals_round_trip(error in any_of::store_error()) {
        let problem = Problem {
            title: String::from("Refused"),
            status: 400,
            detail: String::new(),
            code: String::new(),
            error: None,
        };
        let message = serde_json::to_string(&problem.with_error(&error)).unwrap();
        let read = serde_json::from_str::<Problem>(&message).unwrap().into_error("commit");
        prop_assert_eq!(format!("{read:?}"), format!("{error:?}"));
        prop_assert_eq!(Chain(&read).to_string(), Chain(&error).to_string());
    }

    #[test]
    fn details_of_refusals_round_trip(conflict in any_of::conflict(), denial in any_of::denial()) {
        round_trip(conflict)?;
        round_trip(denial)?;
    }

    #[test]
    fn lines_round_trip(line in any_of::line()) {
        let message = encode("line", &line).unwrap();
        prop_assert!(!message.contains('\n'));
        let read: Line = decode("line", &message).unwrap();
        prop_assert_eq!(format!("{read:?}"), format!("{line:?}"));
    }

    #[test]
    fn elections_round_trip(
        campaign in any_of::campaign(),
        candidacy in any_of::candidacy(),
        resignation in any_of::resignation(),
    ) {
        round_trip(campaign)?;
        round_trip(candidacy)?;
        round_trip(resignation)?;
    }

    #[test]
    fn pages_round_trip(archived in any_of::archived(), audit in any_of::audit(), seen in any_of::seen()) {
        page_round_trip(archived)?;
        page_round_trip(audit)?;
        page_round_trip(seen)?;
    }

    #[test]
    fn reports_round_trip(
        beating in any_of::beating(),
        samples in any_of::samples(),
        measure in any_of::measure(),
        principal in proptest::option::of(crate::wire::arbitrary::principal()),
    ) {
        round_trip(beating)?;
        round_trip(samples)?;
        round_trip(Whoami { principal })?;
        prop_assert_eq!(decode_word::<Measure>("measure", &encode_word("measure", &measure).unwrap()).unwrap(), measure);
    }

    #[test]
    fn link_requests_round_trip(request in crate::wire::arbitrary::link::request()) {
        round_trip(request)?;
    }

    #[test]
    fn no_damaged_message_panics(
        batch in any_of::batch(),
        line in any_of::line(),
        place in any::<prop::sample::Index>(),
        length in 0..9_usize,
        patch in any::<String>(),
    ) {
        for message in [encode("batch", &batch).unwrap(), encode("line", &line).unwrap()] {
            let mut message: Vec<char> = message.chars().collect();
            let start = place.index(message.len());
            message.splice(start..message.len().min(start + length), patch.chars());
            let message = String::from_iter(message);
            let _ = (decode::<Batch>("batch", &message), decode::<Line>("line", &message));
            let _ = (decode::<Candidacy>("campaign", &message), decode_page::<Archived>("page", &message));
        }
    }
}

#[test]
fn tail_errors_keep_their_kind() {
    let of = |json: Value| decode::<TailError>("error", &json.to_string());
    assert!(
        matches!(of(json!({"type": "compacted", "after": 3})), Ok(TailError::Compacted { after }) if after.get() == 3)
    );
    assert!(of(json!({"type": "later"})).is_err());
}

#[test]
fn the_lines_of_a_way_keep_their_words() {
    use std::time::Duration;

    use crate::port::LinkRequest;

    const ID: &str = "0190a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b";
    let id = ID.parse().unwrap();
    let check = |line: WayLine, expected: Value| {
        let written = encode("line", &line).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), expected);
        assert_eq!(decode::<WayLine>("line", &written).unwrap(), line);
    };
    let welcome = WayLine::Welcome { session: id, beat: Duration::from_secs(5) };
    check(welcome, json!({"type": "welcome", "session": ID, "beat_ms": 5_000}));
    let attach = WayLine::Open { id, request: LinkRequest::Attach(crate::id::Id::from_uuid(id)) };
    check(attach, json!({"type": "open", "id": ID, "request": {"type": "attach", "job": ID}}));
    check(WayLine::Close { id }, json!({"type": "close", "id": ID}));
    check(WayLine::Beat, json!({"type": "beat"}));
    check(WayLine::End("bye".into()), json!({"type": "end", "reason": "bye"}));
    let later = json!({"type": "open", "id": ID, "request": {"type": "later"}}).to_string();
    assert!(matches!(decode("line", &later), Ok(WayLine::Opaque { id: of, .. }) if of == id));
    assert_eq!(decode::<WayLine>("line", "{\"type\":\"later\"}").unwrap(), WayLine::Later("later".into()));
    let refusal = WayRefusal::NotFound { job: crate::id::Id::from_uuid(id) };
    assert_eq!(encode("refusal", &refusal).unwrap(), format!("{{\"type\":\"not_found\",\"job\":\"{ID}\"}}"));
}

#[test]
fn environments_and_blobs_keep_their_words() {
    use crate::port::{Blob, BlobError, Secret};
    use crate::value::Digest;

    let env = Environment { env: [("A".parse().unwrap(), Secret::new(b"\xffb".to_vec()))].into() };
    assert_eq!(encode("environment", &env).unwrap(), "{\"env\":{\"A\":\"ff62\"}}");
    assert_eq!(decode::<Environment>("environment", "{\"env\":{\"A\":\"ff62\"}}").unwrap(), env);
    let key = OpenedKey { key: Secret::new(b"\xffb".to_vec()) };
    assert_eq!(encode("key", &key).unwrap(), "{\"key\":\"ff62\"}");
    assert_eq!(decode::<OpenedKey>("key", "{\"key\":\"ff62\"}").unwrap(), key);
    let digest = Digest::from_bytes([7; 32]);
    let blob = Blob { digest, bytes: 3, put_at: crate::time::Timestamp::from_millis(9) };
    let written: Value = serde_json::from_str(&encode("found", &Found { blob: Some(blob) }).unwrap()).unwrap();
    assert_eq!(written, json!({"blob": {"digest": digest.to_string(), "bytes": 3, "put_at": 9}}));
    assert_eq!(decode::<Found>("found", "{}").unwrap(), Found { blob: None });
    let error = BlobError::Corrupt { operation: "put", expected: digest, actual: Digest::from_bytes([8; 32]) };
    let refusal = BlobRefusal::of(&error).unwrap();
    let read: BlobRefusal = decode("refusal", &encode("refusal", &refusal).unwrap()).unwrap();
    assert_eq!(read.into_error("put").to_string(), error.to_string());
}
