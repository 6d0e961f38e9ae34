//! Row 7: what a mail costs, in each half and in PostgreSQL; and what it costs when there is none.

use std::time::Duration;

use anyhow::Context;
use testkit::{Options as Server, Pipeline, Postgres};

use super::footprint;
use super::options::Options;
use super::report::{Aim, Figure, Section};
use super::stats::count;
use super::world::World;

/// The default limit of a batch, a large one, and how many mails each has.
const BATCHES: [(u32, u64); 2] = [(10, 20_000), (500, 50_000)];
/// The batches of the pipe that is watched when it is idle.
const IDLE_LIMIT: u32 = 10;
/// After the last mail a sweep makes sure that nothing is held any more, five seconds later.
const LAST_SWEEP: Duration = Duration::from_secs(7);
/// How long the idle pipe is watched in each round, in seconds.
const WATCHED: f64 = 2.0;
const ROLES: [&str; 2] = ["mailroom_collector", "mailroom_sender"];

/// PostgreSQL's and the two halves' counters.
struct Counters {
    halves_us: [f64; 2],
    server_us: f64,
    wal_bytes: f64,
    queries: Option<[f64; 2]>,
}

/// On a server of its own, which counts statements.
pub(super) async fn measure(options: &Options) -> anyhow::Result<Section> {
    let mut section = Section::new(7, "Cost of a mail: processor, database; cost of none");
    let counting = Server::default().set("shared_preload_libraries", "pg_stat_statements");
    let (server, counts) = match Postgres::start_with(&counting) {
        Ok(server) => (server, true),
        Err(_) => (Postgres::start().context("start PostgreSQL")?, false),
    };
    if !counts {
        section.note("not counted: queries; there is no pg_stat_statements on this machine");
    }
    for (limit, mails) in BATCHES {
        let world = World::new(&server, options).await?;
        if counts {
            let sql = "CREATE EXTENSION pg_stat_statements";
            world.admin.batch_execute(sql).await.context(sql)?;
        }
        let costs = Costs { server: &server, world, counts, limit, mails: options.of(mails) };
        // The people, before the halves run.
        costs.world.waiting(costs.mails).await?;
        for _ in 0..options.rounds {
            costs.round(&mut section).await?;
        }
        for words in costs.statements(options.rounds).await? {
            section.note(words);
        }
        if limit == IDLE_LIMIT {
            costs.idle(options, &mut section).await?;
        }
    }
    Ok(section)
}

struct Costs<'a> {
    server: &'a Postgres,
    world: World,
    counts: bool,
    limit: u32,
    mails: u64,
}

