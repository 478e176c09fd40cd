use std::sync::{Arc, PoisonError, RwLock};

/// What the host of an API knows to be wrong with what the API stands on. `/readyz` says it. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    disk: Arc<RwLock<Option<String>>>,
}

impl Readiness {
    /// Says why nothing more can be written to the data disk, or that it can be again. Until then, whoever wants
    /// something made or changed is refused it before anything is begun (507); what takes away is still tried.
    pub fn set_disk_problem(&self, problem: Option<String>) {
        *self.disk.write().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// Why nothing more can be written to the data disk, if that is so.
    pub fn disk_problem(&self) -> Option<String> {
        self.disk.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
