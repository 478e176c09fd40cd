use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use reqwest::Url;

/// Where a store is served.
///
/// As text it is `http://HOST:PORT`, with a path if the server has the protocol below one, or
/// `unix:///PATH/TO/SOCKET`. There is no TLS: over a network that others share, put a tunnel beneath.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    place: Place,
}

#[derive(Clone, PartialEq, Eq)]
enum Place {
    /// The URL without a slash at its end.
    Http(String),
    Unix(PathBuf),
}

/// A text that is not an [`Endpoint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{input}` is not where a store is served: {problem}")]
pub struct EndpointError {
    input: String,
    problem: &'static str,
}

impl Endpoint {
    /// The unix socket at `path`.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self { place: Place::Unix(path.into()) }
    }

    pub(super) fn socket(&self) -> Option<&Path> {
        match &self.place {
            Place::Unix(path) => Some(path),
            Place::Http(_) => None,
        }
    }

    pub(super) fn url(&self, path_and_query: &str) -> String {
        format!("{}/peer/v1/{path_and_query}", self.base())
    }

    /// What every URL there begins with.
    pub(super) fn base(&self) -> &str {
        match &self.place {
            Place::Http(base) => base,
            Place::Unix(_) => "http://localhost",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Http(base) => f.write_str(base),
            Place::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let wrong = |problem| {
            let input = text.chars().take(80).flat_map(char::escape_debug).collect();
            EndpointError { input, problem }
        };
        if let Some(path) = text.strip_prefix("unix://") {
            return match path.starts_with('/') {
                true => Ok(Self::unix(path)),
                false => Err(wrong("the path of a socket begins with a slash")),
            };
        }
        let url = Url::parse(text).map_err(|_| wrong("expected http://HOST:PORT or unix:///PATH"))?;
        if url.scheme() != "http" || !url.has_host() {
            return Err(wrong("expected http://HOST:PORT or unix:///PATH"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it has a query or a fragment"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("a credential does not belong there"));
        }
        Ok(Self { place: Place::Http(url.as_str().trim_end_matches('/').to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_http_or_a_socket() {
        let check = |text: &str, url: &str, shown: &str| {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.url("x"), endpoint.to_string()), (url.to_owned(), shown.to_owned()));
        };
        check("http://a.example:7070", "http://a.example:7070/peer/v1/x", "http://a.example:7070");
        check("http://10.0.0.1:7070/below/", "http://10.0.0.1:7070/below/peer/v1/x", "http://10.0.0.1:7070/below");
        check("unix:///run/flynn.sock", "http://localhost/peer/v1/x", "unix:///run/flynn.sock");
        for bad in ["", "a.example", "https://a.example", "unix://run", "http://a?b", "http://u:p@a", "ftp://a"] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
        assert!(!"ftp://a\n".parse::<Endpoint>().unwrap_err().to_string().contains('\n'));
    }
}
