//! The choice of a language in `project.toml`, the project descriptor of Cloud Native Buildpacks.

use serde::Deserialize;

use super::evidence::Evidence;
use super::{Kind, Undetected};

const FILE: &str = "project.toml";

#[derive(Deserialize)]
struct Project {
    io: Option<Io>,
}

#[derive(Deserialize)]
struct Io {
    buildpacks: Option<Buildpacks>,
}

#[derive(Deserialize)]
struct Buildpacks {
    #[serde(default)]
    group: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    id: String,
}

pub(super) fn choice(evidence: &Evidence) -> Result<Option<Kind>, Undetected> {
    let invalid = |problem: String| Undetected::invalid(FILE, problem);
    let Some(text) = evidence.text(FILE).map_err(invalid)? else {
        return Ok(None);
    };
    let project: Project = toml::from_str(text).map_err(|error| invalid(error.to_string()))?;
    let group = project.io.and_then(|io| io.buildpacks).map(|buildpacks| buildpacks.group).unwrap_or_default();
    match group.as_slice() {
        [] => Ok(None),
        [member] => {
            let id = member.id.strip_prefix("flynn/").unwrap_or(&member.id);
            let known = Kind::ALL.map(Kind::as_str).join(", ");
            let unknown = || invalid(format!("there is no buildpack `{}`: choose one of {known}", member.id));
            Kind::from_text(id).map(Some).ok_or_else(unknown)
        }
        _ => Err(invalid("choose one buildpack: several at once are not supported".into())),
    }
}
