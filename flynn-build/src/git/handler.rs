use async_trait::async_trait;
use flynn_core::{AppId, Principal};

use super::{Branch, CommitId};
use crate::source::SourceTree;

/// What a push to a deploy branch does. The host implements it.
#[async_trait]
pub trait PushHandler: Send + Sync {
    /// Deploys `push`, and returns when that is over.
    ///
    /// It is called for one push of an app at a time. It goes on when the pusher has gone; then nobody reads
    /// `output`. If it is dropped, the service is being torn down.
    ///
    /// # Errors
    /// The branch stays where it is, and the pusher reads the reason in the line of the ref.
    async fn receive(&self, push: Push, output: &dyn PushOutput) -> Result<Released, Rejection>;
}

/// Takes what a pusher is to read.
#[async_trait]
pub trait PushOutput: Send + Sync {
    /// Sends text, which the pusher reads as `remote:` lines at once. It waits for a pusher who reads slowly, until
    /// they count as gone; what is sent from then on is thrown away.
    async fn line(&self, text: &str);
}

/// A commit to deploy.
#[derive(Debug, Clone)]
pub struct Push {
    /// The app.
    pub app: AppId,
    /// Who pushed.
    pub principal: Principal,
    /// To which deploy branch.
    pub branch: Branch,
    /// The commit.
    pub commit: CommitId,
    /// Its tree.
    pub source: SourceTree,
    /// The options of the push (`git push -o`), as they were given.
    pub options: Vec<String>,
}

/// A push was deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// What the pusher reads last, such as the number of the release and its URL. It may have several lines.
    pub summary: String,
}

/// A push was not deployed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Rejection {
    reason: String,
}

impl Rejection {
    /// A rejection for `reason`, a short text in one line such as `build failed: npm exited 1 (build 42)`. Control
    /// characters become spaces, and what is more than 300 characters is cut off.
    pub fn new(reason: impl AsRef<str>) -> Self {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let reason: String = reason.as_ref().trim().chars().map(plain).take(300).collect();
        Self { reason: if reason.is_empty() { String::from("not deployed") } else { reason } }
    }

    /// The reason.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line() {
        assert_eq!(Rejection::new("a\nb\u{1b}[31m\n").reason(), "a b [31m");
        assert_eq!(Rejection::new("x".repeat(1_000)).reason().len(), 300);
        assert_eq!(Rejection::new("\n").reason(), "not deployed");
    }
}
