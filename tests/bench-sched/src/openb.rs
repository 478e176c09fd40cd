//! The openb traces: nodes of a GPU cluster, lists of what was asked of it, and published results.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use flynn_core::name::{LabelKey, LabelValue, NodeName};
use flynn_core::rule::Room;
use flynn_core::value::{GpuRequest, Gpus, Resources};
use flynn_core::{Ids, Timestamp};
use flynn_sched::placement::{Demand, Host};

const MODEL: &str = "gpu-model";
const PODS: &str = "openb_pod_list_";

/// All that is in a folder of traces.
pub(crate) struct Openb {
    nodes: Vec<Node>,
    /// What was asked, by the name of the workload.
    pub(crate) workloads: BTreeMap<String, Vec<Pod>>,
    /// The published mean in percent, by workload, policy and percentage of arrivals.
    pub(crate) published: BTreeMap<(String, String, u32), f64>,
}

struct Node {
    resources: Resources,
    gpus: Gpus,
    model: String,
}

/// Something that was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) demand: Demand,
}

impl Openb {
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let nodes = read(&folder.join("openb_node_list_gpu_node.csv"))?;
        let nodes = nodes.iter().map(|row| row.node()).collect::<Result<Vec<_>>>()?;
        let mut workloads = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(workload) = name.strip_prefix(PODS).and_then(|name| name.strip_suffix(".csv")) {
                let mut pods = read(&entry.path())?.iter().map(Row::pod).collect::<Result<Vec<_>>>()?;
                pods.sort_by(|one, other| one.name.cmp(&other.name));
                workloads.insert(workload.to_owned(), pods);
            }
        }
        ensure!(!workloads.is_empty(), "no file {PODS}*.csv");
        let published = folder.join("published_means.csv");
        let published = if published.exists() { read(&published)? } else { Vec::new() };
        let published = published.iter().map(|row| {
            let key = (row.get("workload")?.to_owned(), row.get("policy")?.to_owned(), row.number("arrival_percent")?);
            Ok((key, row.number("published_mean")?))
        });
        Ok(Self { nodes, workloads, published: published.collect::<Result<_>>()? })
    }

    /// The nodes, each `copies` times.
    pub(crate) fn hosts(&self, copies: usize) -> Result<Vec<Host>> {
        let mut ids = Ids::seeded(0x0b);
        let mut hosts = Vec::new();
        for copy in 0..copies {
            for (index, node) in self.nodes.iter().enumerate() {
                let room = Room { resources: node.resources, gpus: node.gpus };
                let name = NodeName::new(&format!("n{copy}-{index}"))?;
                let mut host = Host::new(ids.next(Timestamp::EPOCH), name, room);
                if !node.model.is_empty() {
                    host.labels.insert(LabelKey::new(MODEL)?, LabelValue::new(&node.model)?);
                }
                hosts.push(host);
            }
        }
        Ok(hosts)
    }

    /// All GPUs of all nodes, in thousandths.
    pub(crate) fn capacity(&self) -> u64 {
        self.nodes.iter().map(|node| u64::from(node.gpus.total())).sum()
    }

    pub(crate) fn workload(&self, name: &str) -> Result<&[Pod]> {
        self.workloads.get(name).map(Vec::as_slice).with_context(|| format!("no file {PODS}{name}.csv"))
    }
}

/// One line of a file, by the names of its columns.
struct Row {
    columns: BTreeMap<String, String>,
}

fn read(path: &Path) -> Result<Vec<Row>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    rows(&text).with_context(|| path.display().to_string())
}

fn rows(text: &str) -> Result<Vec<Row>> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().context("the file is empty")?.split(',').collect();
    let rows = lines.filter(|line| !line.is_empty()).enumerate().map(|(index, line)| {
        let fields: Vec<&str> = line.split(',').collect();
        ensure!(fields.len() == header.len(), "line {} has {} columns", index + 2, fields.len());
        let columns = header.iter().zip(fields).map(|(name, field)| ((*name).to_owned(), field.to_owned()));
        Ok(Row { columns: columns.collect() })
    });
    rows.collect()
}

impl Row {
    fn get(&self, column: &str) -> Result<&str> {
        self.columns.get(column).map(String::as_str).with_context(|| format!("no column {column}"))
    }

    fn number<T: std::str::FromStr>(&self, column: &str) -> Result<T> {
        let text = self.get(column)?;
        match text.parse() {
            Ok(number) => Ok(number),
            Err(_) => bail!("{column} is `{text}`"),
        }
    }

    fn resources(&self) -> Result<Resources> {
        let memory_bytes = self.number::<u64>("memory_mib")? << 20;
        Ok(Resources { cpu_millis: self.number("cpu_milli")?, memory_bytes, ..Resources::ZERO })
    }

    fn node(&self) -> Result<Node> {
        let gpus = Gpus::idle(self.number("gpu")?).context("too many GPUs")?;
        Ok(Node { resources: self.resources()?, gpus, model: self.get("model")?.to_owned() })
    }

    fn pod(&self) -> Result<Pod> {
        let gpus = match self.number("num_gpu")? {
            0 => GpuRequest::NONE,
            count => GpuRequest { count, millis: self.number("gpu_milli")? },
        };
        // Not every list has the column, and it may be empty.
        let models = self.columns.get("gpu_spec").map_or("", String::as_str);
        let constraints = match models {
            "" => Vec::new(),
            models => vec![format!("{MODEL} in {}", models.replace('|', ", ")).parse()?],
        };
        let demand = Demand { resources: self.resources()?, gpus, constraints, ..Demand::default() };
        Ok(Pod { name: self.get("name")?.to_owned(), demand })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_with_and_without_models_are_read() -> Result<()> {
        let with = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos\na,1000,2,1,460,V100M16|V100M32,LS\n\
                    b,500,1,0,0,,BE\n";
        let without = "name,cpu_milli,memory_mib,num_gpu,gpu_milli\na,1000,2,2,1000\n";
        let pods = rows(with)?.iter().map(Row::pod).collect::<Result<Vec<_>>>()?;
        assert_eq!(pods[0].demand.gpus, GpuRequest::shared(460));
        assert_eq!(pods[0].demand.constraints[0].to_string(), "gpu-model in V100M16, V100M32");
        assert_eq!(pods[0].demand.resources.memory_bytes, 2 << 20);
        assert_eq!(pods[1].demand.gpus, GpuRequest::NONE);
        let pods = rows(without)?.iter().map(Row::pod).collect::<Result<Vec<_>>>()?;
        assert_eq!((pods[0].demand.gpus, pods[0].demand.constraints.len()), (GpuRequest::whole(2), 0));
        assert!(rows("a,b\n1\n").is_err());
        Ok(())
    }
}
