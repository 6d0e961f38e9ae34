//! The machine's limits, to read the figures beside: what waits for a disk or a round trip cannot be
//! faster than these.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::time::Instant;

use anyhow::Context;
use serde_json::{Value, json};
use testkit::Postgres;
use tokio_postgres::NoTls;

use super::options::{Options, Over};
use super::stats::percentile;

const SYNCS: u32 = 200;
const TRIPS: usize = 2_000;
/// PostgreSQL's unit of writing.
const PAGE: [u8; 8192] = [0x5a; 8192];

#[derive(Debug)]
pub(super) struct Machine {
    postgres: String,
    kernel: String,
    cpu: String,
    cores: usize,
    load: String,
    sync_ms: [f64; 2],
    over: Over,
    trip_us: [f64; 2],
}

pub(super) async fn describe(server: &Postgres, options: &Options) -> anyhow::Result<Machine> {
    let url = options.url(server, "postgres");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.context("connect")?;
    tokio::spawn(connection);
    let version = client.query_one("SELECT current_setting('server_version')", &[]).await?.get(0);
    let one = client.prepare("SELECT 1").await?;
    let mut trips = Vec::with_capacity(TRIPS);
    for _ in 0..TRIPS {
        let asked = Instant::now();
        client.query_one(&one, &[]).await?;
        trips.push(asked.elapsed().as_secs_f64() * 1e6);
    }
    Ok(Machine {
        postgres: version,
        kernel: read("/proc/sys/kernel/osrelease"),
        cpu: cpu(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        sync_ms: ends(&syncs(server)?),
        over: options.over,
        trip_us: ends(&trips),
    })
}

/// Where the server's files are: what a commit waits for.
fn syncs(server: &Postgres) -> anyhow::Result<Vec<f64>> {
    let path = server.socket_dir().join("sync");
    let mut file = File::create(&path).context("make a file beside the server's")?;
    file.write_all(&PAGE).and_then(|()| file.sync_all()).context("write it")?;
    let mut times = Vec::new();
    for _ in 0..SYNCS {
        let asked = Instant::now();
        file.write_all_at(&PAGE, 0).and_then(|()| file.sync_data()).context("sync")?;
        times.push(asked.elapsed().as_secs_f64() * 1e3);
    }
    std::fs::remove_file(&path).context("remove it")?;
    Ok(times)
}

/// The median, and what one in a hundred exceeds.
fn ends(values: &[f64]) -> [f64; 2] {
    [50.0, 99.0].map(|percent| percentile(values, percent))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn cpu() -> String {
    let info = read("/proc/cpuinfo");
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| "?".to_owned(), |(_, name)| name.to_owned())
}

impl Machine {
    pub(super) fn table(&self) -> String {
        let Machine { postgres, kernel, cpu, cores, load, .. } = self;
        let ([sync, sync_99], [trip, trip_99]) = (self.sync_ms, self.trip_us);
        format!(
            "PostgreSQL {postgres}, fsync on · Linux {kernel} · {cores} × {cpu} · load {load}\n\
             one page to the disk {sync:.2} ms (p99 {sync_99:.2}) · \
             a round trip to PostgreSQL over {} {trip:.0} µs (p99 {trip_99:.0})\n",
            self.over.name()
        )
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "postgres": self.postgres,
            "kernel": self.kernel,
            "cpu": self.cpu,
            "cores": self.cores,
            "load_at_start": self.load,
            "fdatasync_ms": { "p50": self.sync_ms[0], "p99": self.sync_ms[1] },
            "over": self.over.name(),
            "round_trip_us": { "p50": self.trip_us[0], "p99": self.trip_us[1] },
        })
    }
}
