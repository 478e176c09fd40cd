use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use flynn_core::name::ProcessName;

/// The process types of an app and their commands, as its `Procfile` states them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Procfile {
    /// The commands, to be run by a shell.
    pub processes: BTreeMap<ProcessName, String>,
}

/// A `Procfile` that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Procfile line {line}: {problem}")]
#[non_exhaustive]
pub struct ProcfileError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl Procfile {
    /// Reads a `Procfile`: lines of the form `NAME: COMMAND`. Empty lines and lines that begin with `#` mean nothing;
    /// anything else is an error, since a line that is silently ignored is a process that silently does not run.
    ///
    /// ```
    /// use flynn_build::detect::Procfile;
    ///
    /// let procfile = Procfile::parse("web: ./serve --port $PORT\nworker: ./work\n")?;
    /// assert_eq!(procfile.processes.len(), 2);
    /// let error = Procfile::parse("web: ./serve\nworker ./work\n").unwrap_err();
    /// assert_eq!(error.line, 2);
    /// # Ok::<(), flynn_build::detect::ProcfileError>(())
    /// ```
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(text: &str) -> Result<Self, ProcfileError> {
        let mut processes = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let wrong = |problem: String| ProcfileError { line: index + 1, problem };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.contains('\0') {
                return Err(wrong("it contains a NUL: save the file as UTF-8".into()));
            }
            let missing = || wrong("expected `NAME: COMMAND`, such as `web: ./serve`".into());
            let (name, command) = line.split_once(':').ok_or_else(missing)?;
            let name = ProcessName::new(name.trim_end()).map_err(|error| wrong(error.to_string()))?;
            let command = command.trim();
            if command.is_empty() {
                return Err(wrong(format!("`{name}` has no command")));
            }
            match processes.entry(name) {
                Entry::Occupied(taken) => {
                    return Err(wrong(format!("`{}` is there twice", taken.key())));
                }
                Entry::Vacant(free) => drop(free.insert(command.to_owned())),
            }
        }
        if processes.is_empty() {
            let problem = String::from("there is no process in it: write a line such as `web: ./serve`");
            return Err(ProcfileError { line: 1, problem });
        }
        Ok(Self { processes })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expect: Result<&[(&str, &str)], (usize, &str)>) {
        match (Procfile::parse(text), expect) {
            (Ok(procfile), Ok(expect)) => {
                let got: Vec<_> = procfile.processes.iter().map(|(n, c)| (n.as_str(), c.as_str())).collect();
                assert_eq!(got, expect, "{text:?}");
            }
            (Err(error), Err((line, problem))) => {
                assert_eq!(error.line, line, "{text:?}: {error}");
                assert!(error.problem.contains(problem), "{text:?}: {error}");
            }
            (got, expect) => panic!("{text:?}: {got:?} instead of {expect:?}"),
        }
    }

    #[test]
    fn lines_are_names_and_commands() {
        check("web: ./a\n", Ok(&[("web", "./a")]));
        check("web:./a", Ok(&[("web", "./a")]));
        check("web:  a: b  \r\nworker : c\r\n", Ok(&[("web", "a: b"), ("worker", "c")]));
        check("\n# note\n  web: a # b\n\n", Ok(&[("web", "a # b")]));
        check("admin-web: x\njob_2: y", Ok(&[("admin-web", "x"), ("job_2", "y")]));
    }

    #[test]
    fn what_is_not_such_a_line_is_an_error_with_its_number() {
        check("", Err((1, "no process")));
        check("# only\n", Err((1, "no process")));
        check("web: a\nworker b\n", Err((2, "expected `NAME: COMMAND`")));
        check("web: a\n\nWeb: b\n", Err((3, "a-z, 0-9")));
        check("web:\n", Err((1, "no command")));
        check("web: a\nweb: b", Err((2, "there twice")));
        check("w\0e\0b\0:\0 \0a\0", Err((1, "NUL")));
        check(": a", Err((1, "process type")));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(processes in proptest::collection::btree_map("[a-z][a-z0-9_-]{0,10}", "[!-~]([ -~]{0,20}[!-~])?", 1..5)) {
            let text: String = processes.iter().map(|(name, command)| format!("{name}: {command}\n")).collect();
            let read = Procfile::parse(&text).unwrap();
            let read: BTreeMap<_, _> = read.processes.into_iter().map(|(n, c)| (n.as_str().to_owned(), c)).collect();
            prop_assert_eq!(read, processes);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*(\n\\PC*){0,5}") {
            if let Err(error) = Procfile::parse(&text) {
                prop_assert!(error.line >= 1 && error.line <= text.lines().count().max(1));
            }
        }
    }
}
