//! What is said when something is wrong, and what it costs to find out more: nothing is told that the
//! visitor does not know already.

use std::io::Write as _;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio_postgres::Error;

use crate::accounts::Refusal;
use crate::page::{Page, page};

/// Why the visitor does not get what they asked for.
#[derive(Debug)]
pub enum Problem {
    /// Something in the form.
    Form(&'static str),
    /// The form is not one of ours.
    BadForm,
    /// Another site sent it.
    CrossSite,
    /// The link is not ours: forged, mistyped or cut. The database was not asked.
    Forged,
    /// The code is wrong; which of link and code nobody knows, since one signature is over both.
    WrongCode,
    /// Too many wrong codes.
    TooManyTries,
    /// The link is ours, and not good any more.
    Refused(Refusal),
    /// No such page.
    NoSuchPage,
    /// The database is away.
    Unavailable,
}

impl From<anyhow::Error> for Problem {
    /// Logs what was being done, and PostgreSQL's code: its words may hold an address.
    fn from(error: anyhow::Error) -> Problem {
        let code = error.downcast_ref::<Error>().and_then(Error::code).map(|code| code.code());
        let code = code.unwrap_or("connection");
        let _ = writeln!(std::io::stderr(), "signup: failed to {error}: {code}");
        Problem::Unavailable
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        const ASK: &str = r#"<p><a class="button" href="/forgot">Send me a new link</a></p>"#;
        const BACK: &str = "<p>Please go back, and try again.</p>";
        const SIGN_IN: &str = r#"<p><a class="button" href="/sign-in">Sign in</a></p>"#;
        let (status, title, text, more) = match self {
            Problem::Form(text) => (StatusCode::BAD_REQUEST, "Please check the form", text, BACK),
            Problem::BadForm => (
                StatusCode::BAD_REQUEST,
                "Please check the form",
                "Something is missing in it.",
                BACK,
            ),
            Problem::CrossSite => {
                (StatusCode::FORBIDDEN, "Not from here", "That form came from another site.", "")
            }
            Problem::Forged => (
                StatusCode::BAD_REQUEST,
                "This link is not valid",
                "Part of it may be missing: copy the whole link from the mail.",
                ASK,
            ),
            Problem::WrongCode => (
                StatusCode::BAD_REQUEST,
                "The link or the code is not valid",
                "Go back, and type the five digits of the same mail that the link is from.",
                ASK,
            ),
            Problem::TooManyTries => (
                StatusCode::TOO_MANY_REQUESTS,
                "Too many wrong codes",
                "This link takes no more of them.",
                ASK,
            ),
            Problem::Refused(Refusal::Expired) => (
                StatusCode::GONE,
                "This link has expired",
                "Links are good for a few minutes only. We gladly send you another one.",
                ASK,
            ),
            Problem::Refused(Refusal::Used) => {
                (StatusCode::GONE, "This link was used before", "Each link works once.", SIGN_IN)
            }
            Problem::Refused(Refusal::Ineligible) => (
                StatusCode::CONFLICT,
                "Your account does not need this link",
                "It is active already, or it is suspended: then please write to us.",
                SIGN_IN,
            ),
            Problem::Refused(Refusal::LoginTaken) => {
                (StatusCode::CONFLICT, "Please choose another name", "Somebody has that one.", BACK)
            }
            Problem::Refused(Refusal::Unknown) => {
                (StatusCode::GONE, "This link is not valid", "There is nothing it belongs to.", ASK)
            }
            Problem::NoSuchPage => {
                (StatusCode::NOT_FOUND, "No such page", "There is nothing here.", "")
            }
            Problem::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "That did not work",
                "It is us, not you. Please try again in a minute; your link is as good as before.",
                "",
            ),
        };
        let body = format!("<p role=\"alert\">{text}</p>\n{more}");
        (status, page(Page { title, body: &body })).into_response()
    }
}
