#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use testkit::{Process, Ses};

/// Far more than anything here takes.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A template without fault, as far as it goes.
pub(crate) const WELCOME: [(&str, &str); 3] = [
    ("welcome/en/subject.txt", "Hi {{login}}\n"),
    (
        "welcome/en/body.html",
        "<!doctype html>\n<html lang=\"en\">\n<head><title>Hi</title></head>\n<body>\n\
         <p>{{login_html}}</p>\n</body>\n</html>\n",
    ),
    ("welcome/en/body.txt", "Hi {{login}}\n"),
];

/// The templates that come with Mailroom.
pub(crate) fn ours() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../templates")
}

/// A folder with [`WELCOME`] and these files, which go before.
pub(crate) fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in WELCOME.iter().chain(files) {
        put(dir.path(), path, text);
    }
    dir
}

pub(crate) fn put(dir: &Path, path: &str, text: &str) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: Vec<String>,
    pub(crate) err: String,
}

/// Runs `mailroom templates …` to its end.
pub(crate) fn mailroom(args: &[&str]) -> Ran {
    finish(command(args))
}

/// Likewise, with SES to talk to, without its pace.
pub(crate) fn with_ses(ses: &Ses, args: &[&str]) -> Ran {
    finish(command(args).args(["--pace", "0"]).envs(environment(ses)))
}

pub(crate) fn command(args: &[&str]) -> Process {
    Process::new("mailroom").arg("templates").args(args)
}

pub(crate) fn environment(ses: &Ses) -> [(&'static str, String); 5] {
    [
        ("AWS_ENDPOINT_URL", ses.url()),
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ]
}

pub(crate) fn finish(process: Process) -> Ran {
    let process = process.spawn().unwrap();
    let code = process.wait(SOON).unwrap();
    Ran { code, out: process.lines(), err: process.stderr() }
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
