//! Connection strings: taken or refused, and what is said about one does not depend on its password.
#![no_main]

use daemon::postgres::{Os, Target};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|url: &str| {
    if url.contains("passfile") || url.contains("sslrootcert") {
        return; // What this machine has in its files is not the parser's business, and slow.
    }
    let os = Os { user: Some("user".to_owned()), home: None, socket_dirs: Vec::new() };
    let said = |url: &str| match Target::parse(url, &|_| None, &os) {
        Ok(target) => format!("{target:?} {}", target.describe()),
        Err(error) => error,
    };
    said(url);
    let with = |password: &str| said(&format!("password={password} {url}"));
    assert_eq!(with("s3cr3t-pa55word"), with("open-sesame-123"));
});
