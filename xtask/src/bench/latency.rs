//! Row 4: how long after the application's commit is a mail on the collector's stdout, and how long
//! after it is it accepted? At a rate that the application keeps up whatever becomes of its mail.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::process::ChildStdout;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Instant, UNIX_EPOCH};

use anyhow::Context;
use testkit::{Pipeline, Postgres, Role};

use super::listener::{Line, listener};
use super::options::Options;
use super::report::{Aim, Figure, Section};
use super::stats::{largest, percentile};
use super::world::{PATIENCE, World};
use super::writers::{Committed, Writers, address, number};

/// Sign-ups a second, and for how long.
const RATES: [(u32, f64); 3] = [(20, 2.0), (200, 0.5), (1_000, 0.5)];
const CONNECTIONS: usize = 32;
/// A batch of the whole pipe: whatever waits, up to this.
const PIPE_LIMIT: u32 = 50;
/// Where the numbers of those begin whom the limit signs up.
const OTHERS: u64 = 1_000_000_000;
/// The same sign-up, and a notification of one's own that says whose it is.
const NOTIFYING: &str = "WITH made AS (
        INSERT INTO accounts (email, login) VALUES ($1, $2) RETURNING email
    ) SELECT pg_notify('bench', made.email) FROM made";

const LISTENS: &str = "SELECT EXISTS (
        SELECT FROM pg_stat_activity WHERE query = 'LISTEN bench' AND state = 'idle'
    )";

/// Who, and when it was seen of them.
type Heard = Receiver<(u64, Instant)>;

pub(super) struct Latency {
    pub(super) world: World,
    writers: Writers,
    notifying: Writers,
}

/// Milliseconds after the commit, a list for each round.
#[derive(Default)]
pub(super) struct Times(Vec<Vec<f64>>);

