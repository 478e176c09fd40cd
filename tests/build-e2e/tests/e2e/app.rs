//! An app that runs as its image says.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use flynn_core::JobId;
use flynn_core::noun::{BuildOutput, Exit, Terminal};
use flynn_core::port::{
    ContainerSpec, ContainerState, Images, Process, Runtime, Secret, Signal, SnapshotKey, Snapshots,
};
use flynn_core::value::Resources;
use flynn_runtime::network::Network;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::machine::Machine;

pub(crate) struct App {
    job: JobId,
    address: Ipv4Addr,
    snapshot: SnapshotKey,
}

impl App {
    /// Starts the process `web` of what was built.
    pub(crate) async fn start(machine: &Machine, output: &BuildOutput) -> Self {
        let job = machine.world.id();
        let image = machine.images.resolve(output.image).await.unwrap();
        let prepared = machine.snapshots.prepare(&image.layers).await.unwrap();
        let attachment = machine.network.attach(job, machine.world.app).await.unwrap();
        let config = machine.config(output.image).await;
        let mut env: BTreeMap<_, _> = config["config"]["Env"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry.as_str().unwrap().split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), Secret::new(value.as_bytes().to_vec())))
            .collect();
        let web = output.processes.iter().find(|(name, _)| name.as_str() == "web").unwrap().1;
        env.insert("PORT".to_owned(), Secret::new(web.port.unwrap().to_string().into_bytes()));
        let spec = ContainerSpec {
            app: machine.world.app,
            hostname: "web".to_owned(),
            root: prepared.mounts,
            mounts: Vec::new(),
            process: Process {
                command: web.command.clone(),
                env,
                directory: PathBuf::from(config["config"]["WorkingDir"].as_str().unwrap()),
                user: (1000, 1000),
                terminal: Terminal::None,
                interactive: false,
            },
            resources: Resources { memory_bytes: 512 << 20, ..Resources::ZERO },
            network: Some(attachment.namespace),
        };
        machine.runtime.create(job, spec).await.unwrap();
        machine.runtime.start(job).await.unwrap();
        Self { job, address: attachment.address, snapshot: prepared.key }
    }

    /// What it answers, as soon as it does.
    pub(crate) async fn get(&self, machine: &Machine, path: &str) -> String {
        let ask = async {
            loop {
                if let Ok(mut stream) = TcpStream::connect((self.address, 8080)).await {
                    let request = format!("GET {path} HTTP/1.0\r\nHost: app\r\n\r\n");
                    let mut answer = String::new();
                    if stream.write_all(request.as_bytes()).await.is_ok()
                        && stream.read_to_string(&mut answer).await.is_ok()
                    {
                        return answer;
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(15), ask).await {
            Ok(answer) => answer,
            Err(_) => panic!("no answer: {:?}", machine.runtime.list().await),
        }
    }

    /// What it answers to a request with these lines of head, which it is ready for.
    pub(crate) async fn ask(&self, head: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(format!("{head}\r\nHost: app\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect((self.address, 8080)).await.unwrap()
    }

    /// Sends it TERM, and says how it ended.
    pub(crate) async fn terminate(&self, machine: &Machine) -> Exit {
        machine.runtime.signal(self.job, Signal::Term).await.unwrap();
        let ended = async {
            loop {
                let containers = machine.runtime.list().await.unwrap();
                let container = containers.into_iter().find(|container| container.job == self.job).unwrap();
                if let ContainerState::Exited { exit, .. } = container.state {
                    return exit;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), ended).await.expect("it does not end by TERM")
    }

    pub(crate) async fn stop(self, machine: &Machine) {
        machine.runtime.remove(self.job).await.unwrap();
        machine.network.detach(self.job).await.unwrap();
        machine.snapshots.discard(&self.snapshot).await.unwrap();
    }
}
