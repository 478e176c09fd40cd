use super::range::contains;
use crate::detect::VersionRequest;

/// A word to the author whose wish is not what there is; none if it is. An error if a range that has to be kept
/// excludes it.
///
/// Only the Python of the base image is offered, so that a wish decides nothing. What is not understood is left to
/// the installer.
pub(super) fn judge(wish: Option<&VersionRequest>, offered: &str, binding: bool) -> Result<Option<String>, String> {
    let Some(VersionRequest { text, file }) = wish else {
        return Ok(None);
    };
    let numbers = |text: &str| -> Option<Vec<u32>> { text.split('.').map(|part| part.parse().ok()).collect() };
    let Some(offers) = numbers(offered) else {
        return Ok(None);
    };
    let note = || format!("{file} asks for Python {text}; this platform has {offered}, which is used");
    if let Some(asked) = numbers(text) {
        let is_met = offers.len() >= asked.len() && asked.iter().zip(&offers).all(|(asked, offers)| asked == offers);
        return Ok((!is_met).then(note));
    }
    match contains(text, &offers) {
        Some(false) if binding => Err(format!(
            "{file} requires Python {text}, and this platform has {offered}: allow it, once the app works with it"
        )),
        Some(false) => Ok(Some(note())),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wish: &str, offered: &str, has_note: bool) {
        let wish = VersionRequest { text: wish.to_owned(), file: ".python-version" };
        assert_eq!(judge(Some(&wish), offered, true).unwrap().is_some(), has_note, "{wish:?} {offered}");
    }

    #[test]
    fn only_a_wish_that_is_not_met_is_worth_a_word() {
        check("3.11", "3.11.2", false);
        check("3.11.2", "3.11.2", false);
        check("3.11.9", "3.11.2", true);
        check("3.12", "3.11.2", true);
        check("3.1", "3.11.2", true);
        check(">=3.9", "3.11.2", false);
        check("whatever", "3.11.2", false);
        assert_eq!(judge(None, "3.11.2", true), Ok(None));
    }

    #[test]
    fn a_range_that_has_to_be_kept_excludes() {
        let wish = VersionRequest { text: ">=3.12".to_owned(), file: "pyproject.toml" };
        assert!(judge(Some(&wish), "3.11.2", true).unwrap_err().contains("requires Python >=3.12"));
        assert!(judge(Some(&wish), "3.11.2", false).unwrap().is_some());
    }
}
