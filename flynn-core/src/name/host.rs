use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{NameError, is_dns_label, name};

const HOST_RULE: &str = "use a host name such as example.com, or *.example.com for all hosts directly below it";

/// The host of a route: one host name, or all names one label below it (`*.example.com`).
///
/// Host names are kept in lower case without a final dot (RFC 4343: DNS names compare without case).
///
/// ```
/// use flynn_core::name::HostPattern;
///
/// let pattern = HostPattern::new("*.Example.com.")?;
/// assert!(pattern.is_wildcard());
/// assert_eq!(pattern.to_string(), "*.example.com");
/// # Ok::<(), flynn_core::name::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct HostPattern {
    base: Arc<str>,
    wildcard: bool,
}

impl HostPattern {
    /// Parses `input`.
    ///
    /// # Errors
    /// `input` is neither a host name nor `*.` before one.
    pub fn new(input: &str) -> Result<Self, NameError> {
        let refuse = || NameError::new("host", input, HOST_RULE);
        let (rest, wildcard) = match input.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (input, false),
        };
        let base = rest.strip_suffix('.').unwrap_or(rest).to_ascii_lowercase();
        let labels_hold = base.split('.').all(|label| is_dns_label(label, 63));
        // An all-numeric last label would make it an IPv4 address (WHATWG URL §3.5).
        let last_is_number = base.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
        if base.len() > 253 || !labels_hold || last_is_number {
            return Err(refuse());
        }
        Ok(Self { base: base.into(), wildcard })
    }

    /// The host name without the `*.`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The name above a single host: `example.com` for `www.example.com`.
    pub(crate) fn parent(&self) -> Option<&str> {
        if self.wildcard {
            return None;
        }
        self.base.split_once('.').map(|(_, parent)| parent)
    }

    /// The wildcard that stands for this single host among others.
    pub(crate) fn wildcard_above(&self) -> Option<Self> {
        self.parent().map(|parent| Self { base: parent.into(), wildcard: true })
    }

    /// Whether this names all hosts directly below [`base`](Self::base) instead of the base itself.
    pub fn is_wildcard(&self) -> bool {
        self.wildcard
    }
}

impl FromStr for HostPattern {
    type Err = NameError;

    fn from_str(input: &str) -> Result<Self, NameError> {
        Self::new(input)
    }
}

impl TryFrom<String> for HostPattern {
    type Error = NameError;

    fn try_from(input: String) -> Result<Self, NameError> {
        Self::new(&input)
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> String {
        pattern.to_string()
    }
}

name!(
    /// The path prefix of a route: `/` or whole segments such as `/api/v2`, without a final slash.
    ///
    /// A request path matches if it equals the prefix or goes on with `/`.
    PathPrefix,
    "path prefix",
    "use / or segments such as /api/v2: at most 512 visible ASCII characters, no empty, . or .. segment, no ? # or \\",
    |input| {
        let rest = input.strip_prefix('/')?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let visible = rest.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'\\' | b'%'));
        let segments_hold = input == "/" || rest.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
        (input.len() <= 512 && visible && segments_hold).then(|| format!("/{rest}"))
    }
);

impl PathPrefix {
    /// The prefix that every path has.
    pub fn root() -> Self {
        Self("/".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_normalised_and_addresses_refused() {
        let check = |input: &str, expect: Option<&str>| {
            assert_eq!(HostPattern::new(input).ok().map(|host| host.to_string()).as_deref(), expect, "{input:?}");
        };
        check("Example.COM", Some("example.com"));
        check("example.com.", Some("example.com"));
        check("*.example.com", Some("*.example.com"));
        check("localhost", Some("localhost"));
        check("xn--bcher-kva.example", Some("xn--bcher-kva.example"));
        for bad in
            ["", ".", "*", "*.", "a..b", "127.0.0.1", "a.b:80", "a b", "*.*.a", "a.*.b", "bücher.example", "-a.b"]
        {
            check(bad, None);
        }
    }

    #[test]
    fn path_prefixes_are_whole_segments() {
        let check = |input: &str, expect: Option<&str>| {
            assert_eq!(PathPrefix::new(input).ok().as_ref().map(PathPrefix::as_str), expect, "{input:?}");
        };
        check("/", Some("/"));
        check("/api", Some("/api"));
        check("/api/", Some("/api"));
        for bad in ["", "api", "//", "/a//b", "/a/../b", "/.", "/a?b", "/a#b", "/a b", "/%2e%2e", "/ä"] {
            check(bad, None);
        }
        assert_eq!(PathPrefix::root().as_str(), "/");
    }
}
