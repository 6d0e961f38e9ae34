//! What a mail may cost, and what is said of one that costs more.

use anyhow::{Context as _, bail, ensure};

/// How far a count may be from its budget. From run to run it changes by a percent at most; but what a
/// compiler inlines changes with code that is not even run.
const TOLERANCE_PERCENT: u64 = 10;

/// Instructions a mail, by case.
#[derive(Debug)]
pub(crate) struct Budgets(Vec<(String, u64)>);

impl Budgets {
    /// Reads `case number` a line; what follows a `#` is for people. Exactly `cases` have one each.
    pub(crate) fn parse(text: &str, cases: &[&str]) -> anyhow::Result<Self> {
        let mut budgets: Vec<(String, u64)> = Vec::new();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [] => {}
                [name, number] => {
                    let budget = number.parse().ok().filter(|budget| *budget > 0);
                    let budget = budget.with_context(|| {
                        format!("{name}: {number:?} is not a number of instructions")
                    })?;
                    ensure!(cases.contains(name), "{name:?} is not a case: remove its budget");
                    ensure!(budgets.iter().all(|(n, _)| n != name), "{name} has two budgets");
                    budgets.push(((*name).to_owned(), budget));
                }
                _ => bail!("{line:?} is not of the form: case number"),
            }
        }
        for name in cases {
            ensure!(budgets.iter().any(|(n, _)| n == name), "{name} has no budget: add one");
        }
        Ok(Self(budgets))
    }

    /// What a case may take.
    pub(crate) fn of(&self, name: &str) -> anyhow::Result<u64> {
        let found = self.0.iter().find(|(n, _)| n == name);
        found.map(|(_, budget)| *budget).with_context(|| format!("{name} has no budget"))
    }
}

/// A count beside its budget.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As it should be.
    Within,
    /// So much less that the budget guards nothing any more. No failure.
    FarBelow,
    /// Too many.
    Above,
}

/// Compares instructions a mail.
pub(crate) fn verdict(count: u64, budget: u64) -> Verdict {
    if count * 100 > budget * (100 + TOLERANCE_PERCENT) {
        Verdict::Above
    } else if count * 100 < budget * (100 - TOLERANCE_PERCENT) {
        Verdict::FarBelow
    } else {
        Verdict::Within
    }
}

/// What to do about it, if anything.
pub(crate) fn remedy(name: &str, count: u64, budget: u64) -> Option<String> {
    match verdict(count, budget) {
        Verdict::Within => None,
        Verdict::FarBelow => Some(format!(
            "{name}: {count} instructions a mail, of a budget of {budget}: lower the budget, so that it \
             stays that way"
        )),
        Verdict::Above => Some(format!(
            "FAILED: {name}: {count} instructions a mail, more than {TOLERANCE_PERCENT} % above its \
             budget of {budget}: mend it, or raise the budget in the commit that says why"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_has_a_budget_for_every_case() {
        let cases = crate::cases::CASES.map(|case| case.name);
        Budgets::parse(include_str!("../budgets.txt"), &cases).unwrap();
    }

    #[test]
    fn a_wrong_budget_is_named() {
        for (text, error) in [
            ("", "a has no budget: add one"),
            ("a 1\nb 2", "\"b\" is not a case: remove its budget"),
            ("a 1\na 2", "a has two budgets"),
            ("a 0", "a: \"0\" is not a number of instructions"),
            ("a # 1", "\"a \" is not of the form: case number"),
        ] {
            assert_eq!(Budgets::parse(text, &["a"]).unwrap_err().to_string(), error, "{text}");
        }
        let budgets = Budgets::parse("# all\n\n a  12 # why\n", &["a"]).unwrap();
        assert_eq!(budgets.of("a").unwrap(), 12);
    }

    #[test]
    fn more_than_a_tenth_above_fails_and_far_below_is_said() {
        for (count, expected) in [
            (1101, Verdict::Above),
            (1100, Verdict::Within),
            (900, Verdict::Within),
            (899, Verdict::FarBelow),
        ] {
            assert_eq!(verdict(count, 1000), expected, "{count}");
        }
        let said = remedy("letter", 1101, 1000).unwrap();
        assert!(said.starts_with("FAILED: letter: 1101 instructions a mail"), "{said}");
        assert!(said.ends_with("raise the budget in the commit that says why"), "{said}");
        assert!(remedy("letter", 899, 1000).unwrap().contains("lower the budget"));
        assert_eq!(remedy("letter", 1000, 1000), None);
    }
}
