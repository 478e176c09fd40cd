use std::fs;

use flynn_instance::Layout;
use serde_json::Value;

/// Jobs that run, as the things that are made for them are called.
#[derive(Debug, Clone, Default)]
pub struct Live {
    marks: Vec<String>,
}

impl Live {
    /// The jobs with these ids.
    pub fn of<'a>(layout: &Layout, jobs: impl IntoIterator<Item = &'a str>) -> Self {
        let mut marks = Vec::new();
        for job in jobs {
            marks.push(job.to_owned());
            // The link of a job bears the end of its id.
            let hex = job.replace('-', "");
            marks.push(format!("fl{}", &hex[hex.len() - 12..]));
            let node = layout.node();
            marks.extend(field(&node.join(format!("network/leases/{job}.json")), "address").map(closed));
            marks.extend(field(&node.join(format!("jobs/{job}/snapshot.json")), "key"));
        }
        Self { marks }
    }

    pub(super) fn needs(&self, found: &str) -> bool {
        let found = closed(found.to_owned());
        self.marks.iter().any(|mark| found.contains(mark.as_str()))
    }
}

/// An address as a word, which is not the beginning of a longer one.
fn closed(address: String) -> String {
    format!(" {address} ")
}

fn field(file: &std::path::Path, name: &str) -> Option<String> {
    let text = fs::read(file).ok()?;
    serde_json::from_slice::<Value>(&text).ok()?.get(name)?.as_str().map(str::to_owned)
}
