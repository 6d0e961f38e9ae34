//! `mailroom templates lint`: everything that is wrong with a folder of templates.

use std::path::Path;

use daemon::exit::Exit;
use render::Template;

use super::samples::{Mail, Samples};
use super::{Action, Folder, MJML, Part, Problem, Source, html, language, mjml};
use crate::output::Output;
use crate::templates::settings::Settings;

/// Longest subject, in characters, with the sample data.
const SUBJECT_CHARS_MAX: usize = 150;

/// Largest template, in bytes, subject and both bodies together (an SES limit).
const TEMPLATE_BYTES_MAX: usize = 500_000;

/// Reports all problems, a line or a JSON object each; nothing if there is none.
///
/// # Errors
/// When the folder cannot be read, or the reader of stdout is gone.
pub fn run(
    dir: &Path,
    settings: &Settings,
    json: bool,
    out: &mut Output<'_>,
) -> anyhow::Result<Exit> {
    let problems = problems(&Folder::read(dir)?, settings);
    for problem in &problems {
        if json { out.json(problem)? } else { out.line(problem)? }
    }
    Ok(if problems.is_empty() { Exit::Done } else { Exit::Config })
}

/// All problems of a folder, by path and line.
pub fn problems(folder: &Folder, settings: &Settings) -> Vec<Problem> {
    let mut problems = folder.problems.clone();
    for action in &folder.actions {
        let samples = Samples::read(&action.label, &action.dir, &mut problems);
        default_locale(action, settings, &mut problems);
        for source in &action.templates {
            template(source, &samples, &settings.base_url, &mut problems);
        }
    }
    problems.sort();
    problems
}

fn default_locale(action: &Action, settings: &Settings, problems: &mut Vec<Problem>) {
    let locale = &settings.default_locale;
    if action.templates.iter().all(|source| source.locale != *locale) {
        let message = format!("there is no {locale}, the default locale");
        problems.push(Problem { path: action.dir.clone(), line: 1, message });
    }
}

fn template(source: &Source, samples: &Samples, base_url: &str, problems: &mut Vec<Problem>) {
    let before = problems.len();
    for (part, text) in Part::ALL.into_iter().zip(&source.texts) {
        let Some(text) = text else { continue };
        let mut say = |found: Vec<(usize, String)>| {
            let path = source.path(part);
            let problem = |(line, message)| Problem { path: path.clone(), line, message };
            problems.extend(found.into_iter().map(problem));
        };
        say(language::check(part, text, samples));
        match part {
            _ if text.trim().is_empty() => say(vec![(1, "is empty".to_owned())]),
            Part::Html => say(html::check(text)),
            Part::Subject if text.trim().lines().count() > 1 => {
                let second = text.trim_end().lines().count();
                say(vec![(second, "a subject is one line".to_owned())]);
            }
            Part::Subject | Part::Text => {}
        }
    }
    let mut say = |path, line, message| problems.push(Problem { path, line, message });
    if let Some(text) = &source.mjml {
        match mjml::compile(text) {
            Err((line, message)) => say(source.dir.join(MJML), line, message),
            Ok(html) if source.texts[1].as_ref() == Some(&html) => {}
            Ok(_) => {
                let message = "is not what body.mjml compiles to: run mailroom templates build";
                say(source.path(Part::Html), 1, message.to_owned());
            }
        }
    }
    let bytes: usize = source.texts.iter().flatten().map(String::len).sum();
    if bytes > TEMPLATE_BYTES_MAX {
        let message = format!("{bytes} bytes, and SES takes {TEMPLATE_BYTES_MAX}");
        say(source.dir.clone(), 1, message);
    }
    // What is known to be wrong need not fail as well.
    if problems.len() == before
        && let Some(template) = source.template()
    {
        rendered(source, &template, samples, base_url, problems);
    }
}

fn rendered(
    source: &Source,
    template: &Template,
    samples: &Samples,
    base_url: &str,
    problems: &mut Vec<Problem>,
) {
    for mail in [Mail::Full, Mail::Bare] {
        let variables = samples.variables(mail, source.locale.as_str(), base_url);
        let letter = match template.render(&variables) {
            Ok(letter) => letter,
            Err(problem) => {
                let message = format!("with sample data: {problem}");
                problems.push(Problem { path: source.dir.clone(), line: 1, message });
                continue;
            }
        };
        let empty = format!("{} comes out empty", described(mail));
        for (part, text) in Part::ALL.into_iter().zip([&letter.subject, &letter.html, &letter.text])
        {
            if text.trim().is_empty() {
                let path = source.path(part);
                problems.push(Problem { path, line: 1, message: empty.clone() });
            }
        }
        let chars = letter.subject.chars().count();
        if chars > SUBJECT_CHARS_MAX {
            let message = format!(
                "{chars} characters {}, and no more than {SUBJECT_CHARS_MAX} are shown",
                described(mail)
            );
            problems.push(Problem { path: source.path(Part::Subject), line: 1, message });
        }
        let bytes = letter.subject.len() + letter.html.len() + letter.text.len();
        if bytes > TEMPLATE_BYTES_MAX {
            let message =
                format!("{bytes} bytes {}, and SES takes {TEMPLATE_BYTES_MAX}", described(mail));
            problems.push(Problem { path: source.dir.clone(), line: 1, message });
        }
    }
}

fn described(mail: Mail) -> &'static str {
    match mail {
        Mail::Full | Mail::Long => "with sample data",
        Mail::Bare => "without what is optional",
    }
}
