use std::fmt;
use std::str::FromStr;

/// The id of a commit: 40 or 64 hexadecimal digits in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CommitId(String);

/// A text that is not the id of a commit.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not a commit id: expected 40 or 64 lower-case hexadecimal digits")]
#[non_exhaustive]
pub struct CommitIdError;

impl FromStr for CommitId {
    type Err = CommitIdError;

    fn from_str(input: &str) -> Result<Self, CommitIdError> {
        let is_hex = input.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        (is_hex && matches!(input.len(), 40 | 64)).then(|| Self(input.to_owned())).ok_or(CommitIdError)
    }
}

impl CommitId {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the id that stands for no object: the new side of a deletion.
    pub(crate) fn is_zero(&self) -> bool {
        self.0.bytes().all(|b| b == b'0')
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
