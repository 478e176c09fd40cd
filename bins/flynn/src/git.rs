//! The git repository of the current directory, through git itself.

use std::process::{Command, Stdio};

use crate::failure::Failure;

/// Runs `git` and gives its standard output without the last newline; none if it fails.
fn ask(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    if !output.status.success() {
        return None;
    }
    String::from_utf8(output.stdout).ok().map(|text| text.trim_end_matches('\n').to_owned())
}

fn tell(arguments: &[&str]) -> Result<(), Failure> {
    let output = Command::new("git")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failure::failed(format!("cannot run git: {error}; install git")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let operation = arguments.first().copied().unwrap_or_default();
    Err(Failure::failed(format!("git {operation} failed: {}", said.trim())))
}

/// An app as a git remote names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    /// The URL of the cluster.
    pub(crate) cluster: String,
    /// The name of the app.
    pub(crate) app: String,
}

impl Remote {
    /// Reads `URL/git/APP.git`.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let (cluster, repository) = url.rsplit_once("/git/")?;
        let app = repository.strip_suffix(".git").unwrap_or(repository);
        let known = cluster.starts_with("http://") || cluster.starts_with("https://");
        let named = !app.is_empty() && !app.contains('/');
        (known && named).then(|| Self { cluster: cluster.to_owned(), app: app.to_owned() })
    }

    /// The URL that git pushes to.
    pub(crate) fn url(&self) -> String {
        format!("{}/git/{}.git", self.cluster, self.app)
    }
}

/// The app behind the remote `name` of the repository of the current directory.
pub(crate) fn remote(name: &str) -> Option<Remote> {
    Remote::parse(&ask(&["config", "--get", &format!("remote.{name}.url")])?)
}

/// Whether the current directory is in a git repository.
pub(crate) fn is_repository() -> bool {
    ask(&["rev-parse", "--git-dir"]).is_some()
}

/// The branch that is checked out.
pub(crate) fn branch() -> Option<String> {
    ask(&["symbolic-ref", "--quiet", "--short", "HEAD"])
}

/// Makes `name` a remote for the app and lets git ask this program for the cluster's token. A remote that is
/// there already is pointed elsewhere only if it is one of Flynn's.
///
/// # Errors
/// The remote belongs to something else, or git refuses.
pub(crate) fn set_remote(name: &str, remote: &Remote) -> Result<(), Failure> {
    let url = remote.url();
    match ask(&["config", "--get", &format!("remote.{name}.url")]) {
        None => tell(&["remote", "add", name, &url])?,
        Some(present) if present == url => {}
        Some(present) if Remote::parse(&present).is_some() => tell(&["remote", "set-url", name, &url])?,
        Some(present) => {
            return Err(Failure::conflict(format!(
                "the git remote `{name}` points to {present} already; choose another one with `-r NAME`"
            )));
        }
    }
    set_helper(&remote.cluster)
}

/// Lets git ask this program, and nothing else, for the token of the cluster at `url`.
///
/// # Errors
/// This program's path is unknown, or git refuses.
fn set_helper(url: &str) -> Result<(), Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::failed(format!("cannot find the path of this program: {error}")))?;
    let key = format!("credential.{url}.helper");
    // An empty value drops helpers that are configured elsewhere and would be given the token to keep.
    tell(&["config", "--replace-all", &key, ""])?;
    tell(&["config", "--add", &key, &format!("!{} git-credential", quote(&program.to_string_lossy()))])
}

/// Lets a remote of Flynn's follow a rename. Any other one is left alone.
///
/// # Errors
/// Git refuses.
pub(crate) fn rename(name: &str, from: &Remote, app: &str) -> Result<bool, Failure> {
    if remote(name).as_ref() != Some(from) {
        return Ok(false);
    }
    let next = Remote { app: app.to_owned(), ..from.clone() };
    tell(&["remote", "set-url", name, &next.url()]).map(|()| true)
}

/// Takes the remote away if it points to this app.
///
/// # Errors
/// Git refuses.
pub(crate) fn remove_remote(name: &str, gone: &Remote) -> Result<bool, Failure> {
    if remote(name).as_ref() != Some(gone) {
        return Ok(false);
    }
    tell(&["remote", "remove", name]).map(|()| true)
}

/// One word of a shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_name_cluster_and_app() {
        let check = |url: &str, expect: Option<(&str, &str)>| {
            let remote = Remote::parse(url);
            assert_eq!(remote.as_ref().map(|remote| (remote.cluster.as_str(), remote.app.as_str())), expect, "{url}");
        };
        check("http://127.0.0.1:7700/git/web.git", Some(("http://127.0.0.1:7700", "web")));
        check("https://flynn.example/below/git/web", Some(("https://flynn.example/below", "web")));
        for other in ["git@example.org:a/b.git", "http://example.org/a.git", "http://a/git/.git", "http://a/git/b/c"] {
            check(other, None);
        }
        let remote = Remote { cluster: "http://a:1".into(), app: "web".into() };
        assert_eq!(Remote::parse(&remote.url()), Some(remote));
    }

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        assert_eq!(quote("/a b/it's"), r"'/a b/it'\''s'");
    }
}
