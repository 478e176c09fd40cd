//! What may be pushed: a decision about each ref of a push.

use super::{Branch, CommitId};

/// A change of a ref that a pusher asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefChange {
    old: CommitId,
    pub(crate) new: CommitId,
    pub(crate) name: String,
}

/// What is to be done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    Deploy(Branch),
    Refuse(String),
}

impl RefChange {
    /// Reads `OLD NEW NAME`.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?.trim_end_matches('\n');
        let mut words = line.splitn(3, ' ');
        let (old, new, name) = (words.next()?, words.next()?, words.next()?);
        Some(Self { old: old.parse().ok()?, new: new.parse().ok()?, name: name.to_owned() })
    }

    /// The commit that the ref was at when its pusher looked, if there was one.
    pub(crate) fn seen(&self) -> Option<&CommitId> {
        Some(&self.old).filter(|old| !old.is_zero())
    }
}

/// Decides about the changes of one push, in their order. At most one is deployed. With `atomic`, all are
/// refused if one is.
pub(crate) fn judge(changes: &[RefChange], branches: &[Branch], atomic: bool) -> Vec<Decision> {
    let mut deployed = false;
    let mut decisions: Vec<_> = changes
        .iter()
        .map(|change| match decide(change, branches) {
            Decision::Deploy(_) if deployed => Decision::Refuse("one branch can be deployed at a time".into()),
            decision => {
                deployed |= matches!(decision, Decision::Deploy(_));
                decision
            }
        })
        .collect();
    if atomic && decisions.iter().any(|decision| matches!(decision, Decision::Refuse(_))) {
        for decision in &mut decisions {
            if matches!(decision, Decision::Deploy(_)) {
                *decision = Decision::Refuse("another ref of this atomic push is refused".into());
            }
        }
    }
    decisions
}

fn decide(change: &RefChange, branches: &[Branch]) -> Decision {
    let refuse = |reason: &str| Decision::Refuse(reason.to_owned());
    if change.new.is_zero() {
        return refuse("nothing is deleted by a push");
    }
    if change.name.starts_with("refs/tags/") {
        return refuse("tags are not kept here, push a branch");
    }
    let Some(name) = change.name.strip_prefix("refs/heads/") else {
        return refuse("only a branch can be pushed");
    };
    match (branches.iter().find(|branch| branch.as_str() == name), branches.first()) {
        (Some(branch), _) => Decision::Deploy(branch.clone()),
        (None, Some(main)) => Decision::Refuse(format!("only {main} is deployed")),
        (None, None) => refuse("no branch is deployed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(refs: &[&str], atomic: bool, expect: &[&str]) {
        let branches = ["main", "master"].map(|name| Branch::new(name).unwrap());
        let changes: Vec<_> = refs
            .iter()
            .map(|text| {
                let (new, name) = match text.strip_prefix('-') {
                    Some(name) => ("0".repeat(40), name),
                    None => ("a".repeat(40), *text),
                };
                RefChange::parse(format!("{} {new} {name}\n", "0".repeat(40)).as_bytes()).unwrap()
            })
            .collect();
        let got: Vec<_> = judge(&changes, &branches, atomic)
            .into_iter()
            .map(|decision| match decision {
                Decision::Deploy(branch) => format!("deploy {branch}"),
                Decision::Refuse(reason) => reason,
            })
            .collect();
        assert_eq!(got, expect);
    }

    #[test]
    fn deploy_branches_are_deployed_and_others_told_which_is() {
        check(&["refs/heads/main"], false, &["deploy main"]);
        check(&["refs/heads/master"], false, &["deploy master"]);
        check(&["refs/heads/dev"], false, &["only main is deployed"]);
        check(&["refs/heads/main2"], false, &["only main is deployed"]);
    }

    #[test]
    fn deletions_tags_and_other_refs_are_refused() {
        check(&["-refs/heads/main"], false, &["nothing is deleted by a push"]);
        check(&["refs/tags/main"], false, &["tags are not kept here, push a branch"]);
        check(&["refs/notes/main", "refs/main"], false, &["only a branch can be pushed"; 2]);
    }

    #[test]
    fn one_ref_of_a_push_is_deployed() {
        check(
            &["refs/heads/master", "refs/heads/main"],
            false,
            &["deploy master", "one branch can be deployed at a time"],
        );
        check(&["refs/heads/main", "refs/heads/dev"], false, &["deploy main", "only main is deployed"]);
        let all = ["another ref of this atomic push is refused", "only main is deployed"];
        check(&["refs/heads/main", "refs/heads/dev"], true, &all);
    }

    #[test]
    fn lines_that_are_no_change_are_not_read() {
        for bad in [&b""[..], b"a b", b"x y refs/heads/main", b"\xff"] {
            assert_eq!(RefChange::parse(bad), None);
        }
    }
}
