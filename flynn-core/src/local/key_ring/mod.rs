use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

use chacha20poly1305::XNonce;
use chacha20poly1305::aead::{Aead, Generate, Payload};
use zeroize::Zeroizing;

use self::format::Key;
use self::replacement::Replacement;
use crate::error::BoxError;
use crate::port::{KeyRing, KeyRingError, SealedFor, Secret};
use crate::time::Timestamp;
use crate::value::{KeyId, Sealed};

mod format;
mod replacement;

/// The bytes of a nonce, which precede the ciphertext.
const NONCE: usize = 24;

/// Keys in a file that only its owner can read. The last key in the file seals; all of them open.
///
/// A value is sealed with XChaCha20-Poly1305 under a random nonce: nonce (24 bytes), ciphertext, tag
/// (16 bytes). The associated data are those of [`SealedFor`] followed by the key's id.
///
/// The file is text. Its first line names the format; then each line holds one key: its id, when it was
/// made in milliseconds since 1970, and 256 bits in hexadecimal digits. Empty lines and lines that begin
/// with `#` mean nothing.
///
/// ```text
/// flynn-key-ring 1
/// key k0f1e2d3c4b5a6978 1800000000000 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
/// ```
///
/// While the file is written, what will replace it lies beside it under its name with `.new` at the end.
/// Everything but sealing and opening reads or writes files, and blocks as long as that takes. Keys are
/// wiped from memory when the ring is dropped.
#[derive(Debug)]
pub struct FileKeyRing {
    path: PathBuf,
    keys: RwLock<Vec<Key>>,
    /// Held from reading the file to keeping what was read, lest older keys replace younger ones.
    loading: Mutex<()>,
}

impl FileKeyRing {
    /// Makes a key file at `path` with one random key.
    ///
    /// # Errors
    /// `Unusable` if there is a file already, which is never overwritten, or it cannot be written.
    pub fn create(path: impl Into<PathBuf>, now: Timestamp) -> Result<Self, KeyRingError> {
        let failure = Failure { operation: "create a key file" };
        let path = path.into();
        let exists = || {
            failure.because(format!(
                "{0} is there already, and values may be sealed with its keys: open it, or name another file",
                path.display()
            ))
        };
        if path.exists() {
            return Err(exists());
        }
        let mut replacement = Replacement::begin(&path).map_err(|source| failure.writing(&path, source))?;
        let (_, line) = format::generate(now).map_err(|source| failure.without_randomness(source))?;
        let text = Zeroizing::new([format::PREAMBLE, &line].concat());
        let created = replacement.write(text.as_bytes()).and_then(|()| replacement.create());
        created.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => exists(),
            _ => failure.writing(&path, source),
        })?;
        Self::open(path)
    }

    /// Reads the key file at `path`.
    ///
    /// # Errors
    /// `Unusable` if it is missing, can be accessed by others than its owner, or is malformed; the problem
    /// says what to do, and which line is wrong.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, KeyRingError> {
        let path = path.into();
        let keys = Failure { operation: "open the key file" }.load(&path)?.keys;
        Ok(Self { path, keys: RwLock::new(keys), loading: Mutex::new(()) })
    }

    /// Adds a random key, which seals from here on, and says its id. The file is read again first, so that
    /// no key that another process added is lost. What is sealed already stays as it is.
    ///
    /// # Errors
    /// `Unusable` as from [`open`](Self::open), or if the file cannot be written; it is then as it was.
    pub fn rotate(&self, now: Timestamp) -> Result<KeyId, KeyRingError> {
        let failure = Failure { operation: "rotate the keys" };
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let mut replacement = Replacement::begin(&self.path).map_err(|source| failure.writing(&self.path, source))?;
        let current = failure.load(&self.path)?;
        let (id, line) = format::generate(now).map_err(|source| failure.without_randomness(source))?;
        let end_of_line = if current.text.ends_with('\n') { "" } else { "\n" };
        let text = Zeroizing::new([&current.text, end_of_line, &line].concat());
        let keys = format::parse(&text).map_err(|problem| failure.malformed(&self.path, &problem))?;
        let replaced = replacement.write(text.as_bytes()).and_then(|()| replacement.replace());
        replaced.map_err(|source| failure.writing(&self.path, source))?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(id)
    }

    /// Reads the file again, for the keys that another process added.
    ///
    /// # Errors
    /// `Unusable` as from [`open`](Self::open); the ring is then as it was.
    pub fn reload(&self) -> Result<(), KeyRingError> {
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = Failure { operation: "reload the key file" }.load(&self.path)?.keys;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// The keys and when they were made. The last one seals.
    pub fn keys(&self) -> Vec<(KeyId, Timestamp)> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().map(|key| (key.id.clone(), key.created_at)).collect()
    }
}

