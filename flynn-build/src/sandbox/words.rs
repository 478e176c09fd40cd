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
    last_words(last_lines).unwrap_or(how)
}

/// The last error that the lines speak of, with what follows it; else the last line.
fn last_words(lines: &[String]) -> Option<String> {
    if let Some(words) = words_of_npm(lines) {
        return Some(words);
    }
    let plain: Vec<_> = lines.iter().map(|line| undecorated(line)).collect();
    let begins = |line: &String| {
        let line = line.trim_start().to_lowercase();
        line.starts_with('×') || line.starts_with("error")
    };
    let from = lines.iter().rposition(begins).or_else(|| plain.iter().rposition(|line| !line.is_empty()))?;
    joined(plain.iter().skip(from).map(String::as_str))
}

/// What npm says of an error, without its manual and where its log is, which goes with the sandbox.
fn words_of_npm(lines: &[String]) -> Option<String> {
    const NOISE: [&str; 4] = ["A complete log of this run", "/tmp/", "For a full report see", "code "];
    let errors =
        lines.iter().filter_map(|line| line.strip_prefix("npm error").or_else(|| line.strip_prefix("npm ERR!")));
    let errors = errors.map(str::trim).take_while(|line| *line != "Clean install a project" && *line != "Usage:");
    joined(errors.filter(|line| !NOISE.iter().any(|noise| line.starts_with(noise))))
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
    }
}
