//! Row 1: what the mailer costs the application. Single-row sign-ups, each a transaction of its own,
//! with 1, 8 and 32 writers.

use std::time::Duration;

use anyhow::Context;
use testkit::{Postgres, Role, Running};

use super::lines;
use super::options::Options;
use super::report::{Aim, Figure, Section};
use super::world::World;
use super::writers::Writers;

/// How many, and for how many seconds at a time: of the most there are aims.
const WRITERS: [(usize, f64); 3] = [(1, 0.2), (8, 0.2), (MOST, 1.2)];
const MOST: usize = 32;
/// The default.
const LIMIT: u32 = 10;
const LIVE: &str = "a live collector";
const ALONE: &str = "no collector";

/// What is compared: `mailroom.notify`, and the time-out of a batch, in ms, if a collector lives: the
/// default, or none.
const MODES: [(&str, &str, Option<&str>); 5] = [
    ("no NOTIFY", "off", None),
    (LIVE, "gate", Some("5000")),
    (ALONE, "gate", None),
    ("a live collector, time-out 0", "gate", Some("0")),
    ("always NOTIFY, a live collector", "always", Some("5000")),
];

pub(super) async fn measure(server: &Postgres, options: &Options) -> anyhow::Result<Section> {
    let world = World::new(server, options).await?;
    let writers = Writers::connect(&world.url_as(Role::Application), MOST).await?;
    let mut rates = vec![[const { Vec::new() }; MODES.len()]; WRITERS.len()];
    for round in 0..options.rounds {
        for ((n, seconds), rates) in WRITERS.into_iter().zip(&mut rates) {
            let time = Duration::from_secs_f64(options.seconds(seconds));
            // Each in turn comes first. There and back: a machine that becomes faster or slower
            // meanwhile does so for all of them.
            let there = (0..MODES.len()).map(|turn| (round + turn) % MODES.len());
            for turn in there.clone().chain(there.rev()) {
                let Some((_, notify, timeout)) = MODES.get(turn).copied() else { continue };
                world.empty().await?;
                writers.notify(notify).await?;
                let collector = match timeout {
                    Some(timeout) => Some(collector(&world, timeout).await?),
                    None => None,
                };
                let rate = writers.busy(n, time).await?;
                drop(collector);
                if let Some(rates) = rates.get_mut(turn) {
                    rates.push(rate);
                }
            }
        }
    }
    let mut section = Section::new(1, "Sign-ups: single-row INSERTs, with and without a mailer");
    for ((writers, _), rates) in WRITERS.into_iter().zip(rates) {
        let mut limit: Option<Figure> = None;
        for ((name, ..), rates) in MODES.into_iter().zip(rates) {
            let rates = rates.chunks(2).map(|both| both.iter().sum::<f64>() / 2.0).collect();
            let figure = Figure::new(format!("{writers} × {name}"), "sign-ups/s", rates);
            let Some(limit) = &limit else {
                limit = Some(figure.clone());
                section.add(figure);
                continue;
            };
            let figure = figure.ratio_to(limit);
            section.add(match (writers, name) {
                (MOST, LIVE) => figure.aim(Aim::AtLeast(0.90)),
                (MOST, ALONE) => figure.aim(Aim::AtLeast(0.95)),
                _ => figure,
            });
        }
    }
    Ok(section)
}

/// One that sleeps, and whose lines are read and thrown away.
async fn collector(world: &World, timeout_ms: &str) -> anyhow::Result<Running> {
    let collector = world.collector(LIMIT).env("MAILROOM_BATCH_TIMEOUT", timeout_ms);
    let collector = collector.stdout_held().spawn()?;
    lines::discard(collector.take_stdout().context("stdout is held")?)?;
    world.asleep().await?;
    Ok(collector)
}
