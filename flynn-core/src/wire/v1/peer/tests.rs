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
