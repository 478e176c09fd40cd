use std::fs::{self, DirBuilder};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use flynn_instance::{Layout, Post, PostError, Record, User};

use crate::arguments::ServeArguments;
use crate::socket;

/// What only one control plane can have: its data directory and where it listens.
pub(crate) struct Claim {
    pub(crate) layout: Layout,
    pub(crate) listener: TcpListener,
    pub(crate) socket: std::os::unix::net::UnixListener,
    /// Held as long as the process lives.
    pub(crate) post: Post,
}

impl Claim {
    /// Takes everything or nothing, before anything of the data is touched.
    pub(crate) fn take(arguments: &ServeArguments) -> anyhow::Result<Self> {
        ensure!(
            User::is_root() || arguments.no_children,
            "without root there are no containers, no network for apps and no port 80: start it as root, or with \
             --no-children for a control plane whose agents run elsewhere"
        );
        let layout = arguments.place.layout()?;
        // Who runs already says more than which port is taken.
        let held = if layout.data().exists() { Some(take_post(&layout)?) } else { None };
        let listener = flynn_instance::bind(arguments.listen, "--listen")?;
        if !arguments.no_children && Post::holder(&layout.post("flynn-router"))?.is_none() {
            // The router will listen there; who starts this is told at once that it could not.
            drop(flynn_instance::bind(arguments.http, "--http")?);
            if let Some(address) = arguments.https() {
                drop(flynn_instance::bind(address, "--https")?);
            }
        }
        make_folder(layout.data(), 0o711)?;
        let mut post = match held {
            Some(post) => post,
            None => take_post(&layout)?,
        };
        make_folder(layout.run(), 0o755)?;
        let group = if arguments.no_children { None } else { arguments.router_user()? };
        let socket = socket::bind(&layout.socket(), group.as_ref())?;
        let record = Record::own(env!("CARGO_PKG_VERSION"))?.listening("api", listener.local_addr()?);
        post.sign(&record.listening("socket", layout.socket().display()))?;
        Ok(Self { layout, listener, socket, post })
    }
}

fn take_post(layout: &Layout) -> anyhow::Result<Post> {
    match Post::take(&layout.control_post()) {
        Ok(post) => Ok(post),
        Err(PostError::Held { holder, .. }) => {
            let who = match &holder {
                Some(record) => format!("another flynnd (process {})", record.identity.process.pid),
                None => String::from("another flynnd"),
            };
            bail!("{who} uses {}: stop it first, or give --data-dir another folder", layout.data().display())
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes a folder that may be there already.
pub(crate) fn make_folder(path: &Path, mode: u32) -> anyhow::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("the folder {} cannot be made", parent.display()))?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made.with_context(|| format!("the folder {} cannot be made", path.display())),
    }
}
