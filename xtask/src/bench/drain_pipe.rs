//! Row 3: the whole pipe, every result recorded, to a transport that sends nothing. The limit is the
//! three statements by themselves; beside it, what people would use instead.

use anyhow::Context;
use sender::transport::Transport as _;
use sender::transport::noop::Noop;
use testkit::{Pipeline, Postgres};

use super::bare::Bare;
use super::options::Options;
use super::peers;
use super::report::{Aim, Figure, Section};
use super::stats::count;
use super::world::World;

/// The limits of a batch, mails of a run, and the ratio that is asked for.
const BATCHES: [(u32, u64, Option<f64>); 2] = [(50, 30_000, None), (500, 100_000, Some(0.75))];

pub(super) async fn measure(server: &Postgres, options: &Options) -> anyhow::Result<Section> {
    let world = World::new(server, options).await?;
    let call = Noop.mails_per_call_max();
    let mut rates = vec![[const { Vec::new() }; 3]; BATCHES.len()];
    let (mut peers, mut missing) = peers::Peer::find(options.peers.as_deref());
    for round in 0..options.rounds {
        for ((limit, mails, _), rates) in BATCHES.into_iter().zip(&mut rates) {
            let (batch, mails) = (usize::try_from(limit)?, options.of(mails));
            // Where the two limits are the same, one of them is enough.
            let turns = if batch == call { 2 } else { 3 };
            for turn in 0..turns {
                let turn = (round + turn) % turns;
                let last = world.waiting(mails).await?;
                let rate = match turn {
                    0 => drain(&world, limit, mails, last).await?,
                    // The calls as large as the batch; then as large as the transport's.
                    1 => bare(&world, limit, batch, mails).await?,
                    _ => bare(&world, limit, call, mails).await?,
                };
                if let Some(rates) = rates.get_mut(turn) {
                    rates.push(rate);
                }
            }
        }
        for peer in &mut peers {
            if let Err(error) = peer.drain(server, options).await {
                missing.push(format!("not measured: {}: {error:#}", peer.name));
            }
        }
    }
    let mut section = Section::new(3, "Drain, whole pipe: every result recorded");
    let mut fastest: Option<Figure> = None;
    for ((limit, _, aim), [ours, same, calls]) in BATCHES.into_iter().zip(rates) {
        let name = format!("bare claim + begin + settle of {limit}");
        let same = Figure::new(name, "mails/s", same);
        let name = format!("bare claim of {limit}, begin + settle of {call}");
        let calls = (!calls.is_empty()).then(|| Figure::new(name, "mails/s", calls));
        let ours = Figure::new(format!("collector | sender, limit {limit}"), "mails/s", ours);
        fastest = Some(ours.clone());
        if let Some(calls) = &calls {
            section.add(ours.clone().ratio_to(calls));
        }
        let ours = ours.ratio_to(&same);
        section.add(match aim {
            Some(ratio) => ours.aim(Aim::AtLeast(ratio)),
            None => ours,
        });
        section.add(same);
        calls.into_iter().for_each(|figure| section.add(figure));
    }
    for peer in peers.into_iter().filter(|peer| !peer.rates.is_empty()) {
        let theirs = Figure::new(peer.name, "jobs/s", peer.rates);
        if let Some(ours) = &fastest {
            section.add(ours.clone().ratio_to(&theirs).aim(Aim::AtLeast(1.0)));
        }
        section.add(theirs);
    }
    for words in missing {
        section.note(words);
    }
    Ok(section)
}

async fn bare(world: &World, limit: u32, call: usize, mails: u64) -> anyhow::Result<f64> {
    // Its role may do what each half may.
    Bare::connect(world.url()).await?.settle_all(limit, call, mails).await
}

/// Mails a second through a pipe that has just been started: from the first result in the log until
/// all are there for everybody to see, which they are only when they are on the disk.
pub(super) async fn drain(
    world: &World,
    limit: u32,
    mails: u64,
    last_token: i64,
) -> anyhow::Result<f64> {
    let pipe = Pipeline::spawn(world.collector(limit), world.sender())?;
    let recorded = world.all_recorded(last_token).await;
    recorded.with_context(|| pipe.collector.stderr() + &pipe.sender.stderr())?;
    let seconds = world.seconds_since_the_first().await?;
    Ok(count(mails) / seconds)
}
