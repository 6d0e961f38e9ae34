//! Row 5: what a long life costs. Rows 2 and 4 again with settled deliveries behind them, and a drain
//! while somebody's open transaction keeps every dead row where it is.

use anyhow::Context;
use testkit::Postgres;
use tokio_postgres::NoTls;

use super::drain_collector;
use super::drain_pipe;
use super::latency::{Latency, Times, sign_ups};
use super::options::Options;
use super::report::{Aim, Figure, Section};
use super::world::World;

const WAITING: u64 = 100_000;
const LIMIT: u32 = 500;
/// Sign-ups a second, and for how long.
const RATE: u32 = 20;
const SECONDS: f64 = 1.0;
const CONNECTIONS: usize = 4;
/// What a past may cost of the speed, and an open transaction.
const GROWN: f64 = 0.90;
const PINNED: f64 = 0.70;

struct Grown {
    name: String,
    latency: Latency,
    drained: Vec<f64>,
    line: Times,
    accepted: Times,
}

pub(super) async fn measure(server: &Postgres, options: &Options) -> anyhow::Result<Section> {
    let mut section =
        Section::new(5, "Growth: settled deliveries behind, an open transaction beside");
    pinned(server, options, &mut section).await?;
    let mut all = Vec::new();
    for &settled in &options.growth {
        all.push(grown(server, options, options.of(settled)).await?);
    }
    for round in 0..options.rounds {
        // Each is the first in turn.
        let turn = round % all.len().max(1);
        let (late, early) = all.split_at_mut(turn);
        for grown in early.iter_mut().chain(late) {
            grown.measure(options).await?;
        }
    }
    let mut alone: Option<[Figure; 5]> = None;
    for grown in all {
        let figures = grown.figures();
        for (at, figure) in figures.iter().enumerate() {
            section.add(match alone.as_ref().and_then(|alone| alone.get(at)) {
                None => figure.clone(),
                Some(alone) if at == 0 => figure.clone().ratio_to(alone).aim(Aim::AtLeast(GROWN)),
                Some(alone) => figure.clone().more_than(alone),
            });
        }
        alone.get_or_insert(figures);
    }
    Ok(section)
}

async fn grown(server: &Postgres, options: &Options, settled: u64) -> anyhow::Result<Grown> {
    let mut world = World::new(server, options).await?;
    if settled > 0 {
        world.settle(settled).await?;
    }
    let latency = Latency::new(world, CONNECTIONS).await?;
    let name = format!("{settled} settled");
    Ok(Grown {
        name,
        latency,
        drained: Vec::new(),
        line: Times::default(),
        accepted: Times::default(),
    })
}

impl Grown {
    async fn measure(&mut self, options: &Options) -> anyhow::Result<()> {
        let waiting = options.of(WAITING);
        let sign_ups = sign_ups(RATE, options.seconds(SECONDS));
        self.latency.world.waiting(waiting).await?;
        self.drained.push(drain_collector::drain(&self.latency.world, LIMIT, waiting)?);
        self.line.push(self.latency.to_line(RATE, sign_ups).await?);
        self.accepted.push(self.latency.to_accepted(RATE, sign_ups).await?);
        Ok(())
    }

    fn figures(&self) -> [Figure; 5] {
        let name = &self.name;
        let drained = format!("collector, limit {LIMIT}, {name}");
        let [line_50, line_99, _] = self.line.figures(&format!("line, {RATE}/s, {name}"));
        let [sent_50, sent_99, _] = self.accepted.figures(&format!("accepted, {RATE}/s, {name}"));
        let drained = Figure::new(drained, "rows/s", self.drained.clone());
        [drained, line_50, line_99, sent_50, sent_99]
    }
}

/// The collector, and the whole pipe, with a snapshot open beside them and without one.
async fn pinned(server: &Postgres, options: &Options, section: &mut Section) -> anyhow::Result<()> {
    let world = World::new(server, options).await?;
    let waiting = options.of(WAITING);
    let mut rates = [const { Vec::new() }; 4];
    for round in 0..options.rounds {
        for turn in 0..rates.len() {
            let turn = (round + turn) % rates.len();
            let last = world.waiting(waiting).await?;
            let snapshot = if turn % 2 == 0 { None } else { Some(snapshot(&world).await?) };
            let rate = if turn < 2 {
                drain_collector::drain(&world, LIMIT, waiting)?
            } else {
                drain_pipe::drain(&world, LIMIT, waiting, last).await?
            };
            drop(snapshot);
            if let Some(rates) = rates.get_mut(turn) {
                rates.push(rate);
            }
        }
    }
    let [free, held, pipe_free, pipe_held] = rates;
    for (name, unit, free, held) in [
        (format!("collector, limit {LIMIT}"), "rows/s", free, held),
        (format!("collector | sender, limit {LIMIT}"), "mails/s", pipe_free, pipe_held),
    ] {
        let free = Figure::new(name.clone(), unit, free);
        let held = Figure::new(format!("{name}, xmin pinned"), unit, held).ratio_to(&free);
        section.add(held.aim(Aim::AtLeast(PINNED)));
        section.add(free);
    }
    Ok(())
}

/// Somebody's report, say, who has gone to lunch: it ends with the connection.
async fn snapshot(world: &World) -> anyhow::Result<tokio_postgres::Client> {
    let (client, connection) =
        tokio_postgres::connect(world.url(), NoTls).await.context("connect")?;
    tokio::spawn(connection);
    let sql = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM jobs";
    client.batch_execute(sql).await.context(sql)?;
    Ok(client)
}
