#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use tempfile::TempDir;
use testkit::ses::Content;
use testkit::{Clock, Database, Process, Ses};

use crate::support::{environment, finish};

/// Of the set-up that nothing is wrong with.
pub(crate) const KEY: &str = "5eca5eca5eca5eca5eca5eca5eca5eca5eca5eca5eca5eca5eca5eca5eca5eca";

/// In no answer.
pub(crate) const PASSWORD: &str = "hush";

/// A set-up that nothing is wrong with, until a test breaks it.
pub(crate) struct SetUp {
    pub(crate) db: Database,
    pub(crate) ses: Ses,
    pub(crate) dir: TempDir,
}

impl SetUp {
    pub(crate) async fn new() -> SetUp {
        SetUp::over(Database::fresh().await.unwrap())
    }

    pub(crate) fn over(db: Database) -> SetUp {
        let ses = Ses::start().unwrap();
        let content = |secret: &str| Content {
            subject: "Mail for {{login}}".to_owned(),
            html: format!("<p>{secret}</p>"),
            text: secret.to_owned(),
        };
        ses.store_template("activationv1", content("{{secret}}"));
        ses.store_template("passwordrecoveryv1", content("{{secret}} {{code}}"));
        SetUp { db, ses, dir: tempfile::tempdir().unwrap() }
    }

    /// `mailroom doctor`, to be run.
    pub(crate) fn doctor(&self) -> Process {
        Process::new("mailroom")
            .args(["doctor", "--pace", "0"])
            .envs(environment(&self.ses))
            .env("MAILROOM_DATABASE_URL", self.db.url())
            .env("MAILROOM_SECRET_KEY", KEY)
            .env("MAILROOM_SES_SOURCE", "Example <noreply@mail.example.com>")
            .env("MAILROOM_SES_OUTPUT_PATH", self.dir.path())
    }

    /// Likewise, without SES.
    pub(crate) fn doctor_of(&self, transport: &str) -> Process {
        Process::new("mailroom")
            .args(["doctor", "--pace", "0"])
            .env("MAILROOM_DATABASE_URL", self.db.url())
            .env("MAILROOM_SECRET_KEY", KEY)
            .env("MAILROOM_TRANSPORT", transport)
            .env("MAILROOM_FROM", "Example <noreply@mail.example.com>")
            .env("MAILROOM_BASE_URL", "https://example.com")
    }
}

/// A clock for it. `None`, and says so, where there is no C compiler.
pub(crate) fn clock() -> Option<Clock> {
    use std::io::Write as _;
    let clock = Clock::new().unwrap();
    if clock.is_none() {
        let mut stderr = std::io::stderr();
        writeln!(stderr, "SKIPPED: no C compiler, so no other clock").unwrap();
    }
    clock
}

/// What it said, and how it ended.
#[derive(Debug)]
pub(crate) struct Diagnosis {
    pub(crate) code: i32,
    pub(crate) lines: Vec<String>,
}

/// Runs it to its end. Whatever is wrong, no secret is in what it says.
pub(crate) fn diagnose(doctor: Process) -> Diagnosis {
    let ran = finish(doctor);
    let said = format!("{}\n{}", ran.out.join("\n"), ran.err);
    for secret in [KEY, PASSWORD] {
        assert!(!said.contains(secret), "{said}");
    }
    Diagnosis { code: ran.code, lines: ran.out }
}

impl Diagnosis {
    /// The one line of this verdict about this, with these words in it.
    #[track_caller]
    pub(crate) fn says(&self, verdict: &str, check: &str, words: &[&str]) -> &Diagnosis {
        let begins = format!("{verdict:<7}  {check} – ");
        let fits = |line: &&String| {
            line.starts_with(&begins) && words.iter().all(|word| line.contains(word))
        };
        let count = self.lines.iter().filter(fits).count();
        assert_eq!(count, 1, "{begins}{words:?} in:\n{}", self.lines.join("\n"));
        self
    }

    /// It must be mended by a person, and this is what, with the remedy.
    #[track_caller]
    pub(crate) fn is_wrong(&self, check: &str, detail: &str, remedy: &str) -> &Diagnosis {
        assert_eq!(self.code, 78, "{}", self.lines.join("\n"));
        self.says("wrong", check, &[detail, remedy])
    }

    /// Mail would flow, and this is worth a word.
    #[track_caller]
    pub(crate) fn warns(&self, check: &str, detail: &str, remedy: &str) -> &Diagnosis {
        assert_eq!(self.code, 0, "{}", self.lines.join("\n"));
        self.says("warning", check, &[detail, remedy])
    }

    /// Nothing else is wrong.
    #[track_caller]
    pub(crate) fn alone(&self) -> &Diagnosis {
        let bad = |line: &&String| line.starts_with("wrong") || line.starts_with("warning");
        assert_eq!(self.lines.iter().filter(bad).count(), 1, "{}", self.lines.join("\n"));
        self
    }

    /// Nothing is wrong, nor worth a word.
    #[track_caller]
    pub(crate) fn all_good(&self) {
        assert_eq!(self.code, 0, "{}", self.lines.join("\n"));
        let (end, findings) = self.lines.split_last().unwrap();
        assert_eq!(end, "mail would flow");
        assert!(findings.iter().all(|line| line.starts_with("ok ")), "{}", self.lines.join("\n"));
    }
}