pub(super) async fn measure(server: &Postgres, options: &Options) -> anyhow::Result<Section> {
    let latency = Latency::new(World::new(server, options).await?, CONNECTIONS).await?;
    let mut section = Section::new(4, "Latency: commit to the line, commit to accepted");
    for (rate, seconds) in RATES {
        let sign_ups = sign_ups(rate, options.seconds(seconds));
        let judged = rate == 20;
        let (mut bare, mut claim) = <(Times, Times)>::default();
        let (mut line, mut accepted) = <(Times, Times)>::default();
        for _ in 0..options.rounds {
            bare.0.push(latency.to_listener(Line::Heard, rate, sign_ups).await?);
            if judged {
                claim.0.push(latency.to_listener(Line::Claimed, rate, sign_ups).await?);
            }
            line.0.push(latency.to_line(rate, sign_ups).await?);
            accepted.0.push(latency.to_accepted(rate, sign_ups).await?);
        }
        let bare = bare.figures(&format!("bare LISTEN, {rate}/s"));
        let [p50, p99, max] = line.figures(&format!("line, limit 1, {rate}/s"));
        let aim =
            |figure: Figure, most| if judged { figure.aim(Aim::AtMost(most)) } else { figure };
        let [bare_p50, bare_p99, _] = &bare;
        section.add(aim(p50.more_than(bare_p50), 0.4));
        section.add(aim(p99.more_than(bare_p99), 3.0));
        section.add(max);
        if judged {
            // The first of each round plans, which is p99.
            let [p50, ..] = claim.figures(&format!("bare claim, {rate}/s"));
            section.add(p50.more_than(bare_p50));
        }
        bare.into_iter().for_each(|figure| section.add(figure));
        let [p50, p99, max] = accepted.figures(&format!("accepted, {rate}/s"));
        section.add(p50);
        section.add(if rate == 1_000 { p99.aim(Aim::Below(50.0)) } else { p99 });
        section.add(max);
    }
    Ok(section)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
pub(super) fn sign_ups(rate: u32, seconds: f64) -> u64 {
    (f64::from(rate) * seconds) as u64
}

impl Times {
    pub(super) fn push(&mut self, times: Vec<f64>) {
        self.0.push(times);
    }

    /// The median of each round; what one in a hundred exceeds, and the most, of all together.
    pub(super) fn figures(&self, name: &str) -> [Figure; 3] {
        let all = self.0.concat();
        let medians = self.0.iter().map(|times| percentile(times, 50.0)).collect();
        [
            Figure::new(format!("{name}: p50"), "ms", medians),
            Figure::new(format!("{name}: p99"), "ms", vec![percentile(&all, 99.0)]),
            Figure::new(format!("{name}: max"), "ms", vec![largest(&all)]),
        ]
    }
}

impl Latency {
    /// With so many connections of the application.
    pub(super) async fn new(world: World, connections: usize) -> anyhow::Result<Latency> {
        let url = world.url_as(Role::Application);
        let writers = Writers::connect(&url, connections).await?;
        let notifying = Writers::with(&url, connections, NOTIFYING, OTHERS).await?;
        // The one notification is the limit's own.
        notifying.notify("off").await?;
        Ok(Latency { world, writers, notifying })
    }

    /// From each commit to its line, out of a collector that writes a line a mail.
    pub(super) async fn to_line(&self, rate: u32, sign_ups: u64) -> anyhow::Result<Vec<f64>> {
        self.start_over().await?;
        let collector = self.world.collector(1).stdout_held().spawn()?;
        let lines = addresses(collector.take_stdout().context("stdout is held")?)?;
        self.world.asleep().await?;
        let committed = self.writers.at_rate(rate, sign_ups).await?;
        since(&committed, &lines).with_context(|| collector.stderr())
    }

    /// From each commit to the moment that the log has for its acceptance, which is a little later:
    /// it is taken when the result is recorded.
    pub(super) async fn to_accepted(&self, rate: u32, sign_ups: u64) -> anyhow::Result<Vec<f64>> {
        self.start_over().await?;
        let pipe = Pipeline::spawn(self.world.collector(PIPE_LIMIT), self.world.sender())?;
        self.world.until("SELECT count(DISTINCT kind) = 2 FROM holders").await?;
        self.world.asleep().await?;
        let committed = self.writers.at_rate(rate, sign_ups).await?;
        let empty = self.world.until("SELECT NOT EXISTS (SELECT FROM deliveries)").await;
        empty.with_context(|| pipe.collector.stderr() + &pipe.sender.stderr())?;
        let sql = "SELECT a.email, extract(epoch FROM l.at)::float8
            FROM delivery_log AS l JOIN tokens AS t ON t.id = l.token
            JOIN accounts AS a ON a.id = t.account WHERE l.outcome = 'sent' AND a.email LIKE 'new%'";
        let rows = self.world.admin.query(sql, &[]).await.context("read the log")?;
        let accepted: HashMap<String, f64> =
            rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let times = committed.iter().map(|committed| {
            let at = accepted.get(&address(committed.number)).context("not accepted")?;
            let time = committed.time.duration_since(UNIX_EPOCH).context("the clock")?;
            Ok((at - time.as_secs_f64()) * 1e3)
        });
        times.collect()
    }

    /// From each commit to the line of a program that does little more than LISTEN.
    async fn to_listener(&self, line: Line, rate: u32, sign_ups: u64) -> anyhow::Result<Vec<f64>> {
        self.start_over().await?;
        let listener = listener(&self.world.url_as(Role::Collector), line)?.spawn()?;
        let lines = addresses(listener.take_stdout().context("stdout is held")?)?;
        self.world.until(LISTENS).await?;
        let committed = self.notifying.at_rate(rate, sign_ups).await?;
        since(&committed, &lines).with_context(|| listener.stderr())
    }

    /// Nobody's mail waits, and nobody runs. Each notification wakes every session of the database
    /// that listens, whatever it listens to.
    async fn start_over(&self) -> anyhow::Result<()> {
        let role = Role::Collector;
        let alone =
            format!("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = '{role}')");
        self.world.until(&alone).await?;
        self.world.forget().await?;
        let sql = "DELETE FROM holders";
        self.world.admin.batch_execute(sql).await.context(sql)?;
        self.world.admin.batch_execute("CHECKPOINT").await.context("checkpoint")
    }
}

/// Milliseconds from the answer to each commit to what was seen of it, and when: less than nothing,
/// if it was seen before the answer had reached the writer.
fn since(committed: &[Committed], seen: &Heard) -> anyhow::Result<Vec<f64>> {
    let mut when = HashMap::new();
    let missing = |when: &HashMap<u64, Instant>| {
        committed.iter().any(|committed| !when.contains_key(&committed.number))
    };
    while missing(&when) {
        let (number, at) = seen.recv_timeout(PATIENCE).context("a mail does not come")?;
        when.insert(number, at);
        when.extend(seen.try_iter());
    }
    let times = committed.iter().filter_map(|committed| {
        let seen = when.get(&committed.number)?;
        let after = seen.saturating_duration_since(committed.at).as_secs_f64();
        let before = committed.at.saturating_duration_since(*seen).as_secs_f64();
        Some((after - before) * 1e3)
    });
    Ok(times.collect())
}

/// The people on each line, and when it came.
fn addresses(from: ChildStdout) -> anyhow::Result<Heard> {
    let (tell, seen) = channel();
    let read = move || {
        for line in BufReader::new(from).lines() {
            let (Ok(line), at) = (line, Instant::now()) else { return };
            for number in line.split(',').filter_map(number) {
                if tell.send((number, at)).is_err() {
                    return;
                }
            }
        }
    };
    std::thread::Builder::new().name("lines".into()).spawn(read).context("start a thread")?;
    Ok(seen)
}
