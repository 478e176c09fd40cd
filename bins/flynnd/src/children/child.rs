use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context;
use flynn_instance::{Layout, Post, Record};

/// Where programs that a child starts are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program of this release that is to run as long as the instance does.
#[derive(Debug, Clone)]
pub(crate) struct Child {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<OsString>,
    post: PathBuf,
    /// What it says about itself.
    log: PathBuf,
    /// What it is there to write.
    output: PathBuf,
}

impl Child {
    /// The program `name` beside this one, to be run with `arguments`.
    pub(super) fn beside(name: &'static str, layout: &Layout, mut arguments: Vec<OsString>) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("it cannot be found out where this program is")?;
        // A program that was replaced while it runs has this at the end of its name.
        let folder = program.parent().unwrap_or(Path::new("/"));
        let program = folder.join(name);
        anyhow::ensure!(
            program.exists(),
            "there is no {}: install all programs of a release together",
            program.display()
        );
        let post = layout.post(name);
        arguments.extend([OsString::from("--own-session"), OsString::from("--post"), post.clone().into()]);
        let (log, output) = (layout.log().join(format!("{name}.log")), layout.log().join(format!("{name}.out.log")));
        Ok(Self { name, program, arguments, post, log, output })
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// The process that runs at present.
    pub(super) fn running(&self) -> std::io::Result<Option<Record>> {
        Post::holder(&self.post)
    }

    /// Why the process should be replaced, if it should.
    pub(super) fn outdated(&self, record: &Record) -> Option<String> {
        let version = env!("CARGO_PKG_VERSION");
        if record.version != version {
            return Some(format!("it is of version {}, this is {version}", record.version));
        }
        let arguments = self.arguments.iter().map(|argument| argument.to_string_lossy().into_owned());
        match (record.runs(&self.program), arguments.eq(record.arguments.iter().cloned())) {
            (Ok(true) | Err(_), true) => None,
            (Ok(false), _) => Some(String::from("its program was replaced")),
            (_, false) => Some(String::from("it has other options")),
        }
    }

    /// Starts a process. It goes on when this one has ended.
    pub(super) fn start(&self) -> std::io::Result<tokio::process::Child> {
        tokio::process::Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .env("PATH", PATH)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(append_to(&self.output)?)
            .stderr(append_to(&self.log)?)
            .spawn()
    }
}

fn append_to(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}
