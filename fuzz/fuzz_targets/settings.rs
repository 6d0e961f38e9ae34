//! Settings: whatever the environment says is taken or refused in words without line breaks.
#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use daemon::log::LogSettings;
use daemon::settings::{Problems, said};
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;

#[derive(Deserialize)]
struct Said {
    number: Option<String>,
    float: Option<String>,
    flag: Option<String>,
    log: Option<String>,
}

fuzz_target!(|values: [Vec<u8>; 4]| {
    let names = ["NUMBER", "FLOAT", "FLAG", "LOG"];
    let vars = names.iter().zip(values).map(|(name, value)| {
        (OsString::from(format!("MAILROOM_{name}")), OsString::from_vec(value))
    });
    let Ok(said) = said::<Said>(vars) else { return };
    let mut problems = Problems::default();
    assert!((1..=10).contains(&problems.number("NUMBER", said.number, 3, 1..=10, "rows")));
    assert!((0.5..=2.0).contains(&problems.float("FLOAT", said.float, 1.0, 0.5..=2.0, "")));
    problems.flag("FLAG", said.flag, false);
    LogSettings::from_said(&mut problems, said.log, None);
    assert!(problems.lines().all(|line| !line.contains(char::is_control)));
});
