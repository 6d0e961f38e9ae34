//! Connection strings: taken or refused, and what is refused is not quoted: it may be a password.
#![no_main]

use daemon::postgres::{Os, Target};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|url: &str| {
    let os = Os { user: Some("user".to_owned()), home: None, socket_dirs: Vec::new() };
    let secret = "s3cr3t-pa55word";
    if url.contains(secret) {
        return; // The fuzzer has learnt it.
    }
    let with_password = format!("password={secret} {url}");
    for url in [url, with_password.as_str()] {
        match Target::parse(url, &|_| None, &os) {
            Ok(target) => assert!(!format!("{target:?} {}", target.describe()).contains(secret)),
            Err(error) => assert!(!error.contains(secret), "{error}"),
        }
    }
});
