//! `flynn logs`.

use clap::Args;
use flynn_core::api::LogQuery;
use flynn_core::client::{LogNews, Logs};

use crate::failure::Failure;
use crate::render::{self, parse_span};
use crate::session::Session;

/// Show what an app wrote
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// Go on with what it writes from now on; with `--json` one document a line
    #[arg(short, long, visible_alias = "tail")]
    follow: bool,
    /// How many of the lines that are there already
    #[arg(short = 'n', long = "num", value_name = "COUNT", default_value_t = 100)]
    lines: u32,
    /// Only those of this process type, or of one process such as web.1
    #[arg(short, long, value_name = "TYPE")]
    process: Option<String>,
    /// Only those that are not older, such as 10m
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    since: Option<std::time::Duration>,
}

pub(super) async fn run(session: &Session, command: Log) -> Result<(), Failure> {
    let (api, app) = (session.api()?, session.app()?);
    // `web` is a process type, `web.1` and an id are one job.
    let is_job = command.process.as_ref().is_some_and(|text| text.contains('.') || text.len() == 36);
    let (job, process) = if is_job { (command.process, None) } else { (None, command.process) };
    let query = LogQuery {
        lines: Some(command.lines),
        process,
        job,
        since: command.since.map(|span| session.now().before(span).into()),
        follow: command.follow,
    };
    let logs = session.wait("Reading the log", api.logs(&app, &query)).await?;
    show(session, logs, command.follow).await
}

/// Shows a log to its end.
///
/// # Errors
/// It broke off, or cannot be shown.
async fn show(session: &Session, mut logs: Logs, follow: bool) -> Result<(), Failure> {
    let output = session.output();
    let mut entries = Vec::new();
    while let Some(event) = logs.next().await? {
        match event {
            LogNews::Line(entry) if output.is_json() && follow => output.document(&entry)?,
            LogNews::Line(entry) if output.is_json() => entries.push(entry),
            LogNews::Line(entry) => output.write(&render::log_line(&entry, output.style()))?,
            LogNews::Notice(text) => output.remark(&text),
            // Of one that is not followed, the end is all there is to say.
            LogNews::End(text) if follow => output.remark(&text),
            _ => {}
        }
    }
    if output.is_json() && !follow { output.show(&entries, |_| String::new()) } else { Ok(()) }
}
