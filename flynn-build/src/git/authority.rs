use std::fmt;

use async_trait::async_trait;
use flynn_core::name::AppName;
use flynn_core::{AppId, BoxError, Principal};

/// Says who may read and push what. The host implements it over its store.
#[async_trait]
pub trait GitAuthority: Send + Sync {
    /// Whether whoever shows `credentials` may do `access` to `app`.
    ///
    /// It decides about the credentials first: who has none learns nothing about which apps there are.
    ///
    /// # Errors
    /// The variant is the answer that the client gets.
    async fn authorize(
        &self,
        credentials: Option<&Credentials>,
        app: &AppRef,
        access: Access,
    ) -> Result<PushContext, AccessDenied>;
}

/// What a client wants to do with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Clone or fetch.
    Read,
    /// Push.
    Push,
}

/// An app as a URL names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppRef {
    /// By its id.
    Id(AppId),
    /// By its name.
    Name(AppName),
}

impl AppRef {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // An app name is never as long as a UUID with its four hyphens and may otherwise look like one.
        if let Ok(id) = text.parse()
            && text.len() == 36
        {
            return Some(Self::Id(id));
        }
        AppName::new(text).ok().map(Self::Name)
    }
}

impl fmt::Display for AppRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Name(name) => write!(f, "{name}"),
        }
    }
}

/// What a client shows to say who it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A user name and a password (RFC 7617). Git's credential helpers put a token into the password.
    Basic {
        /// The user name; it may be empty.
        user: String,
        /// The password or token.
        password: String,
    },
    /// A token (RFC 6750).
    Bearer(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { user, .. } => f.debug_struct("Basic").field("user", user).finish_non_exhaustive(),
            Self::Bearer(_) => f.write_str("Bearer(..)"),
        }
    }
}

/// Who pushes to what, once that is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushContext {
    /// The app.
    pub app: AppId,
    /// Who asks.
    pub principal: Principal,
}

/// Why a client may not do what it wants. Git shows the text to its user.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessDenied {
    /// There are no credentials, or they are wrong (401).
    #[error("{help}")]
    Unauthenticated {
        /// What the user can do, in a line.
        help: String,
    },
    /// The credentials are good and not enough (403).
    #[error("{reason}")]
    Forbidden {
        /// What would be needed.
        reason: String,
    },
    /// There is no such app, or the bearer may not know of it (404).
    #[error("there is no such app")]
    UnknownApp,
    /// It may be done, and cannot at present (503).
    #[error("{reason}")]
    NotNow {
        /// Why not, and what would help.
        reason: String,
    },
    /// It cannot be said at present (503).
    #[error("authorize git")]
    Unavailable(#[source] BoxError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_do_not_show_their_secret() {
        let basic = Credentials::Basic { user: "u".into(), password: "hunter2".into() };
        let shown = format!("{basic:?} {:?}", Credentials::Bearer("hunter2".into()));
        assert!(shown.contains("\"u\"") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn apps_are_named_by_name_or_id() {
        assert!(matches!(AppRef::parse("web"), Some(AppRef::Name(_))));
        assert!(matches!(AppRef::parse("0190a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b"), Some(AppRef::Id(_))));
        for bad in ["", "..", "a/b", "Web", "-x", "%2e"] {
            assert_eq!(AppRef::parse(bad), None, "{bad}");
        }
    }
}
