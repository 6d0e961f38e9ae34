//! The keys of a connection string and the `PG…` variables behind them: which are honoured, which may
//! be passed over, and which must be refused because going on without them would be another promise.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::conninfo::Pairs;

/// What is done about a key.
enum Rule {
    /// Honoured.
    Used,
    /// Makes no difference here: it asks for something that only libpq has, and allows going without.
    Passed,
    /// Refused, unless it has one of these values, which ask for nothing.
    Refused(&'static [&'static str]),
}
use Rule::{Passed, Refused, Used};

/// Key, environment variable ("" = none), rule. Everything libpq 18 knows is here.
const KNOWN: &[(&str, &str, Rule)] = &[
    ("application_name", "PGAPPNAME", Used),
    ("channel_binding", "PGCHANNELBINDING", Used),
    ("client_encoding", "PGCLIENTENCODING", Passed), // always UTF-8
    ("connect_timeout", "PGCONNECT_TIMEOUT", Used),
    ("dbname", "PGDATABASE", Used),
    ("fallback_application_name", "", Used),
    ("gssdelegation", "PGGSSDELEGATION", Refused(&["0"])),
    ("gssencmode", "PGGSSENCMODE", Refused(&["disable", "prefer"])),
    ("gsslib", "PGGSSLIB", Passed),
    ("host", "PGHOST", Used),
    ("hostaddr", "PGHOSTADDR", Used),
    ("keepalives", "", Used),
    ("keepalives_count", "", Used),
    ("keepalives_idle", "", Used),
    ("keepalives_interval", "", Used),
    ("krbsrvname", "PGKRBSRVNAME", Passed),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS", Used),
    ("max_protocol_version", "PGMAXPROTOCOLVERSION", Passed),
    ("min_protocol_version", "PGMINPROTOCOLVERSION", Refused(&["3.0"])),
    ("oauth_client_id", "", Refused(&[])),
    ("oauth_client_secret", "", Refused(&[])),
    ("oauth_issuer", "", Refused(&[])),
    ("oauth_scope", "", Refused(&[])),
    ("options", "PGOPTIONS", Used),
    ("passfile", "PGPASSFILE", Used),
    ("password", "PGPASSWORD", Used),
    ("port", "PGPORT", Used),
    ("replication", "", Refused(&["false", "off", "no", "0"])),
    ("require_auth", "PGREQUIREAUTH", Refused(&[])),
    ("requirepeer", "PGREQUIREPEER", Refused(&[])),
    ("scram_client_key", "", Refused(&[])),
    ("scram_server_key", "", Refused(&[])),
    ("service", "PGSERVICE", Refused(&[])),
    ("servicefile", "PGSERVICEFILE", Passed), // only read for a service
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", Refused(&["TLSv1.3"])),
    (
        "ssl_min_protocol_version",
        "PGSSLMINPROTOCOLVERSION",
        Refused(&["TLSv1", "TLSv1.1", "TLSv1.2"]),
    ),
    ("sslcert", "PGSSLCERT", Refused(&[])),
    ("sslcertmode", "PGSSLCERTMODE", Refused(&["disable", "allow"])),
    ("sslcompression", "PGSSLCOMPRESSION", Passed), // libpq passes it over, too
    ("sslcrl", "PGSSLCRL", Refused(&[])),
    ("sslcrldir", "PGSSLCRLDIR", Refused(&[])),
    ("sslkey", "PGSSLKEY", Refused(&[])),
    ("sslkeylogfile", "", Refused(&[])),
    ("sslmode", "PGSSLMODE", Used),
    ("sslnegotiation", "PGSSLNEGOTIATION", Used),
    ("sslpassword", "", Refused(&[])),
    ("sslrootcert", "PGSSLROOTCERT", Used),
    ("sslsni", "PGSSLSNI", Used),
    ("target_session_attrs", "PGTARGETSESSIONATTRS", Used),
    ("tcp_user_timeout", "", Used),
    ("user", "PGUSER", Used),
];

/// What was said, for each key from the connection string or else from the environment. An empty value
/// in the string hides the variable and means the default, as with libpq.
pub(super) struct Options {
    said: BTreeMap<&'static str, Said>,
}

struct Said {
    value: String,
    /// The key or the variable it came from, for messages.
    from: &'static str,
}

impl Options {
    /// # Errors
    /// A key that is unknown or refused. Values are never quoted.
    pub(super) fn gather(
        pairs: Pairs,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let mut said = BTreeMap::new();
        for (key, variable, _) in KNOWN {
            if let Some(value) = env(variable).filter(|_| !variable.is_empty()) {
                said.insert(*key, Said { value, from: variable });
            }
        }
        let mut after_password = false;
        for (key, value) in pairs {
            let Some((known, _, _)) = KNOWN.iter().find(|(known, _, _)| *known == key) else {
                return Err(unknown(&key, after_password));
            };
            after_password |= *known == "password";
            said.insert(*known, Said { value, from: known });
        }
        said.retain(|_, said| !said.value.is_empty());
        for (key, _, rule) in KNOWN {
            if let (Refused(unless), Some(said)) = (rule, said.get(key))
                && !unless.contains(&said.value.as_str())
            {
                return Err(format!("{} asks for something that is not supported here", said.from));
            }
        }
        Ok(Self { said })
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        debug_assert!(KNOWN.iter().any(|(known, _, rule)| *known == key && matches!(rule, Used)));
        self.said.get(key).map(|said| said.value.as_str())
    }

