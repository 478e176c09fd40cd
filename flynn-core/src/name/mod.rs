//! Names, parsed once into types that prove their rules.

mod host;
mod label;

use std::fmt;

pub use host::{HostPattern, PathPrefix};
pub use label::{
    AppName, EnvKey, LabelKey, LabelValue, NodeName, ProcessName, ProviderName, TeamName, UserName, VolumeName,
};

/// A text that breaks the rules of the name it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{input}` is not a valid {what}: {rule}")]
pub struct NameError {
    what: &'static str,
    input: String,
    rule: &'static str,
}

impl NameError {
    fn new(what: &'static str, input: &str, rule: &'static str) -> Self {
        // The input may be hostile: keep the message short and printable.
        let input = input.chars().take(80).flat_map(char::escape_debug).collect();
        Self { what, input, rule }
    }

    /// The rule that the input breaks.
    pub fn rule(&self) -> &'static str {
        self.rule
    }
}

/// Defines a name: a string newtype whose only way in is its parser.
macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $rule:expr, $normalise:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $type(std::sync::Arc<str>);

        impl $type {
            /// Parses `input`.
            ///
            /// # Errors
            /// The rule of this name that `input` breaks.
            pub fn new(input: &str) -> Result<Self, $crate::name::NameError> {
                let normalise: fn(&str) -> Option<String> = $normalise;
                match normalise(input) {
                    Some(text) => Ok(Self(text.into())),
                    None => Err($crate::name::NameError::new($what, input, $rule)),
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::name::NameError;

            fn from_str(input: &str) -> Result<Self, Self::Err> {
                Self::new(input)
            }
        }

        impl TryFrom<String> for $type {
            type Error = $crate::name::NameError;

            fn try_from(input: String) -> Result<Self, Self::Error> {
                Self::new(&input)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}
pub(crate) use name;

/// Whether `text` is one DNS label in lower case (RFC 1123 §2.1) of at most `longest` bytes.
fn is_dns_label(text: &str, longest: usize) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    bytes.len() <= longest
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        && *first != b'-'
        && *last != b'-'
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_wildcard() { write!(f, "*.{}", self.base()) } else { f.write_str(self.base()) }
    }
}
