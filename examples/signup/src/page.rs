//! The frame of every page.

use axum::http::header;
use axum::response::{Html, IntoResponse};

/// What is in the frame.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// Text.
    pub title: &'a str,
    /// HTML: what came from outside is [`escape`]d.
    pub body: &'a str,
}

/// A whole page.
pub fn page(page: Page<'_>) -> Html<String> {
    Html(format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Example</title>
<link rel="stylesheet" href="/style.css">
</head>
<body>
<header><a href="/">Example</a></header>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"#,
        title = escape(page.title),
        body = page.body
    ))
}

/// Text as HTML, also between double quotes.
#[must_use]
pub fn escape(text: &str) -> String {
    html_escape::encode_double_quoted_attribute(text).into_owned()
}

/// The style sheet.
pub async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css")], include_str!("style.css"))
}
