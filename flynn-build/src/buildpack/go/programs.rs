//! Which of an app's programs serves.

/// A program that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    /// The path of its package, such as `example.org/hello/cmd/serve`.
    pub(super) package: String,
    /// The name of its file.
    pub(super) name: String,
}

/// Reads lines of a package and the file that it became.
pub(super) fn read(list: &str) -> Vec<Program> {
    let program = |line: &str| {
        let (package, file) = line.trim().split_once(' ')?;
        let name = file.rsplit('/').next()?;
        Some(Program { package: package.to_owned(), name: name.to_owned() })
    };
    list.lines().filter_map(program).collect()
}

/// The program that is `web` where nobody says which: the module itself, else the only one, else one that is named
/// like what it does or like the module.
///
/// # Errors
/// The programs to choose from, for their author.
pub(super) fn web<'a>(module: &str, programs: &'a [Program]) -> Result<&'a Program, String> {
    let named = |name: &str| programs.iter().find(|program| program.name == name);
    let base = module.rsplit('/').next().unwrap_or(module);
    let only = || if let [only] = programs { Some(only) } else { None };
    let found = programs.iter().find(|program| program.package == module).or_else(only);
    found.or_else(|| ["web", "server", base].into_iter().find_map(named)).ok_or_else(|| {
        let names: Vec<_> = programs.iter().map(|program| format!("bin/{}", program.name)).collect();
        format!(
            "it is not said which program to start: add a Procfile with a line `web: COMMAND` for one of {}",
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(list: &str, expect: Result<&str, &str>) {
        let programs = read(list);
        match (web("example.org/x/hello", &programs), expect) {
            (Ok(program), Ok(name)) => assert_eq!(program.name, name),
            (Err(error), Err(words)) => assert!(error.contains(words), "{error}"),
            (got, expect) => panic!("{got:?} instead of {expect:?}"),
        }
    }

    #[test]
    fn one_program_serves() {
        check("example.org/x/hello /app/bin/hello\nexample.org/x/hello/cmd/a /app/bin/a\n", Ok("hello"));
        check("example.org/x/hello/cmd/a /app/bin/a\n", Ok("a"));
        check("example.org/x/hello/cmd/a /app/bin/a\nexample.org/x/hello/cmd/server /app/bin/server", Ok("server"));
        check("example.org/x/hello/cmd/a /app/bin/a\nexample.org/x/hello/cmd/hello /app/bin/hello", Ok("hello"));
        check("e/cmd/a /app/bin/a\ne/cmd/b /app/bin/b\n", Err("one of bin/a, bin/b"));
    }
}
