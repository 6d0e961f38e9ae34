//! Row 2: 100,000 tokens wait; how fast do they become signed lines? The limit is the claim statement
//! by itself.

use anyhow::Context;
use testkit::{Postgres, Role};

use super::bare::Bare;
use super::lines;
use super::options::Options;
use super::report::{Aim, Figure, Section};
use super::world::World;

const WAITING: u64 = 100_000;
/// The limit of a batch, how many rows of those waiting are drained (small batches need not go on for
/// as long to be timed), and the ratio that is asked for.
const BATCHES: [(u32, u64, Option<f64>); 3] =
    [(10, 10_000, Some(0.80)), (50, 30_000, None), (500, 100_000, Some(0.85))];

pub(super) async fn measure(server: &Postgres, options: &Options) -> anyhow::Result<Section> {
    let world = World::new(server, options).await?;
    let waiting = options.of(WAITING);
    let mut rates = vec![(Vec::new(), Vec::new()); BATCHES.len()];
    for round in 0..options.rounds {
        for ((limit, rows, _), (bare, ours)) in BATCHES.into_iter().zip(&mut rates) {
            let rows = options.of(rows);
            // Neither is always the first.
            for turn in [round, round + 1] {
                world.waiting(waiting).await?;
                if turn % 2 == 0 {
                    let mut claims = Bare::connect(&world.url_as(Role::Collector)).await?;
                    bare.push(claims.claim_all(limit, rows).await?);
                } else {
                    ours.push(drain(&world, limit, rows)?);
                }
            }
        }
    }
    let mut section = Section::new(2, "Drain, collector: waiting tokens to signed lines");
    for ((limit, _, aim), (bare, ours)) in BATCHES.into_iter().zip(rates) {
        let bare = Figure::new(format!("bare claims of {limit}"), "rows/s", bare);
        let ours = Figure::new(format!("collector, limit {limit}"), "rows/s", ours).ratio_to(&bare);
        section.add(match aim {
            Some(ratio) => ours.aim(Aim::AtLeast(ratio)),
            None => ours,
        });
        section.add(bare);
    }
    Ok(section)
}

/// Rows a second out of a collector that has just been started.
pub(super) fn drain(world: &World, limit: u32, rows: u64) -> anyhow::Result<f64> {
    let collector = world.collector(limit).stdout_held().spawn()?;
    let lines = collector.take_stdout().context("stdout is held")?;
    let rate = lines::rate(lines, rows);
    collector.kill()?;
    rate.with_context(|| collector.stderr())
}
