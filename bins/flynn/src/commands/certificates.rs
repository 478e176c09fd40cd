//! `flynn certs`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use flynn_core::api::NewCertificate;
use flynn_core::client::Api;
use flynn_core::noun::CertificateId;
use flynn_core::{Clock, SystemClock};

use super::ALL;
use crate::failure::Failure;
use crate::render;
use crate::session::Session;

/// List the TLS certificates of an app, add or remove one
#[derive(Debug, Args)]
pub(crate) struct Certs {
    #[command(subcommand)]
    command: Option<Change>,
}

#[derive(Debug, Subcommand)]
enum Change {
    /// List the certificates
    #[command(alias = "ls")]
    List,
    /// Serve hosts of the app with a certificate, in place of the one that they had
    Add {
        /// A file with the certificate in PEM, and after it those of the authorities that signed it
        chain: PathBuf,
        /// A file with its private key in PEM, not encrypted
        key: PathBuf,
        /// A host to use it for; can be given several times. All of the app's that it names if left out
        #[arg(long = "host", value_name = "HOST")]
        hosts: Vec<String>,
    },
    /// Take a certificate away. Its hosts are not served over TLS any more
    #[command(alias = "rm")]
    Remove {
        /// Its id
        id: CertificateId,
    },
}

#[derive(serde::Serialize)]
struct Removed {
    id: CertificateId,
}

pub(super) async fn run(session: &Session, command: Certs) -> Result<(), Failure> {
    let (api, app) = (session.api()?, session.app()?);
    match command.command {
        None | Some(Change::List) => {
            let certificates = Api::collect(ALL, async |page| api.certificates(&app, &page).await);
            let certificates = session.wait("Listing certificates", certificates).await?;
            let now = SystemClock.now();
            session.output().show(&certificates, |style| render::certificates(&certificates, now).render(style))
        }
        Some(Change::Add { chain, key, hosts }) => {
            let certificate = NewCertificate { chain: read(&chain)?, key: read(&key)?, hosts };
            let added = session.wait("Adding the certificate", api.add_certificate(&app, &certificate)).await?;
            session.output().show(&added, |_| {
                let until = added.not_after.map(|time| format!(" until {}", render::day(time.0))).unwrap_or_default();
                format!("{} of {app} can be served over TLS{until}.\n", added.hosts.join(", "))
            })
        }
        Some(Change::Remove { id }) => {
            session.wait("Removing the certificate", api.remove_certificate(&app, id)).await?;
            session.output().show(&Removed { id }, |_| format!("Removed the certificate {id}.\n"))
        }
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| Failure::failed(format!("{} cannot be read: {error}", file.display())))
}
