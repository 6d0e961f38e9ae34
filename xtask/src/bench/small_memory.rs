//! The second half of row 6: the whole pipe in a cgroup of 6 MiB, over TLS to a double of Amazon SES.

use anyhow::Context;
use testkit::{Authority, Pipeline, Postgres, Process, Ses};

use super::cgroup::Cgroup;
use super::footprint;
use super::options::Options;
use super::report::{Aim, Figure, Section};
use super::stats::count;
use super::world::World;

const BYTES: u64 = 6 * 1024 * 1024;
const MB: f64 = 1024.0 * 1024.0;
const MAILS: u64 = 20_000;
/// The default.
const LIMIT: u32 = 10;
const RATE: &str = "100000";

pub(super) async fn measure(
    server: &Postgres,
    options: &Options,
    section: &mut Section,
) -> anyhow::Result<()> {
    for _ in 0..options.rounds {
        match Cgroup::new(BYTES) {
            Ok(cgroup) => round(server, options, &cgroup, section).await?,
            Err(error) => {
                section.note(format!("SKIPPED: the run in a memory cgroup of 6 MiB: {error:#}"));
                break;
            }
        }
    }
    Ok(())
}

async fn round(
    server: &Postgres,
    options: &Options,
    cgroup: &Cgroup,
    section: &mut Section,
) -> anyhow::Result<()> {
    let authority = Authority::new("the benchmark's")?;
    let ses = Ses::start_tls(&authority.certificate_for(&["localhost"])?)?;
    // Beside the server's files: they go when those go.
    let (trusted, output) =
        (server.socket_dir().join("ca.pem"), server.socket_dir().join("output"));
    std::fs::write(&trusted, &authority.pem).context("write the authority's certificate")?;
    let mails = options.of(MAILS);
    let world = World::new(server, options).await?;
    let last = world.waiting(mails).await?;
    let sender = world
        .sender()
        .env("MAILROOM_TRANSPORT", "ses")
        .env("MAILROOM_SES_RATE", RATE)
        .env("MAILROOM_SES_OUTPUT_PATH", output)
        .env("SSL_CERT_FILE", trusted)
        .env("AWS_ENDPOINT_URL", ses.url())
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "bench")
        .env("AWS_SECRET_ACCESS_KEY", "bench")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    let script = cgroup.script();
    let inside = |half: Process| half.under(&["/bin/sh", "-c", &script]);
    let pipe = Pipeline::spawn(inside(world.collector(LIMIT))?, inside(sender)?)?;
    let recorded = world.all_recorded(last).await;
    let said = || pipe.collector.stderr() + &pipe.sender.stderr();
    recorded.with_context(|| format!("{} OOM kills\n{}", cgroup.oom_kills(), said()))?;
    let seconds = world.seconds_since_the_first().await?;
    world.asleep().await?;
    for (half, running) in [("collector", &pipe.collector), ("sender", &pipe.sender)] {
        let anonymous = footprint::memory(running.pid())?.anonymous;
        section.add_round(Figure::new(format!("6 MiB: {half}, anonymous"), "MB", vec![anonymous]));
    }
    let accepted = count(ses.mail_count());
    let lost = "SELECT count(*)::float8 FROM delivery_log";
    let recorded = world.number(&format!("{lost} WHERE outcome = 'sent'")).await?;
    drop(pipe);
    // No log is searched for each of these.
    ses.clear();
    let name = |what| format!("6 MiB: {what}");
    section.add_round(Figure::new(name("mails over TLS"), "mails/s", vec![count(mails) / seconds]));
    let lost = Figure::new(name("lost, of those"), "mails", vec![count(mails) - recorded]);
    section.add_round(lost.aim(Aim::Never));
    let again = Figure::new(name("sent twice, of those"), "mails", vec![accepted - count(mails)]);
    section.add_round(again.aim(Aim::Never));
    let kills =
        Figure::new(name("killed for want of memory"), "times", vec![count(cgroup.oom_kills())]);
    section.add_round(kills.aim(Aim::Never));
    let peak = count(cgroup.peak()) / MB;
    section.add_round(Figure::new(name("most in use, page cache included"), "MB", vec![peak]));
    Ok(())
}
