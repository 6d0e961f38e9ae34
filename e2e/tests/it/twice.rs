//! Nothing that works is mailed twice.

use std::sync::Arc;

use testkit::Process;

use crate::SOON;
use crate::support::{rows_of, sign_up};
use crate::world::{World, stop, stop_collector};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_pipes_on_one_database_mail_every_token_once() {
    let world = Arc::new(World::new().await);
    let pipes = [world.pipe(), world.pipe()];
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let world = world.clone();
            tokio::spawn(async move {
                let client = world.db.client().await.unwrap();
                for n in 0..100 {
                    let sql = sign_up(&format!("writer-{writer}-{n}"), 1 + n % 7);
                    client.batch_execute(&sql).await.unwrap();
                }
            })
        })
        .collect();
    world.db.execute(&sign_up("bulk", 800)).await.unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    let tokens = world.db.query_i64("SELECT count(*) FROM tokens").await.unwrap();
    let tokens = usize::try_from(tokens).unwrap();
    world.mails(tokens).await;
    world.settled().await;
    for pipe in &pipes {
        stop(pipe);
    }
    world.each_mailed_once(tokens).await;
    let [a, b] = &pipes;
    let senders = "SELECT count(*) FROM holders";
    assert_eq!(world.db.query_i64(senders).await.unwrap(), 4);
    world.quiet(&[&a.collector, &a.sender, &b.collector, &b.sender], &[]).await;
}

#[tokio::test]
async fn lines_fed_to_two_senders_at_once_and_then_again_are_mailed_once() {
    let world = World::new().await;
    world.db.execute(&sign_up("recorded", 300)).await.unwrap();
    let collector = world.collector().spawn().unwrap();
    collector.wait_line(30, SOON).unwrap();
    stop_collector(&collector);
    let lines = collector.lines();
    assert_eq!(lines.iter().map(|line| rows_of(line).len()).sum::<usize>(), 300);
    let recorded: String = lines.iter().flat_map(|line| [line, "\n"]).collect();

    let mut senders = Vec::new();
    for _ in 0..2 {
        let feed = |sender: Process| sender.stdin_bytes(recorded.clone()).spawn().unwrap();
        let both = [feed(world.sender()), feed(world.sender())];
        for sender in both {
            assert_eq!(sender.wait(SOON).unwrap(), 0, "{}", sender.stderr());
            senders.push(sender);
        }
        world.each_mailed_once(300).await;
    }
    let mut processes = vec![&collector];
    processes.extend(&senders);
    world.quiet(&processes, &[]).await;
}

/// A line in duplicate, in one input: what is under way is not begun again either.
#[tokio::test]
async fn a_line_repeated_while_its_call_is_under_way_is_mailed_once() {
    let world = World::new().await;
    world.db.execute(&sign_up("twin", 10)).await.unwrap();
    let collector = world.collector().spawn().unwrap();
    let line = collector.wait_line(1, SOON).unwrap();
    stop_collector(&collector);
    world.ses.hold();
    let sender = world.sender().stdin_bytes(format!("{line}\n{line}\n{line}\n")).spawn().unwrap();
    world.ses.wait_calls(1, SOON).unwrap();
    sender.wait_for("event=rows_not_begun", SOON).unwrap();
    world.ses.release();
    assert_eq!(sender.wait(SOON).unwrap(), 0, "{}", sender.stderr());
    world.each_mailed_once(10).await;
    world.quiet(&[&collector, &sender], &[]).await;
}

#[tokio::test]
async fn two_collectors_hand_every_token_over_once() {
    let world = World::new().await;
    world.db.execute(&sign_up("shared", 400)).await.unwrap();
    let both = [world.collector().spawn().unwrap(), world.collector().spawn().unwrap()];
    world.db.execute(&sign_up("later", 200)).await.unwrap();
    let pending = "SELECT count(*) = 0 FROM deliveries WHERE state = 'pending'";
    world.db.wait_until(pending, SOON).await.unwrap();
    let mut rows = Vec::new();
    for collector in &both {
        stop_collector(collector);
        rows.extend(collector.lines().iter().flat_map(|line| rows_of(line)));
    }
    assert_eq!(rows.len(), 600);
    rows.sort();
    rows.dedup();
    assert_eq!(rows.len(), 600);
    world.quiet(&[&both[0], &both[1]], &[]).await;
}

/// Another collector's claim may hold a row for a moment that it finds to be taken; so may anyone.
#[tokio::test]
async fn a_row_that_somebody_locks_for_a_moment_is_waited_for_and_not_left_out() {
    let world = World::new().await;
    world.db.execute(&sign_up("locked", 10)).await.unwrap();
    let collector = world.collector().spawn().unwrap();
    let line = collector.wait_line(1, SOON).unwrap();
    let holder = world.db.client().await.unwrap();
    let lock = "BEGIN; SELECT FROM deliveries WHERE token = 5 FOR NO KEY UPDATE";
    holder.batch_execute(lock).await.unwrap();
    let sender = world.sender().stdin_bytes(format!("{line}\n")).spawn().unwrap();
    let waits = "SELECT count(*) = 1 FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    world.db.wait_until(waits, SOON).await.unwrap();
    holder.batch_execute("COMMIT").await.unwrap();
    assert_eq!(sender.wait(SOON).unwrap(), 0, "{}", sender.stderr());
    stop_collector(&collector);
    world.each_mailed_once(10).await;
    world.quiet(&[&collector, &sender], &[]).await;
}
