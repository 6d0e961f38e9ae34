//! What people would use instead: queues on PostgreSQL, each with a worker that does nothing, in the
//! fastest settings that it documents.
//!
//! They are no part of Mailroom: `make bench-peers` fetches them, and the directory that it makes has
//! the drivers in it. A driver is given DATABASE_URL, MODE (`setup` or `drain`) and N; in a drain it
//! says FIRST and DONE on stdout when the first and the last of N jobs are handled.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use testkit::{Database, Postgres, Process};

use super::options::Options;
use super::stats::count;

const SET_UP_WITHIN: Duration = Duration::from_secs(60);

struct Kind {
    name: &'static str,
    driver: &'static str,
    /// Not all are fast enough for all rounds of the same number.
    jobs: u64,
    /// How it is told to be fast.
    env: &'static [(&'static str, &'static str)],
    /// Puts `{n}` jobs in.
    fill: &'static str,
}

const KINDS: [Kind; 4] = [
    Kind {
        name: "graphile-worker",
        driver: "graphile-worker.mjs",
        jobs: 100_000,
        env: &[("LQ", "500")],
        fill: "SELECT count(*) FROM graphile_worker.add_jobs(ARRAY(
            SELECT json_populate_record(NULL::graphile_worker.job_spec, json_build_object(
                'identifier', 'noop', 'payload', json_build_object('n', g), 'max_attempts', 3
            )) FROM generate_series(1, {n}) AS g
        ))",
    },
    Kind {
        name: "pg-boss",
        driver: "pg-boss.mjs",
        jobs: 100_000,
        env: &[("BATCH", "1000"), ("CONC", "2")],
        fill: "INSERT INTO pgboss.job_common (name, data)
            SELECT 'noop', json_build_object('n', g) FROM generate_series(1, {n}) AS g",
    },
    Kind {
        name: "apalis-postgres",
        driver: "apalis_worker",
        jobs: 20_000,
        env: &[("BATCH", "1000"), ("POLLMS", "1")],
        fill: "INSERT INTO apalis.jobs
                (id, job_type, job, status, attempts, max_attempts, run_at, priority)
            SELECT apalis.generate_ulid()::text, 'noop', convert_to(g::text, 'UTF8'), 'Pending', 0,
                25, now() - interval '1 s', 0
            FROM generate_series(1, {n}) AS g",
    },
    Kind {
        name: "procrastinate",
        driver: "procrastinate_worker.py",
        jobs: 500,
        env: &[],
        fill: "INSERT INTO procrastinate_jobs (queue_name, task_name, args)
            SELECT 'q', 'noop', jsonb_build_object('n', g) FROM generate_series(1, {n}) AS g",
    },
];

pub(super) struct Peer {
    pub(super) name: &'static str,
    kind: &'static Kind,
    dir: PathBuf,
    /// Jobs a second.
    pub(super) rates: Vec<f64>,
    failed: bool,
}

impl Peer {
    /// Those that are there, and words about those that are not.
    pub(super) fn find(dir: Option<&Path>) -> (Vec<Peer>, Vec<String>) {
        static ALL: [Kind; 4] = KINDS;
        let Some(dir) = dir.filter(|dir| dir.is_dir()) else {
            let words = "not measured: other queues; `make bench-peers` fetches them";
            return (Vec::new(), vec![words.to_owned()]);
        };
        // A child may run anywhere.
        let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        let (there, missing): (Vec<_>, Vec<_>) =
            ALL.iter().partition(|kind| dir.join(kind.driver).is_file());
        let peer = |kind: &'static Kind| Peer {
            name: kind.name,
            kind,
            dir: dir.clone(),
            rates: Vec::new(),
            failed: false,
        };
        let word = |kind: &Kind| format!("not measured: {}: it is not installed", kind.name);
        (there.into_iter().map(peer).collect(), missing.into_iter().map(word).collect())
    }

    /// One drain, in a database of its own. One that has failed is not tried again.
    pub(super) async fn drain(
        &mut self,
        server: &Postgres,
        options: &Options,
    ) -> anyhow::Result<()> {
        if self.failed {
            return Ok(());
        }
        self.failed = true;
        let jobs = options.of(self.kind.jobs).max(10);
        let database = Database::empty_on(server).await?;
        let url = options.url(server, database.name());
        let setup = self.setup(&url).spawn()?;
        let code = setup.wait(SET_UP_WITHIN)?;
        ensure!(code == 0, "its setup ends with {code}: {}", last_line(&setup.stderr()));
        let fill = self.kind.fill.replace("{n}", &jobs.to_string());
        let client = database.client().await?;
        client.batch_execute(&fill).await.context("fill it")?;
        for tidy in ["VACUUM ANALYZE", "CHECKPOINT"] {
            client.batch_execute(tidy).await.context(tidy)?;
        }
        let worker = self.driver(&url, "drain").env("N", jobs.to_string()).stdout_held();
        let worker = worker.envs(self.kind.env.iter().copied()).spawn()?;
        let mut first = None;
        for line in BufReader::new(worker.take_stdout().context("stdout is held")?).lines() {
            match line.context("read its stdout")?.as_str() {
                "FIRST" => first = Some(Instant::now()),
                "DONE" => {
                    let since: Instant = first.context("it is done before it has begun")?;
                    self.rates.push(count(jobs - 1) / since.elapsed().as_secs_f64());
                    self.failed = false;
                    worker.kill()?;
                    return Ok(());
                }
                _ => {}
            }
        }
        anyhow::bail!("it has ended: {}", last_line(&worker.stderr()))
    }

    fn setup(&self, url: &str) -> Process {
        if self.kind.driver != "graphile-worker.mjs" {
            return self.driver(url, "setup");
        }
        let tool = self.dir.join("node_modules/graphile-worker/dist/cli.js");
        self.node().arg(tool).args(["--schema-only", "-c", url])
    }

    fn driver(&self, url: &str, mode: &str) -> Process {
        let file = self.dir.join(self.kind.driver);
        let extension = file.extension().and_then(|extension| extension.to_str());
        let process = match extension {
            Some("mjs") => self.node().arg(&file),
            Some("py") => Process::at(self.dir.join("python/bin/python")).arg(&file),
            _ => Process::at(&file),
        };
        process.env("DATABASE_URL", url).env("MODE", mode)
    }

    /// The one that was fetched, if one was.
    fn node(&self) -> Process {
        let own = self.dir.join("node_modules/node/bin/node");
        Process::at(if own.is_file() { own } else { PathBuf::from("node") })
    }
}

fn last_line(log: &str) -> &str {
    log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("and has said nothing")
}
