//! The pages: each mail in frames as wide as a phone and a desktop, in the light and the dark scheme.
//!
//! A frame cannot be told its scheme, so in what it shows the question for the scheme is answered
//! already. Its sandbox runs nothing.

use std::fmt::Write as _;

use html_escape::{encode_double_quoted_attribute as attribute, encode_text};
use render::Letter;

const STYLE: &str = "
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 24px; }
h2 { margin: 40px 0 0; }
.locales { display: flex; gap: 48px; align-items: flex-start; overflow-x: auto; }
.frames { display: flex; flex-wrap: wrap; gap: 0 16px; width: 740px; }
figure { margin: 12px 0 0; }
iframe { border: 1px solid #8888; height: 640px; display: block; }
pre { border: 1px solid #8888; padding: 12px; white-space: pre-wrap; overflow-wrap: anywhere; max-width: 76ch; }
";

/// Widths, in pixels.
const WIDTHS: [(&str, u32); 2] = [("phone", 360), ("desktop", 700)];

/// Always and never true, in the place of a media feature.
const YES: &str = "(min-width: 0)";
const NO: &str = "(min-width: 1000000px)";

/// A mail to look at.
pub(super) struct Shown {
    pub(super) locale: String,
    /// Which variables it has.
    pub(super) title: &'static str,
    /// The name of its files, without their endings.
    pub(super) file: String,
    pub(super) letter: Letter,
}

/// The page that links all actions, with the number of their templates.
pub(super) fn index(actions: &[(&str, usize)]) -> String {
    let mut list = String::new();
    for (label, count) in actions {
        let (link, label) = (attribute(label), encode_text(label));
        // Writing to a string cannot fail.
        _ = writeln!(list, "<li><a href=\"{link}/index.html\">{label}</a> ({count})</li>");
    }
    page("Templates", &format!("<ul>\n{list}</ul>\n"))
}

/// The page of an action: its mails, each kind with all locales side by side.
pub(super) fn action(label: &str, mails: &[Shown]) -> String {
    let mut body = "<p><a href=\"../index.html\">All templates</a></p>\n".to_owned();
    let mut titles: Vec<&str> = Vec::new();
    for mail in mails {
        if !titles.contains(&mail.title) {
            titles.push(mail.title);
        }
    }
    for title in titles {
        let these = mails.iter().filter(|mail| mail.title == title).map(column);
        let columns = these.collect::<String>();
        _ = write!(body, "<h2>{title}</h2>\n<div class=\"locales\">\n{columns}</div>\n");
    }
    page(label, &body)
}

fn column(mail: &Shown) -> String {
    let (subject, text) = (encode_text(&mail.letter.subject), encode_text(&mail.letter.text));
    let (locale, file) = (encode_text(&mail.locale), attribute(&mail.file));
    let frames: String = WIDTHS
        .into_iter()
        .flat_map(|(device, width)| ["light", "dark"].map(|scheme| (device, width, scheme)))
        .map(|(device, width, scheme)| frame(&mail.letter.html, device, width, scheme))
        .collect();
    format!(
        "<section lang=\"{locale}\">\n<h3>{locale}: {subject}</h3>\n\
         <p><a href=\"{file}.html\">HTML</a>, <a href=\"{file}.txt\">text</a></p>\n\
         <div class=\"frames\">\n{frames}</div>\n<pre>{text}</pre>\n</section>\n"
    )
}

fn frame(html: &str, device: &str, width: u32, scheme: &str) -> String {
    let answers = [("dark", scheme == "dark"), ("light", scheme == "light")];
    let mut html = html.to_owned();
    for (asked, holds) in answers {
        let answer = if holds { YES } else { NO };
        for question in ["(prefers-color-scheme: ", "(prefers-color-scheme:"] {
            html = html.replace(&format!("{question}{asked})"), answer);
        }
    }
    let html = attribute(&html);
    format!(
        "<figure><figcaption>{device}, {scheme}</figcaption>\
         <iframe sandbox title=\"{device}, {scheme}\" width=\"{width}\" \
         style=\"color-scheme: {scheme}\" srcdoc=\"{html}\"></iframe></figure>\n"
    )
}

fn page(title: &str, body: &str) -> String {
    let title = encode_text(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n"
    )
}
