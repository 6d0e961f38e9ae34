//! The templates there are: read from a folder, or those that come with Mailroom.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::locale::{Locale, Locales};
use crate::template::{Problem, Template};

/// The files of a template, in its folder.
pub const FILES: [&str; 3] = ["subject.txt", "body.html", "body.txt"];

/// Templates by action and locale.
#[derive(Debug, Default)]
pub struct Catalogue {
    actions: BTreeMap<String, Vec<(Locale, Template)>>,
}

/// Why a folder is not a catalogue. Names the file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A folder or file cannot be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A folder whose name is no locale.
    #[error("{}: the folder's name is not a locale, en or pt-BR say", path.display())]
    NotALocale {
        /// Which.
        path: PathBuf,
    },
    /// A template that is not well-formed.
    #[error("{}: {problem}", path.display())]
    Malformed {
        /// The folder of the template.
        path: PathBuf,
        /// What is wrong.
        problem: Problem,
    },
    /// There is nothing in it.
    #[error("{}: there are no templates: expected <action>/<locale>/subject.txt, body.html, body.txt", path.display())]
    Empty {
        /// Which.
        path: PathBuf,
    },
}

macro_rules! built_in {
    ($($action:literal / $locale:literal),* $(,)?) => {
        [$((
            $action,
            $locale,
            include_str!(concat!("../../templates/", $action, "/", $locale, "/subject.txt")),
            include_str!(concat!("../../templates/", $action, "/", $locale, "/body.html")),
            include_str!(concat!("../../templates/", $action, "/", $locale, "/body.txt")),
        )),*]
    };
}

impl Catalogue {
    /// The templates that come with Mailroom.
    ///
    /// # Errors
    /// None, as long as Mailroom's own templates are well-formed; a test renders each.
    pub fn built_in() -> Result<Self, Problem> {
        let mut catalogue = Self::default();
        for (action, locale, subject, html, text) in built_in![
            "activation" / "en",
            "activation" / "de",
            "password_recovery" / "en",
            "password_recovery" / "de",
            "email_change" / "en",
            "email_change" / "de",
            "magic_link" / "en",
            "magic_link" / "de",
            "invitation" / "en",
            "invitation" / "de",
        ] {
            let Ok(locale) = locale.parse() else { continue };
            catalogue.insert(action, locale, Template::new(subject, html, text)?);
        }
        Ok(catalogue)
    }

    /// Reads `<action>/<locale>/{subject.txt, body.html, body.txt}`. Names that begin with a dot or
    /// an underscore, and files where a folder is expected, are passed over.
    ///
    /// # Errors
    /// The first thing that is wrong, with its path.
    pub fn load(folder: &Path) -> Result<Self, LoadError> {
        let mut catalogue = Self::default();
        for action in folders(folder)? {
            let label = name(&action);
            for template in folders(&action)? {
                let locale: Locale = name(&template)
                    .parse()
                    .map_err(|_| LoadError::NotALocale { path: template.clone() })?;
                let [subject, html, text] = FILES;
                let read = |file| {
                    let path = template.join(file);
                    fs::read_to_string(&path).map_err(|error| LoadError::Unreadable { path, error })
                };
                let made = Template::new(&read(subject)?, &read(html)?, &read(text)?);
                let made = made
                    .map_err(|problem| LoadError::Malformed { path: template.clone(), problem })?;
                catalogue.insert(&label, locale, made);
            }
        }
        if catalogue.actions.is_empty() {
            return Err(LoadError::Empty { path: folder.to_owned() });
        }
        Ok(catalogue)
    }

    /// Adds a template, in place of one for the same action and locale.
    pub fn insert(&mut self, action: &str, locale: Locale, template: Template) {
        let locales = self.actions.entry(action.to_owned()).or_default();
        locales.retain(|(known, _)| *known != locale);
        locales.push((locale, template));
        locales.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    }

