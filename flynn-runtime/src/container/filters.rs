//! System call filters, each compiled once.

use std::sync::Arc;

use tokio::sync::OnceCell;

use super::capability;
use crate::program::ShimProgram;
use crate::shim::ContainerWork;

/// The filters that containers have: one for those with capabilities, and one for all others.
#[derive(Debug, Clone)]
pub(crate) struct Filters {
    program: ShimProgram,
    compiled: Arc<[OnceCell<Option<Vec<u64>>>; 2]>,
}

impl Filters {
    pub(crate) fn new(program: ShimProgram) -> Self {
        Self { program, compiled: Arc::default() }
    }

    /// What the kernel makes of the filter of a container whose first process is of `user`; none if it has to be
    /// compiled there.
    pub(crate) async fn compiled(&self, work: &ContainerWork, user: u32) -> Option<Vec<u64>> {
        let described = work.spec.linux().as_ref()?.seccomp().as_ref()?;
        let kept = &self.compiled[usize::from(capability::of_user(user).is_empty())];
        let compile = async || match self.program.compile(described).await {
            Ok(program) => Some(program),
            Err(error) => {
                tracing::warn!(%error, "system call filters are compiled for each process, which takes longer");
                None
            }
        };
        kept.get_or_init(compile).await.clone()
    }
}
