use std::fmt;
use std::str::FromStr;

use flynn_core::Timestamp;

/// One line of a job's log file: `MILLIS TAG TEXT`, such as `1700000000000 o hello`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// When the shim read it.
    pub at: Timestamp,
    /// Who wrote it.
    pub tag: Tag,
    /// Whether the next record of the same tag continues this line, which was too long for one.
    pub continued: bool,
    /// The text, without its line end.
    pub text: String,
}

/// Who wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// The job, to its standard output or its terminal.
    Output,
    /// The job, to its standard error.
    Errors,
    /// The shim, about the job.
    Platform,
}

impl fmt::Display for LogRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = match self.tag {
            Tag::Output => 'o',
            Tag::Errors => 'e',
            Tag::Platform => 'p',
        };
        let more = if self.continued { "+" } else { "" };
        write!(f, "{} {tag}{more} {}", self.at.as_millis(), self.text)
    }
}

/// A line that is no log record.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not a log record: expected `MILLIS TAG TEXT`")]
#[non_exhaustive]
pub struct LogRecordError;

impl FromStr for LogRecord {
    type Err = LogRecordError;

    fn from_str(line: &str) -> Result<Self, LogRecordError> {
        let mut parts = line.splitn(3, ' ');
        let (Some(at), Some(tag), Some(text)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(LogRecordError);
        };
        let (tag, continued) = match tag {
            "o" => (Tag::Output, false),
            "o+" => (Tag::Output, true),
            "e" => (Tag::Errors, false),
            "e+" => (Tag::Errors, true),
            "p" => (Tag::Platform, false),
            _ => return Err(LogRecordError),
        };
        let at = Timestamp::from_millis(at.parse().map_err(|_| LogRecordError)?);
        Ok(Self { at, tag, continued, text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip() {
        for (tag, continued, text) in
            [(Tag::Output, false, "hello  world "), (Tag::Errors, true, ""), (Tag::Platform, false, "é o+ x")]
        {
            let record = LogRecord { at: Timestamp::from_millis(12), tag, continued, text: text.to_owned() };
            assert_eq!(record.to_string().parse::<LogRecord>().unwrap(), record);
        }
        for bad in ["", "12", "12 o", "x o text", "12 q text"] {
            assert!(bad.parse::<LogRecord>().is_err(), "{bad}");
        }
    }
}
