use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Fields that say where a message ends or belong to one connection. No rule may touch them.
const PROTECTED: [&str; 10] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
];

/// Fields that are removed from a message, and fields that are then set in it.
///
/// ```
/// use flynn_router::rules::FieldRules;
///
/// let rules = FieldRules::default().without("server")?.with("x-frame-options", "DENY")?;
/// assert!(FieldRules::default().with("content-length", "0").is_err());
/// # assert_ne!(rules, FieldRules::default());
/// # Ok::<(), flynn_router::rules::RuleError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldRules {
    removed: Vec<HeaderName>,
    set: Vec<(HeaderName, HeaderValue)>,
}

/// A rule that cannot be kept. Say it in another way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// It is no field name.
    #[error("{0:?} is no field name: use letters, digits and dashes")]
    Name(String),
    /// The field belongs to the router.
    #[error("the field {0} is the router's: it says where a message ends or belongs to one connection")]
    Protected(String),
    /// The value cannot be sent.
    #[error("the value of {0} cannot be sent: use visible characters of ASCII and spaces")]
    Value(String),
}

impl FieldRules {
    /// Also removes this field.
    ///
    /// # Errors
    /// The name is none, or is the router's.
    pub fn without(mut self, name: &str) -> Result<Self, RuleError> {
        self.removed.push(field_name(name)?);
        Ok(self)
    }

    /// Also sets this field, in place of all of its name.
    ///
    /// # Errors
    /// The name is none, or is the router's, or the value cannot be sent.
    pub fn with(mut self, name: &str, value: &str) -> Result<Self, RuleError> {
        let name = field_name(name)?;
        if !value.bytes().all(|b| matches!(b, b' '..=b'~')) || value.trim() != value {
            return Err(RuleError::Value(name.to_string()));
        }
        let value = HeaderValue::from_str(value).map_err(|_| RuleError::Value(name.to_string()))?;
        self.set.push((name, value));
        Ok(self)
    }

    /// Whether a field of this name is removed, or replaced by one of [`fields`](Self::fields).
    pub(crate) fn touch(&self, name: &[u8]) -> bool {
        let is = |other: &HeaderName| other.as_str().as_bytes().eq_ignore_ascii_case(name);
        self.removed.iter().any(is) || self.set.iter().any(|(other, _)| is(other))
    }

    /// The fields that are set. Of those with one name the last counts.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
        let is_last = |at: usize, name: &HeaderName| self.set.iter().skip(at + 1).all(|(later, _)| later != name);
        self.set.iter().enumerate().filter(move |(at, (name, _))| is_last(*at, name)).map(|(_, field)| field)
    }

    pub(crate) fn apply(&self, fields: &mut HeaderMap) {
        for name in &self.removed {
            fields.remove(name);
        }
        for (name, value) in &self.set {
            fields.insert(name.clone(), value.clone());
        }
    }
}

fn field_name(name: &str) -> Result<HeaderName, RuleError> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| RuleError::Name(name.to_owned()))?;
    match PROTECTED.contains(&parsed.as_str()) {
        true => Err(RuleError::Protected(parsed.to_string())),
        false => Ok(parsed),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn removal_comes_first() {
        let rules = FieldRules::default().with("X-A", "2").unwrap().without("x-a").unwrap().without("x-b").unwrap();
        let mut fields = HeaderMap::new();
        fields.append("x-a", HeaderValue::from_static("0"));
        fields.append("x-a", HeaderValue::from_static("1"));
        fields.append("x-b", HeaderValue::from_static("1"));
        fields.append("x-c", HeaderValue::from_static("1"));
        rules.apply(&mut fields);
        let left: BTreeSet<_> = fields.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(left, [("x-a", "2"), ("x-c", "1")].into());
    }

    #[test]
    fn what_frames_a_message_cannot_be_touched() {
        for name in PROTECTED {
            assert_eq!(FieldRules::default().without(name), Err(RuleError::Protected(name.into())));
            let upper = name.to_uppercase();
            assert_eq!(FieldRules::default().with(&upper, "1"), Err(RuleError::Protected(name.into())));
        }
        for name in ["", "a b", "a:", "\u{e4}"] {
            assert!(matches!(FieldRules::default().without(name), Err(RuleError::Name(_))), "{name:?}");
        }
        for value in ["a\r\nb: c", "\0", "\u{e4}", " a", "a\t"] {
            assert!(matches!(FieldRules::default().with("a", value), Err(RuleError::Value(_))), "{value:?}");
        }
    }
}
