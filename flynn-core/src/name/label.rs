use super::{is_dns_label, name};

fn letter_first_label(input: &str, longest: usize) -> Option<String> {
    let starts_with_letter = input.starts_with(|c: char| c.is_ascii_lowercase());
    (starts_with_letter && is_dns_label(input, longest)).then(|| input.to_owned())
}

fn word(input: &str, longest: usize, inner: fn(u8) -> bool) -> Option<String> {
    let bytes = input.as_bytes();
    let ends_alphanumeric = bytes.first()?.is_ascii_alphanumeric() && bytes.last()?.is_ascii_alphanumeric();
    let inside = bytes.iter().all(|b| b.is_ascii_alphanumeric() || inner(*b));
    (bytes.len() <= longest && ends_alphanumeric && inside).then(|| input.to_owned())
}

name!(
    /// The name of an app, unique in the cluster; its default host is `NAME.DOMAIN`.
    ///
    /// ```
    /// use flynn_core::name::AppName;
    ///
    /// assert_eq!(AppName::new("web-2")?.as_str(), "web-2");
    /// assert!(AppName::new("Web").is_err());
    /// # Ok::<(), flynn_core::name::NameError>(())
    /// ```
    AppName,
    "app name",
    "use 1 to 40 of a-z, 0-9 and -, starting with a letter and not ending with -",
    |input| letter_first_label(input, 40)
);

name!(
    /// The name of a team, unique in the cluster.
    TeamName,
    "team name",
    "use 1 to 40 of a-z, 0-9 and -, starting with a letter and not ending with -",
    |input| letter_first_label(input, 40)
);

name!(
    /// The name of a user, unique in the cluster.
    UserName,
    "user name",
    "use 1 to 64 of A-Z, a-z, 0-9 and . _ - @ +, starting and ending with a letter or digit",
    |input| word(input, 64, |b| matches!(b, b'.' | b'_' | b'-' | b'@' | b'+'))
);

name!(
    /// The name of a process type of an app, as in a Procfile: `web`, `worker`.
    ProcessName,
    "process type",
    "use 1 to 30 of a-z, 0-9, - and _, starting with a letter",
    |input| {
        let inside = input.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        let fits = (1..=30).contains(&input.len());
        (fits && inside && input.starts_with(|c: char| c.is_ascii_lowercase())).then(|| input.to_owned())
    }
);

impl ProcessName {
    /// Whether instances of this process type serve requests and so get a `PORT`: `web` and `*-web`.
    pub fn is_web(&self) -> bool {
        self.as_str() == "web" || self.as_str().ends_with("-web")
    }
}

name!(
    /// The name of a node or router: a host name in lower case, unique in the cluster.
    NodeName,
    "node name",
    "use a host name of at most 253 characters: labels of a-z, 0-9 and - joined by dots",
    |input| {
        let labels_hold = input.split('.').all(|label| is_dns_label(label, 63));
        (input.len() <= 253 && labels_hold).then(|| input.to_owned())
    }
);

name!(
    /// The name of a volume within its app.
    VolumeName,
    "volume name",
    "use 1 to 40 of a-z, 0-9 and -, starting with a letter and not ending with -",
    |input| letter_first_label(input, 40)
);

name!(
    /// The name of an add-on provider, unique in the cluster.
    ProviderName,
    "provider name",
    "use 1 to 40 of a-z, 0-9 and -, starting with a letter and not ending with -",
    |input| letter_first_label(input, 40)
);

name!(
    /// The name of an environment variable of an app.
    EnvKey,
    "environment variable name",
    "use 1 to 256 of A-Z, a-z, 0-9 and _, not starting with a digit",
    |input| {
        let inside = input.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let starts_well = input.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        (input.len() <= 256 && inside && starts_well).then(|| input.to_owned())
    }
);

name!(
    /// The key of a node label, such as `zone` or `example.com/rack`.
    LabelKey,
    "label key",
    "use 1 to 128 of A-Z, a-z, 0-9 and . _ - /, starting and ending with a letter or digit",
    |input| word(input, 128, |b| matches!(b, b'.' | b'_' | b'-' | b'/'))
);

name!(
    /// The value of a node label.
    LabelValue,
    "label value",
    "use at most 128 of A-Z, a-z, 0-9 and . _ - /, starting and ending with a letter or digit",
    |input| match input {
        "" => Some(String::new()),
        _ => word(input, 128, |b| matches!(b, b'.' | b'_' | b'-' | b'/')),
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T, E>(parse: fn(&str) -> Result<T, E>, good: &[&str], bad: &[&str]) {
        for input in good {
            assert!(parse(input).is_ok(), "{input:?} should parse");
        }
        for input in bad {
            assert!(parse(input).is_err(), "{input:?} should be refused");
        }
    }

    #[test]
    fn app_names_are_dns_labels_that_start_with_a_letter() {
        let long = "a".repeat(40);
        let too_long = "a".repeat(41);
        check(
            AppName::new,
            &["a", "web-2", &long],
            &["", "2web", "-a", "a-", "Web", "a.b", "a_b", "ä", "a b", &too_long],
        );
    }

    #[test]
    fn process_names_are_words_of_a_procfile() {
        check(ProcessName::new, &["web", "api-web", "job_2"], &["", "Web", "2web", "web.1", "web 1", &"w".repeat(31)]);
        assert!(ProcessName::new("admin-web").is_ok_and(|name| name.is_web()));
        assert!(ProcessName::new("worker").is_ok_and(|name| !name.is_web()));
    }

    #[test]
    fn environment_names_are_those_a_shell_can_set() {
        check(
            EnvKey::new,
            &["A", "_x", "DATABASE_URL2"],
            &["", "2A", "A-B", "A=B", "A B", "Ä", "A\0", &"A".repeat(257)],
        );
    }

    #[test]
    fn node_names_are_host_names() {
        check(NodeName::new, &["n1", "n-1.rack2.example"], &["", "N1", ".n", "n.", "n..m", &"n".repeat(64)]);
    }

    #[test]
    fn labels_keep_to_printable_words() {
        check(LabelKey::new, &["zone", "example.com/rack"], &["", "/zone", "zone/", "a b"]);
        check(LabelValue::new, &["", "eu-1"], &["-", "a\n"]);
    }

    #[test]
    fn errors_name_the_rule_and_escape_the_input() {
        let error = AppName::new("a\u{1b}[31m").unwrap_err().to_string();
        assert!(error.contains(r"\u{1b}") && error.contains("starting with a letter"), "{error}");
    }
}
