use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process have as many files and connections open as it may: the soft limit becomes the hard one. Under most
/// service managers they are 1,024 and half a million. Processes that it starts inherit it. If it cannot be done, that
/// is logged.
pub fn raise_open_files() {
    if let Err(error) = raise() {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}

fn raise() -> io::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let before = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(512), ..before }).unwrap();
        raise_open_files();
        assert_eq!(getrlimit(Resource::Nofile).current, before.maximum);
        setrlimit(Resource::Nofile, before).unwrap();
    }
}
