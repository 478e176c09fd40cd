use std::collections::BTreeMap;

use flynn_core::name::{EnvKey, NodeName};
use flynn_core::noun::{Job, Stored};
use flynn_core::port::Secret;

/// The environment of a job's processes: that of the image, over it the job's own, and over both what the
/// platform says.
pub(super) fn environment(
    image: &[(String, String)],
    own: BTreeMap<EnvKey, Secret>,
    job: &Stored<Job>,
    node: &NodeName,
    port: Option<u16>,
) -> BTreeMap<String, Secret> {
    let mut env: BTreeMap<String, Secret> =
        image.iter().map(|(key, value)| (key.clone(), Secret::new(value.as_str()))).collect();
    env.extend(own.into_iter().map(|(key, value)| (key.as_str().to_owned(), value)));
    let mut say = |key: &str, value: String| drop(env.insert(key.to_owned(), Secret::new(value)));
    if let Some(port) = port {
        say("PORT", port.to_string());
    }
    say("FLYNN_APP", job.spec.workload.app.to_string());
    say("FLYNN_RELEASE", format!("v{}", job.spec.workload.release));
    say("FLYNN_PROCESS", job.name());
    say("FLYNN_JOB", job.id.to_string());
    say("FLYNN_NODE", node.to_string());
    env
}

/// What the machine of a job is called inside of it: its name, as a single label.
pub(super) fn hostname(job: &Stored<Job>) -> String {
    job.name().replace('.', "-")
}
