use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flynn_core::{AppId, Clock, JobId};
use tokio::sync::Mutex;

use super::builds::Servers;
use super::records::{Lease, Records, lease};
use super::tools::{Tools, set};
use super::{Attachment, Destination, Egress, Network, NetworkError, Subnet, rules};

/// Where named network namespaces are, by the convention of `ip netns`.
const NAMESPACES: &str = "/run/netns";
const FORWARD: &str = "ipv4/ip_forward";

/// Gives every job a link to a bridge of the node.
///
/// Jobs never share a segment: each port of the bridge is isolated and each address stands alone, so that all
/// traffic passes the node's packet filter. Denied are connections of jobs to the node, to where clouds keep their
/// metadata (169.254.0.0/16, 168.63.129.16, 100.100.100.200 and 192.0.0.192), to private networks (10.0.0.0/8,
/// 100.64.0.0/10, 172.16.0.0/12, 192.168.0.0/16 and others that are no part of the Internet), to networks that the
/// node was in when this was opened, to jobs of other apps, to everything over IPv6, and connections from elsewhere
/// to jobs. What the node sends to jobs goes to the bridge or nowhere. Allowed are connections of the node to jobs, those
/// among the jobs of one app, those of jobs to what its [`Egress`] says, and to everywhere else, which are masqueraded.
/// The node itself and metadata stay closed whatever is allowed, but for port 53 of the resolvers.
///
/// It needs root and the programs `cat`, `ip`, `nft`, `nsenter` and `sh`, and turns on forwarding on the node. Where that
/// was off, the last of these networks to be closed turns it off again, unless somebody else filters what is forwarded.
#[derive(Debug)]
pub struct BridgeNetwork {
    options: BridgeOptions,
    tools: Tools,
    records: Records,
    clock: Arc<dyn Clock>,
    /// One change at a time: an address is chosen and taken in one step. It holds what was allowed last.
    turn: Mutex<Vec<Destination>>,
    pub(super) servers: Servers,
}

/// What a [`BridgeNetwork`] is made from.
#[derive(Debug, Clone)]
pub struct BridgeOptions {
    /// Where its records are kept.
    pub directory: PathBuf,
    /// The name of the bridge: at most 10 letters and digits. The packet filter's table has the same name,
    /// and the namespaces begin with it.
    pub bridge: String,
    /// Where addresses come from.
    pub subnet: Subnet,
    /// For how long a freed address rests.
    pub quarantine: Duration,
    /// Where jobs may go although it is not the public Internet.
    pub egress: Egress,
    /// The network namespace that plays the node; none for the one that this process is in.
    pub node: Option<PathBuf>,
}

impl BridgeNetwork {
    /// Makes the bridge and the packet filter, or comes back to them: jobs keep what they have, and what
    /// belongs to no job is taken away.
    ///
    /// # Errors
    /// `Invalid` for a bad name, `Failed` if the node's network cannot be changed.
    pub async fn open(options: BridgeOptions, clock: Arc<dyn Clock>) -> Result<Self, NetworkError> {
        const OPERATION: &str = "open the network";
        check_name(OPERATION, &options.bridge)?;
        let records = Records::open(&options.directory).map_err(failed(OPERATION))?;
        let tools = Tools { node: options.node.clone() };
        let network = Self { options, tools, records, clock, turn: Mutex::default(), servers: Servers::default() };
        network.prepare().await.map_err(failed(OPERATION))?;
        Ok(network)
    }

    /// Refuses connections of this machine to `subnet` for as long as the network of `bridge` is not open. Otherwise they
    /// go where the default route leads: after a restart of the machine, what still goes to addresses that jobs had
    /// would leave it. A network that is open sees to this itself, until it is closed; call it before, where something
    /// may connect earlier than that. It can be repeated.
    ///
    /// # Errors
    /// `Invalid` for a bad name, `Failed` if the packet filter cannot be changed.
    pub async fn reserve(bridge: &str, subnet: Subnet) -> Result<(), NetworkError> {
        const OPERATION: &str = "reserve addresses";
        check_name(OPERATION, bridge)?;
        Tools { node: None }.nft(&rules::reserve(bridge, subnet)).await.map_err(failed(OPERATION))
    }

    /// Takes away the bridge and the packet filter. Call it when no job is left.
    ///
    /// # Errors
    /// `Invalid` while jobs have a network, `Failed` if something stays.
    pub async fn close(self) -> Result<(), NetworkError> {
        const OPERATION: &str = "close the network";
        if !self.records.leases().map_err(failed(OPERATION))?.is_empty() {
            let problem = "some jobs still have a network: detach them first".to_owned();
            return Err(NetworkError::Invalid { operation: OPERATION, problem });
        }
        self.clear().await.map_err(failed(OPERATION))
    }

