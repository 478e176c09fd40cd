use flynn_core::name::ProcessName;
use flynn_core::noun::ProcessType;

use super::LayoutError;
use super::documents::Run;
use crate::image::process_type;

/// The process `web` of an image: its entrypoint and command. It listens on the lowest TCP port that the image exposes,
/// or else, as any app does, on the one that `PORT` says; `PORT` names that port in either case.
///
/// # Errors
/// The image starts nothing by itself, or a port of it is none.
pub(super) fn web_process(run: Option<&Run>) -> Result<ProcessType, LayoutError> {
    let (mut command, mut ports) = (Vec::new(), Vec::new());
    if let Some(Run { entrypoint, cmd, exposed_ports }) = run {
        command.extend(entrypoint.iter().chain(cmd).flatten().cloned());
        for port in exposed_ports.iter().flatten().map(|(port, _)| port) {
            ports.extend(tcp_port(port)?);
        }
    }
    if command.is_empty() {
        return Err(LayoutError::invalid("the image has neither an entrypoint nor a command, so nothing would run"));
    }
    let name = ProcessName::new("web").map_err(|error| LayoutError::invalid(error.to_string()))?;
    let mut web = process_type(&name, command);
    web.port = ports.into_iter().min().or(web.port);
    Ok(web)
}

/// The number of a port; none if it takes datagrams.
fn tcp_port(text: &str) -> Result<Option<u16>, LayoutError> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    match (number.parse(), protocol) {
        (Ok(number @ 1..), "tcp") => Ok(Some(number)),
        (Ok(1..), "udp" | "sctp") => Ok(None),
        _ => Err(LayoutError::invalid(format!("the image exposes `{}`, which is no port", text.escape_debug()))),
    }
}
