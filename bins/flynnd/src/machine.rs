//! What this machine is in its own store: a node and a router.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, lchown};
use std::path::Path;

use anyhow::Context;
use flynn_core::name::NodeName;
use flynn_core::noun::{Node, NodeId, Router, RouterId, Token, TokenId, TokenScope};
use flynn_core::port::Store;
use flynn_core::value::Resources;
use flynn_core::{Batch, Change, Clock, Ids, Principal, Scope, SystemClock, TeamId, TokenSecret};
use flynn_instance::{Layout, User};
use serde::{Deserialize, Serialize};

use crate::arguments::ServeArguments;
use crate::claim::make_folder;
use crate::disk::DataDisk;

const LABEL: &str = "the router beside flynnd";

/// This machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) node: NodeId,
    pub(crate) name: NodeName,
    pub(crate) router: RouterId,
}

/// What is kept of it beside the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    node: NodeId,
    router: RouterId,
}

impl Machine {
    /// Enters this machine into the store at its first start, and finds it there at later ones, whatever it is
    /// called by then.
    pub(crate) async fn enter(
        store: &impl Store,
        layout: &Layout,
        arguments: &ServeArguments,
        router_user: Option<&User>,
    ) -> anyhow::Result<Self> {
        let objects = store.snapshot(Scope::All).await?.objects;
        let file = layout.data().join("machine.json");
        let known =
            read(&file)?.filter(|known| objects.get(known.node).is_some() && objects.get(known.router).is_some());
        let known = match known {
            Some(known) => known,
            None => {
                let known = create(store, arguments).await?;
                let text = serde_json::to_vec(&known)?;
                replace(&file, &text, None).with_context(|| format!("{} cannot be written", file.display()))?;
                known
            }
        };
        let Known { node, router } = known;
        let name = set_reserve(store, layout, arguments, node).await?;
        let machine = Self { node, name, router };
        machine.give_router_token(store, layout, router_user).await?;
        Ok(machine)
    }

    /// Sees to it that the router's folder is its own and has a token that the store knows.
    async fn give_router_token(&self, store: &impl Store, layout: &Layout, user: Option<&User>) -> anyhow::Result<()> {
        let folder = layout.router();
        make_folder(&folder, 0o700)?;
        // The folder is the router's to write, so that no link in it is followed.
        let own = |path: &Path| match user {
            Some(user) if path.exists() => lchown(path, Some(user.uid()), Some(user.gid())),
            _ => Ok(()),
        };
        let token = layout.router_token();
        let given = own(&folder)
            .and_then(|()| own(&folder.join("table.json")))
            .and_then(|()| own(&folder.join("certificates.json")))
            .and_then(|()| own(&layout.access_log()))
            .and_then(|()| own(&token));
        given.with_context(|| format!("{} cannot be given to the router's user", folder.display()))?;

        let scope = TokenScope::Router(self.router);
        let objects = store.snapshot(Scope::All).await?.objects;
        let known = fs::read_to_string(&token).ok().and_then(|text| text.trim().parse::<TokenSecret>().ok());
        let is_good = |secret: TokenSecret| {
            let hash = secret.hash();
            objects.iter::<Token>().any(|token| token.spec.hash == hash && token.spec.scope == scope)
        };
        if known.is_some_and(is_good) {
            return Ok(());
        }
        // Written first: a token that nobody knows yet is replaced at the next start.
        let secret = TokenSecret::mint().context("the operating system gives no random bytes")?;
        let text = format!("{}\n", secret.reveal());
        replace(&token, text.as_bytes(), user).with_context(|| format!("{} cannot be written", token.display()))?;
        let id: TokenId = Ids::from_entropy().next(SystemClock.now());
        let spec = Token { hash: secret.hash(), scope, label: LABEL.to_owned(), expires: None };
        let batch = Batch::new(Principal::System).with(Change::create(id, TeamId::SYSTEM, spec));
        store.commit(batch).await.context("the router's token could not be entered into the store")?;
        Ok(())
    }
}

/// Takes over the node and the router that have the machine's name, or makes them.
async fn create(store: &impl Store, arguments: &ServeArguments) -> anyhow::Result<Known> {
    let name = arguments.node_name.clone().map_or_else(host_name, Ok)?;
    let objects = store.snapshot(Scope::All).await?.objects;
    let (mut ids, now) = (Ids::from_entropy(), SystemClock.now());
    let mut batch = Batch::new(Principal::System);
    let node = objects.iter::<Node>().find(|node| node.spec.name == name).map(|node| node.id);
    let node = node.unwrap_or_else(|| {
        let id = ids.next(now);
        batch.changes.push(Change::create(id, TeamId::SYSTEM, Node::new(name.clone())));
        id
    });
    let router = objects.iter::<Router>().find(|router| router.spec.name == name).map(|router| router.id);
    let router = router.unwrap_or_else(|| {
        let id = ids.next(now);
        batch.changes.push(Change::create(id, TeamId::SYSTEM, Router { name: name.clone() }));
        id
    });
    if !batch.changes.is_empty() {
        store.commit(batch).await.context("the machine could not be entered into the store")?;
    }
    Ok(Known { node, router })
}

/// Sets what is kept from apps. Answers the name of the node.
async fn set_reserve(
    store: &impl Store,
    layout: &Layout,
    arguments: &ServeArguments,
    id: NodeId,
) -> anyhow::Result<NodeName> {
    let objects = store.snapshot(Scope::All).await?.objects;
    let node = objects.get(id).context("the node of this machine was removed from the store")?;
    let disk = match arguments.reserve_disk {
        Some(mebibytes) => mebibytes.saturating_mul(1 << 20),
        None => DataDisk::of(layout).space().context("the data disk cannot be looked at")?.usual_reserve(),
    };
    let reserved = Resources {
        cpu_millis: arguments.reserve_cpu,
        memory_bytes: arguments.reserve_memory.saturating_mul(1 << 20),
        disk_bytes: disk,
        ..Resources::ZERO
    };
    // A store on a full disk takes nothing, and has nothing to take.
    if node.spec.reserved == reserved {
        return Ok(node.spec.name.clone());
    }
    let batch = Batch::new(Principal::System).with(Change::update(id, Node { reserved, ..node.spec.clone() }));
    store.commit(batch).await.context("what is kept from apps could not be set")?;
    Ok(node.spec.name.clone())
}

fn read(file: &Path) -> anyhow::Result<Option<Known>> {
    match fs::read(file) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .with_context(|| format!("{} is damaged: remove it, and the machine is found by its name", file.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", file.display())),
    }
}

/// Puts a file that only its owner can read in place of the one before.
fn replace(path: &Path, text: &[u8], owner: Option<&User>) -> io::Result<()> {
    let fresh = path.with_extension("fresh");
    crate::socket::remove(&fresh)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(text)?;
    file.sync_all()?;
    if let Some(user) = owner {
        lchown(&fresh, Some(user.uid()), Some(user.gid()))?;
    }
    fs::rename(&fresh, path)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// The machine's name, as far as a node can be called that.
fn host_name() -> anyhow::Result<NodeName> {
    let uname = rustix::system::uname();
    let text = uname.nodename().to_string_lossy().to_lowercase();
    let first = text.split('.').next().unwrap_or_default();
    let plain: String = first.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    NodeName::new(plain.trim_matches('-')).or_else(|_| NodeName::new("node")).map_err(Into::into)
}