    async fn clear(&self) -> io::Result<()> {
        let bridge = &self.options.bridge;
        let forwarding = rules::forwarding(&self.tools.chains().await?, bridge);
        if forwarding.was_off && !forwarding.is_needed {
            // While its rules are still there, so that nothing passes in between, and so that this is tried again.
            self.tools.set(&[(FORWARD, "0")]).await?;
        }
        self.tools.nft(&format!("delete table inet {bridge}\n")).await?;
        self.tools.ip(&format!("link del {bridge}\n")).await
    }

    /// Lets jobs reach these as well as those of the options, in place of what was allowed last. It is forgotten
    /// when the network is opened again.
    ///
    /// # Errors
    /// `Failed` if the packet filter cannot be changed; what was allowed last stays so.
    pub async fn allow(&self, destinations: &[Destination]) -> Result<(), NetworkError> {
        let mut last = self.turn.lock().await;
        if *last != destinations {
            let all = [&self.options.egress.allowed, destinations].concat();
            let changed = self.tools.nft(&rules::allow(&self.options.bridge, &all)).await;
            changed.map_err(failed("allow destinations"))?;
            destinations.clone_into(&mut last);
        }
        Ok(())
    }

    async fn prepare(&self) -> io::Result<()> {
        let BridgeOptions { bridge, subnet, egress, .. } = &self.options;
        // A bridge that is there is as good.
        let _ = self.tools.ip(&format!("link add {bridge} type bridge\n")).await;
        let (gateway, bits) = (subnet.gateway(), subnet.bits());
        self.tools.ip(&format!("addr replace {gateway}/{bits} dev {bridge}\nlink set {bridge} up\n")).await?;
        let redirects = format!("ipv4/conf/{bridge}/send_redirects");
        self.tools.set(&[(&redirects, "0")]).await?;
        let is_on = self.tools.get(FORWARD).await? == "1";
        let was_off = !is_on || rules::forwarding(&self.tools.chains().await?, bridge).was_off;
        let without_6 = format!("ipv6/conf/{bridge}/disable_ipv6");
        // A kernel without version 6 has nothing to switch off, and the filter drops it in any case.
        let _ = self.tools.set(&[(&without_6, "1")]).await;
        let leases = self.records.leases()?;
        let own = self.tools.own_networks(bridge).await?;
        let mut table = rules::table(bridge, *subnet, egress, &own, leases.values().filter(|lease| lease.complete));
        if was_off {
            table.push_str(&rules::note_forwarding(bridge));
        }
        self.tools.nft(&table).await?;
        if !is_on {
            self.forward().await?;
        }

        for lease in leases.values().filter(|lease| !lease.complete || !self.namespace(lease.job).exists()) {
            self.undo(lease).await?;
        }
        let leases = self.records.leases()?;
        let known: Vec<_> = leases.keys().map(|job| port(*job)).collect();
        for stray in self.tools.ports(bridge).await?.iter().filter(|port| !known.contains(port)) {
            self.tools.ip(&format!("link del {stray}\n")).await?;
        }
        for entry in fs::read_dir(NAMESPACES).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let job = name.strip_prefix(bridge.as_str()).and_then(|rest| rest.strip_prefix('-')?.parse::<JobId>().ok());
            if job.is_some_and(|job| !leases.contains_key(&job)) {
                self.tools.ip(&format!("netns del {name}\n")).await?;
            }
        }
        Ok(())
    }

    /// Without forwarding, jobs reach nothing but the bridge. Where others own that setting and have it on, it
    /// need not be writable.
    async fn forward(&self) -> io::Result<()> {
        self.tools.set(&[(FORWARD, "1")]).await.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!(
                    "net.ipv4.ip_forward is off and cannot be set, so jobs would reach nothing: turn it on ({error})"
                ),
            )
        })
    }

    fn name(&self, job: JobId) -> String {
        format!("{}-{job}", self.options.bridge)
    }

    fn namespace(&self, job: JobId) -> PathBuf {
        PathBuf::from(NAMESPACES).join(self.name(job))
    }

    fn attachment(&self, lease: &Lease) -> Attachment {
        let Lease { job, app, address, .. } = *lease;
        Attachment { job, app, address, namespace: self.namespace(job) }
    }

    async fn make(&self, lease: &Lease) -> io::Result<()> {
        let (bridge, name, port) = (&self.options.bridge, self.name(lease.job), port(lease.job));
        self.tools.ip(&format!("netns add {name}\n")).await?;
        let namespace = self.namespace(lease.job);
        // As for the bridge.
        let _ = set(Some(&namespace), &[("ipv6/conf/all/disable_ipv6", "1"), ("ipv6/conf/default/disable_ipv6", "1")])
            .await;
        self.tools
            .ip(&format!(
                "link add {port} type veth peer name eth0 netns {name}
link set {port} master {bridge}
link set {port} type bridge_slave isolated on
link set {port} up
"
            ))
            .await?;
        let (address, gateway) = (lease.address, self.options.subnet.gateway());
        let inside = Tools { node: Some(namespace) };
        inside
            .ip(&format!(
                "link set lo up
link set eth0 up
addr add {address}/32 dev eth0
route add {gateway} dev eth0
route add default via {gateway} dev eth0
"
            ))
            .await?;
        self.tools.nft(&rules::admit(bridge, lease)).await
    }

    /// Takes away whatever there is of a job's network, and lets its address rest.
    async fn undo(&self, lease: &Lease) -> io::Result<()> {
        self.tools.nft(&rules::dismiss(&self.options.bridge, lease)).await?;
        let port = port(lease.job);
        if self.tools.ports(&self.options.bridge).await?.contains(&port) {
            self.tools.ip(&format!("link del {port}\n")).await?;
        }
        if self.namespace(lease.job).exists() {
            self.tools.ip(&format!("netns del {}\n", self.name(lease.job))).await?;
        }
        self.records.end(lease, self.clock.now() + self.options.quarantine)
    }
}

