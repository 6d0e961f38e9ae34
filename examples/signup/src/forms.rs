//! Signing up, signing in, and asking for a new link.

use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::response::Html;
use serde::Deserialize;

use crate::App;
use crate::page::{Page, escape, page};
use crate::problem::Problem;

type Shown = Result<Html<String>, Problem>;

/// Characters of an address, and bytes, as Mailroom's table has it.
const EMAIL_MAX: usize = 254;

/// An address as it is kept: without blanks around it, and in lower case. `Ada@Example.com` and
/// `ada@example.com` reach the same person, but PostgreSQL would let each have an account.
///
/// No more is checked than what a mistyped one lacks: whether it exists, the mail will tell.
fn email(typed: &str) -> Result<String, Problem> {
    let email = typed.trim().to_lowercase();
    let parts = email.split_once('@').filter(|(local, domain)| {
        !local.is_empty() && local.is_ascii() && !domain.is_empty() && !domain.contains('@')
    });
    let strange = |c: char| c.is_control() || c.is_whitespace();
    if parts.is_none() || email.len() > EMAIL_MAX || email.contains(strange) {
        return Err(Problem::Form("That is not an email address that we can write to."));
    }
    Ok(email)
}

/// The first page: to sign up.
pub async fn home() -> Html<String> {
    page(Page {
        title: "Sign up",
        body: r#"<form method="post" action="/sign-up">
<label for="email">Email</label>
<input id="email" name="email" type="email" autocomplete="email" maxlength="254" required>
<button>Sign up</button>
</form>
<p><a href="/sign-in">Sign in</a> · <a href="/forgot">Forgot your password?</a></p>"#,
    })
}

/// What [`home`] sends. No name and no password yet: whoever follows the link chooses them.
#[derive(Debug, Deserialize)]
pub struct SignUpForm {
    email: String,
}

/// Signs up. The answer is the same whether or not the address has an account.
pub async fn sign_up(State(app): State<Arc<App>>, Form(form): Form<SignUpForm>) -> Shown {
    app.accounts.sign_up(&email(&form.email)?).await?;
    Ok(check_mail(&app))
}

/// To sign in.
pub async fn sign_in_form() -> Html<String> {
    page(Page {
        title: "Sign in",
        body: r#"<form method="post">
<label for="email">Email</label>
<input id="email" name="email" type="email" autocomplete="username" required>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button>Sign in</button>
</form>
<p><a href="/">Sign up</a> · <a href="/forgot">Forgot your password?</a></p>"#,
    })
}

/// What [`sign_in_form`] sends.
#[derive(Debug, Deserialize)]
pub struct SignInForm {
    email: String,
    password: String,
}

/// Says whether it would do. Here an application limits the tries and starts its session.
pub async fn sign_in(State(app): State<Arc<App>>, Form(form): Form<SignInForm>) -> Shown {
    // The same words for a wrong password, an unknown address and an account that is not active.
    let wrong = Problem::Form("No active account has this address and this password.");
    let Some(login) = app.accounts.sign_in(&email(&form.email)?, &form.password).await? else {
        return Err(wrong);
    };
    let body = format!("<p>You are signed in as <bdi>{}</bdi>.</p>", escape(&login));
    Ok(page(Page { title: "Welcome", body: &body }))
}

/// To ask for a new link.
pub async fn forgot_form() -> Html<String> {
    page(Page {
        title: "Send me a link",
        body: r#"<p>To choose a new password, or to activate an account whose link has expired.</p>
<form method="post">
<label for="email">Email</label>
<input id="email" name="email" type="email" autocomplete="email" required>
<button>Send it</button>
</form>"#,
    })
}

/// What [`forgot_form`] sends.
#[derive(Debug, Deserialize)]
pub struct ForgotForm {
    email: String,
}

/// Has a link mailed. The answer is the same whether or not there is such an account.
pub async fn forgot(State(app): State<Arc<App>>, Form(form): Form<ForgotForm>) -> Shown {
    app.accounts.ask_for_link(&email(&form.email)?).await?;
    Ok(check_mail(&app))
}

fn check_mail(app: &App) -> Html<String> {
    let mailbox = match app.mailbox {
        Some(_) => r#"<p><a class="button" href="/mailbox">Open the mailbox</a></p>"#,
        None => "",
    };
    let body = format!(
        r#"<p>A mail with a link is on its way, if that address is right. The link is good for a few
minutes; if it does not come, <a href="/forgot">ask for another one</a>.</p>
{mailbox}"#
    );
    page(Page { title: "Check your mail", body: &body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_in_one_spelling() {
        assert_eq!(email(" Ada@Example.COM ").unwrap(), "ada@example.com");
        let long = format!("{}@example.com", "x".repeat(250));
        for bad in
            ["", "ada", "@", "a@", "@b", "a@b@c", "a b@c", "a\r\nb@c", "ä@example.com", &long]
        {
            assert!(email(bad).is_err(), "{bad:?}");
        }
    }
}
