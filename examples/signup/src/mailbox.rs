//! In place of a mail program, so that the example needs no mail account: shows the files that
//! `MAILROOM_TRANSPORT=file` writes. Not a part to copy.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{Html, IntoResponse};
use mail_parser::MessageParser;

use crate::App;
use crate::page::{Page, escape, page};
use crate::problem::Problem;

/// Under these rules a mail can do nothing but be read, and its links be followed.
const RULES: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'";

/// A folder of mails, a file each.
#[derive(Debug)]
pub struct Mailbox {
    folder: PathBuf,
}

impl Mailbox {
    pub(crate) fn new(folder: PathBuf) -> Mailbox {
        Mailbox { folder }
    }

    /// The names of the files, the newest first.
    fn names(&self) -> io::Result<Vec<String>> {
        let mut mails: Vec<(SystemTime, String)> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // A mail that is being written begins with a dot.
            if name.ends_with(".eml") && !name.starts_with('.') {
                mails.push((entry.metadata()?.modified()?, name));
            }
        }
        mails.sort_unstable_by(|a, b| b.cmp(a));
        Ok(mails.into_iter().map(|(_, name)| name).collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.folder.join(name))
    }
}

/// The mails that arrived.
pub async fn list(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Problem> {
    let mailbox = app.mailbox.as_ref().ok_or(Problem::NoSuchPage)?;
    // There is no folder before the sender has made it.
    let names = mailbox.names().unwrap_or_default();
    let mut items = String::new();
    for name in &names {
        let Ok(bytes) = mailbox.read(name) else { continue };
        let Some(mail) = MessageParser::default().parse(&bytes) else { continue };
        let to = mail.to().and_then(|to| to.first()).and_then(|to| to.address());
        items += &format!(
            "<li><a href=\"/mailbox/{}\">{}</a><br>to {}</li>\n",
            escape(name),
            escape(mail.subject().unwrap_or("(no subject)")),
            escape(to.unwrap_or("nobody"))
        );
    }
    let body = if items.is_empty() {
        "<p>Nothing yet.</p>".to_owned()
    } else {
        format!("<p>The newest first.</p>\n<ul>\n{items}</ul>")
    };
    let body = format!("{body}\n<p><a class=\"button\" href=\"/mailbox\">Look again</a></p>");
    // An empty mailbox looks again by itself.
    let refresh = if names.is_empty() { "1" } else { "3600" };
    Ok(([("refresh", refresh)], page(Page { title: "Mailbox", body: &body })))
}

/// One mail, as its reader sees it.
pub async fn show(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let mailbox = app.mailbox.as_ref().ok_or(Problem::NoSuchPage)?;
    // Only what is listed, so that no name leads out of the folder.
    let known = mailbox.names().is_ok_and(|names| names.contains(&name));
    let bytes = if known { mailbox.read(&name).ok() } else { None }.ok_or(Problem::NoSuchPage)?;
    let mail = MessageParser::default().parse(&bytes).ok_or(Problem::NoSuchPage)?;
    let html = mail.body_html(0).ok_or(Problem::NoSuchPage)?;
    Ok(([(header::CONTENT_SECURITY_POLICY, RULES)], Html(html.into_owned())))
}
