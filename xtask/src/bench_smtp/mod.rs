//! `make bench-smtp`: mails a second through one loopback Postfix that throws them away: lettre's plain
//! `send()`, over one connection that is kept, against Mailroom's transport, likewise.
//!
//! lettre's messages are made beforehand; Mailroom renders its letters while the clock runs. Postfix
//! keeps its queue in memory, so that the disk is no part of it.

mod ours;
mod plain;

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use testkit::{Onward, Relay, Software};

const MAILS: usize = 200;
const ROUNDS: usize = 5;
/// How many times faster Mailroom's transport is to be.
const RATIO_MIN: f64 = 10.0;

/// Measures, `args` being how many mails a round has, if not 200.
pub(crate) fn run(args: &[&str]) -> anyhow::Result<()> {
    let mails = match args {
        [] | [""] => MAILS,
        [mails] => {
            mails.parse().ok().filter(|mails| *mails > 0).context("MAILS is not a number")?
        }
        _ => bail!("bench-smtp takes one argument: mails a round"),
    };
    if let Some(why) = Relay::missing(Software::Postfix) {
        return say(format_args!("SKIPPED: bench-smtp: there is no Postfix: {why}"));
    }
    let postfix = Relay::start(Software::Postfix, Onward::Discard, None)?;
    let port = postfix.addr().port();
    say(format_args!(
        "{ROUNDS} rounds of {mails} mails each, to a Postfix on 127.0.0.1 that throws them away"
    ))?;
    let plain = plain::Plain::new(port, mails)?;
    let ours = ours::Ours::new(port)?;
    // The first mail of each has a connection to open.
    plain.send(1)?;
    ours.send(1)?;
    let (mut of_plain, mut of_ours) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let (slow, fast) = (timed(|| plain.send(mails))?, timed(|| ours.send(mails))?);
        say(format_args!(
            "round {round}: lettre's send() {:>7.1} mails/s, Mailroom {:>7.1} mails/s",
            rate(mails, slow),
            rate(mails, fast)
        ))?;
        of_plain.push(slow);
        of_ours.push(fast);
    }
    let (slow, fast) = (median(of_plain), median(of_ours));
    let ratio = slow.as_secs_f64() / fast.as_secs_f64();
    for (name, time) in [("lettre's send()", slow), ("Mailroom", fast)] {
        let each = time.as_secs_f64() * 1e3 / count(mails);
        say(format_args!(
            "median: {name:<15} {:>7.1} mails/s, {each:.2} ms each",
            rate(mails, time)
        ))?;
    }
    say(format_args!("ratio: {ratio:.1}"))?;
    if ratio < RATIO_MIN {
        bail!("Mailroom is {ratio:.1} times as fast as lettre's send(), not {RATIO_MIN} times");
    }
    Ok(())
}

fn timed(what: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let clock = Instant::now();
    what()?;
    Ok(clock.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn rate(mails: usize, time: Duration) -> f64 {
    count(mails) / time.as_secs_f64()
}

fn count(mails: usize) -> f64 {
    u32::try_from(mails).map_or(f64::INFINITY, f64::from)
}

fn say(words: impl std::fmt::Display) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{words}").context("write to stdout")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        let times = [5, 1, 4, 2, 3].map(Duration::from_secs);
        assert_eq!(median(times.to_vec()), Duration::from_secs(3));
    }
}
