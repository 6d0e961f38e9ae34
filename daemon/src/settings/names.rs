//! The variables of all programs of Mailroom. They share one environment, so what is not in here is
//! not somebody else's but misspelt.

use std::ffi::OsString;

use super::PREFIX;

/// Without [`PREFIX`].
const KNOWN: [&str; 42] = [
    "BASE_URL",
    "BATCH_LIMIT",
    "BATCH_TIMEOUT",
    "CHANNEL_NAME",
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "DEBUG",
    "ENVELOPE_SENDER",
    "FILE_PATH",
    "FROM",
    "HEALTHCHECK_INTERVAL",
    "LOCALES",
    "LOG",
    "LOG_FORMAT",
    "MAX_ATTEMPTS",
    "PURGE",
    "PURGE_OTHERS_HOURS",
    "PURGE_SENT_HOURS",
    "QUEUE_NAME",
    "READY_AGE",
    "REPLY_TO",
    "SECRET_KEY",
    "SECRET_KEY_FILE",
    "SENDER_CONCURRENCY",
    "SERVE_ADDR",
    "SES_CONFIG_SET",
    "SES_OUTPUT_PATH",
    "SES_RATE",
    "SES_SOURCE",
    "SES_TEMPLATES",
    "SMTP_AUTH",
    "SMTP_CA_FILE",
    "SMTP_HOST",
    "SMTP_PASSWORD",
    "SMTP_PASSWORD_FILE",
    "SMTP_PORT",
    "SMTP_TIMEOUT",
    "SMTP_TLS",
    "SMTP_USERNAME",
    "TEMPLATES",
    "TRANSPORT",
    // Of debug builds, under test.
    "CRASH_POINT",
];

/// The names among `vars` that begin with [`PREFIX`] and that no program of ours reads.
pub fn unknown(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<String> {
    vars.into_iter()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.strip_prefix(PREFIX).is_some_and(|rest| !KNOWN.contains(&rest)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_found_and_others_are_left_alone() {
        let vars = ["MAILROOM_BATCH_LIMIT", "MAILROOM_BATCH_LIMTI", "BATCH_LIMTI", "PATH"];
        let vars = vars.map(|name| (OsString::from(name), OsString::new()));
        assert_eq!(unknown(vars), ["MAILROOM_BATCH_LIMTI"]);
    }
}
