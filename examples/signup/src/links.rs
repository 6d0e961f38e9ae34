//! What the links in the mails lead to.
//!
//! A GET changes nothing. Scanners of mail open every link before its reader does, and some programs
//! fetch pages ahead: had they used the link up, its reader would be told that it was used. So the
//! page has a form, and only its POST does something.
//!
//! The signature is verified first, which costs a few microseconds and no round trip: a link that was
//! forged, mistyped or cut never reaches the database.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, State};
use axum::response::Html;
use mailroom::{Action, Token, verify};
use serde::Deserialize;

use crate::App;
use crate::accounts::Link;
use crate::page::{Page, page};
use crate::problem::Problem;

type Shown = Result<Html<String>, Problem>;

/// Bytes of a password. bcrypt reads no more than 72: to take more would be to ignore them.
const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 8..=72;

/// Characters of a name here; Mailroom takes 254.
const LOGIN_MAX: usize = 40;

const CHOOSE_PASSWORD: &str = r#"<label for="password">New password</label>
<input id="password" name="password" type="password" autocomplete="new-password" minlength="8"
 maxlength="72" required aria-describedby="rule">
<p class="hint" id="rule">At least 8 characters.</p>"#;

fn password(typed: &str) -> Result<&str, Problem> {
    if PASSWORD_BYTES.contains(&typed.len()) && !typed.contains('\0') {
        Ok(typed)
    } else {
        Err(Problem::Form("A password has 8 to 72 characters."))
    }
}

/// A name is anything at all, since it is escaped wherever it is shown, here and in the mail; but no
/// address: that is what an account goes by until it has a name.
fn login(typed: &str) -> Result<&str, Problem> {
    let login = typed.trim();
    let length = login.chars().count();
    let strange = |c: char| c.is_control() || c == '@';
    if !(1..=LOGIN_MAX).contains(&length) || login.contains(strange) {
        return Err(Problem::Form("A name has 1 to 40 characters, and no @ among them."));
    }
    Ok(login)
}

/// The page of an activation link. That the link is ours can be told at once.
pub async fn activate_form(State(app): State<Arc<App>>, Path(token): Path<String>) -> Shown {
    verify(&app.keys, &Action::activation(), &token, None).map_err(|_| Problem::Forged)?;
    // No action: the form goes to the address of the page, which has the token in it.
    let body = format!(
        r#"<p>Choose a name and a password, and your account is active.</p>
<form method="post">
<label for="login">Name</label>
<input id="login" name="login" autocomplete="nickname" maxlength="40" required>
{CHOOSE_PASSWORD}
<button>Activate account</button>
</form>"#
    );
    Ok(page(Page { title: "Activate your account", body: &body }))
}

/// What [`activate_form`] sends.
#[derive(Debug, Deserialize)]
pub struct ActivateForm {
    login: String,
    password: String,
}

/// Activates the account.
pub async fn activate(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    Form(form): Form<ActivateForm>,
) -> Shown {
    let (login, password) = (login(&form.login)?, password(&form.password)?);
    let secret = verify(&app.keys, &Action::activation(), &token, None);
    let secret = secret.map_err(|_| Problem::Forged)?;
    let used = app.accounts.use_link(Link::Activation { login }, &secret, password).await?;
    used.map_err(Problem::Refused)?;
    Ok(done("Your account is active"))
}

/// The page of a recovery link. Its signature is over the code as well, so that only the form of the
/// token can be looked at yet.
pub async fn recover_form(Path(token): Path<String>) -> Shown {
    Token::decode(&token).map_err(|_| Problem::Forged)?;
    let body = format!(
        r#"<form method="post">
<label for="code">Code from the mail</label>
<input id="code" name="code" inputmode="numeric" autocomplete="one-time-code" pattern="[0-9]{{5}}"
 maxlength="5" required aria-describedby="digits">
<p class="hint" id="digits">Five digits.</p>
{CHOOSE_PASSWORD}
<button>Change password</button>
</form>"#
    );
    Ok(page(Page { title: "Choose a new password", body: &body }))
}

/// What [`recover_form`] sends.
#[derive(Debug, Deserialize)]
pub struct RecoverForm {
    code: String,
    password: String,
}

/// Changes the password.
pub async fn recover(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    Form(form): Form<RecoverForm>,
) -> Shown {
    let password = password(&form.password)?;
    let link = *Token::decode(&token).map_err(|_| Problem::Forged)?.secret();
    if !app.tries.allow(&link) {
        return Err(Problem::TooManyTries);
    }
    let action = Action::password_recovery();
    let secret = verify(&app.keys, &action, &token, Some(form.code.trim()));
    let secret = secret.map_err(|_| Problem::WrongCode)?;
    app.tries.forget(&link);
    let used = app.accounts.use_link(Link::Recovery, &secret, password).await?;
    used.map_err(Problem::Refused)?;
    // Here an application ends the sessions that the account has.
    Ok(done("Your password is changed"))
}

fn done(title: &str) -> Html<String> {
    page(Page { title, body: r#"<p><a class="button" href="/sign-in">Sign in</a></p>"# })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_anything_that_can_be_shown_and_no_address() {
        assert_eq!(login(" <b>\"Ada\"</b>, 字 ").unwrap(), "<b>\"Ada\"</b>, 字");
        for bad in ["", " ", "a\nb", "ada@example.com", &"x".repeat(41)] {
            assert!(login(bad).is_err(), "{bad:?}");
        }
    }
}
