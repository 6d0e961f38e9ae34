//! What was looked at, how it was found, and what to do about it.

use daemon::exit::Exit;
use serde::Serialize;

use crate::output::Output;

/// How something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it must be.
    Ok,
    /// Mail flows, but this is hardly meant.
    Warning,
    /// Mail does not flow, or not all.
    Wrong,
    /// Could not be looked at.
    Skipped,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Wrong => "wrong",
            Self::Skipped => "skipped",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it was found.
    pub verdict: Verdict,
    /// What was looked at.
    pub check: String,
    /// What was found; no secret is in it.
    pub detail: String,
    /// What to do; empty if nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
    /// Whether it may mend by itself.
    #[serde(skip)]
    pub passing: bool,
}

impl Finding {
    fn new(verdict: Verdict, check: &str, detail: impl ToString, remedy: impl ToString) -> Self {
        let line = |text: String| text.replace(|c: char| c.is_control(), " ");
        let (detail, remedy) = (line(detail.to_string()), line(remedy.to_string()));
        Self { verdict, check: check.to_owned(), detail, remedy, passing: false }
    }

    /// As it must be.
    pub fn ok(check: &str, detail: impl ToString) -> Self {
        Self::new(Verdict::Ok, check, detail, "")
    }

    /// Mail flows all the same.
    pub fn warning(check: &str, detail: impl ToString, remedy: impl ToString) -> Self {
        Self::new(Verdict::Warning, check, detail, remedy)
    }

    /// A person must mend it.
    pub fn wrong(check: &str, detail: impl ToString, remedy: impl ToString) -> Self {
        Self::new(Verdict::Wrong, check, detail, remedy)
    }

    /// Something is away, and may come back by itself.
    pub fn away(check: &str, detail: impl ToString, remedy: impl ToString) -> Self {
        Self { passing: true, ..Self::wrong(check, detail, remedy) }
    }

    /// Could not be looked at, and why.
    pub fn skipped(check: &str, detail: impl ToString, remedy: impl ToString) -> Self {
        Self::new(Verdict::Skipped, check, detail, remedy)
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:<7}  {} – {}", self.verdict.word(), self.check, self.detail)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}

/// Says each finding as soon as it is there, and in the end what they come to.
pub struct Report<'a, 'o> {
    out: &'a mut Output<'o>,
    json: bool,
    wrong: usize,
    away: usize,
    warnings: usize,
}

impl<'a, 'o> Report<'a, 'o> {
    /// To `out`, a line each, or with `json` an object.
    pub fn new(out: &'a mut Output<'o>, json: bool) -> Self {
        Self { out, json, wrong: 0, away: 0, warnings: 0 }
    }

    /// Says them.
    ///
    /// # Errors
    /// When the reader is gone.
    pub fn say(&mut self, findings: impl IntoIterator<Item = Finding>) -> anyhow::Result<()> {
        for finding in findings {
            match (finding.verdict, finding.passing) {
                (Verdict::Wrong, false) => self.wrong += 1,
                (Verdict::Wrong, true) => self.away += 1,
                (Verdict::Warning, _) => self.warnings += 1,
                (Verdict::Ok | Verdict::Skipped, _) => {}
            }
            if self.json { self.out.json(&finding)? } else { self.out.line(&finding)? }
        }
        Ok(())
    }

    /// Says what they come to, in words only where people read: the exit code says it, too.
    ///
    /// # Errors
    /// When the reader is gone.
    pub fn end(self) -> anyhow::Result<Exit> {
        let (exit, words) = match (self.wrong, self.away, self.warnings) {
            (0, 0, 0) => (Exit::Done, "mail would flow".to_owned()),
            (0, 0, warnings) => (Exit::Done, format!("mail would flow; warnings: {warnings}")),
            (0, away, _) => (Exit::Unavailable, format!("mail would not flow now; wrong: {away}")),
            (wrong, away, _) => {
                (Exit::Config, format!("mail would not flow; wrong: {}", wrong + away))
            }
        };
        if !self.json {
            self.out.line(words)?;
        }
        Ok(exit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(findings: Vec<Finding>) -> (Exit, String) {
        let mut said = Vec::new();
        let mut out = Output::to(&mut said);
        let mut report = Report::new(&mut out, false);
        report.say(findings).unwrap();
        let exit = report.end().unwrap();
        drop(out);
        (exit, String::from_utf8(said).unwrap())
    }

    #[test]
    fn what_a_person_must_mend_outweighs_what_may_come_back() {
        let ok = || Finding::ok("clock", "right");
        let warning = || Finding::warning("notify", "always", "reset it");
        let away = || Finding::away("connection", "refused", "start it");
        let wrong = || Finding::wrong("channel", "another\none", "set it");
        assert_eq!(ended(vec![ok()]).0, Exit::Done);
        assert_eq!(ended(vec![warning(), ok()]).0, Exit::Done);
        assert_eq!(ended(vec![warning(), away()]).0, Exit::Unavailable);
        let (exit, said) = ended(vec![ok(), wrong(), away()]);
        assert_eq!(exit, Exit::Config);
        assert_eq!(
            said,
            "ok       clock – right\nwrong    channel – another one; set it\n\
             wrong    connection – refused; start it\nmail would not flow; wrong: 2\n"
        );
    }
}
