//! Which language: what was asked for, and what comes in its place.

use std::fmt;
use std::str::FromStr;

/// Longest locale, in characters: BCP 47 asks for no more than 35.
const CHARS_MAX: usize = 35;

/// A locale as BCP 47 writes it: `en`, `pt-BR`, `zh-Hant-TW`. An underscore is read as a hyphen, and
/// what follows a dot (`de_AT.UTF-8`) is dropped. Compared without regard to case.
#[derive(Debug, Clone)]
pub struct Locale(String);

/// Not of the form of a locale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a locale: letters and digits with hyphens between them, en or pt-BR say")]
pub struct InvalidLocale;

impl FromStr for Locale {
    type Err = InvalidLocale;

    fn from_str(text: &str) -> Result<Self, InvalidLocale> {
        let text = text.split('.').next().unwrap_or_default().replace('_', "-");
        let mut parts = text.split('-');
        let language = parts.next().unwrap_or_default();
        let well_formed = (2..=8).contains(&language.len())
            && language.bytes().all(|byte| byte.is_ascii_alphabetic())
            && parts.all(|part| {
                (1..=8).contains(&part.len())
                    && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
            })
            && text.len() <= CHARS_MAX;
        if well_formed { Ok(Self(text)) } else { Err(InvalidLocale) }
    }
}

impl Locale {
    /// The locale as it was written, with hyphens.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This locale, then less and less of it: `zh-Hant-TW`, `zh-Hant`, `zh`.
    pub fn and_wider(&self) -> impl Iterator<Item = &str> {
        let mut rest = Some(self.0.as_str());
        std::iter::from_fn(move || {
            let this = rest?;
            rest = this.rsplit_once('-').map(|(wider, _)| wider);
            Some(this)
        })
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq for Locale {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Locale {}

/// What comes in place of a locale there is no template for, in order; the last one is the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locales(Vec<Locale>);

impl Default for Locales {
    fn default() -> Self {
        Self(vec![Locale("en".to_owned())])
    }
}

impl FromStr for Locales {
    type Err = String;

    /// Reads `de,en`.
    fn from_str(text: &str) -> Result<Self, String> {
        let locales = text
            .split(',')
            .map(str::trim)
            .map(|part| part.parse().map_err(|error: InvalidLocale| format!("{part:?} {error}")));
        locales.collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Locales {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<&str> = self.0.iter().map(Locale::as_str).collect();
        f.write_str(&all.join(","))
    }
}

impl Locales {
    /// The one that every action should have.
    pub fn default_locale(&self) -> Option<&Locale> {
        self.0.last()
    }

    /// Everything to try for `wanted`, best first: it and what is wider, then this chain, each with
    /// what is wider.
    pub fn candidates<'a>(
        &'a self,
        wanted: Option<&'a Locale>,
    ) -> impl Iterator<Item = &'a str> + 'a {
        wanted.into_iter().chain(&self.0).flat_map(Locale::and_wider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locale(text: &str) -> Locale {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_written_otherwise_is_the_same_locale() {
        assert_eq!(locale("pt_BR"), locale("pt-br"));
        assert_eq!(locale("de_AT.UTF-8").as_str(), "de-AT");
        for text in [
            "",
            "e",
            "en-",
            "-en",
            "en--US",
            "e1",
            "../en",
            "en/US",
            "en-ä",
            "x".repeat(9).as_str(),
        ] {
            assert!(text.parse::<Locale>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn from_the_wanted_to_its_base_language_then_along_the_chain_to_the_default() {
        let chain: Locales = "de-CH, en".parse().unwrap();
        let zh = locale("zh-Hant-TW");
        let tried: Vec<&str> = chain.candidates(Some(&zh)).collect();
        assert_eq!(tried, ["zh-Hant-TW", "zh-Hant", "zh", "de-CH", "de", "en"]);
        assert_eq!(chain.candidates(None).collect::<Vec<_>>(), ["de-CH", "de", "en"]);
        assert_eq!(chain.default_locale(), Some(&locale("en")));
    }

    #[test]
    fn a_bad_part_of_a_chain_is_named() {
        let error = "en,x/y".parse::<Locales>().unwrap_err();
        assert!(error.starts_with("\"x/y\" is not a locale"), "{error}");
        assert!("".parse::<Locales>().is_err());
    }
}
