//! What of the benchmark is wanted: `name=value` words, as make has them.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use testkit::Postgres;

/// The rows there are.
pub(super) const ROWS: std::ops::RangeInclusive<u8> = 1..=7;
/// A median of fewer says little.
const ROUNDS: usize = 5;
/// Settled deliveries behind the runs of row 5; the first is what the others are compared with. Ten
/// million take minutes to make.
const GROWTH: [u64; 2] = [10_000, 1_000_000];

/// How everything that is measured connects.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Over {
    /// As libpq does by itself, where the server is on the same machine.
    Socket,
    /// The loopback interface.
    Tcp,
}

impl Over {
    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Over::Socket => "a Unix socket",
            Over::Tcp => "TCP",
        }
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Options {
    /// Rows to measure, each once.
    pub(super) rows: Vec<u8>,
    /// Runs of everything that is compared.
    pub(super) rounds: usize,
    /// What numbers of mails, and times, are divided by: for trying the benchmark itself out.
    pub(super) part: u64,
    /// See [`GROWTH`].
    pub(super) growth: Vec<u64>,
    /// Where the peers were installed, and their drivers with them.
    pub(super) peers: Option<PathBuf>,
    /// See [`Over`].
    pub(super) over: Over,
    /// Where the results go as JSON.
    pub(super) json: Option<PathBuf>,
}

impl Options {
    /// An empty value is as good as none.
    pub(super) fn parse(args: &[&str]) -> anyhow::Result<Options> {
        let mut options = Options {
            rows: ROWS.collect(),
            rounds: ROUNDS,
            part: 1,
            growth: GROWTH.to_vec(),
            peers: None,
            over: Over::Socket,
            json: None,
        };
        for arg in args {
            let (name, value) =
                arg.split_once('=').with_context(|| format!("{arg:?}: no value"))?;
            match (name, value) {
                (_, "") => {}
                ("rows", rows) => options.rows = numbers(name, rows)?,
                ("rounds", rounds) => options.rounds = number(name, rounds)?,
                ("part", part) => options.part = number(name, part)?,
                ("growth", sizes) => options.growth = numbers(name, sizes)?,
                ("peers", place) => options.peers = Some(place.into()),
                ("over", "socket") => options.over = Over::Socket,
                ("over", "tcp") => options.over = Over::Tcp,
                ("over", _) => bail!("over: socket or tcp, not {value:?}"),
                ("json", file) => options.json = Some(file.into()),
                _ => {
                    bail!("{name} is not an option: rows, rounds, part, growth, peers, over, json")
                }
            }
        }
        ensure!(options.rows.iter().all(|row| ROWS.contains(row)), "rows: from 1 to 7");
        ensure!(options.rounds > 0 && options.part > 0, "rounds and part: 1 or more");
        Ok(options)
    }

    /// A database, for the superuser.
    pub(super) fn url(&self, server: &Postgres, database: &str) -> String {
        match self.over {
            Over::Socket => server.socket_url(database),
            Over::Tcp => server.url(database),
        }
    }

    /// So many, or the part of it that is asked for.
    pub(super) fn of(&self, mails: u64) -> u64 {
        (mails / self.part).max(1)
    }

    /// Likewise, of a time in seconds.
    pub(super) fn seconds(&self, seconds: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let part = self.part.min(10) as f64;
        seconds / part
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> anyhow::Result<T> {
    value.trim().parse().ok().with_context(|| format!("{name}: {value:?} is not a number"))
}

fn numbers<T: std::str::FromStr>(name: &str, values: &str) -> anyhow::Result<Vec<T>> {
    values.split(',').map(|value| number(name, value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_word_says_nothing_and_a_wrong_one_is_refused() {
        let usual = Options::parse(&[]).unwrap();
        assert_eq!(Options::parse(&["rows=", "json="]).unwrap(), usual);
        assert_eq!(Options::parse(&["rows=2,3"]).unwrap().rows, [2, 3]);
        assert_eq!(Options::parse(&["over=tcp"]).unwrap().over, Over::Tcp);
        for wrong in ["over=udp", "rows=8", "rows=x", "rounds=0", "size=1", "rows"] {
            assert!(Options::parse(&[wrong]).is_err(), "{wrong}");
        }
    }
}
