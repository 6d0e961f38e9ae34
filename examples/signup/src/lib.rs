//! An application that uses Mailroom, small enough to read in one go and whole enough to copy from.
//!
//! * [`accounts`]: everything it asks of the database. Signing up is one INSERT; the mail goes out by
//!   itself. A link is used up with `consume_token`.
//! * [`links`]: what the links in the mails lead to. Signature first, then the database.
//! * [`forms`]: signing up, signing in, asking for a new link.
//! * [`tries`], [`guard`]: what keeps others out.
//! * [`page`], [`problem`]: HTML, and what is said when something is wrong.
//! * [`mailbox`]: shows the mails that arrived, in place of a mail program. Not to be copied.

pub mod accounts;
pub mod forms;
pub mod guard;
pub mod links;
pub mod mailbox;
pub mod page;
pub mod problem;
pub mod settings;
pub mod tries;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{get, post};
use mailroom::SecretKey;

use self::accounts::Accounts;
use self::mailbox::Mailbox;
pub use self::settings::Settings;
use self::tries::Tries;

/// What every request is handled with.
#[derive(Debug)]
pub struct App {
    /// The database.
    pub accounts: Accounts,
    /// Verify links; the newest first.
    pub keys: Vec<SecretKey>,
    /// Counts wrong codes.
    pub tries: Tries,
    /// Where this example's mails arrive.
    pub mailbox: Option<Mailbox>,
}

impl App {
    /// Connects when it is first asked something.
    #[must_use]
    pub fn new(settings: Settings) -> Arc<App> {
        Arc::new(App {
            accounts: Accounts::new(settings.database),
            keys: settings.keys,
            tries: Tries::default(),
            mailbox: settings.mailbox.map(Mailbox::new),
        })
    }
}

/// All the pages.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(forms::home))
        .route("/sign-up", post(forms::sign_up))
        .route("/sign-in", get(forms::sign_in_form).post(forms::sign_in))
        .route("/forgot", get(forms::forgot_form).post(forms::forgot))
        // The paths that Mailroom's templates link to, and that the signatures are bound to.
        .route("/activate/{token}", get(links::activate_form).post(links::activate))
        .route("/recover/{token}", get(links::recover_form).post(links::recover))
        .route("/style.css", get(page::style))
        .route("/mailbox", get(mailbox::list))
        .route("/mailbox/{mail}", get(mailbox::show))
        .layer(from_fn(guard::same_site_posts))
        .layer(from_fn(guard::headers))
        .with_state(app)
}
