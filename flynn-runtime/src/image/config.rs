//! What an image says of how it is to be run (OCI image specification, "Image Configuration").

use std::collections::{BTreeMap, BTreeSet};

use flynn_core::value::Digest;
use serde::Deserialize;

/// The configuration of an image: what its maker meant for whoever runs it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageConfig {
    /// The processor it is for, such as `amd64`; empty if it does not say.
    pub architecture: String,
    /// The operating system it is for; empty if it does not say.
    pub os: String,
    /// Variables. The last of several with one name counts.
    pub env: BTreeMap<String, String>,
    /// Where programs are started; none for the root.
    pub working_dir: Option<String>,
    /// Whose programs they are, as in [`ImageUser`](super::ImageUser); none for the user 0.
    pub user: Option<String>,
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Further arguments, or the whole command if there is no entrypoint.
    pub cmd: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Ports that something listens on.
    pub exposed_ports: BTreeSet<ExposedPort>,
    /// The digests of the layers' archives before compression, the lowest first.
    pub diff_ids: Vec<Digest>,
}

/// A port of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExposedPort {
    /// Its number.
    pub number: u16,
    /// Whether it takes datagrams and not connections.
    pub udp: bool,
}

/// A configuration that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the configuration of the image: {problem}")]
#[non_exhaustive]
pub struct ImageConfigError {
    /// What is wrong with it.
    pub problem: String,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    config: Option<Run>,
    rootfs: Option<RootFs>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Run {
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    exposed_ports: Option<BTreeMap<String, serde::de::IgnoredAny>>,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

impl ImageConfig {
    /// Reads the JSON document that a manifest names as its configuration.
    ///
    /// # Errors
    /// It is no such document; the error says where.
    pub fn parse(text: &[u8]) -> Result<Self, ImageConfigError> {
        let wrong = |problem: String| ImageConfigError { problem };
        let document: Document = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
        let run = document.config.unwrap_or_default();
        let mut env = BTreeMap::new();
        for variable in run.env.unwrap_or_default() {
            match variable.split_once('=') {
                Some((key, value)) if !key.is_empty() => env.insert(key.to_owned(), value.to_owned()),
                _ => return Err(wrong(format!("`{}` is no variable", variable.escape_debug()))),
            };
        }
        let mut exposed_ports = BTreeSet::new();
        for port in run.exposed_ports.unwrap_or_default().into_keys() {
            let exposed = port.parse().map_err(|()| wrong(format!("`{}` is no port", port.escape_debug())))?;
            exposed_ports.insert(exposed);
        }
        let diff_ids = document.rootfs.map(|rootfs| rootfs.diff_ids).unwrap_or_default();
        let diff_ids = diff_ids
            .iter()
            .map(|text| text.parse::<Digest>().map_err(|error| wrong(format!("`{}`: {error}", text.escape_debug()))));
        Ok(Self {
            architecture: document.architecture,
            os: document.os,
            env,
            working_dir: run.working_dir.filter(|directory| !directory.is_empty()),
            user: run.user.filter(|user| !user.is_empty()),
            entrypoint: run.entrypoint.unwrap_or_default(),
            cmd: run.cmd.unwrap_or_default(),
            labels: run.labels.unwrap_or_default(),
            exposed_ports,
            diff_ids: diff_ids.collect::<Result<_, _>>()?,
        })
    }

    /// The program and arguments that the image starts by itself; empty if it does not say.
    pub fn command(&self) -> Vec<String> {
        self.entrypoint.iter().chain(&self.cmd).cloned().collect()
    }
}

impl std::str::FromStr for ExposedPort {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let udp = match protocol {
            "tcp" => false,
            "udp" => true,
            _ => return Err(()),
        };
        Ok(Self { number: number.parse().map_err(|_| ())?, udp })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_fields_are_read() {
        let id = format!("sha256:{}", "ab".repeat(32));
        let document = serde_json::json!({
            "architecture": "amd64", "os": "linux", "created": "2024-01-01T00:00:00Z",
            "config": {
                "Env": ["PATH=/bin:/usr/bin", "EMPTY=", "EQ=a=b", "EMPTY=x"], "WorkingDir": "/app", "User": "1000:1000",
                "Entrypoint": ["/entry"], "Cmd": ["a", "b"], "Labels": { "k": "v" },
                "ExposedPorts": { "8080/tcp": {}, "53/udp": {}, "9": {} }, "StopSignal": "SIGINT",
            },
            "rootfs": { "type": "layers", "diff_ids": [id] }, "history": [],
        });
        let config = ImageConfig::parse(document.to_string().as_bytes()).unwrap();
        let port = |number, udp| ExposedPort { number, udp };
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let expected = ImageConfig {
            architecture: "amd64".into(),
            os: "linux".into(),
            env: [pair("PATH", "/bin:/usr/bin"), pair("EMPTY", "x"), pair("EQ", "a=b")].into(),
            working_dir: Some("/app".into()),
            user: Some("1000:1000".into()),
            entrypoint: vec!["/entry".into()],
            cmd: vec!["a".into(), "b".into()],
            labels: [pair("k", "v")].into(),
            exposed_ports: [port(9, false), port(53, true), port(8080, false)].into(),
            diff_ids: vec![id.parse().unwrap()],
        };
        assert_eq!(config, expected);
        assert_eq!(config.command(), ["/entry", "a", "b"]);
    }

    #[test]
    fn what_is_null_empty_or_absent_is_nothing() {
        for text in [
            "{}",
            r#"{"config":null}"#,
            r#"{"config":{}}"#,
            r#"{"config":{"Env":null,"Cmd":null,"Labels":null,"User":"","WorkingDir":"","ExposedPorts":null}}"#,
        ] {
            assert_eq!(ImageConfig::parse(text.as_bytes()).unwrap(), ImageConfig::default(), "{text}");
        }
    }

    #[test]
    fn other_documents_are_refused() {
        for text in [
            "",
            "[]",
            r#"{"config":{"Env":["NOVALUE"]}}"#,
            r#"{"config":{"Env":["=x"]}}"#,
            r#"{"config":{"ExposedPorts":{"70000/tcp":{}}}}"#,
            r#"{"config":{"ExposedPorts":{"1/sctp":{}}}}"#,
            r#"{"rootfs":{"diff_ids":["sha256:1"]}}"#,
            r#"{"config":{"Cmd":"true"}}"#,
        ] {
            assert!(ImageConfig::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
