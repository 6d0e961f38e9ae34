//! Settings: environment variables in, typed values out, every bad one reported at once.
//!
//! Two layers. [`said`] takes down what was said: a struct of `Option<String>` fields, one for each
//! `MAILROOM_…` variable. Each program then turns that into what it needs with the methods of
//! [`Problems`], which notes what is wrong and goes on, so that a person mends everything in one go.

mod command_line;
mod names;
mod problems;
mod secret_file;

use std::collections::BTreeMap;
use std::ffi::OsString;

use serde::de::DeserializeOwned;

pub use command_line::{Command, command_line, print};
pub use names::unknown;
pub use problems::Problems;

/// All our variables begin so.
pub const PREFIX: &str = "MAILROOM_";

/// What was said: `vars`, usually [`std::env::vars_os`], read into a struct whose fields are all
/// `Option<String>` and are called like the variables, in lower case and without [`PREFIX`]. An empty
/// value counts as not set. Variables without a field are left alone: both halves share one
/// environment.
///
/// # Errors
/// A value that is not UTF-8, named by its variable.
pub fn said<T: DeserializeOwned>(
    vars: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<T, Problems> {
    let mut problems = Problems::default();
    let mut texts = BTreeMap::new();
    for (name, value) in vars {
        let Ok(name) = name.into_string() else { continue };
        // envy folds case and drops a repeated prefix: two variables must not end up in one field.
        let ours = name.strip_prefix(PREFIX).is_some_and(|rest| {
            !rest.starts_with(PREFIX) && !rest.contains(|c: char| c.is_lowercase())
        });
        if !ours || value.is_empty() {
            continue;
        }
        match value.into_string() {
            Ok(value) => _ = texts.insert(name, value),
            Err(_) => problems.push(&name, "its value is not UTF-8 text"),
        }
    }
    match envy::prefixed(PREFIX).from_iter(texts) {
        Ok(said) => problems.finish(said),
        // Only a field that is not Option<String> comes here; envy's words may quote a value.
        Err(_) => {
            problems.push(PREFIX, "a setting cannot be read");
            Err(problems)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    struct Said {
        database_url: Option<String>,
        batch_limit: Option<String>,
    }

    fn vars(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn takes_our_variables_and_leaves_the_rest_alone() {
        let said: Said = said(vars(&[
            ("PATH", "/bin"),
            ("MAILROOM_BATCH_LIMIT", "10"),
            ("MAILROOM_SES_SOURCE", "someone else's"),
            ("MAILROOM_batch_limit", "11"),
            ("BATCH_LIMIT", "12"),
            ("MAILROOM_MAILROOM_BATCH_LIMIT", "13"),
        ]))
        .expect("nothing wrong");
        assert_eq!(said, Said { database_url: None, batch_limit: Some("10".to_owned()) });
    }

    #[test]
    fn an_empty_value_counts_as_not_set() {
        let said: Said = said(vars(&[("MAILROOM_BATCH_LIMIT", "")])).expect("nothing wrong");
        assert_eq!(said, Said::default());
    }

    #[test]
    fn a_value_that_is_not_text_is_named_and_not_shown() {
        let mut vars = vars(&[("MAILROOM_BATCH_LIMIT", "10")]);
        vars.push(("MAILROOM_DATABASE_URL".into(), OsString::from_vec(b"pw=\xff\xfe".to_vec())));
        vars.push((OsString::from_vec(b"MAILROOM_\xff".to_vec()), "x".into()));
        let problems = said::<Said>(vars).expect_err("not UTF-8");
        assert_eq!(problems.to_string(), "MAILROOM_DATABASE_URL: its value is not UTF-8 text");
    }

    proptest! {
        #[test]
        fn never_panics(vars in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..12), prop::collection::vec(any::<u8>(), 0..12)), 0..8,
        )) {
            let vars = vars.into_iter().map(|(name, value)| {
                let mut full = PREFIX.as_bytes().to_vec();
                full.extend(name);
                (OsString::from_vec(full), OsString::from_vec(value))
            });
            let _ = said::<Said>(vars);
        }
    }
}