    /// The template of an action (its label in `actions`) that suits `wanted` best: that locale, its
    /// base language, then along the chain.
    pub fn find(
        &self,
        action: &str,
        wanted: Option<&Locale>,
        chain: &Locales,
    ) -> Option<(&Locale, &Template)> {
        let there = self.actions.get(action)?;
        chain.candidates(wanted).find_map(|candidate| {
            there
                .iter()
                .find(|(locale, _)| locale.as_str().eq_ignore_ascii_case(candidate))
                .map(|(locale, template)| (locale, template))
        })
    }

    /// All of them, by action and locale.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Locale, &Template)> {
        self.actions.iter().flat_map(|(action, locales)| {
            locales.iter().map(move |(locale, template)| (action.as_str(), locale, template))
        })
    }
}

fn folders(of: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let unreadable = |error| LoadError::Unreadable { path: of.to_owned(), error };
    let mut folders = Vec::new();
    for entry in fs::read_dir(of).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() && !name(&path).starts_with(['.', '_']) {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variables::Variables;

    #[test]
    fn every_template_that_comes_with_mailroom_renders_with_and_without_what_is_optional() {
        let catalogue = Catalogue::built_in().unwrap();
        assert_eq!(catalogue.iter().count(), 10);
        for (action, locale, template) in catalogue.iter() {
            for code in [None, Some("06435")] {
                if code.is_none() && action == "password_recovery" {
                    continue;
                }
                let bare = Variables::new("<ann>", "s3cret", code)
                    .with_base_url("https://example.com")
                    .with_locale(locale.as_str());
                let letter = template.render(&bare).unwrap();
                assert!(letter.html.contains("https://example.com/"), "{action}/{locale}");
                assert!(letter.text.contains("https://example.com/"), "{action}/{locale}");
                assert!(!letter.html.contains("<ann>"), "{action}/{locale}");
                let mut full = bare.with_expiry(1_000, 40);
                let data = serde_json::json!({
                    "new_email": "new@mail.example", "organisation": "O", "inviter": "I",
                });
                full.extend(data.as_object().cloned().unwrap_or_default());
                assert_ne!(template.render(&full).unwrap(), letter, "{action}/{locale}");
            }
        }
    }

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    const WELCOME: [(&str, &str); 3] = [
        ("welcome/pt-BR/subject.txt", "Oi {{login}}\n"),
        ("welcome/pt-BR/body.html", "<p>{{login_html}}</p>"),
        ("welcome/pt-BR/body.txt", "{{login}}"),
    ];

    #[test]
    fn a_folder_is_read_and_found_by_locale() {
        let dir = folder(&[&WELCOME[..], &[("README.md", ""), ("_parts/x.html", "")]].concat());
        let catalogue = Catalogue::load(dir.path()).unwrap();
        let chain: Locales = "pt-BR".parse().unwrap();
        for wanted in [None, Some("pt_br"), Some("fr"), Some("pt-BR-x")] {
            let wanted = wanted.map(|text| text.parse().unwrap());
            let (locale, template) = catalogue.find("welcome", wanted.as_ref(), &chain).unwrap();
            assert_eq!(locale.as_str(), "pt-BR");
            let letter = template.render(&Variables::new("<a>", "s", None)).unwrap();
            assert_eq!(
                (letter.subject.as_str(), letter.html.as_str()),
                ("Oi <a>", "<p>&lt;a&gt;</p>")
            );
        }
        assert!(catalogue.find("welcome", None, &Locales::default()).is_none());
        assert!(catalogue.find("activation", None, &chain).is_none());
    }

    #[test]
    fn what_is_wrong_with_a_folder_is_named() {
        let error = |files: &[(&str, &str)]| {
            let dir = folder(files);
            Catalogue::load(dir.path()).unwrap_err().to_string()
        };
        assert!(error(&[("README.md", "")]).contains("there are no templates"));
        assert!(error(&WELCOME[..2]).contains("welcome/pt-BR/body.txt: No such file"));
        assert!(error(&[("welcome/x/subject.txt", "")]).contains("welcome/x: the folder's name"));
        let broken = error(&[&WELCOME[..2], &[("welcome/pt-BR/body.txt", "{{#if}}")]].concat());
        assert!(broken.contains("welcome/pt-BR: text: line 1: "), "{broken}");
    }
}
