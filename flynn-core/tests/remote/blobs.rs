//! Blobs in another process.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use flynn_core::client::{Credential, Endpoint, RemoteBlobs, RemoteOptions};
use flynn_core::conformance::{BlobsHarness, token_secret};
use flynn_core::local::DirBlobs;
use flynn_core::noun::Role;
use flynn_core::port::{Blob, BlobError, BlobReader, Blobs};
use flynn_core::server::peer::{BlobOptions, blob_routes};
use flynn_core::value::Digest;
use flynn_core::{Clock, MemoryBlobs, SystemClock, Timestamp};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::faults::{Scripted, Then};
use super::people::member;
use super::site::{Local, Site, authenticator};

fn routes(world: &Local, blobs: Arc<dyn Blobs>, options: BlobOptions) -> Router {
    blob_routes(world.store.clone(), blobs, authenticator(world), options.with_clock(world.clock.clone()))
}

fn connect((endpoint, credential): (Endpoint, Credential)) -> RemoteBlobs {
    RemoteBlobs::connect(endpoint, credential, RemoteOptions::default()).unwrap()
}

fn reader(content: impl Into<Vec<u8>>) -> BlobReader {
    Box::new(io::Cursor::new(content.into()))
}

/// Blobs as a node sees them over TCP; what only the trusted may do goes over the socket.
struct Served {
    node: RemoteBlobs,
    trusted: RemoteBlobs,
    _site: Site,
    _files: TempDir,
}

#[async_trait]
impl Blobs for Served {
    async fn put(&self, content: BlobReader, expected: Option<Digest>) -> Result<Blob, BlobError> {
        self.node.put(content, expected).await
    }

    async fn open(&self, digest: Digest) -> Result<BlobReader, BlobError> {
        self.node.open(digest).await
    }

    async fn stat(&self, digest: Digest) -> Result<Option<Blob>, BlobError> {
        self.node.stat(digest).await
    }

    async fn remove(&self, digest: Digest, put_before: Timestamp) -> Result<(), BlobError> {
        self.trusted.remove(digest, put_before).await
    }

    async fn list(&self, after: Option<Digest>, limit: usize) -> Result<Vec<Blob>, BlobError> {
        self.node.list(after, limit).await
    }
}

enum Over {
    Tcp,
    Socket,
}

#[async_trait]
impl BlobsHarness for Over {
    type Blobs = Served;

    async fn open(&self, clock: Arc<dyn Clock>) -> Arc<Served> {
        let files = tempfile::tempdir().unwrap();
        let blobs = Arc::new(DirBlobs::open(files.path(), clock).await.unwrap());
        let site = Site::new(|world| routes(world, blobs, BlobOptions::default())).await;
        let trusted = connect(site.trusted());
        let node = match self {
            Self::Tcp => connect(site.node(site.world.node).await),
            Self::Socket => trusted.clone(),
        };
        Arc::new(Served { node, trusted, _site: site, _files: files })
    }
}

mod over_tcp {
    use super::Over;

    flynn_core::blobs_conformance!(Over::Tcp);
}

mod over_a_socket {
    use super::Over;

    flynn_core::blobs_conformance!(Over::Socket);
}

async fn in_memory(options: BlobOptions) -> (Site, Arc<MemoryBlobs>) {
    let blobs = Arc::new(MemoryBlobs::default());
    let kept: Arc<dyn Blobs> = blobs.clone();
    (Site::new(|world| routes(world, kept, options)).await, blobs)
}