fn check_name(operation: &'static str, bridge: &str) -> Result<(), NetworkError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if bridge.is_empty() || bridge.len() > 10 || !bridge.bytes().all(plain) || bridge.as_bytes()[0].is_ascii_digit() {
        let problem = format!("`{bridge}` is not a name of at most 10 small letters and digits");
        return Err(NetworkError::Invalid { operation, problem });
    }
    Ok(())
}

/// The node's end of a job's link: as much of the random part of the id as an interface name can hold.
fn port(job: JobId) -> String {
    let hex = job.uuid().simple().to_string();
    format!("fl{}", &hex[hex.len() - 12..])
}

fn failed(operation: &'static str) -> impl Fn(io::Error) -> NetworkError {
    move |error| NetworkError::Failed { operation, source: error.into() }
}

#[async_trait]
impl Network for BridgeNetwork {
    async fn attach(&self, job: JobId, app: AppId) -> Result<Attachment, NetworkError> {
        const OPERATION: &str = "attach";
        let _turn = self.turn.lock().await;
        let leases = self.records.leases().map_err(failed(OPERATION))?;
        if let Some(lease) = leases.get(&job) {
            if lease.complete && self.namespace(job).exists() {
                return Ok(self.attachment(lease));
            }
            self.undo(lease).await.map_err(failed(OPERATION))?;
        }
        let leases = self.records.leases().map_err(failed(OPERATION))?;
        let now = self.clock.now();
        let (over, resting): (Vec<_>, Vec<_>) =
            self.records.quarantines().map_err(failed(OPERATION))?.into_iter().partition(|one| one.until <= now);
        self.records.forget(&over).map_err(failed(OPERATION))?;
        let subnet = self.options.subnet;
        let Some(mut lease) = lease(job, app, &leases, &resting, subnet) else {
            return Err(NetworkError::Exhausted { operation: OPERATION, subnet });
        };
        self.records.put(&lease).map_err(failed(OPERATION))?;
        let made = match self.make(&lease).await {
            Ok(()) => {
                lease.complete = true;
                self.records.put(&lease)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = made {
            if let Err(error) = self.undo(&lease).await {
                tracing::warn!(%job, %error, "a network that could not be made left something behind");
            }
            return Err(failed(OPERATION)(error));
        }
        Ok(self.attachment(&lease))
    }

    async fn detach(&self, job: JobId) -> Result<(), NetworkError> {
        const OPERATION: &str = "detach";
        let _turn = self.turn.lock().await;
        match self.records.leases().map_err(failed(OPERATION))?.get(&job) {
            Some(lease) => self.undo(lease).await.map_err(failed(OPERATION)),
            None => Ok(()),
        }
    }

    async fn list(&self) -> Result<Vec<Attachment>, NetworkError> {
        let leases = self.records.leases().map_err(failed("list"))?;
        Ok(leases.values().filter(|lease| lease.complete).map(|lease| self.attachment(lease)).collect())
    }
}
