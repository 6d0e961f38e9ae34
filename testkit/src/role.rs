//! Who does it: the roles that the migrations give rights to.

use std::fmt;

/// A role that can do what its part needs, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Of the collector's.
    Collector,
    /// Of the sender's.
    Sender,
    /// Of the application's.
    Application,
    /// Of those who look after it.
    Operator,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 4] = [Role::Collector, Role::Sender, Role::Application, Role::Operator];

    /// The superuser's URL of a database, for somebody with the rights of this role.
    pub fn in_url(self, url: &str) -> String {
        let own = url.replacen("//postgres@", &format!("//{self}@"), 1);
        assert_ne!(own, url, "the superuser's URL has another form than this expects");
        own
    }
}

impl fmt::Display for Role {
    /// Its name in PostgreSQL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Collector => "mailroom_collector",
            Role::Sender => "mailroom_sender",
            Role::Application => "mailroom_application",
            Role::Operator => "mailroom_operator",
        })
    }
}