/// The problem of an error that is told in text only.
fn problem<T: std::fmt::Debug>(result: Result<T, BlobError>) -> String {
    match result {
        Err(BlobError::Unavailable { source, .. }) => {
            let mut text = source.to_string();
            let mut next = source.source();
            while let Some(cause) = next {
                text.push_str(&format!(": {cause}"));
                next = cause.source();
            }
            text
        }
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[tokio::test]
async fn people_and_strangers_get_no_blobs() {
    let (site, blobs) = in_memory(BlobOptions::default()).await;
    let Blob { digest, .. } = blobs.put(reader("kept"), None).await.unwrap();
    let (_, _, owner) = member(&site.world, Role::Owner).await;
    let person = connect((site.server.endpoint(), Credential::Token(token_secret(owner))));
    let stranger = connect((site.server.endpoint(), Credential::Socket));
    for client in [person, stranger] {
        for refused in [
            problem(client.put(reader("x"), None).await),
            problem(client.open(digest).await.map(drop)),
            problem(client.stat(digest).await),
            problem(client.list(None, 1).await),
            problem(client.remove(digest, Timestamp::from_millis(u64::MAX >> 1)).await),
        ] {
            assert!(refused.contains("not allowed"), "{refused}");
        }
    }
    assert_eq!(blobs.list(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_node_removes_nothing() {
    let (site, blobs) = in_memory(BlobOptions::default()).await;
    let Blob { digest, .. } = blobs.put(reader("kept"), None).await.unwrap();
    let node = connect(site.node(site.world.node).await);
    assert!(node.stat(digest).await.unwrap().is_some());
    let refused = problem(node.remove(digest, Timestamp::from_millis(u64::MAX >> 1)).await);
    assert!(refused.contains("only the machine of the store"), "{refused}");
    assert!(blobs.stat(digest).await.unwrap().is_some());
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_nothing_is_left() {
    let (site, blobs) = in_memory(BlobOptions::default().with_most_bytes(1_000)).await;
    let client = connect(site.trusted());
    assert_eq!(client.put(reader(vec![1; 1_000]), None).await.unwrap().bytes, 1_000);
    let refused = problem(client.put(reader(vec![1; 1_001]), None).await);
    assert!(refused.contains("larger than blobs may be"), "{refused}");
    assert_eq!(blobs.list(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn only_so_many_are_moved_at_once() {
    let (site, _) = in_memory(BlobOptions::default().with_transfers(1)).await;
    let client = connect(site.trusted());
    let (mut source, sink) = tokio::io::duplex(1_024);
    let mut first = client.put(Box::new(sink), None);
    let content = vec![0; 4 << 20];
    tokio::select! {
        put = &mut first => panic!("{put:?}"),
        // More than is read ahead: the server has begun to take it.
        written = source.write_all(&content) => written.unwrap(),
    }
    let refused = problem(client.put(reader("x"), None).await);
    assert!(refused.contains("too many blobs"), "{refused}");
    drop(source);
    first.await.unwrap();
    client.put(reader("x"), None).await.unwrap();
}

#[tokio::test]
async fn a_put_on_which_nothing_arrives_is_given_up() {
    let (site, blobs) = in_memory(BlobOptions::default().with_silence(Duration::from_millis(50))).await;
    let client = connect(site.trusted());
    let (mut source, sink) = tokio::io::duplex(1_024);
    source.write_all(b"begun").await.unwrap();
    problem(client.put(Box::new(sink), None).await);
    assert_eq!(blobs.list(None, 10).await.unwrap(), []);
}

/// A blob that changes on the disk is told from a way that broke.
#[tokio::test]
async fn damage_is_invalid_data() {
    let files = tempfile::tempdir().unwrap();
    let blobs = Arc::new(DirBlobs::open(files.path(), Arc::new(SystemClock)).await.unwrap());
    let kept: Arc<dyn Blobs> = blobs.clone();
    let site = Site::new(|world| routes(world, kept, BlobOptions::default())).await;
    let content = vec![7; 1 << 20];
    let Blob { digest, .. } = blobs.put(reader(content.clone()), None).await.unwrap();
    let path = files.path().join("sha256").join(&digest.hex()[..2]).join(&digest.hex()[2..]);
    let mut changed = content;
    changed[1 << 19] = 8;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&path, &changed).unwrap();
    let mut read = Vec::new();
    let mut reader = connect(site.trusted()).open(digest).await.unwrap();
    let error = reader.read_to_end(&mut read).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    assert!(read.len() < changed.len());
}

#[tokio::test]
async fn content_that_breaks_off_is_no_content() {
    let digest = Digest::from_bytes([1; 32]);
    let client = |server: &Scripted| {
        let options = RemoteOptions { patience: Duration::from_millis(100), ..RemoteOptions::default() };
        let endpoint = format!("http://{}", server.address).parse().unwrap();
        RemoteBlobs::connect(endpoint, Credential::Socket, options).unwrap()
    };
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
    for (body, then, kind) in [
        (&b"\0\0\0\x03abc"[..], Then::HangUp, io::ErrorKind::UnexpectedEof),
        (b"\0\0\0\x03ab", Then::HangUp, io::ErrorKind::UnexpectedEof),
        (b"\0\0", Then::HangUp, io::ErrorKind::UnexpectedEof),
        (b"\0\0\0\x03abc", Then::Silence, io::ErrorKind::TimedOut),
        (b"\x70\0\0\x03abc", Then::HangUp, io::ErrorKind::InvalidData),
    ] {
        let server = Scripted::start([head.as_bytes(), body].concat(), then).await;
        let mut reader = client(&server).open(digest).await.unwrap();
        let error = reader.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{body:?}: {error}");
    }
    let server = Scripted::start([head.as_bytes(), b"\0\0\0\x03abc\0\0\0\x01d\0\0\0\0"].concat(), Then::HangUp).await;
    let mut read = String::new();
    client(&server).open(digest).await.unwrap().read_to_string(&mut read).await.unwrap();
    assert_eq!(read, "abcd");
}
