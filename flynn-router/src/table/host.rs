use std::fmt;

/// The host of a request in the form in which routes are compared: lower case, no port, no final dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host(Box<str>);

impl Host {
    /// Parses the value of a `Host` field or the authority of a request target: a name or an address with an
    /// optional port. None if it is neither.
    pub fn parse(input: &str) -> Option<Self> {
        let name = match input.strip_prefix('[') {
            Some(rest) => {
                let (inside, port) = rest.split_once(']')?;
                let is_address = inside.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'));
                if inside.is_empty() || !is_address || !is_port(port) {
                    return None;
                }
                input.get(..inside.len() + 2)?
            }
            None => {
                let end = input.find(':').unwrap_or(input.len());
                let (name, port) = input.split_at(end);
                let holds = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
                if !holds || !is_port(port) {
                    return None;
                }
                name.strip_suffix('.').unwrap_or(name)
            }
        };
        (!name.is_empty() && name.len() <= 253).then(|| Self(name.to_ascii_lowercase().into()))
    }

    /// The host as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the first label; none if there is only one.
    pub fn parent(&self) -> Option<&str> {
        let (label, rest) = self.0.split_once('.')?;
        (!label.is_empty() && !rest.is_empty()).then_some(rest)
    }
}

fn is_port(text: &str) -> bool {
    match text.strip_prefix(':') {
        Some(digits) => digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()),
        None => text.is_empty(),
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expect: Option<&str>) {
        assert_eq!(Host::parse(input).as_ref().map(Host::as_str), expect, "{input:?}");
    }

    #[test]
    fn hosts_lose_case_port_and_final_dot() {
        check("Example.COM", Some("example.com"));
        check("example.com:8080", Some("example.com"));
        check("example.com.:80", Some("example.com"));
        check("example.com:", Some("example.com"));
        check("127.0.0.1:80", Some("127.0.0.1"));
        check("[::1]:80", Some("[::1]"));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for input in
            ["", ":80", ".", "a b", "a,b", "a/b", "user@a", "a:b", "a:123456", "[]", "[::1", "[::1]x", "ä", "a\t"]
        {
            check(input, None);
        }
    }

    #[test]
    fn the_parent_is_what_a_wildcard_names() {
        assert_eq!(Host::parse("a.b.example").unwrap().parent(), Some("b.example"));
        assert_eq!(Host::parse("localhost").unwrap().parent(), None);
    }
}