impl KeyRing for FileKeyRing {
    fn seal(&self, purpose: SealedFor, plain: &[u8]) -> Result<Sealed, KeyRingError> {
        let failure = Failure { operation: "seal" };
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.last().ok_or_else(|| failure.because("the key ring has no key".into()))?;
        let nonce = XNonce::try_generate().map_err(|source| failure.without_randomness(source.into()))?;
        let payload = Payload { msg: plain, aad: &associated_data(purpose, &key.id) };
        let ciphertext = key.cipher.encrypt(&nonce, payload);
        let ciphertext = ciphertext.map_err(|_| failure.because("the value is too long to be sealed".into()))?;
        Ok(Sealed { key: key.id.clone(), bytes: [&nonce[..], &ciphertext].concat() })
    }

    fn open(&self, purpose: SealedFor, sealed: &Sealed) -> Result<Secret, KeyRingError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.iter().find(|key| key.id == sealed.key);
        let key = key.ok_or_else(|| KeyRingError::UnknownKey(sealed.key.clone()))?;
        let (nonce, ciphertext) = sealed.bytes.split_first_chunk::<NONCE>().ok_or(KeyRingError::Forged)?;
        let payload = Payload { msg: ciphertext, aad: &associated_data(purpose, &key.id) };
        let plain = key.cipher.decrypt(nonce.into(), payload).map_err(|_| KeyRingError::Forged)?;
        Ok(Secret::new(plain))
    }
}

/// The id in the purpose has a fixed length after its colon, so that no two pairs give the same bytes.
fn associated_data(purpose: SealedFor, key: &KeyId) -> Vec<u8> {
    [&*purpose.associated_data(), key.0.as_bytes()].concat()
}

/// Says what went wrong, and what to do.
#[derive(Clone, Copy)]
struct Failure {
    operation: &'static str,
}

impl Failure {
    fn load(self, path: &Path) -> Result<format::Loaded, KeyRingError> {
        format::load(path).map_err(|error| match error {
            format::LoadError::Read(source) if source.kind() == io::ErrorKind::NotFound => self.unusable(
                format!(
                    "{} is missing: without its keys every sealed value, such as the environment of every app and all \
                     credentials, is lost. Restore the file from a backup. Only if nothing was ever sealed, create one",
                    path.display()
                ),
                Some(source.into()),
            ),
            format::LoadError::Read(source) => {
                self.unusable(format!("{} cannot be read", path.display()), Some(source.into()))
            }
            format::LoadError::Exposed { mode } => self.because(format!(
                "{0} is open to others than its owner (its mode is {mode:04o}): run `chmod 600 {0}`, and rotate the \
                 keys if somebody may have read them",
                path.display()
            )),
            format::LoadError::Malformed(problem) => self.malformed(path, &problem),
        })
    }

    fn malformed(self, path: &Path, problem: &format::Malformed) -> KeyRingError {
        self.because(format!("{} is malformed: {problem}", path.display()))
    }

    fn writing(self, path: &Path, source: io::Error) -> KeyRingError {
        self.unusable(format!("{} cannot be written", path.display()), Some(source.into()))
    }

    fn without_randomness(self, source: BoxError) -> KeyRingError {
        self.unusable("the operating system gives no random bytes".into(), Some(source))
    }

    fn because(self, problem: String) -> KeyRingError {
        self.unusable(problem, None)
    }

    fn unusable(self, problem: String, source: Option<BoxError>) -> KeyRingError {
        KeyRingError::Unusable { operation: self.operation, problem, source }
    }
}
