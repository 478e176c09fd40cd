//! Without feature `tls` a configuration names no certificates.

use std::hash::Hasher;
use std::path::{Path, PathBuf};

use super::document::Document;
use super::parse::Fault;

#[derive(Debug, Default)]
pub(super) struct Named {}

impl Named {
    pub(super) fn files(&self) -> &[PathBuf] {
        &[]
    }

    pub(super) async fn look(&mut self, _: &Document, _: &Path) {}

    pub(super) fn hash(&self, _: &mut impl Hasher) {}

    pub(super) fn check(&mut self, _: &Document) -> Result<(), Fault> {
        Ok(())
    }

    pub(super) fn apply(&mut self) -> bool {
        false
    }
}
