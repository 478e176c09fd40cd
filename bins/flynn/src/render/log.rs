use flynn_core::api::LogEntry;

use crate::output::{Style, Tone, printable};

/// A line with when and by what it was written.
pub(crate) fn log_line(entry: &LogEntry, style: Style) -> String {
    let tone = match entry.stream.as_str() {
        "platform" => Tone::Faint,
        _ => Tone::Colour(entry.name.bytes().fold(0, |sum: u8, byte| sum.wrapping_mul(31).wrapping_add(byte))),
    };
    let name = style.tone(tone, &format!("{}:", printable(&entry.name)));
    let text = if style.aligned { harmless(&entry.text) } else { entry.text.clone() };
    format!("{} {name} {text}\n", style.dim(&entry.time.to_string()))
}

/// What a program wrote, without what would move the cursor or do worse to the terminal. Colours stay, and end with
/// the line.
pub(crate) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    let mut coloured = false;
    while let Some(first) = rest.chars().next() {
        if let Some(length) = colour(rest) {
            shown.push_str(&rest[..length]);
            coloured = true;
            rest = &rest[length..];
            continue;
        }
        match first {
            '\t' => shown.push(first),
            _ if first.is_control() => shown.extend(first.escape_default()),
            _ => shown.push(first),
        }
        rest = &rest[first.len_utf8()..];
    }
    if coloured {
        shown.push_str("\u{1b}[0m");
    }
    shown
}

/// The length of the escape sequence for a colour (ECMA-48 §8.3.117, SGR) at the beginning of `text`.
fn colour(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':')?;
    parameters[end..].starts_with('m').then_some(2 + end + 1)
}

#[cfg(test)]
mod tests {
    use flynn_core::api::Time;

    use super::*;
    use crate::render::samples::{ALIGNED, COLOUR, NOW};

    fn entry(text: &str) -> LogEntry {
        LogEntry {
            job: None,
            name: "web.1".into(),
            release: Some(3),
            stream: "output".into(),
            time: Time(NOW),
            text: text.into(),
        }
    }

    #[test]
    fn lines_say_when_and_by_what_they_were_written() {
        assert_eq!(log_line(&entry("hello"), Style::PLAIN), "2027-01-15T08:00:00.000Z web.1: hello\n");
        assert_eq!(log_line(&entry("hello"), ALIGNED), "2027-01-15T08:00:00.000Z web.1: hello\n");
        assert!(log_line(&entry("hello"), COLOUR).starts_with("\u{1b}[2m2027"));
    }

    #[test]
    fn a_program_cannot_take_over_the_terminal() {
        assert_eq!(harmless("a\tb"), "a\tb");
        assert_eq!(harmless("\u{1b}[31mred"), "\u{1b}[31mred\u{1b}[0m");
        assert_eq!(harmless("\u{1b}[2Jx\u{1b}]0;title\u{7}\r"), r"\u{1b}[2Jx\u{1b}]0;title\u{7}\r");
        assert_eq!(harmless("\u{1b}["), r"\u{1b}[");
        assert_eq!(log_line(&entry("\u{1b}[2J"), Style::PLAIN).matches('\u{1b}').count(), 1, "a pipe gets all");
    }
}
