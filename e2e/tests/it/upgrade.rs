//! From the original's schema and back.

use testkit::{Database, migrate, migrate_down, migrations_dir};

use crate::support::{accounts, sign_up};
use crate::world::{World, stop};

async fn original() -> World {
    let db = Database::empty().await.unwrap();
    migrate(db.url(), &migrations_dir(), Some(0)).await.unwrap();
    World::in_database(db)
}

async fn up(world: &World) {
    migrate(world.db.url(), &migrations_dir(), None).await.unwrap();
}

#[tokio::test]
async fn an_original_database_is_taken_over_without_loss_or_repetition() {
    let world = original().await;
    world.db.execute(&accounts("old", 20)).await.unwrap();
    let state = "UPDATE jobs SET last_seq = 10;
        UPDATE tokens SET expires_at = 1 WHERE id IN (12, 13);
        UPDATE tokens SET consumed_at = 1 WHERE id = 14;
        UPDATE tokens SET code = '#####' WHERE id = 15;
        UPDATE accounts SET status = 'suspended' WHERE id = 16;";
    world.db.execute(state).await.unwrap();
    up(&world).await;
    let pipe = world.pipe();
    world.mails(6).await;
    world.db.execute(&sign_up("new", 3)).await.unwrap();
    world.mails(9).await;
    world.settled().await;
    stop(&pipe);

    let mut mailed: Vec<String> = world.ses.mails().into_iter().map(|mail| mail.to).collect();
    mailed.sort();
    let old = [11, 15, 17, 18, 19, 20].map(|n| format!("old-{n}@mail.example"));
    let new = [1, 2, 3].map(|n| format!("new-{n}@mail.example"));
    let mut expected: Vec<String> = old.into_iter().chain(new).collect();
    expected.sort();
    assert_eq!(mailed, expected);
    let skipped = "SELECT detail FROM delivery_status WHERE token = 16";
    assert_eq!(world.db.query_text(skipped).await.unwrap(), "the account is suspended");
    let codes = "SELECT count(*) FROM tokens WHERE code !~ '^[0-9]{5}$'";
    assert_eq!(world.db.query_i64(codes).await.unwrap(), 0);
    world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
}

#[tokio::test]
async fn a_suspension_from_before_the_upgrade_can_be_lifted_after_it() {
    let world = original().await;
    world.db.execute(&accounts("old", 1)).await.unwrap();
    world.db.execute("UPDATE accounts SET status = 'suspended'").await.unwrap();
    up(&world).await;
    let pipe = world.pipe();
    world.settled().await;
    world.db.execute("UPDATE accounts SET status = 'active'").await.unwrap();
    world.mails(1).await;
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(1).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
}

#[tokio::test]
async fn down_to_the_original_and_up_again_loses_nothing() {
    let world = original().await;
    up(&world).await;
    world.db.execute(&sign_up("first", 5)).await.unwrap();
    let pipe = world.pipe();
    world.mails(5).await;
    world.settled().await;
    stop(&pipe);
    world.db.execute(&sign_up("waiting", 5)).await.unwrap();
    migrate_down(world.db.url(), &migrations_dir(), Some(0)).await.unwrap();
    // The original's collector starts with what is outstanding.
    assert_eq!(world.db.query_i64("SELECT last_seq FROM jobs").await.unwrap(), 5);
    world.db.execute(&accounts("original", 5)).await.unwrap();
    assert_eq!(world.db.query_i64("SELECT count(*) FROM tokens").await.unwrap(), 15);

    up(&world).await;
    let again = world.pipe();
    world.mails(15).await;
    world.settled().await;
    stop(&again);
    assert_eq!(world.ses.mail_count(), 15);
    assert!(world.ses.duplicates().is_empty());
    world.quiet(&[&pipe.collector, &pipe.sender, &again.collector, &again.sender], &[]).await;
}

#[tokio::test]
async fn down_to_nothing_leaves_nothing() {
    let things = "SELECT count(*) FROM (
            SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
                AND relname NOT LIKE 'schema_migrations%'
            UNION ALL SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
                AND typname NOT LIKE '%schema_migrations'
            UNION ALL SELECT proname FROM pg_proc AS p WHERE pronamespace = 'public'::regnamespace
                AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')
        ) AS things";
    let world = original().await;
    up(&world).await;
    world.db.execute(&sign_up("gone", 5)).await.unwrap();
    let url = world.db.url();
    migrate_down(url, &migrations_dir(), None).await.unwrap();
    assert_eq!(world.db.query_i64(things).await.unwrap(), 0);
    migrate(url, &migrations_dir(), None).await.unwrap();
    world.db.execute(&sign_up("back", 5)).await.unwrap();
    let pipe = world.pipe();
    world.mails(5).await;
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(5).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
}
