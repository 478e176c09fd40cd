//! Ends an instance: every process and app, and all they made on the machine but the data; or its control plane alone.

use std::time::Duration;

use anyhow::Context;
use flynn_instance::{Layout, Place, Post, PostError};

use crate::socket::remove;

/// How long the control plane and the agent have to end, and the router, whose requests may go on for a while.
const PATIENCE: Duration = Duration::from_secs(45);

/// Ends the instance of `place`. One that is not there is no error.
pub(crate) fn run(place: &Place) -> anyhow::Result<()> {
    on_data_of(place, end)
}

/// Ends the control plane of `place`, and returns when it has ended. What it started goes on. One that is not there is
/// no error.
pub(crate) fn stop(place: &Place) -> anyhow::Result<()> {
    on_data_of(place, end_control)
}

fn on_data_of(place: &Place, work: impl AsyncFnOnce(&Layout) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let layout = place.layout()?;
    if !layout.data().exists() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(work(&layout))
}

async fn end_control(layout: &Layout) -> anyhow::Result<()> {
    end_holder(&layout.control_post(), "flynnd").await
}

async fn end(layout: &Layout) -> anyhow::Result<()> {
    end_control(layout).await?;
    // Nobody starts the instance again while it is taken down.
    let _post = match Post::take(&layout.control_post()) {
        Err(PostError::Held { .. }) => {
            anyhow::bail!("another flynnd was started on {}: try again", layout.data().display())
        }
        taken => taken?,
    };
    end_holder(&layout.post("flynn-host"), "flynn-host").await?;
    clear_node(layout)?;
    end_holder(&layout.post("flynn-router"), "flynn-router").await?;
    let files = ["flynn-router", "flynn-host"].map(|program| layout.post(program));
    for file in files.iter().chain([&layout.socket()]) {
        remove(file).with_context(|| format!("{} cannot be removed", file.display()))?;
    }
    match std::fs::remove_dir_all(layout.git()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("{} cannot be removed", layout.git().display()));
        }
        _ => {}
    }
    // Other instances may have theirs in it.
    let _ = std::fs::remove_dir(layout.run());
    Ok(())
}

/// Lets the agent's program take away what agents made: containers, networks, mounts and control groups.
fn clear_node(layout: &Layout) -> anyhow::Result<()> {
    if !layout.node().exists() {
        return Ok(());
    }
    let program = std::env::current_exe()?.with_file_name("flynn-host");
    let mut command = std::process::Command::new(&program);
    command.arg("clear").arg("--data-dir").arg(layout.data()).arg("--run-dir").arg(layout.run());
    let output = command.output().with_context(|| format!("{} cannot be run", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{}", said.lines().last().unwrap_or("the node could not be cleared"));
    Ok(())
}

async fn end_holder(post: &std::path::Path, program: &str) -> anyhow::Result<()> {
    let holder = Post::holder(post).with_context(|| format!("{} cannot be read", post.display()))?;
    if let Some(holder) = holder {
        let ended = holder.identity.end(PATIENCE).await;
        ended.with_context(|| format!("{program} (process {}) cannot be ended", holder.identity.process.pid))?;
    }
    Ok(())
}
