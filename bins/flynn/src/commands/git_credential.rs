//! `flynn git-credential`: the other end of git's credential protocol.

use std::collections::BTreeMap;
use std::io::BufRead;

use clap::{Args, ValueEnum};

use crate::failure::Failure;
use crate::session::Session;
use crate::settings::{Cluster, Settings};

/// Tells git the token of a cluster; git runs this by itself
#[derive(Debug, Args)]
pub(crate) struct GitCredential {
    operation: Operation,
}

/// What git wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Operation {
    /// The user and the password for a URL
    Get,
    /// Nothing: tokens are kept by `flynn login`
    Store,
    /// Nothing: a token that was refused once may be right for another app
    Erase,
}

/// Git's description of a URL is short.
const LONGEST: u64 = 64 << 10;

pub(super) fn run(session: &Session, command: &GitCredential) -> Result<(), Failure> {
    let asked = Asked::read(std::io::stdin().lock())?;
    match command.operation {
        Operation::Get => session.output().write(&asked.answer(session.settings()?)),
        Operation::Store | Operation::Erase => Ok(()),
    }
}

/// What git says about the URL.
#[derive(Debug, Default)]
struct Asked(BTreeMap<String, String>);

impl Asked {
    fn read(input: impl BufRead) -> Result<Self, Failure> {
        let mut attributes = BTreeMap::new();
        for line in input.take(LONGEST).lines() {
            let line = line.map_err(|error| Failure::failed(format!("cannot read what git asks: {error}")))?;
            match line.split_once('=') {
                Some((key, value)) => attributes.insert(key.to_owned(), value.to_owned()),
                None => break,
            };
        }
        Ok(Self(attributes))
    }

    fn attribute(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Whether git asks about this cluster's own URL, and not about another scheme, host, port or path.
    fn is_about(&self, cluster: &Cluster) -> bool {
        let Some((scheme, place)) = cluster.url.split_once("://") else { return false };
        let (host, below) = place.split_once('/').unwrap_or((place, ""));
        let path = self.attribute("path");
        // Without `credential.useHttpPath` git leaves the path out.
        let inside = path.is_empty() || below.is_empty() || path.starts_with(&format!("{below}/"));
        self.attribute("protocol") == scheme && self.attribute("host") == host && inside
    }

    fn answer(&self, settings: &Settings) -> String {
        let cluster = settings.clusters().iter().find(|cluster| cluster.token.is_some() && self.is_about(cluster));
        match cluster.and_then(|cluster| cluster.token.as_ref()) {
            Some(token) => format!("username=flynn\npassword={}\n", token.reveal()),
            None => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use flynn_core::TokenSecret;

    use super::*;

    fn check(question: &str, expect: Option<u8>) {
        let mut settings = Settings::default();
        for (name, url, bits) in
            [("a", "http://127.0.0.1:7700", 1), ("b", "https://flynn.example", 2), ("c", "http://c.example/below", 3)]
        {
            let token = Some(TokenSecret::from_bits(&[bits; 32]));
            settings.put(Cluster { name: name.into(), url: url.into(), token });
        }
        settings.put(Cluster { name: "d".into(), url: "http://d.example".into(), token: None });
        let answer = Asked::read(question.as_bytes()).unwrap().answer(&settings);
        let token = |bits| TokenSecret::from_bits(&[bits; 32]).reveal().to_owned();
        let expect = expect.map_or(String::new(), |bits| format!("username=flynn\npassword={}\n", token(bits)));
        assert_eq!(answer, expect, "{question}");
    }

    #[test]
    fn only_the_clusters_own_url_gets_its_token() {
        check("protocol=http\nhost=127.0.0.1:7700\n\n", Some(1));
        check("protocol=https\nhost=flynn.example\npath=git/web.git\n\n", Some(2));
        check("protocol=http\nhost=c.example\npath=below/git/web.git\n\n", Some(3));
        for other in [
            "",
            "protocol=https\nhost=127.0.0.1:7700\n",
            "protocol=http\nhost=127.0.0.1:7701\n",
            "protocol=http\nhost=127.0.0.1\n",
            "protocol=https\nhost=flynn.example.evil\n",
            "protocol=http\nhost=c.example\npath=belowx/web.git\n",
            "protocol=http\nhost=d.example\n",
            "protocol=http\n\nhost=127.0.0.1:7700\n",
        ] {
            check(other, None);
        }
    }
}
