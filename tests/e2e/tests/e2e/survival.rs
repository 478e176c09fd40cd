//! Processes of the platform die, and apps go on.

use std::process::Command;
use std::time::Duration;

use flynn_rig::{Rig, eventually, leaks};

use crate::apps::{plain, says};

/// The process of a program of the platform that belongs to this rig.
fn pid(rig: &Rig, program: &str) -> Result<u32, String> {
    let record = std::fs::read_to_string(rig.layout().post(program)).map_err(|error| error.to_string())?;
    let record: serde_json::Value = serde_json::from_str(&record).map_err(|error| format!("{error}: {record:?}"))?;
    let found = find(&record, "pid").ok_or_else(|| record.to_string())?;
    u32::try_from(found).map_err(|error| error.to_string())
}

fn find(value: &serde_json::Value, key: &str) -> Option<u64> {
    match value {
        serde_json::Value::Object(fields) => fields.iter().find_map(|(name, value)| match value.as_u64() {
            Some(number) if name == key => Some(number),
            _ => find(value, key),
        }),
        _ => None,
    }
}

fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
}

#[test]
fn control_plane_agent_and_router_are_killed_and_the_app_goes_on() {
    let mut rig = Rig::start();
    let checkout = rig.create("app");
    plain(&checkout, "alive");
    checkout.commit("server");
    checkout.push().expect("the push");
    says(&rig, "app", "alive");

    rig.kill_flynnd();
    for _ in 0..20 {
        let answer = rig.page("app", "/").unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    rig.start_flynnd();
    says(&rig, "app", "alive");

    for program in ["flynn-host", "flynn-router"] {
        let first = pid(&rig, program).unwrap();
        kill(first);
        if program == "flynn-host" {
            assert_eq!(rig.page("app", "/").unwrap().status, 200);
        }
        eventually(&format!("{program} is started again"), Duration::from_secs(20), || match pid(&rig, program) {
            Ok(second) if second != first => Ok(()),
            other => Err(other),
        });
        says(&rig, "app", "alive");
    }
    checkout.replace("server.py", "alive", "as before");
    checkout.commit("second");
    eventually("a push works after all that", Duration::from_secs(60), || {
        let pushed = checkout.push();
        if pushed.code == Some(0) { Ok(()) } else { Err(pushed.stderr) }
    });
    says(&rig, "app", "as before");
    rig.down();
}

#[test]
fn a_killed_supervisor_costs_the_instance_and_it_is_replaced() {
    let rig = Rig::start();
    let checkout = rig.create("app");
    plain(&checkout, "one of them");
    checkout.commit("server");
    checkout.push().expect("the push");
    says(&rig, "app", "one of them");
    let shims = || -> Vec<u32> {
        let all = leaks::processes_of(&rig.data()).into_iter();
        all.filter(|process| process.line.starts_with("flynn-shim")).map(|process| process.pid).collect()
    };
    let before = shims();
    assert_eq!(before.len(), 1, "{before:?}");
    kill(before[0]);
    eventually("another supervisor", Duration::from_secs(30), || {
        let after = shims();
        if after.len() == 1 && after != before { Ok(()) } else { Err(after) }
    });
    says(&rig, "app", "one of them");
    rig.down();
}
