//! The example, running.

use std::sync::OnceLock;

use testkit::{Process, Running, binary, binary_of};
use tokio_postgres::{Client, NoTls};

use crate::SOON;
use crate::http::{Answer, get};

/// What `make example` starts.
pub(crate) struct Example {
    pub(crate) process: Running,
    /// Where the application is, without a slash at the end.
    pub(crate) url: String,
    /// Its URL, with all rights.
    pub(crate) database: String,
}

impl Example {
    pub(crate) fn start() -> Example {
        // As make does: all programs first, beside each other.
        let programs = [
            binary("collector"),
            binary("sender"),
            binary_of("mailroom-example-signup", "signup"),
            binary_of("xtask", "xtask"),
        ];
        let [_, _, _, xtask] = programs.map(Result::unwrap);
        let process = Process::at(&xtask)
            .arg("example")
            .env("MAILROOM_TEST_BIN_DIR", xtask.parent().unwrap())
            .spawn()
            .unwrap();
        // "Setting up", a blank line, and then four.
        process.wait_line(6, SOON).unwrap();
        let lines = process.lines();
        let word = |line: usize, before: &str| {
            let rest = lines[line].split_once(before).unwrap().1;
            rest.split_whitespace().next().unwrap().to_owned()
        };
        let url = word(2, "Open ").trim_end_matches('/').to_owned();
        Example { url, database: word(4, "psql "), process }
    }

    /// The one that all tests share which do not end it; it ends with this process.
    pub(crate) fn shared() -> &'static Example {
        static SHARED: OnceLock<Example> = OnceLock::new();
        SHARED.get_or_init(Example::start)
    }

    /// The database, with all rights.
    pub(crate) async fn database(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.database, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// The newest mail to this address, once there are `count` of them.
    pub(crate) fn mail_to(&self, email: &str, count: usize) -> Mail {
        let mut mails = Vec::new();
        testkit::eventually(SOON, &format!("{count} mails to {email}"), || {
            let list = get(&format!("{}/mailbox", self.url)).body;
            let items = list.split("<li>").skip(1).filter(|item| item.contains(email));
            mails = items.map(|item| between(item, "href=\"", "\"").to_owned()).collect();
            mails.len() == count
        });
        Mail::of(get(&format!("{}{}", self.url, mails[0])))
    }
}

/// A mail, as its page shows it.
pub(crate) struct Mail {
    /// What its button leads to.
    pub(crate) link: String,
    /// Empty if it has none.
    pub(crate) code: String,
}

impl Mail {
    fn of(page: Answer) -> Mail {
        let link = between(&page.body, "<a href=\"", "\"").to_owned();
        // The code, or what else stands alone in its paragraph.
        let code = page.body.split_once("class=\"code\"").map(|(_, rest)| between(rest, ">", "<"));
        Mail { link, code: code.unwrap_or_default().to_owned() }
    }
}

pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split_once(before).and_then(|(_, rest)| rest.split_once(after)).unwrap().0
}
