use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use flynn_core::port::BlobReader;
use flynn_core::value::Digest;

use super::LayoutError;
use super::content;
use super::documents::{Descriptor, Index, Marker, parse};
use crate::source::{CaseCollisions, Content, Entry, Intake, Limits, SourceTree};

/// The most bytes of a JSON document.
const MOST_DOCUMENT: u64 = 4 << 20;
/// How deep lists of images may lie in lists of images.
const MOST_DEPTH: usize = 3;
/// How many entries all lists together may have.
const MOST_LISTED: usize = 1_000;

/// What an image may amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayoutLimits {
    /// The bytes of the whole layout.
    pub bytes: u64,
    /// The layers of an image.
    pub layers: usize,
    /// The bytes of all layers together, unpacked.
    pub unpacked_bytes: u64,
}

impl Default for LayoutLimits {
    /// 4 GiB, 120 layers, 16 GiB unpacked.
    fn default() -> Self {
        Self { bytes: 4 << 30, layers: 120, unpacked_bytes: 16 << 30 }
    }
}

/// An image layout whose documents and blobs have not been looked at.
#[derive(Debug, Clone)]
pub struct Layout {
    tree: SourceTree,
    pub(super) limits: LayoutLimits,
}

impl Layout {
    /// Takes in a tar archive of a layout, plain or compressed with gzip, as it arrives. Its content is kept in one
    /// unnamed file in the folder `spool`.
    ///
    /// # Errors
    /// `Unreadable`, and `Invalid` for an archive of something else.
    pub async fn receive(archive: BlobReader, spool: &Path, limits: LayoutLimits) -> Result<Self, LayoutError> {
        let tree = SourceTree::receive(archive, &intake(spool, limits)).await.map_err(LayoutError::Unreadable)?;
        Self::of(tree, limits)
    }

    /// Takes in a folder or a tar archive of this machine. It blocks.
    ///
    /// # Errors
    /// Those of `receive`.
    pub fn open(path: &Path, spool: &Path, limits: LayoutLimits) -> Result<Self, LayoutError> {
        let intake = intake(spool, limits);
        let tree = if path.is_dir() {
            SourceTree::from_folder(path, &intake)
        } else {
            let file = File::open(path).map_err(|error| crate::source::SourceError::unavailable("open", error));
            file.and_then(|file| SourceTree::from_archive(file, &intake))
        };
        Self::of(tree.map_err(LayoutError::Unreadable)?, limits)
    }

    fn of(tree: SourceTree, limits: LayoutLimits) -> Result<Self, LayoutError> {
        let layout = Self { tree, limits };
        let Ok(marker) = layout.file("oci-layout") else {
            return Err(LayoutError::invalid(
                "it has no file `oci-layout` at its top: `skopeo copy … oci:PATH` makes a layout of any image",
            ));
        };
        let marker: Marker = parse("`oci-layout`", &content::read(layout.tree.open(marker), MOST_DOCUMENT)?)?;
        if marker.image_layout_version.split('.').next() != Some("1") {
            let version = marker.image_layout_version;
            return Err(LayoutError::invalid(format!(
                "it has the version `{}`, and only 1 is known",
                version.escape_debug()
            )));
        }
        Ok(layout)
    }

    /// The descriptors of the images that `tag` and this machine leave, the same image once.
    pub(super) fn candidates(&self, tag: Option<&str>) -> Result<Vec<Descriptor>, LayoutError> {
        let text = content::read(self.tree.open(self.file("index.json")?), MOST_DOCUMENT)?;
        let index: Index = parse("`index.json`", &text)?;
        let tags: BTreeSet<_> = index.manifests.iter().filter_map(Descriptor::tag).collect();
        let chosen: Vec<_> =
            index.manifests.iter().filter(|found| tag.is_none_or(|tag| found.tag() == Some(tag))).cloned().collect();
        if chosen.is_empty() {
            let what = match tag {
                Some(tag) if tags.is_empty() => format!("tag, so that `{}` cannot be found", shown(tag)),
                Some(tag) => format!("tag `{}`; it has {}", shown(tag), listed(&tags)),
                None => "image".to_owned(),
            };
            return Err(LayoutError::NotFound { what });
        }
        if tag.is_none() && tags.len() > 1 {
            return Err(LayoutError::invalid(format!("it has several images: name one of {}", listed(&tags))));
        }
        let mut images = Vec::new();
        self.flatten(index.schema_version, chosen, 0, &mut 0, &mut images)?;
        images.dedup_by(|one, other| one.digest == other.digest);
        Ok(images)
    }

    fn flatten(
        &self,
        version: u32,
        listed: Vec<Descriptor>,
        depth: usize,
        count: &mut usize,
        images: &mut Vec<Descriptor>,
    ) -> Result<(), LayoutError> {
        if version != 2 {
            return Err(LayoutError::invalid(format!(
                "a list of images has the version {version}, and only 2 is known"
            )));
        }
        for found in listed {
            *count += 1;
            if *count > MOST_LISTED {
                return Err(LayoutError::invalid(format!("its lists have more than {MOST_LISTED} entries")));
            }
            if !found.is_index() {
                images.push(found);
                continue;
            }
            if depth == MOST_DEPTH {
                return Err(LayoutError::invalid(format!("lists of images lie more than {MOST_DEPTH} deep")));
            }
            let index: Index = parse("a list of images", &self.document(&found)?)?;
            self.flatten(index.schema_version, index.manifests, depth + 1, count, images)?;
        }
        Ok(())
    }

    /// A document, whose length and digest are what the descriptor says.
    pub(super) fn document(&self, named: &Descriptor) -> Result<Vec<u8>, LayoutError> {
        let digest = named.digest()?;
        let text = content::read(self.tree.open(self.blob(named)?), MOST_DOCUMENT)?;
        content::expect(digest, content::digest_of(&text))?;
        Ok(text)
    }

    /// The place of a blob, whose length is what the descriptor says.
    pub(super) fn blob(&self, named: &Descriptor) -> Result<Content, LayoutError> {
        let digest = named.digest()?;
        let found = self.file(&path_of(digest))?;
        if found.bytes() != named.size {
            return Err(LayoutError::invalid(format!(
                "the blob {digest} has {} bytes and should have {}",
                found.bytes(),
                named.size
            )));
        }
        Ok(found)
    }

    pub(super) fn open_blob(&self, content: Content) -> crate::source::ContentReader {
        self.tree.open(content)
    }

    fn file(&self, path: &str) -> Result<Content, LayoutError> {
        match self.tree.get(path) {
            Some(Entry::File { content, .. }) => Ok(*content),
            Some(_) => Err(LayoutError::invalid(format!("`{path}` is no regular file"))),
            None => Err(LayoutError::NotFound { what: format!("file `{path}`") }),
        }
    }
}

/// A tag as it is shown to people.
fn shown(tag: &str) -> String {
    tag.chars().take(60).flat_map(char::escape_debug).collect()
}

/// Some of the tags.
fn listed(tags: &BTreeSet<&str>) -> String {
    const MOST: usize = 10;
    let mut words: Vec<_> = tags.iter().take(MOST).map(|tag| shown(tag)).collect();
    if tags.len() > MOST {
        words.push(format!("{} more", tags.len() - MOST));
    }
    words.join(", ")
}

fn path_of(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn intake(spool: &Path, limits: LayoutLimits) -> Intake {
    let tree = Limits {
        entries: 10_000,
        file_bytes: limits.bytes,
        total_bytes: limits.bytes,
        ratio: 200,
        case: CaseCollisions::Accept,
    };
    Intake { limits: tree, spool: spool.to_owned() }
}
