//! `make instructions`: counts the instructions that the pure code on the path of each mail takes, and
//! fails if they are more than `budgets.txt` has. Unlike times they are the same on a busy machine.

mod budgets;
mod callgrind;
mod cases;
mod inputs;

use std::io::{Write as _, stdout};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use budgets::Budgets;
use cases::CASES;

const HELP: &str = "\
instructions check <budgets>       count each case under Valgrind; fail if one is above its budget
instructions run <case> <times>    do what is counted
instructions processor             say what decides which code is run";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["check", budgets] => check(budgets),
        ["run", case, times] => run(case, times),
        ["processor"] => say(&callgrind::processor()),
        _ => Err(anyhow::anyhow!("expected one of\n\n{HELP}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without a stderr there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "instructions: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(case: &str, times: &str) -> anyhow::Result<()> {
    let times = times.parse().with_context(|| format!("{times:?} is not a number"))?;
    cases::run(case, times)
}

fn check(file: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| file.to_owned())?;
    let names = CASES.each_ref().map(|case| case.name);
    let budgets = Budgets::parse(&text, &names).with_context(|| file.to_owned())?;
    let (processor, ours) = (callgrind::emulated()?, callgrind::PROCESSOR);
    if processor != ours {
        return say(&format!(
            "SKIPPED: instructions: Valgrind is {processor} here, and the budgets are for {ours}"
        ));
    }
    say(&format!("{:<12}{:>16}{:>12}", "", "a mail", "budget"))?;
    let mut counts: Vec<(&str, u64)> = Vec::new();
    let mut remedies = Vec::new();
    for case in &CASES {
        let all = callgrind::count(case).with_context(|| format!("count {}", case.name))?;
        let part = counts.iter().find(|(name, _)| Some(*name) == case.without);
        let count = all.saturating_sub(part.map_or(0, |(_, part)| *part));
        let budget = budgets.of(case.name)?;
        say(&format!("{:<12}{count:>16}{budget:>12}", case.name))?;
        remedies.extend(budgets::remedy(case.name, count, budget));
        counts.push((case.name, all));
    }
    for remedy in &remedies {
        say(remedy)?;
    }
    let above = remedies.iter().filter(|remedy| remedy.starts_with("FAILED")).count();
    if above > 0 {
        bail!("{above} of {} above the budget in {file}", CASES.len());
    }
    Ok(())
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(stdout(), "{line}").context("write to stdout")
}
