use std::path::PathBuf;

use clap::Args;

use crate::{DEFAULT_DATA, Layout};

/// Where an instance is, as a command line says it.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// The data directory
    #[arg(long, value_name = "FOLDER", default_value = DEFAULT_DATA)]
    pub data_dir: PathBuf,
    /// The folder of sockets; /run/flynn, or one below it for other data than the default
    #[arg(long, value_name = "FOLDER")]
    pub run_dir: Option<PathBuf>,
}

impl Place {
    /// Where its files are.
    ///
    /// # Errors
    /// Those of [`Layout::new`].
    pub fn layout(&self) -> anyhow::Result<Layout> {
        Layout::new(&self.data_dir, self.run_dir.as_deref())
    }
}
