//! What the platform costs while nothing happens.

use std::fs;
use std::time::Duration;

use flynn_rig::Rig;
use serde_json::Value;

use crate::pushes::sample;

/// How long after the push.
const REST: Duration = Duration::from_secs(60);

/// Proportional set size of all processes of the platform but the shims, with one app on it, in MiB.
pub(crate) fn pss(_: usize) -> Value {
    let rig = Rig::start();
    let checkout = rig.create("hello");
    checkout.copy(&sample("python-web"));
    checkout.commit("first");
    checkout.push().expect("the push");
    std::thread::sleep(REST);
    let place = rig.data().display().to_string();
    let mut total = 0;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let program = line.split(' ').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        if line.contains(&place) && program.starts_with("flynn") && program != "flynn-shim" {
            let pss = fs::read_to_string(entry.path().join("smaps_rollup")).map_or(0, |text| kilobytes(&text));
            eprintln!("    {program}: {pss} KiB");
            total += pss;
        }
    }
    rig.down();
    Value::from((total as f64 / 102.4).round() / 10.0)
}

fn kilobytes(rollup: &str) -> u64 {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_sum_is_read() {
        assert_eq!(super::kilobytes("Rss:  9 kB\nPss:                1234 kB\nPss_Anon: 5 kB\n"), 1_234);
    }
}
