//! Templates of mail: what a folder of them holds, and what is done with it.
//!
//! A [`Folder`] is read as it is, with whatever is wrong in it, so that [`lint`] can say everything at
//! once; only what it has nothing to say about is [pushed](push). [`language`] knows what SES
//! understands, [`html`] what a mail's HTML must be, [`samples`] which variables there are.

pub mod commands;
pub mod html;
pub mod language;
pub mod lint;
pub mod mjml;
pub mod preview;
pub mod pull;
pub mod push;
pub mod samples;
pub mod settings;
pub mod store;

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use daemon::exit::{Exit, ExitExt};
use render::{FILES, Locale};
use serde::Serialize;

/// What MJML is compiled from.
pub const MJML: &str = "body.mjml";

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The file, or the folder.
    pub path: PathBuf,
    /// From 1.
    pub line: usize,
    /// What is wrong, and the remedy.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.message)
    }
}

/// A part of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `subject.txt`
    Subject,
    /// `body.html`
    Html,
    /// `body.txt`
    Text,
}

impl Part {
    /// In the order of [`FILES`].
    pub const ALL: [Self; 3] = [Self::Subject, Self::Html, Self::Text];

    /// Its file's name.
    pub fn file(self) -> &'static str {
        let [subject, html, text] = FILES;
        match self {
            Self::Subject => subject,
            Self::Html => html,
            Self::Text => text,
        }
    }
}

/// A template's folder.
#[derive(Debug)]
pub struct Source {
    /// Its name, as a locale.
    pub locale: Locale,
    /// Where it is.
    pub dir: PathBuf,
    /// The files of [`Part::ALL`]; `None`: not there, or unreadable.
    pub texts: [Option<String>; 3],
    /// `body.mjml`, if there is one.
    pub mjml: Option<String>,
}

impl Source {
    /// Where a part is.
    pub fn path(&self, part: Part) -> PathBuf {
        self.dir.join(part.file())
    }

    /// A template of it, if it is well-formed.
    pub fn template(&self) -> Option<render::Template> {
        let [subject, html, text] = self.texts.each_ref().map(Option::as_deref);
        render::Template::new(subject?, html?, text?).ok()
    }
}

/// An action's folder.
#[derive(Debug)]
pub struct Action {
    /// Its name.
    pub label: String,
    /// Where it is.
    pub dir: PathBuf,
    /// By locale.
    pub templates: Vec<Source>,
}

/// A folder of templates, and what could not be read of it.
#[derive(Debug)]
pub struct Folder {
    /// By label.
    pub actions: Vec<Action>,
    /// What is missing, unreadable or misnamed.
    pub problems: Vec<Problem>,
}

impl Folder {
    /// Reads all there is.
    ///
    /// # Errors
    /// When the folder itself cannot be read.
    pub fn read(root: &Path) -> anyhow::Result<Self> {
        let dirs = folders(root).context(root.display().to_string()).exit(Exit::Config)?;
        let mut folder = Self { actions: Vec::new(), problems: Vec::new() };
        for dir in dirs {
            let action = folder.action(dir);
            folder.actions.push(action);
        }
        if folder.actions.is_empty() {
            folder.problem(root, 1, "there are no templates: expected <action>/<locale>/");
        }
        Ok(folder)
    }

    fn action(&mut self, dir: PathBuf) -> Action {
        let label = name(&dir);
        if sender::template::Templates::default().name_of(&label).is_none() {
            self.problem(&dir, 1, "an action's name has letters, digits, _ and -, and up to 62");
        }
        let mut templates: Vec<Source> = Vec::new();
        match folders(&dir) {
            Err(error) => self.problem(&dir, 1, error),
            Ok(dirs) => {
                for dir in dirs {
                    let Ok(locale) = name(&dir).parse::<Locale>() else {
                        self.problem(&dir, 1, "the folder's name is not a locale: en or pt-BR say");
                        continue;
                    };
                    if templates.iter().any(|other| other.locale == locale) {
                        self.problem(&dir, 1, "another folder has the same locale");
                    }
                    let texts = Part::ALL.map(|part| self.file(&dir.join(part.file()), true));
                    let mjml = self.file(&dir.join(MJML), false);
                    templates.push(Source { locale, texts, mjml, dir });
                }
            }
        }
        Action { label, dir, templates }
    }

    fn file(&mut self, path: &Path, required: bool) -> Option<String> {
        match std::fs::read_to_string(path) {
            Ok(text) => return Some(text),
            Err(error) if error.kind() == ErrorKind::NotFound && !required => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.problem(path, 1, "is missing");
            }
            Err(error) => self.problem(path, 1, error),
        }
        None
    }

    fn problem(&mut self, path: &Path, line: usize, message: impl ToString) {
        self.problems.push(Problem { path: path.to_owned(), line, message: message.to_string() });
    }
}

/// The folders in a folder, as [`render::Catalogue`] sees them: what begins with a dot or an
/// underscore is passed over.
fn folders(of: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(of)? {
        let path = entry?.path();
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
