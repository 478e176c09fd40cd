use crate::detect::VersionRequest;

/// A word to the author whose wish is not what there is; none if it is.
///
/// Only the Python of the base image is offered, so that a wish decides nothing. A range, such as that of
/// `requires-python`, is left to uv, which knows how to read it and refuses what does not fit.
pub(super) fn note(wish: Option<&VersionRequest>, offered: &str) -> Option<String> {
    let wish = wish?;
    let numbers = |text: &str| -> Option<Vec<u32>> { text.split('.').map(|part| part.parse().ok()).collect() };
    let (asked, offers) = (numbers(&wish.text)?, numbers(offered)?);
    let is_met = offers.len() >= asked.len() && asked.iter().zip(&offers).all(|(asked, offers)| asked == offers);
    (!is_met).then(|| {
        let VersionRequest { text, file } = wish;
        format!("{file} asks for Python {text}; this platform has {offered}, which is used")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wish: &str, offered: &str, has_note: bool) {
        let wish = VersionRequest { text: wish.to_owned(), file: ".python-version" };
        assert_eq!(note(Some(&wish), offered).is_some(), has_note, "{wish:?} {offered}");
    }

    #[test]
    fn only_a_wish_that_is_not_met_is_worth_a_word() {
        check("3.11", "3.11.2", false);
        check("3.11.2", "3.11.2", false);
        check("3.11.9", "3.11.2", true);
        check("3.12", "3.11.2", true);
        check("3.1", "3.11.2", true);
        check(">=3.12", "3.11.2", false);
        assert_eq!(note(None, "3.11.2"), None);
    }
}
