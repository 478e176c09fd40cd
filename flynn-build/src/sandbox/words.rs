use flynn_core::noun::Exit;
use flynn_core::value::Resources;

/// Why a command failed, in its own last words where it has some.
pub(super) fn reason(exit: &Exit, last_lines: &[String], limits: Resources) -> String {
    let how = match exit {
        Exit::Code(code) => format!("it ended with code {code}"),
        Exit::Signal(signal) => format!("it was killed by signal {signal}"),
        Exit::OutOfMemory => {
            return format!("it used more than the {} MiB of memory of a build", limits.memory_bytes >> 20);
        }
        Exit::OutOfDisk { reason } => return reason.clone(),
        Exit::NotStarted { reason } => format!("it could not be started: {reason}"),
    };
    let words = last_words(last_lines).unwrap_or(how);
    if last_lines.iter().any(|line| tells_of_a_kill(line)) {
        let mebibytes = limits.memory_bytes >> 20;
        return format!(
            "{words} (a program was killed, as happens when it needs more than the {mebibytes} MiB of a build)"
        );
    }
    words
}

/// Whether a tool says that a program which it started was killed. The kernel does so for want of memory, and only the
/// first process of a sandbox is known to have ended by that.
fn tells_of_a_kill(line: &str) -> bool {
    let line = line.trim_end();
    line.ends_with("signal: killed") || line.ends_with("Killed") || line.contains("SIGKILL")
}

/// The last error that the lines speak of, with what follows it; else the last line.
fn last_words(lines: &[String]) -> Option<String> {
    if let Some(words) = words_of_npm(lines).or_else(|| words_of_berry(lines)).or_else(|| words_of_go(lines)) {
        return Some(words);
    }
    let plain: Vec<_> = lines.iter().map(|line| undecorated(line)).collect();
    let begins = |line: &String| {
        let line = line.trim_start().to_lowercase();
        // pnpm begins with the name of an error, in brackets or not.
        let line = line.trim_start_matches(['[', '\u{2009}', ' ']);
        line.starts_with('×') || line.starts_with("error") || line.starts_with("err_pnpm")
    };
    let from = lines.iter().rposition(begins).or_else(|| plain.iter().rposition(|line| !line.is_empty()))?;
    // Where yarn 1 has its manual.
    let is_said = |line: &&str| !line.starts_with("info Visit ");
    joined(plain.iter().skip(from).map(String::as_str).filter(is_said))
}

/// What yarn 2 and later says of an error: lines with a number other than those of mere progress.
fn words_of_berry(lines: &[String]) -> Option<String> {
    const PROGRESS: [&str; 9] =
        ["YN0000", "YN0002", "YN0007", "YN0008", "YN0013", "YN0019", "YN0060", "YN0061", "YN0086"];
    if !lines.iter().any(|line| line.contains("YN0000") && line.contains("Failed with errors")) {
        return None;
    }
    let words = lines.iter().filter_map(|line| {
        let (code, words) = line.trim_start_matches(['➤', ' ']).split_once(':')?;
        let is_error = code.len() == 6 && code.starts_with("YN") && !PROGRESS.contains(&code);
        let words = words.trim_matches(|c: char| c.is_whitespace() || "│┌└·".contains(c));
        // Which lines of the lock would be others follows one by one.
        let is_line = words.starts_with(['+', '-', '@']);
        (is_error && !is_line).then_some(words)
    });
    joined(words)
}

/// What npm says of an error, without its manual and where its log is, which goes with the sandbox.
fn words_of_npm(lines: &[String]) -> Option<String> {
    const NOISE: [&str; 4] = ["A complete log of this run", "/tmp/", "For a full report see", "code "];
    let errors =
        lines.iter().filter_map(|line| line.strip_prefix("npm error").or_else(|| line.strip_prefix("npm ERR!")));
    let errors = errors.map(str::trim).take_while(|line| *line != "Clean install a project" && *line != "Usage:");
    joined(errors.filter(|line| !NOISE.iter().any(|noise| line.starts_with(noise))))
}

/// What Go says of an error: from the first line that begins with a place in a file.
fn words_of_go(lines: &[String]) -> Option<String> {
    let is_place = |line: &String| {
        let at = line.split_once(".go:").and_then(|(_, rest)| rest.split_once(':'));
        at.is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    };
    let from = lines.iter().position(is_place)?;
    joined(lines.iter().skip(from).map(|line| line.trim()))
}

