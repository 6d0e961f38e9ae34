//! `make bench`: Mailroom beside the limit and beside what people would use instead, in one run, on
//! one PostgreSQL with its default durability. docs/BENCHMARKS.md explains each row.
//!
//! What is compared is run in turns, and a figure is the median of its rounds: a machine that is
//! slow for a minute is slow for all.

mod bare;
mod cgroup;
mod cost;
mod drain_collector;
mod drain_pipe;
mod footprint;
mod growth;
mod latency;
mod lines;
pub(crate) mod listener;
mod machine;
mod memory;
mod options;
mod peers;
mod report;
mod signups;
mod small_memory;
mod stats;
mod world;
mod writers;

use std::io::Write as _;
use std::time::Instant;

use anyhow::Context;
use serde_json::json;
use testkit::Postgres;

use self::options::Options;
use self::report::Section;

/// `[rows=1,2] [rounds=5] [part=1] [growth=10000,1000000] [peers=DIR] [over=socket] [json=FILE]`
pub(crate) fn run(args: &[&str]) -> anyhow::Result<()> {
    let options = Options::parse(args)?;
    // One thread, so that what is measured with has one core at most.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("build a tokio runtime")?.block_on(async {
        tokio::select! {
            done = Box::pin(all(&options)) => done,
            pressed = tokio::signal::ctrl_c() => {
                pressed.context("wait for Ctrl-C")?;
                anyhow::bail!("interrupted")
            }
        }
    })
}

async fn all(options: &Options) -> anyhow::Result<()> {
    let started = Instant::now();
    // Both halves are there, and built, before the clock runs.
    testkit::binary("collector")?;
    testkit::binary("sender")?;
    // As it is installed: commits reach the disk.
    let server = Postgres::start().context("start PostgreSQL")?;
    let machine = machine::describe(&server, options).await?;
    say(&machine.table())?;
    let mut sections = Vec::new();
    for &row in &options.rows {
        let section = measure(row, &server, options).await;
        let section = section.with_context(|| format!("row {row}"))?;
        say(&section.table())?;
        sections.push(section);
    }
    say(&format!("\n{:.0} s in all\n", started.elapsed().as_secs_f64()))?;
    if let Some(file) = &options.json {
        let rows: Vec<_> = sections.iter().map(Section::json).collect();
        let whole = json!({ "machine": machine.json(), "rounds": options.rounds,
            "part": options.part, "rows": rows });
        let text = serde_json::to_string_pretty(&whole).context("write JSON")? + "\n";
        std::fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
        say(&format!("{}\n", file.display()))?;
    }
    Ok(())
}

async fn measure(row: u8, server: &Postgres, options: &Options) -> anyhow::Result<Section> {
    match row {
        1 => Box::pin(signups::measure(server, options)).await,
        2 => Box::pin(drain_collector::measure(server, options)).await,
        3 => Box::pin(drain_pipe::measure(server, options)).await,
        4 => Box::pin(latency::measure(server, options)).await,
        5 => Box::pin(growth::measure(server, options)).await,
        6 => Box::pin(memory::measure(server, options)).await,
        _ => Box::pin(cost::measure(options)).await,
    }
}

fn say(words: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    stdout.write_all(words.as_bytes()).and_then(|()| stdout.flush()).context("write to stdout")
}
