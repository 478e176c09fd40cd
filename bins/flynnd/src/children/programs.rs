//! The programs that run beside the control plane of one machine, and what they are told.

use std::ffi::OsString;

use flynn_instance::{Layout, User};

use super::Child;
use crate::arguments::ServeArguments;
use crate::machine::Machine;

/// The agent of this machine and its router.
pub(crate) fn programs(
    arguments: &ServeArguments,
    layout: &Layout,
    machine: &Machine,
    router_user: Option<&User>,
) -> anyhow::Result<Vec<Child>> {
    let store = format!("unix://{}", layout.socket().display());
    let mut host = Options(vec![OsString::from("run")])
        .with("--data-dir", layout.data())
        .with("--run-dir", layout.run())
        .with("--store", &store)
        .with("--node", machine.node.to_string())
        .with("--node-name", machine.name.to_string());
    if let Some(subnet) = &arguments.subnet {
        host = host.with("--subnet", subnet.to_string());
    }
    for destination in &arguments.egress_allow {
        host = host.with("--egress-allow", destination);
    }
    host.0.extend(arguments.host_option.iter().map(OsString::from));

    let mut router = Options::default()
        .with("--store", &store)
        .with("--router", machine.router.to_string())
        .with("--token-file", layout.router_token())
        .with("--http", arguments.http.to_string())
        .with("--directory", layout.router())
        .with("--access-log", layout.access_log());
    if let Some(address) = arguments.https() {
        router = router.with("--https", address.to_string());
    }
    if let Some(user) = router_user {
        router = router.with("--user", user.to_string());
    }
    if let Some(folder) = &arguments.crash_points {
        (host, router) = (host.with("--crash-points", folder), router.with("--crash-points", folder));
    }
    Ok(vec![Child::beside("flynn-host", layout, host.0)?, Child::beside("flynn-router", layout, router.0)?])
}

#[derive(Default)]
struct Options(Vec<OsString>);

impl Options {
    fn with(mut self, option: &str, value: impl Into<OsString>) -> Self {
        self.0.extend([OsString::from(option), value.into()]);
        self
    }
}