impl Costs<'_> {
    /// Both halves, when they have nothing to do yet.
    async fn pipe(&self) -> anyhow::Result<Pipeline> {
        let Costs { world, limit, .. } = self;
        world.forget().await?;
        let pipe = Pipeline::spawn(world.collector(*limit), world.sender())?;
        world.until("SELECT count(DISTINCT kind) = 2 FROM holders").await?;
        world.asleep().await?;
        Ok(pipe)
    }

    async fn drained(&self, pipe: &Pipeline, last: i64) -> anyhow::Result<()> {
        self.world.wake().await?;
        // Seldom looked at: that costs the server, too.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let recorded = self.world.all_recorded(last).await;
        recorded.with_context(|| pipe.collector.stderr() + &pipe.sender.stderr())
    }

    async fn round(&self, section: &mut Section) -> anyhow::Result<()> {
        let Costs { world, limit, mails, .. } = self;
        let pipe = self.pipe().await?;
        let [dead_before, cold_before] = self.row_versions().await?;
        let last = world.waiting(*mails).await?;
        let before = self.counters(&pipe).await?;
        self.drained(&pipe, last).await?;
        let after = self.counters(&pipe).await?;
        let per_mail = |what: &str, unit, before: f64, after: f64| {
            let value = (after - before) / count(*mails);
            Figure::new(format!("limit {limit}: {what}"), unit, vec![value])
        };
        for (at, half) in ["collector", "sender"].into_iter().enumerate() {
            let us = |counters: &Counters| counters.halves_us.get(at).copied().unwrap_or_default();
            let name = format!("{half}, user + system");
            section.add_round(per_mail(&name, "µs", us(&before), us(&after)));
        }
        let server = per_mail("PostgreSQL, user + system", "µs", before.server_us, after.server_us);
        section.add_round(server);
        section.add_round(per_mail("WAL", "bytes", before.wal_bytes, after.wal_bytes));
        if let (Some(before), Some(after)) = (before.queries, after.queries) {
            for ((half, before), after) in
                ["collector", "sender"].into_iter().zip(before).zip(after)
            {
                section.add_round(per_mail(&format!("{half}'s queries"), "", before, after));
            }
        }
        // The sessions tell what they did when they end.
        drop(pipe);
        world
            .until(
                "SELECT count(*) = 0 FROM pg_stat_activity AS s
            WHERE s.usename IN ('mailroom_collector', 'mailroom_sender')",
            )
            .await?;
        let [dead, cold] = self.row_versions().await?;
        section.add_round(per_mail("dead row versions", "", dead_before, dead));
        section.add_round(per_mail("updates that were not HOT", "", cold_before, cold));
        Ok(())
    }

    /// Row versions that are dead, and those of them that were not updated in place.
    async fn row_versions(&self) -> anyhow::Result<[f64; 2]> {
        let dead = "SELECT sum(n_tup_upd + n_tup_del)::float8 FROM pg_stat_user_tables";
        let cold = "SELECT sum(n_tup_upd - n_tup_hot_upd)::float8 FROM pg_stat_user_tables";
        Ok([self.world.number(dead).await?, self.world.number(cold).await?])
    }

    /// Nobody signs up: what do the two do all the same?
    async fn idle(&self, options: &Options, section: &mut Section) -> anyhow::Result<()> {
        let pipe = self.pipe().await?;
        let last = self.world.waiting(self.mails).await?;
        self.drained(&pipe, last).await?;
        self.world.asleep().await?;
        tokio::time::sleep(LAST_SWEEP).await;
        for _ in 0..options.rounds {
            self.watch(&pipe, options, section).await?;
        }
        Ok(())
    }

    async fn watch(
        &self,
        pipe: &Pipeline,
        options: &Options,
        section: &mut Section,
    ) -> anyhow::Result<()> {
        let seconds = options.seconds(WATCHED);
        let minute = 60.0 / seconds;
        let halves = [("collector", &pipe.collector), ("sender", &pipe.sender)];
        let woken = || halves.map(|(_, half)| footprint::wake_ups(half.pid()).unwrap_or(f64::NAN));
        let before = (woken(), self.queries().await?);
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        let after = (woken(), self.queries().await?);
        for (((half, _), before), after) in halves.into_iter().zip(before.0).zip(after.0) {
            let name = format!("idle: {half}'s wake-ups");
            let figure = Figure::new(name, "a minute", vec![(after - before) * minute]);
            section.add_round(figure.aim(Aim::Never));
        }
        if let (Some(before), Some(after)) = (before.1, after.1) {
            let asked: f64 = after.iter().sum::<f64>() - before.iter().sum::<f64>();
            let figure = Figure::new("idle: queries of both", "a minute", vec![asked * minute]);
            section.add_round(figure.aim(Aim::Never));
        }
        Ok(())
    }

    async fn counters(&self, pipe: &Pipeline) -> anyhow::Result<Counters> {
        let postmaster = self.server.pid().context("the server has no process id")?;
        let lsn = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8";
        Ok(Counters {
            halves_us: [
                footprint::cpu_us(pipe.collector.pid())?,
                footprint::cpu_us(pipe.sender.pid())?,
            ],
            server_us: footprint::family_cpu_us(postmaster)?,
            wal_bytes: self.world.number(lsn).await?,
            queries: self.queries().await?,
        })
    }

    /// Statements that each half has had run so far.
    async fn queries(&self) -> anyhow::Result<Option<[f64; 2]>> {
        if !self.counts {
            return Ok(None);
        }
        let of = |role| {
            format!(
                "SELECT coalesce(sum(s.calls), 0)::float8 FROM pg_stat_statements AS s
                 WHERE s.userid = '{role}'::regrole AND s.dbid =
                     (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())"
            )
        };
        let [collector, sender] = ROLES.map(of);
        Ok(Some([self.world.number(&collector).await?, self.world.number(&sender).await?]))
    }

    /// What each statement of ours took PostgreSQL, without the way to it.
    async fn statements(&self, rounds: usize) -> anyhow::Result<Vec<String>> {
        if !self.counts {
            return Ok(Vec::new());
        }
        let [collector, sender] = ROLES;
        let sql = format!(
            "SELECT substring(s.query FROM '^-- ([^:]*):'), sum(s.calls)::bigint,
                sum(s.total_exec_time) * 1000 / $1, sum(s.total_exec_time) * 1000 / sum(s.calls)
             FROM pg_stat_statements AS s
             WHERE s.userid IN ('{collector}'::regrole, '{sender}'::regrole) AND s.query LIKE '-- %'
               AND s.dbid = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
             GROUP BY 1 ORDER BY sum(s.total_exec_time) DESC LIMIT 5"
        );
        let mails = count(self.mails * u64::try_from(rounds)?);
        let rows = self.world.admin.query(&sql, &[&mails]).await.context(sql)?;
        let words = rows.iter().map(|row| {
            let (name, calls): (Option<String>, i64) = (row.get(0), row.get(1));
            let (per_mail, mean): (f64, f64) = (row.get(2), row.get(3));
            let (limit, name) = (self.limit, name.unwrap_or_default());
            format!("limit {limit}: {name}: {calls} × {mean:.0} µs, {per_mail:.1} µs a mail")
        });
        Ok(words.collect())
    }
}
