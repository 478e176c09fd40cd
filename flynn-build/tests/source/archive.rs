use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use flynn_build::source::{Entry, Intake, SourceError, SourceTree};

/// An archive written by hand, so that it can say what no tar program would.
#[derive(Default, Clone)]
pub(crate) struct Archive {
    pub(crate) bytes: Vec<u8>,
}

impl Archive {
    pub(crate) fn entry(mut self, flag: u8, path: &str, target: &str, mode: u32, content: &[u8]) -> Self {
        self.header(flag, path.as_bytes(), target.as_bytes(), mode, content.len() as u64);
        self.bytes.extend(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn header(&mut self, flag: u8, path: &[u8], target: &[u8], mode: u32, bytes: u64) {
        let mut block = [0_u8; 512];
        block[..path.len()].copy_from_slice(path);
        block[100..107].copy_from_slice(format!("{mode:07o}").as_bytes());
        block[124..135].copy_from_slice(format!("{bytes:011o}").as_bytes());
        block[156] = flag;
        block[157..157 + target.len()].copy_from_slice(target);
        block[257..263].copy_from_slice(b"ustar\0");
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend(block);
    }

    pub(crate) fn file(self, path: &str, content: &[u8]) -> Self {
        self.entry(b'0', path, "", 0o644, content)
    }

    pub(crate) fn pax(self, records: &[(&str, &str)]) -> Self {
        let mut text = String::new();
        for (key, value) in records {
            let mut length = key.len() + value.len() + 3;
            while format!("{length} {key}={value}\n").len() != length {
                length += 1;
            }
            text += &format!("{length} {key}={value}\n");
        }
        self.entry(b'x', "pax", "", 0o644, text.as_bytes())
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.bytes.extend([0; 1024]);
        self.bytes
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

pub(crate) fn intake() -> Intake {
    Intake::new(std::env::temp_dir())
}

pub(crate) fn read(bytes: &[u8]) -> Result<SourceTree, SourceError> {
    SourceTree::from_archive(bytes, &intake())
}

pub(crate) fn read_file(path: &Path) -> SourceTree {
    SourceTree::from_archive(std::fs::File::open(path).unwrap(), &intake()).unwrap()
}

/// A tree as text, one entry a line.
pub(crate) fn listing(tree: &SourceTree) -> Vec<String> {
    let line = |(path, entry): (&flynn_build::source::TreePath, &Entry)| match entry {
        Entry::Folder => format!("{path}/"),
        Entry::Symlink { target } => format!("{path} -> {target}"),
        Entry::File { executable, content } => {
            let text =
                std::io::read_to_string(tree.open(*content)).unwrap_or_else(|_| format!("{} bytes", content.bytes()));
            format!("{path}{} {text}", if *executable { "*" } else { "" })
        }
    };
    tree.entries().map(line).collect()
}
