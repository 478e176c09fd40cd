use std::time::Duration;

use flynn_core::Timestamp;
use flynn_core::api::Time;

/// How long ago something was, to one unit.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.since(then).as_secs();
    match seconds {
        0..60 => format!("{seconds}s ago"),
        60..3_600 => format!("{}m ago", seconds / 60),
        3_600..172_800 => format!("{}h ago", seconds / 3_600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

/// The day of a point in time.
pub(crate) fn day(at: Timestamp) -> String {
    Time(at).to_string().chars().take_while(|letter| *letter != 'T').collect()
}

/// Reads `90s`, `10m`, `2h` or `1d`.
///
/// # Errors
/// What would be right.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = || String::from("use a number and a unit: 90s, 10m, 2h, 1d");
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    count.checked_mul(unit).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_one_unit() {
        let now = Timestamp::from_millis(1_000_000_000);
        let check = |seconds: u64, expect: &str| assert_eq!(ago(now.before(Duration::from_secs(seconds)), now), expect);
        check(0, "0s ago");
        check(59, "59s ago");
        check(61, "1m ago");
        check(7_200, "2h ago");
        check(200_000, "2d ago");
        assert_eq!(ago(now + Duration::from_secs(5), now), "0s ago");
    }

    #[test]
    fn a_day_is_written_as_a_date() {
        assert_eq!(day(Timestamp::from_millis(1_800_000_000_007)), "2027-01-15");
    }

    #[test]
    fn spans_have_a_unit() {
        assert_eq!(parse_span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_span("10m"), Ok(Duration::from_secs(600)));
        for bad in ["", "10", "m", "-1m", "1w", "1.5h", "99999999999999999d", "ä"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }
}
