use std::fmt;

/// The name of a branch, such as `main` or `release/2`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Branch(String);

/// A text that is not the name of a branch.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not a branch name: use A-Z, a-z, 0-9 and . _ - between slashes, no name starting with . or -, no `..`")]
#[non_exhaustive]
pub struct BranchError;

impl Branch {
    /// Parses `input`. It takes fewer names than git does: what a shell or a URL would not have to quote.
    ///
    /// # Errors
    /// It is not such a name.
    pub fn new(input: &str) -> Result<Self, BranchError> {
        let is_word = |part: &str| {
            !part.is_empty()
                && !part.starts_with(['.', '-'])
                && !part.ends_with('.')
                && !part.ends_with(".lock")
                && !part.contains("..")
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        };
        let holds = input.len() <= 200 && input.split('/').all(is_word);
        holds.then(|| Self(input.to_owned())).ok_or(BranchError)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn full(&self) -> String {
        format!("refs/heads/{}", self.0)
    }
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_plain_words_between_slashes() {
        for good in ["main", "release/2", "a.b-c_d"] {
            assert!(Branch::new(good).is_ok(), "{good}");
        }
        for bad in ["", "/", "a/", "-x", ".x", "a..b", "a.lock", "a b", "a~1", "refs/heads/\n", "a/-b", "a."] {
            assert!(Branch::new(bad).is_err(), "{bad}");
        }
    }
}
