//! Clusters and their machines.

use flynn_core::Timestamp;
use flynn_core::api::Node;

use super::amount::{bytes, cpu};
use super::{Cell, Fields, Table, ago, state};
use crate::commands::{Health, Known};
use crate::output::{Style, Tone};

pub(crate) fn clusters(clusters: &[Known]) -> Table {
    let mut table = Table::new(
        &["NAME", "URL", "DEFAULT", "TOKEN"],
        "No clusters yet. Run `flynn login` as root on the cluster's machine, or `flynn cluster add NAME URL`.",
    );
    for cluster in clusters {
        let default = if cluster.default { Cell::toned("default", Tone::Good) } else { "".into() };
        let token = if cluster.logged_in { "yes".into() } else { Cell::toned("no", Tone::Busy) };
        table.row([cluster.name.as_str().into(), cluster.url.as_str().into(), default, token]);
    }
    table
}

/// Used of what is there for jobs.
fn used(used: u64, capacity: u64, reserved: u64, text: fn(u64) -> String) -> Cell {
    format!("{}/{}", text(used), text(capacity.saturating_sub(reserved))).into()
}

/// Bytes in whole mebibytes, since what a machine has is rarely round.
fn mebibytes(amount: u64) -> String {
    bytes(amount >> 20 << 20)
}

pub(crate) fn nodes(nodes: &[Node]) -> Table {
    let mut table = Table::new(
        &["NAME", "STATE", "WORK", "PROCESSES", "CPU", "MEMORY"],
        "No machines yet. Start flynn-host on one.",
    );
    for node in nodes {
        table.row([
            node.name.as_str().into(),
            state(&node.liveness),
            state(&node.scheduling),
            node.jobs.to_string().into(),
            used(node.used.cpu_millis, node.capacity.cpu_millis, node.reserved.cpu_millis, cpu),
            used(node.used.memory_bytes, node.capacity.memory_bytes, node.reserved.memory_bytes, mebibytes),
        ]);
    }
    table
}

pub(crate) fn node(node: &Node, now: Timestamp) -> Fields {
    let labels: Vec<_> = node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let (capacity, reserved, in_use) = (node.capacity, node.reserved, node.used);
    Fields::default()
        .with("Name", node.name.as_str())
        .with("Id", node.id.to_string())
        .with("State", state(&node.liveness))
        .with_some("Seen", node.seen_at.map(|at| ago(at.0, now)))
        .with("Work", state(&node.scheduling))
        .with_some("Address", node.address.as_deref())
        .with("Version", node.agent_version.as_str())
        .with("Processes", node.jobs.to_string())
        .with("Cpu", used(in_use.cpu_millis, capacity.cpu_millis, reserved.cpu_millis, cpu))
        .with("Memory", used(in_use.memory_bytes, capacity.memory_bytes, reserved.memory_bytes, mebibytes))
        .with("Disk", used(in_use.disk_bytes, capacity.disk_bytes, reserved.disk_bytes, mebibytes))
        .with("Labels", labels.join(" "))
        .with("Added", ago(node.created_at.0, now))
}

pub(crate) fn health(health: &Health, style: Style) -> String {
    let ready = health.nodes.iter().filter(|node| node.liveness == "ready").count();
    let mut fields = Fields::default()
        .with("Cluster", format!("{} ({})", health.cluster, health.url))
        .with("API", Cell::toned("answers", Tone::Good));
    if health.who.admin {
        let tone = if ready == health.nodes.len() { Tone::Good } else { Tone::Bad };
        fields = fields.with("Machines", Cell::toned(format!("{ready} of {} ready", health.nodes.len()), tone));
    }
    fields.render(style)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::{self, ALIGNED, NOW};

    #[test]
    fn machines_show_what_is_left() {
        let mut lost = samples::node("n2");
        (lost.liveness, lost.scheduling) = ("lost".into(), "draining".into());
        assert_eq!(
            nodes(&[samples::node("n1"), lost]).render(ALIGNED),
            "NAME  STATE  WORK      PROCESSES  CPU     MEMORY\n\
             n1    ready  open      3          500m/2  512M/3G\n\
             n2    lost   draining  3          500m/2  512M/3G\n"
        );
        assert!(node(&samples::node("n1"), NOW).render(Style::PLAIN).contains("Seen\t2m ago\n"));
    }

    #[test]
    fn clusters_show_where_one_is_logged_in() {
        let known = Known { name: "a".into(), url: "http://a:1".into(), default: true, logged_in: false };
        assert_eq!(clusters(&[known]).render(Style::PLAIN), "a\thttp://a:1\tdefault\tno\n");
    }
}
