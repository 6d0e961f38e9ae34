//! `mailroom templates build`: MJML to HTML. Handlebars in it stays as it is; nothing is loaded.

use std::path::Path;

use anyhow::Context;
use daemon::exit::{Exit, ExitExt};
use mrml::prelude::parser::{Error, ParserOptions};
use mrml::prelude::render::RenderOptions;

use super::language::Found;
use super::{Folder, MJML, Part};
use crate::output::Output;

/// Compiles every `body.mjml` to the `body.html` beside it; a line for each.
///
/// # Errors
/// When a file cannot be read or written, or the reader of stdout is gone.
pub fn run(dir: &Path, out: &mut Output<'_>) -> anyhow::Result<Exit> {
    let folder = Folder::read(dir)?;
    let mut exit = Exit::Done;
    for source in folder.actions.iter().flat_map(|action| &action.templates) {
        let Some(text) = &source.mjml else { continue };
        let path = source.path(Part::Html);
        let result = match compile(text) {
            Ok(html) if source.texts[1].as_ref() == Some(&html) => "unchanged".to_owned(),
            Ok(html) => {
                let shown = path.display().to_string();
                std::fs::write(&path, html).context(shown).exit(Exit::Config)?;
                "built".to_owned()
            }
            Err((line, message)) => {
                exit = Exit::Config;
                out.line(format_args!("{}:{line}: {message}", source.dir.join(MJML).display()))?;
                continue;
            }
        };
        out.line(format_args!("{}: {result}", path.display()))?;
    }
    Ok(exit)
}

/// HTML of MJML.
///
/// # Errors
/// What is not MJML, and its line.
pub fn compile(source: &str) -> Result<String, Found> {
    // Its default loader of includes loads nothing.
    let parsed = mrml::parse_with_options(source, &ParserOptions::default());
    let parsed = parsed.map_err(|error| (line(source, &error), said(&error)))?;
    // What was not understood is left out of the HTML.
    if let Some(warning) = parsed.warnings.first() {
        return Err((line_of(source, warning.span.start), format!("not MJML: {}", warning.kind)));
    }
    // Its default fonts would be loaded from elsewhere by every mail.
    let options = RenderOptions { fonts: Default::default(), ..RenderOptions::default() };
    let html = parsed.element.render(&options).map_err(|error| (1, error.to_string()))?;
    Ok(html.trim_end().to_owned() + "\n")
}

fn said(error: &Error) -> String {
    let what = match error {
        Error::UnexpectedElement { .. } => "an element that does not belong here",
        Error::UnexpectedToken { .. } => "something that does not belong here",
        Error::MissingAttribute { name, .. } => return format!("not MJML: {name} is missing"),
        Error::InvalidAttribute { .. } => "an attribute that cannot be read",
        Error::InvalidFormat { .. } => "something that cannot be read",
        Error::EndOfStream { .. } => "it ends too early",
        Error::IncludeLoaderError { .. } => "mj-include loads nothing here",
        other => return format!("not MJML: {other}"),
    };
    format!("not MJML: {what}")
}

fn line(source: &str, error: &Error) -> usize {
    let start = match error {
        Error::UnexpectedElement { position, .. }
        | Error::UnexpectedToken { position, .. }
        | Error::MissingAttribute { position, .. }
        | Error::InvalidAttribute { position, .. }
        | Error::InvalidFormat { position, .. }
        | Error::IncludeLoaderError { position, .. } => position.start,
        _ => 0,
    };
    line_of(source, start)
}

fn line_of(source: &str, start: usize) -> usize {
    let start = source.floor_char_boundary(start.min(source.len()));
    1 + source[..start].matches('\n').count()
}
