use crate::api::Problem;
use crate::error::BoxError;

/// Why the API did not do what it was asked. Nothing was changed, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// What was named is not there, or the caller may not see it.
    #[error("{operation}: {problem}")]
    NotFound {
        /// What was being done.
        operation: &'static str,
        /// What the server says.
        problem: Box<Problem>,
    },
    /// A name is taken, a quota used up, or the object is not the one the caller took it for.
    #[error("{operation}: {problem}")]
    Conflict {
        /// What was being done.
        operation: &'static str,
        /// What the server says; its `code` tells which.
        problem: Box<Problem>,
    },
    /// The request can never succeed as it is.
    #[error("{operation}: {problem}")]
    Invalid {
        /// What was being done.
        operation: &'static str,
        /// What the server says; `errors` names the fields.
        problem: Box<Problem>,
    },
    /// The server does not know the caller. A credential that opens something has to be shown.
    #[error("{operation}: {problem}")]
    Unauthenticated {
        /// What was being done.
        operation: &'static str,
        /// What the server says.
        problem: Box<Problem>,
    },
    /// The caller may not do this.
    #[error("{operation}: {problem}")]
    NotAllowed {
        /// What was being done.
        operation: &'static str,
        /// What the server says.
        problem: Box<Problem>,
    },
    /// The server cannot do it at present.
    #[error("{operation}: {problem}")]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// What the server says.
        problem: Box<Problem>,
    },
    /// There is no way to the server, or it broke. Whether a change was made may be unknown.
    #[error("{operation}: {endpoint} {problem}")]
    Unreachable {
        /// What was being done.
        operation: &'static str,
        /// Where the server should be.
        endpoint: String,
        /// What the way did.
        problem: String,
        /// What happened beneath.
        #[source]
        source: Option<BoxError>,
    },
    /// The server failed, or what answers is not this API. Whether a change was made may be unknown.
    #[error("{operation}: {problem}")]
    Failed {
        /// What was being done.
        operation: &'static str,
        /// What happened.
        problem: String,
        /// What happened beneath.
        #[source]
        source: Option<BoxError>,
    },
}

impl ApiError {
    /// The error for a refusal.
    pub(super) fn refused(operation: &'static str, problem: Problem) -> Self {
        let problem = Box::new(problem);
        match problem.status {
            404 if problem.code != "no_such_route" => Self::NotFound { operation, problem },
            409 | 412 => Self::Conflict { operation, problem },
            401 => Self::Unauthenticated { operation, problem },
            403 => Self::NotAllowed { operation, problem },
            400 | 408 | 413 | 422 => Self::Invalid { operation, problem },
            503 | 507 => Self::Unavailable { operation, problem },
            _ => Self::Failed { operation, problem: problem.to_string(), source: None },
        }
    }

    /// What the server says, if it refused.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::NotFound { problem, .. }
            | Self::Conflict { problem, .. }
            | Self::Invalid { problem, .. }
            | Self::Unauthenticated { problem, .. }
            | Self::NotAllowed { problem, .. }
            | Self::Unavailable { problem, .. } => Some(problem.as_ref()),
            Self::Unreachable { .. } | Self::Failed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_become_what_the_caller_can_do() {
        let error = |status, code| ApiError::refused("test", Problem::new(status, code, "", "detail"));
        assert!(matches!(error(404, "not_found"), ApiError::NotFound { .. }));
        assert!(matches!(error(404, "no_such_route"), ApiError::Failed { .. }));
        assert!(matches!(error(409, "taken"), ApiError::Conflict { .. }));
        assert!(matches!(error(412, "stale"), ApiError::Conflict { .. }));
        assert!(matches!(error(401, "unauthenticated"), ApiError::Unauthenticated { .. }));
        assert!(matches!(error(403, "forbidden"), ApiError::NotAllowed { .. }));
        assert!(matches!(error(422, "invalid"), ApiError::Invalid { .. }));
        assert!(matches!(error(503, "unavailable"), ApiError::Unavailable { .. }));
        assert!(matches!(error(507, "disk_full"), ApiError::Unavailable { .. }));
        assert!(matches!(error(500, "internal"), ApiError::Failed { .. }));
        assert_eq!(error(500, "internal").to_string(), "test: detail");
        assert_eq!(error(409, "taken").problem().unwrap().code, "taken");
    }
}