    /// A list, its elements separated by commas; `[""]` if nothing was said.
    pub(super) fn list(&self, key: &str) -> Vec<&str> {
        self.text(key).unwrap_or_default().split(',').map(str::trim).collect()
    }

    /// # Errors
    /// When it is not a whole number.
    pub(super) fn number<T: FromStr>(&self, key: &str) -> Result<Option<T>, String> {
        let number = self.text(key).map(|text| text.trim().parse::<T>());
        number.transpose().map_err(|_| self.fault(key, "is not a whole number in range"))
    }

    /// The meaning of one of the words in `choices`.
    ///
    /// # Errors
    /// When it is another word.
    pub(super) fn one_of<T: Copy>(
        &self,
        key: &str,
        default: T,
        choices: &[(&str, T)],
    ) -> Result<T, String> {
        let Some(text) = self.text(key) else { return Ok(default) };
        let chosen = choices.iter().find(|(word, _)| *word == text).map(|(_, chosen)| *chosen);
        chosen.ok_or_else(|| {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.fault(key, &format!("is not one of {}", words.join(", ")))
        })
    }

    /// A complaint about what was said for `key`, naming where it was said.
    pub(super) fn fault(&self, key: &str, what: &str) -> String {
        format!("{} {what}", self.said.get(key).map_or(key, |said| said.from))
    }
}

/// An unquoted password with a blank and a `=` in it looks like another key: do not print it.
fn unknown(key: &str, after_password: bool) -> String {
    let plain = key.len() <= 32 && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if plain && !key.is_empty() && !after_password {
        format!("\"{key}\" is not a connection setting")
    } else {
        "a key is not a connection setting (a value with blanks goes in single quotes)".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::conninfo;
    use super::*;

    fn gathered(text: &str, env: &[(&str, &str)]) -> Result<Options, String> {
        let find = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Options::gather(conninfo::parse(text).expect("parses"), &find)
    }

    #[test]
    fn the_string_comes_before_the_environment_and_an_empty_value_means_the_default() {
        let env =
            [("PGHOST", "a"), ("PGUSER", "b"), ("PGPORT", ""), ("", "x"), ("PGDATABASE", "d")];
        let options = gathered("host=c user='' user=e host='' dbname=f", &env).expect("valid");
        assert_eq!(options.text("host"), None);
        assert_eq!(options.text("user"), Some("e"));
        assert_eq!(options.text("port"), None);
        assert_eq!(options.text("dbname"), Some("f"));
        assert_eq!(options.text("keepalives"), None);
    }

    #[test]
    fn unknown_keys_are_named_but_never_a_piece_of_a_password() {
        let fault = |text| gathered(text, &[]).err().expect(text);
        assert_eq!(fault("dbnam=x"), "\"dbnam\" is not a connection setting");
        assert_eq!(
            fault("postgres://db/?pool_size=5"),
            "\"pool_size\" is not a connection setting"
        );
        for text in ["password=correct hush=x", "Hush=x", "=hush", "hush!=x"] {
            assert!(!fault(text).to_lowercase().contains("hush"), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_where_it_was_said() {
        let fault = |text, env: &[_]| gathered(text, env).err();
        let not_here =
            |from: &str| Some(format!("{from} asks for something that is not supported here"));
        assert_eq!(fault("sslcert=/x", &[]), not_here("sslcert"));
        assert_eq!(fault("", &[("PGSERVICE", "prod")]), not_here("PGSERVICE"));
        assert_eq!(fault("gssencmode=require", &[]), not_here("gssencmode"));
        assert_eq!(fault("gssencmode=prefer sslcompression=1 krbsrvname=x sslcert=''", &[]), None);
    }

    #[test]
    fn numbers_and_words_are_checked_without_showing_them() {
        let options = gathered("keepalives=hush", &[("PGSSLMODE", "hush")]).expect("known keys");
        assert_eq!(
            options.number::<i64>("keepalives"),
            Err("keepalives is not a whole number in range".to_owned())
        );
        assert_eq!(
            options.one_of("sslmode", 0, &[("disable", 1), ("prefer", 2)]),
            Err("PGSSLMODE is not one of disable, prefer".to_owned())
        );
        assert_eq!(options.one_of("channel_binding", 7, &[("disable", 1)]), Ok(7));
        assert_eq!(options.list("host"), [""]);
    }

    #[test]
    fn the_table_is_sorted_and_without_repetition() {
        assert!(KNOWN.is_sorted_by(|(a, _, _), (b, _, _)| a < b));
    }
}
