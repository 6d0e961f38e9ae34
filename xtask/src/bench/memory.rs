//! Row 6: what each half needs, idle and after many mails; and whether both together can work in a
//! memory cgroup of 6 MiB.

use anyhow::Context;
use testkit::{Pipeline, Postgres};

use super::footprint::{self, Memory};
use super::options::Options;
use super::report::{Aim, Figure, Section};
use super::small_memory;
use super::world::World;

/// Larger batches need more memory.
const LIMIT: u32 = 500;
/// Mails of the first stretch and of both.
const STRETCHES: [u64; 2] = [10_000, 100_000];
/// MB of anonymous memory that a half may have, and by how much it may grow in between: a page of the
/// allocator's more or less is no growth.
const ANONYMOUS_MAX: f64 = 2.0;
const GROWTH_MAX: f64 = 0.1;

pub(super) async fn measure(server: &Postgres, options: &Options) -> anyhow::Result<Section> {
    let mut section = Section::new(6, "Memory: each half, and both in 6 MiB");
    let world = World::new(server, options).await?;
    // The people, before the halves run.
    world.waiting(options.of(STRETCHES[1])).await?;
    for _ in 0..options.rounds {
        world.forget().await?;
        round(&world, options, &mut section).await?;
    }
    small_memory::measure(server, options, &mut section).await?;
    Ok(section)
}

/// A pipe of its own: what was given back once is not asked for again.
async fn round(world: &World, options: &Options, section: &mut Section) -> anyhow::Result<()> {
    let [few, many] = STRETCHES.map(|mails| options.of(mails));
    let pipe = Pipeline::spawn(world.collector(LIMIT), world.sender())?;
    world.until("SELECT count(DISTINCT kind) = 2 FROM holders").await?;
    world.asleep().await?;
    let halves = [("collector", pipe.collector.pid()), ("sender", pipe.sender.pid())];
    let mut stages = vec![("idle".to_owned(), read(halves)?)];
    for (mails, more) in [(few, few), (many, many.saturating_sub(few).max(1))] {
        let last = world.waiting(more).await?;
        world.wake().await?;
        let recorded = world.all_recorded(last).await;
        recorded.with_context(|| pipe.collector.stderr() + &pipe.sender.stderr())?;
        world.asleep().await?;
        stages.push((format!("after {mails} mails"), read(halves)?));
    }
    for (at, (half, _)) in halves.into_iter().enumerate() {
        let of = |stage: usize| -> Memory {
            stages.get(stage).and_then(|(_, memory)| memory.get(at)).copied().unwrap_or_default()
        };
        for (stage, (when, _)) in stages.iter().enumerate() {
            let Memory { resident, anonymous, peak } = of(stage);
            let figure =
                |kind, value| Figure::new(format!("{half}, {kind}, {when}"), "MB", vec![value]);
            let most = figure("anonymous", anonymous);
            section.add_round(if stage == 2 { most.aim(Aim::AtMost(ANONYMOUS_MAX)) } else { most });
            section.add_round(figure("resident", resident));
            section.add_round(figure("peak resident", peak));
        }
        let grown = of(2).anonymous - of(1).anonymous;
        let name = format!("{half}, anonymous, grown meanwhile");
        section.add_round(Figure::new(name, "MB", vec![grown]).aim(Aim::AtMost(GROWTH_MAX)));
    }
    Ok(())
}

fn read(halves: [(&str, u32); 2]) -> anyhow::Result<Vec<Memory>> {
    halves.into_iter().map(|(_, pid)| footprint::memory(pid)).collect()
}
