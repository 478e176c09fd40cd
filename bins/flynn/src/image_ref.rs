//! Images as they are named on the command line.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tar::{Builder, EntryType, Header};

use crate::failure::Failure;

/// `[oci:]PATH[:TAG]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageRef {
    text: String,
}

/// An image layout, ready to be uploaded as a tar archive.
#[derive(Debug)]
pub(crate) struct OpenLayout {
    pub(crate) path: PathBuf,
    pub(crate) tag: Option<String>,
    pub(crate) file: File,
    /// The length of the archive in bytes.
    pub(crate) bytes: u64,
}

impl FromStr for ImageRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Spelled as other tools spell where an image is.
        const ELSEWHERE: [&str; 5] = ["docker://", "docker-daemon:", "docker-archive:", "containers-storage:", "dir:"];
        if let Some(place) = ELSEWHERE.iter().find(|place| text.starts_with(**place)) {
            let advice = "make an OCI image layout of it first: `skopeo copy";
            return Err(format!("images are not taken from `{place}`: {advice} {text} oci:PATH`"));
        }
        let text = text.strip_prefix("oci-archive:").or_else(|| text.strip_prefix("oci:")).unwrap_or(text);
        if text.is_empty() { Err("name an OCI image layout".to_owned()) } else { Ok(Self { text: text.to_owned() }) }
    }
}

impl ImageRef {
    /// The path and the tag. What is there as a whole has no tag.
    fn parts(&self) -> (&Path, Option<&str>) {
        let whole = Path::new(&self.text);
        match self.text.rsplit_once(':') {
            Some((path, tag)) if !whole.exists() && !path.is_empty() && !tag.is_empty() && !tag.contains('/') => {
                (Path::new(path), Some(tag))
            }
            _ => (whole, None),
        }
    }

    /// Opens the layout.
    ///
    /// # Errors
    /// It is not there, cannot be read, or is none.
    pub(crate) fn open(&self) -> Result<OpenLayout, Failure> {
        let (path, tag) = self.parts();
        let refused = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Failure::not_found(format!(
                "there is no OCI image layout at {}: `skopeo copy docker://IMAGE oci:PATH` makes one",
                path.display()
            )),
            _ => Failure::failed(format!("cannot read {}: {error}", path.display())),
        };
        let file = if fs::metadata(path).map_err(refused)?.is_dir() {
            if !path.join("oci-layout").is_file() {
                let problem = format!("{} has no file `oci-layout`, so it is no OCI image layout", path.display());
                return Err(Failure::usage(format!("{problem}: without --image it is deployed as source")));
            }
            pack(path).map_err(refused)?
        } else {
            File::open(path).map_err(refused)?
        };
        let bytes = file.metadata().map_err(refused)?.len();
        Ok(OpenLayout { path: path.to_owned(), tag: tag.map(str::to_owned), file, bytes })
    }
}

impl OpenLayout {
    /// What the release is to say that it was made from.
    pub(crate) fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy();
        let name: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
        self.tag.as_ref().map_or_else(|| name.clone(), |tag| format!("{name}:{tag}"))
    }
}

/// The files of a layout as an archive, which is gone with the value. Links are not followed.
fn pack(folder: &Path) -> io::Result<File> {
    let mut builder = Builder::new(BufWriter::new(tempfile::tempfile()?));
    for name in ["oci-layout", "index.json"] {
        append(&mut builder, folder, name)?;
    }
    let blobs = "blobs/sha256";
    let mut names = Vec::new();
    for entry in fs::read_dir(folder.join(blobs))? {
        names.extend(entry?.file_name().into_string());
    }
    names.sort_unstable();
    for name in names.iter().filter(|name| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        append(&mut builder, folder, &format!("{blobs}/{name}"))?;
    }
    let mut file = builder.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

fn append<W: io::Write>(builder: &mut Builder<W>, folder: &Path, name: &str) -> io::Result<()> {
    let path = folder.join(name);
    if !fs::symlink_metadata(&path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{name}` is no regular file")));
    }
    let file = File::open(&path)?;
    let bytes = file.metadata()?.len();
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_size(bytes);
    header.set_mode(0o644);
    builder.append_data(&mut header, name, io::Read::take(file, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_paths_with_a_tag_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        for (text, tag) in [(path.to_owned(), None), (format!("oci:{path}:v1.2"), Some("v1.2"))] {
            let parsed: ImageRef = text.parse().unwrap();
            assert_eq!(parsed.parts(), (folder.path(), tag));
        }
        fs::create_dir(folder.path().join("a:b")).unwrap();
        let parsed: ImageRef = format!("{path}/a:b").parse().unwrap();
        assert_eq!(parsed.parts().1, None);
        for refused in ["", "oci:", "docker://example.org/app:1"] {
            assert!(refused.parse::<ImageRef>().is_err(), "{refused}");
        }
    }
}
