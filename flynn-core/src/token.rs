//! The secret of a token: what a caller shows and a store never holds.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::noun::TokenHash;

const PREFIX: &str = "flynn_";
const SECRET: usize = 43;
const CHECKSUM: usize = 4;

/// The secret of a [`Token`](crate::noun::Token).
///
/// As text it is `flynn_`, the 256 random bits as 43 characters of base64url, and 4 characters of
/// checksum (the first 24 bits of the SHA-256 of all before them), so that a scanner finds a leaked one
/// and a typing error is told from a revoked token. It is shown once, when it is made; what is
/// stored is its [`hash`](Self::hash). `Debug` does not show it.
///
/// ```
/// use flynn_core::TokenSecret;
///
/// let secret = TokenSecret::mint()?;
/// let again: TokenSecret = secret.reveal().parse()?;
/// assert_eq!(again.hash(), secret.hash());
/// assert!("flynn_secret".parse::<TokenSecret>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TokenSecret(String);

impl TokenSecret {
    /// A secret from the operating system's random numbers.
    ///
    /// # Errors
    /// The operating system gives none.
    pub fn mint() -> std::io::Result<Self> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits)?;
        Ok(Self::from_bits(&bits))
    }

    /// The secret with these bits, which must be random and of no other use.
    pub fn from_bits(bits: &[u8; 32]) -> Self {
        let mut text = String::from(PREFIX);
        URL_SAFE_NO_PAD.encode_string(bits, &mut text);
        let checksum = checksum(&text);
        text.push_str(&checksum);
        Self(text)
    }

    /// The whole text, to be shown to whom it belongs or sent to who has to check it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored in its place: the SHA-256 of the whole text.
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(&self.0).into())
    }
}

fn checksum(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(text)[..CHECKSUM * 6 / 8])
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(..)")
    }
}

/// A text that is not the secret of a token. It does not repeat the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenSecretError {
    /// It has another form.
    #[error("not a token: expected `{PREFIX}` and {n} characters of base64url", n = SECRET + CHECKSUM)]
    Form,
    /// It has the form of a token and a character in it is wrong.
    #[error("not a token: its checksum does not match, so a character of it is wrong or missing")]
    Checksum,
}

impl FromStr for TokenSecret {
    type Err = TokenSecretError;

    fn from_str(text: &str) -> Result<Self, TokenSecretError> {
        let coded = text.strip_prefix(PREFIX).ok_or(TokenSecretError::Form)?;
        if coded.len() != SECRET + CHECKSUM || !coded.is_ascii() {
            return Err(TokenSecretError::Form);
        }
        let (secret, sum) = coded.split_at(SECRET);
        let bits: Option<[u8; 32]> = URL_SAFE_NO_PAD.decode(secret).ok().and_then(|bits| bits.try_into().ok());
        let Some(bits) = bits else { return Err(TokenSecretError::Form) };
        let whole = Self::from_bits(&bits);
        if checksum(&text[..PREFIX.len() + SECRET]) != sum {
            return Err(TokenSecretError::Checksum);
        }
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn secrets_round_trip(bits in any::<[u8; 32]>()) {
            let secret = TokenSecret::from_bits(&bits);
            prop_assert_eq!(secret.reveal().len(), PREFIX.len() + SECRET + CHECKSUM);
            let read: TokenSecret = secret.reveal().parse().unwrap();
            prop_assert_eq!(read.reveal(), secret.reveal());
        }

        #[test]
        fn one_wrong_character_is_noticed(bits in any::<[u8; 32]>(), place in 6..53_usize, other in "[A-Za-z0-9_-]") {
            let mut text = String::from(TokenSecret::from_bits(&bits).reveal());
            prop_assume!(text[place..=place] != other);
            text.replace_range(place..=place, &other);
            prop_assert!(text.parse::<TokenSecret>().is_err());
        }

        #[test]
        fn no_text_panics(text in "(flynn_)?.{0,60}") {
            let _ = text.parse::<TokenSecret>();
        }
    }

    #[test]
    fn the_form_of_a_secret_stays() {
        let secret = TokenSecret::from_bits(&[7; 32]);
        assert_eq!(secret.reveal(), "flynn_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcbLLp");
        assert_eq!(format!("{secret:?}"), "TokenSecret(..)");
        assert!(TokenSecret::mint().unwrap().hash() != TokenSecret::mint().unwrap().hash());
    }

    #[test]
    fn other_texts_are_told_apart() {
        let good = String::from(TokenSecret::from_bits(&[7; 32]).reveal());
        let swapped = good.replacen("Bw", "wB", 1);
        let error = |text: &str| text.parse::<TokenSecret>().unwrap_err();
        assert_eq!(error(&swapped), TokenSecretError::Checksum);
        for bad in ["", "flynn_", &good[6..], &good[..50], &format!("{good}A"), &good.replace("flynn", "Flynn")] {
            assert_eq!(error(bad), TokenSecretError::Form, "{bad}");
        }
        assert!(!error(&swapped).to_string().contains("wBcH"));
    }
}
