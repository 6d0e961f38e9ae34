//! The operating system account that a server runs as: oneself, or an unprivileged one for root,
//! because `postgres` refuses to run as root.

use std::path::Path;

use anyhow::Context;

/// `nobody` on Debian and most others.
const PREFERRED_UID: u32 = 65_534;

/// A user with an entry in the passwd file (`initdb` fails for a uid without one).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// `None` if we are not root and simply run as ourselves.
    pub(crate) fn to_drop_to() -> anyhow::Result<Option<Account>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = std::fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
        Account::choose(&passwd)
            .map(Some)
            .context("run as root, and /etc/passwd has no other account for PostgreSQL to run as")
    }

    fn choose(passwd: &str) -> Option<Account> {
        let mut accounts = passwd.lines().filter_map(Account::parse).filter(|a| a.uid != 0);
        let first = accounts.next()?;
        Some(
            std::iter::once(first)
                .chain(accounts)
                .find(|account| account.uid == PREFERRED_UID)
                .unwrap_or(first),
        )
    }

    fn parse(line: &str) -> Option<Account> {
        let mut fields = line.split(':').skip(2);
        Some(Account { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    }

    /// Gives `path` to this account.
    pub(crate) fn own(self, path: &Path) -> anyhow::Result<()> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("give {} to uid {}", path.display(), self.uid))
    }
}

#[cfg(test)]
mod tests {
    use super::Account;

    #[test]
    fn nobody_is_preferred_and_root_never_chosen() {
        let passwd = "root:x:0:0::/root:/bin/sh\ngames:x:5:60::/:/bin/false\n\
                      nobody:x:65534:65533::/:/bin/false\n";
        assert_eq!(Account::choose(passwd), Some(Account { uid: 65534, gid: 65533 }));
        let without = "root:x:0:0::/root:/bin/sh\ngames:x:5:60::/:/bin/false\n";
        assert_eq!(Account::choose(without), Some(Account { uid: 5, gid: 60 }));
        assert_eq!(Account::choose("root:x:0:0::/root:/bin/sh\n"), None);
    }
}
