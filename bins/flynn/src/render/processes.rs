//! Formations and jobs.

use flynn_core::Timestamp;
use flynn_core::api::{Formation, Job};

use super::amount::{bytes, cpu};
use super::{Cell, Table, ago, state};
use crate::output::Tone;

fn condition(job: &Job) -> Cell {
    if job.healthy == Some(false) {
        return Cell::toned("unhealthy", Tone::Bad);
    }
    match (job.state.as_str(), job.desired.as_str()) {
        ("up", "drain") => Cell::toned("draining", Tone::Busy),
        (word, _) => state(word),
    }
}

/// A command as somebody wrote it: without the shell that runs a line of a Procfile.
fn typed(command: &[String]) -> String {
    match command {
        [shell, option, line] if shell == "/bin/sh" && option == "-c" => {
            line.strip_prefix("exec ").unwrap_or(line).to_owned()
        }
        _ => command.join(" "),
    }
}

pub(crate) fn jobs(jobs: &[Job], now: Timestamp) -> Table {
    let mut table = Table::new(
        &["PROCESS", "RELEASE", "STATE", "SINCE", "NODE", "COMMAND", "DETAIL"],
        "No processes run. Scale with `flynn scale web=1`.",
    );
    for job in jobs {
        table.row([
            job.name.as_str().into(),
            job.release.map_or(String::new(), |number| format!("v{number}")).into(),
            condition(job),
            Cell::toned(ago(job.since.0, now), Tone::Faint),
            job.node.as_deref().unwrap_or_default().into(),
            typed(&job.command).into(),
            job.reason.as_deref().unwrap_or_default().into(),
        ]);
    }
    table
}

pub(crate) fn formation(formation: &Formation) -> Table {
    let mut table = Table::new(&["TYPE", "COUNT", "UP"], "No process types yet. They come with the first deploy.");
    for (process, scale) in &formation.processes {
        let tone = if scale.up == scale.count { Tone::Good } else { Tone::Busy };
        let up = Cell::toned(scale.up.to_string(), if scale.count == 0 { Tone::Plain } else { tone });
        table.row([process.as_str().into(), scale.count.to_string().into(), up]);
    }
    table
}

pub(crate) fn limits(formation: &Formation) -> Table {
    let mut table = Table::new(
        &["TYPE", "CPU", "MEMORY", "DISK", "PIDS"],
        "No process types yet. They come with the first deploy.",
    );
    let amount = |amount: u64, text: fn(u64) -> String| match amount {
        0 => Cell::toned("unlimited", Tone::Faint),
        amount => text(amount).into(),
    };
    for (process, scale) in &formation.processes {
        table.row([
            process.as_str().into(),
            amount(scale.cpu_millis, cpu),
            amount(scale.memory_bytes, bytes),
            amount(scale.disk_bytes, bytes),
            amount(scale.pids, |pids| pids.to_string()),
        ]);
    }
    table
}

pub(crate) fn placement(formation: &Formation) -> Table {
    let mut table = Table::new(
        &["TYPE", "ONLY ON", "SPREAD OVER", "PER MACHINE"],
        "No process types yet. They come with the first deploy.",
    );
    for (process, scale) in &formation.processes {
        let rules = &scale.placement;
        let only = match rules.constraints.as_slice() {
            [] => Cell::toned("any", Tone::Faint),
            constraints => constraints.join("; ").into(),
        };
        let most = rules.most_per_node.map_or(String::new(), |most| format!("at most {most}"));
        table.row([process.as_str().into(), only, rules.spread.as_deref().unwrap_or_default().into(), most.into()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use flynn_core::Id;
    use flynn_core::api::{Placement, ProcessScale};

    use super::*;
    use crate::output::Style;
    use crate::render::samples::{self, ALIGNED, COLOUR, NOW};

    #[test]
    fn processes_show_what_they_do_and_why() {
        let mut pending = samples::job("web.2", "pending");
        (pending.reason, pending.node) = (Some("n1: not enough memory".into()), None);
        let mut sick = samples::job("worker.1", "up");
        sick.healthy = Some(false);
        let mut draining = samples::job("web.1", "up");
        draining.desired = "drain".into();
        sick.command = ["/bin/sh", "-c", "exec python app.py"].map(str::to_owned).into();
        let table = jobs(&[draining, pending, sick], NOW);
        assert_eq!(
            table.render(ALIGNED),
            "PROCESS   RELEASE  STATE      SINCE   NODE  COMMAND        DETAIL\n\
             web.1     v3       draining   2m ago  n1    python app.py\n\
             web.2     v3       pending    2m ago        python app.py  n1: not enough memory\n\
             worker.1  v3       unhealthy  2m ago  n1    python app.py\n"
        );
        assert!(table.render(COLOUR).contains("\u{1b}[31munhealthy\u{1b}[0m"));
    }

    #[test]
    fn counts_and_limits_are_shown_as_they_are_set() {
        let constraints = ["zone = a", "disk != hdd"].map(str::to_owned).into();
        let scale = ProcessScale {
            count: 2,
            up: 1,
            cpu_millis: 500,
            memory_bytes: 512 << 20,
            disk_bytes: 0,
            pids: 200,
            placement: Placement { constraints, spread: Some("rack".into()), most_per_node: Some(1) },
        };
        let any = ProcessScale { placement: Placement::default(), ..scale.clone() };
        let processes = [("web".to_owned(), scale.clone()), ("worker".to_owned(), any)].into();
        let shown = Formation { app: Id::NIL, processes, version: 1 };
        assert_eq!(
            placement(&shown).render(ALIGNED),
            "TYPE    ONLY ON                SPREAD OVER  PER MACHINE\n\
             web     zone = a; disk != hdd  rack         at most 1\n\
             worker  any\n"
        );
        let shown = Formation { processes: [("web".to_owned(), scale)].into(), ..shown };
        assert_eq!(formation(&shown).render(Style::PLAIN), "web\t2\t1\n");
        assert_eq!(limits(&shown).render(Style::PLAIN), "web\t500m\t512M\tunlimited\t200\n");
    }
}
