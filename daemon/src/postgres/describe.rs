//! A target in words, for `--check` and the log: all of it but the password.

use std::fmt;

use tokio_postgres::config::TargetSessionAttrs;

use super::hosts::{Host, Server};
use super::target::Target;
use super::tls::{MODES, Roots};

impl Target {
    /// What the target is, as `key=value` pairs for people; of the password only whether there is one.
    pub fn describe(&self) -> String {
        let list = |element: &dyn Fn(&Server) -> String| {
            quoted(&self.servers.iter().map(element).collect::<Vec<_>>().join(","))
        };
        let mut text = format!("host={}", list(&|server| self.host_of(server)));
        if self.servers.iter().any(|s| matches!(s.host, Host::Address { name: Some(_), .. })) {
            text += &format!(
                " hostaddr={}",
                list(&|server| match &server.host {
                    Host::Address { address, .. } => address.to_string(),
                    _ => String::new(),
                })
            );
        }
        text += &format!(" port={}", list(&|server| server.port.to_string()));
        text += &format!(" dbname={} user={}", quoted(&self.dbname), quoted(&self.user));
        let mode = MODES.iter().find(|(_, mode)| *mode == self.tls.mode);
        text += &format!(" sslmode={}", mode.map_or("", |(word, _)| word));
        match &self.tls.roots {
            Roots::System => text += " sslrootcert=system",
            Roots::File(path) => {
                text += &format!(" sslrootcert={}", quoted(&path.display().to_string()));
            }
            Roots::HomeFile(_) | Roots::Nowhere => {}
        }
        if self.config.get_target_session_attrs() == TargetSessionAttrs::ReadWrite {
            text += " target_session_attrs=read-write";
        }
        let password =
            match (&self.password, self.servers.iter().any(|s| self.password(s).is_some())) {
                (Some(_), _) => "set",
                (None, true) => "passfile",
                (None, false) => "none",
            };
        format!("{text} password={password}")
    }
}

/// A value as `key=value` pairs want it.
fn quoted(value: &str) -> String {
    if !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || matches!(c, '\'' | '\\'))
    {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.describe())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}
