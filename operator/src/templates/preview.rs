//! `mailroom templates preview`: pages to look at, with sample data. They load nothing.

mod page;

use std::path::Path;

use anyhow::{Context, anyhow};
use daemon::exit::{Exit, ExitExt};

use self::page::Shown;
use super::samples::{Mail, Samples};
use super::{Action, Folder};
use crate::output::Output;
use crate::templates::settings::Settings;

/// The mails of each template, and what their files are called after the locale.
const MAILS: [(Mail, &str, &str); 3] = [
    (Mail::Full, "", "everything there"),
    (Mail::Bare, ".bare", "without what is optional"),
    (Mail::Long, ".long", "the longest login"),
];

/// Writes `index.html`, and for each action `index.html` and its mails as `.html` and `.txt`; the path
/// of the first on stdout.
///
/// # Errors
/// When a template cannot be rendered (the others are), or a file not be read or written.
pub fn run(
    dir: &Path,
    settings: &Settings,
    to: &Path,
    only: Option<&str>,
    out: &mut Output<'_>,
) -> anyhow::Result<Exit> {
    let mut problems = Vec::new();
    let folder = Folder::read(dir)?;
    let actions: Vec<&Action> = folder
        .actions
        .iter()
        .filter(|action| only.is_none_or(|only| action.label == only))
        .collect();
    if actions.is_empty() {
        let what = only.map_or_else(|| "no templates".to_owned(), |only| format!("no {only}"));
        return Err(anyhow!("{}: there is {what}", dir.display())).exit(Exit::Config);
    }
    let mut labels = Vec::new();
    for action in actions {
        let samples = Samples::read(&action.label, &action.dir, &mut problems);
        let mut shown = Vec::new();
        for source in &action.templates {
            let locale = source.locale.as_str();
            let Some(template) = source.template() else {
                problems.push(problem(source, "cannot be read, see lint"));
                continue;
            };
            for (mail, suffix, title) in MAILS {
                let variables = samples.variables(mail, locale, &settings.base_url);
                match template.render(&variables) {
                    Ok(letter) => {
                        let file = format!("{locale}{suffix}");
                        shown.push(Shown { locale: locale.to_owned(), title, file, letter });
                    }
                    Err(error) => problems.push(problem(source, &format!("{title}: {error}"))),
                }
            }
        }
        let at = to.join(&action.label);
        for mail in &shown {
            let letter = &mail.letter;
            write(&at.join(format!("{}.html", mail.file)), &letter.html)?;
            let text = format!("Subject: {}\n\n{}", letter.subject, letter.text);
            write(&at.join(format!("{}.txt", mail.file)), &text)?;
        }
        write(&at.join("index.html"), &page::action(&action.label, &shown))?;
        labels.push((action.label.as_str(), action.templates.len()));
    }
    let index = to.join("index.html");
    write(&index, &page::index(&labels))?;
    out.line(index.display())?;
    problems.extend(folder.problems);
    if problems.is_empty() {
        return Ok(Exit::Done);
    }
    problems.sort();
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Err(anyhow!("{}", lines.join("\n"))).exit(Exit::Config)
}

fn problem(source: &super::Source, message: &str) -> super::Problem {
    super::Problem { path: source.dir.clone(), line: 1, message: message.to_owned() }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    let written = written.and_then(|()| std::fs::write(path, text));
    written.with_context(|| path.display().to_string()).exit(Exit::Config)
}
