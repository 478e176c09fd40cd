use std::io;
use std::path::{Path, PathBuf};

/// Says where in the file system an operation failed, which the operating system does not.
#[derive(Debug, thiserror::Error)]
#[error("{}", .place.display())]
struct PlaceError {
    place: PathBuf,
    source: io::Error,
}

pub(super) trait InPlace<T> {
    /// Adds the place to an error and keeps its kind.
    fn at(self, place: &Path) -> io::Result<T>;
}

impl<T> InPlace<T> for io::Result<T> {
    fn at(self, place: &Path) -> io::Result<T> {
        self.map_err(|source| io::Error::new(source.kind(), PlaceError { place: place.to_owned(), source }))
    }
}
