//! What is on record of jobs: how they ended, and what they wrote.

use std::collections::BTreeMap;

use flynn_rig::Rig;
use serde_json::Value;

use crate::apps::json;

/// What instances of `count` do: they count until they are told to end, say how far they came, and end with 7.
pub(super) const COUNT: &str = "trap 'stop=1' TERM
n=0
while [ -z \"$stop\" ]; do n=$((n+1)); echo line $n; sleep 0.1; done
echo last $n
exit 7
";

/// Asserts that no job was lost, that every `count` that has begun and ended has its own exit code, and that all its
/// lines are there, each once. Answers how many have ended.
pub(super) fn assert_whole(rig: &Rig) -> usize {
    let lines = lines(rig);
    let mut ended = 0;
    for job in json(rig, &["ps", "--app", "app", "--all"]).as_array().unwrap() {
        let text = |name: &str| job[name].as_str().unwrap_or_default();
        assert_ne!(text("state"), "lost", "{job}");
        if text("process") != "count" {
            continue;
        }
        let said = lines.get(text("id")).map(Vec::as_slice).unwrap_or_default();
        let counted: Vec<_> = (1..).map(|number| format!("line {number}")).take(said.len()).collect();
        if text("state") == "exited" {
            ended += 1;
            // One that was told to end before it listened says nothing or little, and ends by the signal.
            if job["exit_code"] != 7 {
                assert!(
                    said.len() <= 1 && [Value::from(126), Value::from(143)].contains(&job["exit_code"]),
                    "{job}: {said:?}"
                );
                continue;
            }
            let (last, before) = said.split_last().unwrap_or_else(|| panic!("{job} has no log"));
            assert_eq!(before, &counted[..before.len()], "{job}");
            assert_eq!(*last, format!("last {}", before.len()), "{job}");
        } else {
            assert_eq!(said, counted, "{job}");
        }
    }
    ended
}

/// What each instance of `count` wrote.
fn lines(rig: &Rig) -> BTreeMap<String, Vec<String>> {
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in json(rig, &["logs", "--app", "app", "-p", "count", "-n", "10000"]).as_array().unwrap() {
        if let (Some(job), Some(text)) = (entry["job"].as_str(), entry["text"].as_str()) {
            lines.entry(job.to_owned()).or_default().push(text.to_owned());
        }
    }
    lines
}
