use std::collections::BTreeSet;
use std::path::PathBuf;
use std::{fmt, fs, io};

use chacha20poly1305::aead::{Aead, Generate, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use flynn_core::BoxError;
use flynn_core::name::HostPattern;
use flynn_core::noun::CertificateId;
use flynn_core::port::Secret;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::follow::replace;

/// The format that is written. A reader takes this and older ones.
const FORMAT: u32 = 1;
/// The bytes of a nonce, which precede the ciphertext.
const NONCE: usize = 24;
/// Sets the key of the file apart from whatever else is derived from the same secret.
const PURPOSE: &[u8] = b"flynn-router certificates 1\0";

/// The file that holds the last known certificates, for a start without the control plane.
///
/// Chains are public and written as they are. Private keys are sealed with XChaCha20-Poly1305 under a key that is
/// derived by SHA-256 from a secret of the router, such as its token, which has to have at least 128 bits of randomness
/// and to lie elsewhere: the file alone opens nothing. Each key is bound to the id of its certificate.
pub struct CertificateFile {
    path: PathBuf,
    cipher: XChaCha20Poly1305,
}

/// A certificate as it is kept.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) id: CertificateId,
    pub(super) hosts: BTreeSet<HostPattern>,
    pub(super) chain: String,
    pub(super) key: Secret,
}

/// Why the file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateFileError {
    /// The operating system refused.
    #[error("{operation}: {}", path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// It holds no certificates, those of a later release, or keys that this secret does not open. It can only be
    /// ignored.
    #[error("read certificates: {}: {problem}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    certificates: Vec<Saved>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    id: CertificateId,
    hosts: BTreeSet<HostPattern>,
    chain: String,
    /// Nonce and ciphertext.
    key: Vec<u8>,
}

impl CertificateFile {
    /// The file at `path`, whose keys are sealed by `secret`. Its directory has to be there.
    pub fn new(path: impl Into<PathBuf>, secret: &Secret) -> Self {
        let digest = Sha256::new().chain_update(PURPOSE).chain_update(secret.expose()).finalize();
        let key: [u8; 32] = digest.into();
        Self { path: path.into(), cipher: XChaCha20Poly1305::new(&Key::from(key)) }
    }

    /// Reads the certificates; none if there is no file.
    pub(super) fn read(&self) -> Result<Vec<Kept>, CertificateFileError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(self.io("read certificates")(source)),
        };
        let document: Document = serde_json::from_slice(&bytes).map_err(|error| self.unusable(error))?;
        if document.format > FORMAT {
            return Err(self.unusable(format!("it has format {}, this router reads up to {FORMAT}", document.format)));
        }
        let open = |Saved { id, hosts, chain, key }| {
            let key = self.open(id, &key).ok_or_else(|| self.unusable("its keys were sealed by another secret"))?;
            Ok(Kept { id, hosts, chain, key })
        };
        document.certificates.into_iter().map(open).collect()
    }

    /// Writes the certificates in place of those before, so that after a crash at any moment one of the two is there.
    pub(super) fn write(&self, certificates: Vec<Kept>) -> Result<(), CertificateFileError> {
        let io = |source: BoxError| self.io("write certificates")(io::Error::other(source));
        let mut saved = Vec::new();
        for Kept { id, hosts, chain, key } in certificates {
            let key = self.seal(id, &key).map_err(io)?;
            saved.push(Saved { id, hosts, chain, key });
        }
        let document = Document { format: FORMAT, certificates: saved };
        let bytes = serde_json::to_vec(&document).map_err(|error| io(error.into()))?;
        let fresh = self.path.with_extension("fresh");
        replace(&self.path, &fresh, &bytes).map_err(self.io("write certificates"))
    }

    fn seal(&self, id: CertificateId, key: &Secret) -> Result<Vec<u8>, BoxError> {
        let nonce = XNonce::try_generate()?;
        let id = id.uuid();
        let payload = Payload { msg: key.expose(), aad: id.as_bytes() };
        let sealed = self.cipher.encrypt(&nonce, payload).map_err(|_| "the key is too long to be sealed")?;
        Ok([&nonce[..], &sealed].concat())
    }

    fn open(&self, id: CertificateId, sealed: &[u8]) -> Option<Secret> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
        let id = id.uuid();
        let payload = Payload { msg: sealed, aad: id.as_bytes() };
        self.cipher.decrypt(nonce.into(), payload).ok().map(Secret::new)
    }

    fn io(&self, operation: &'static str) -> impl Fn(io::Error) -> CertificateFileError {
        move |source| CertificateFileError::Io { operation, path: self.path.clone(), source }
    }

    fn unusable(&self, problem: impl fmt::Display) -> CertificateFileError {
        CertificateFileError::Unusable { path: self.path.clone(), problem: problem.to_string() }
    }
}

impl fmt::Debug for CertificateFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateFile").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"-----BEGIN PRIVATE KEY-----\nhidden\n";

    fn file(path: &std::path::Path, secret: &str) -> CertificateFile {
        CertificateFile::new(path, &Secret::new(secret.as_bytes().to_vec()))
    }

    #[test]
    fn keys_are_opened_by_the_same_secret_alone_and_only_where_they_belong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certificates.json");
        assert!(file(&path, "one").read().unwrap().is_empty());
        let id = |number| CertificateId::from_uuid(uuid::Uuid::from_u128(number));
        let kept = |number| Kept {
            id: id(number),
            hosts: [HostPattern::new("a.example").unwrap()].into(),
            chain: "public".into(),
            key: Secret::new(KEY),
        };
        file(&path, "one").write(vec![kept(1), kept(2)]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("public") && !text.contains("hidden"), "{text}");
        let shown = format!("{:?}", KEY).trim_matches(['[', ']']).to_owned();
        assert!(!text.replace(' ', "").contains(&shown.replace(' ', "")), "{text}");
        let read = file(&path, "one").read().unwrap();
        assert_eq!(read.iter().map(|kept| kept.id).collect::<Vec<_>>(), [id(1), id(2)]);
        assert!(read.iter().all(|kept| kept.key.expose() == KEY && kept.hosts.len() == 1));
        assert!(matches!(file(&path, "two").read(), Err(CertificateFileError::Unusable { .. })));
        let swapped = text.replace(&id(1).to_string(), &id(3).to_string());
        fs::write(&path, swapped).unwrap();
        assert!(matches!(file(&path, "one").read(), Err(CertificateFileError::Unusable { .. })));
        fs::write(&path, "{\"format\":2,\"certificates\":[]}").unwrap();
        let newer = file(&path, "one").read().unwrap_err().to_string();
        assert!(newer.contains("format 2"), "{newer}");
    }
}