fn joined<'a>(lines: impl Iterator<Item = &'a str>) -> Option<String> {
    let words: Vec<_> = lines.filter(|line| !line.is_empty()).take(12).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// A line without the rules and corners that some tools draw.
fn undecorated(line: &str) -> String {
    line.trim_matches(|c: char| c.is_whitespace() || "×╰─▶├│┬".contains(c)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&str], expect: Option<&str>) {
        let lines: Vec<_> = lines.iter().map(|&line| line.to_owned()).collect();
        assert_eq!(last_words(&lines).as_deref(), expect);
    }

    #[test]
    fn what_was_killed_by_the_kernel_is_recognised() {
        let limits = Resources { memory_bytes: 512 << 20, ..Resources::ZERO };
        let told = |line: &str| reason(&Exit::Code(1), &[line.to_owned()], limits);
        for line in ["x: compile: signal: killed", "sh: line 1:     7 Killed", "error: rustc exited with SIGKILL: kill"]
        {
            assert!(told(line).ends_with("more than the 512 MiB of a build)"), "{}", told(line));
        }
        assert_eq!(told("the process was killed by nobody"), "the process was killed by nobody");
    }

    #[test]
    fn the_last_error_is_the_reason() {
        check(&[], None);
        check(&["", " "], None);
        check(&["one", "two", ""], Some("two"));
        check(
            &[
                "Using Python 3.11.2",
                "  × No solution found when resolving dependencies:",
                "  ╰─▶ Because flask==99 was not found in the package registry and you require",
                "      flask==99, we can conclude that your requirements are unsatisfiable.",
            ],
            Some(
                "No solution found when resolving dependencies: Because flask==99 was not found in the package \
                 registry and you require flask==99, we can conclude that your requirements are unsatisfiable.",
            ),
        );
        check(&["error: first", "warning", "error: second"], Some("error: second"));
        check(
            &[
                "npm warn old lockfile",
                "npm error code EUSAGE",
                "npm error",
                "npm error `npm ci` can only install packages when your lock file is in sync.",
                "npm error",
                "npm error Missing: ws@8.18.0 from lock file",
                "npm error",
                "npm error Clean install a project",
                "npm error",
                "npm error Usage:",
                "npm error npm ci",
                "npm error A complete log of this run can be found in: /tmp/.npm/_logs/1.log",
            ],
            Some(
                "`npm ci` can only install packages when your lock file is in sync. Missing: ws@8.18.0 from lock file",
            ),
        );
        check(
            &[
                "yarn install v1.22.22",
                "[1/4] Resolving packages...",
                "error Your lockfile needs to be updated, but yarn was run with `--frozen-lockfile`.",
                "info Visit https://yarnpkg.com/en/docs/cli/install for documentation about this command.",
            ],
            Some("error Your lockfile needs to be updated, but yarn was run with `--frozen-lockfile`."),
        );
        check(
            &[
                "➤ YN0000: ┌ Resolution step",
                "➤ YN0000: └ Completed in 0s 250ms",
                "➤ YN0000: ┌ Post-resolution validation",
                "➤ YN0028: │ -\"ms@npm:2.1.2\":",
                "➤ YN0028: │ The lockfile would have been modified by this install, which is explicitly forbidden.",
                "➤ YN0000: └ Completed",
                "➤ YN0000: · Failed with errors in 0s 300ms",
            ],
            Some("The lockfile would have been modified by this install, which is explicitly forbidden."),
        );
        check(
            &["# example.org/x", "./main.go:3:1: undefined: a", "./main.go:4:1: undefined: b"],
            Some("./main.go:3:1: undefined: a ./main.go:4:1: undefined: b"),
        );
        check(
            &["main.go:8:2: missing go.sum entry; to add:", "\tgo get a"],
            Some("main.go:8:2: missing go.sum entry; to add: go get a"),
        );
        check(
            &[
                "Progress: resolved 1",
                " ERR_PNPM_OUTDATED_LOCKFILE  Cannot install with \"frozen-lockfile\"",
                "",
                "  Failure reason:",
                "  specifiers do not match",
            ],
            Some(
                "ERR_PNPM_OUTDATED_LOCKFILE  Cannot install with \"frozen-lockfile\" Failure reason: specifiers do not match",
            ),
        );
    }
}
