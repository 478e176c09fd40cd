use std::borrow::Borrow;
use std::fmt;

/// The longest path in bytes, as Linux takes it.
const MOST_BYTES: usize = 4_095;
/// The longest name of one file or folder in bytes.
const MOST_NAME_BYTES: usize = 255;

/// The path of an entry from the root of a tree: names joined by `/`, none of them empty, `.` or `..`, no NUL.
///
/// ```
/// use flynn_build::source::TreePath;
///
/// assert_eq!(TreePath::new("src/main.rs").unwrap().as_str(), "src/main.rs");
/// assert!(TreePath::new("../secret").is_err());
/// assert!(TreePath::new("/etc/passwd").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(String);

impl TreePath {
    /// Parses `input`.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn new(input: &str) -> Result<Self, &'static str> {
        if input.starts_with('/') {
            return Err("it is an absolute path");
        }
        if input.len() > MOST_BYTES {
            return Err("its path is longer than 4095 bytes");
        }
        if input.contains('\0') {
            return Err("its name contains a NUL");
        }
        for name in input.split('/') {
            match name {
                "" | "." => return Err("its path has an empty name or `.` in it"),
                ".." => return Err("its path has `..` in it"),
                name if name.len() > MOST_NAME_BYTES => return Err("a name in its path is longer than 255 bytes"),
                _ => {}
            }
        }
        Ok(Self(input.to_owned()))
    }

    /// Parses a path as archives spell it: `./` in front, `/` behind and doubled slashes mean nothing. None is
    /// the root itself.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(crate) fn from_archive(input: &str) -> Result<Option<Self>, &'static str> {
        if input.starts_with('/') {
            return Err("it is an absolute path");
        }
        let names: Vec<_> = input.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
        if names.is_empty() { Ok(None) } else { Self::new(&names.join("/")).map(Some) }
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder it lies in; none if that is the root.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.to_owned()))
    }

    /// Its last name.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl Borrow<str> for TreePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&printable(&self.0), f)
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A text that may be hostile, short and without control characters.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == 200 {
            out.push('…');
            break;
        }
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_beneath_the_root() {
        for good in ["a", "a/b", "a b", "ä/ö", "..a", "a..", ".git", "Icon\r"] {
            assert!(TreePath::new(good).is_ok(), "{good:?}");
        }
        let long_name = "n".repeat(256);
        let long_path = "a/".repeat(3_000) + "a";
        for bad in ["", "/", "/a", ".", "..", "a/..", "a/../b", "a//b", "a/", "./a", "a\0b", &long_name, &long_path] {
            assert!(TreePath::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn archives_spell_paths_with_dots_and_slashes() {
        let check = |input: &str, expect: Result<Option<&str>, ()>| {
            let path = TreePath::from_archive(input);
            assert_eq!(path.as_ref().map(|path| path.as_ref().map(TreePath::as_str)).map_err(|_| ()), expect);
        };
        check("./", Ok(None));
        check(".", Ok(None));
        check("./a/", Ok(Some("a")));
        check("a//./b", Ok(Some("a/b")));
        check("/a", Err(()));
        check("a/../b", Err(()));
        check("./..", Err(()));
    }

    #[test]
    fn what_is_shown_has_no_control_characters() {
        assert_eq!(TreePath::new("a\u{1b}[31m\n").unwrap().to_string(), r"a\u{1b}[31m\n");
    }
}
