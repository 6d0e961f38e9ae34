//! What each role may not do, and what becomes of roles when those who migrate may not make them.

use testkit::{Database, Options, Postgres, Process, Role, migrate, migrate_down, migrations_dir};

use crate::SOON;
use crate::support::sign_up;
use crate::world::{World, stop};

/// The answer to a statement that asks for a right one has not.
const DENIED: &str = "permission denied";

/// Runs each of these as `role`; every one must be refused for want of a right.
async fn denied(db: &Database, role: Role, statements: &[&str]) {
    for sql in statements {
        let tried = db.execute(&format!("SET LOCAL ROLE {role}; {sql}; RESET ROLE")).await;
        let words = tried.map_or_else(|error| format!("{error:#}"), |_| "done".to_owned());
        assert!(words.contains(DENIED), "{role} may {sql}: {words}");
    }
}

/// What a collector or sender has no business with.
const NOT_THE_HALVES: [&str; 15] = [
    "INSERT INTO accounts (email, login) VALUES ('x@mail.example', 'x')",
    "UPDATE accounts SET email = 'x@mail.example'",
    "UPDATE accounts SET status = 'active'",
    "DELETE FROM accounts",
    "INSERT INTO tokens (account, action) VALUES (1, 'activation')",
    "UPDATE tokens SET expires_at = 0",
    "DELETE FROM tokens",
    "INSERT INTO deliveries (token, queue, priority) VALUES (1, 'mailroom', 1)",
    "UPDATE deliveries SET token = 99",
    "UPDATE deliveries SET priority = 0",
    "INSERT INTO delivery_log (token, attempt, outcome, at) VALUES (1, 1, 'skipped', '2100-01-01')",
    "UPDATE delivery_log SET outcome = 'sent'",
    "DELETE FROM delivery_log",
    "UPDATE actions SET path = '/x'",
    "TRUNCATE deliveries",
];

#[tokio::test]
async fn a_collector_hands_over_and_changes_nobodys_account() {
    let db = Database::fresh().await.unwrap();
    db.execute(&sign_up("role", 1)).await.unwrap();
    denied(&db, Role::Collector, &NOT_THE_HALVES).await;
    let own = [
        "SELECT detail FROM delivery_log",
        "SELECT created_at FROM accounts",
        "SELECT id FROM accounts FOR SHARE",
        "UPDATE holders SET number = DEFAULT",
        "INSERT INTO jobs VALUES ('mailroom', 1)",
    ];
    denied(&db, Role::Collector, &own).await;
}

#[tokio::test]
async fn a_sender_reads_neither_codes_nor_logins_and_ends_nobodys_work() {
    let db = Database::fresh().await.unwrap();
    db.execute(&sign_up("role", 1)).await.unwrap();
    denied(&db, Role::Sender, &NOT_THE_HALVES).await;
    let own = [
        "SELECT code FROM tokens",
        "SELECT login FROM accounts",
        "UPDATE holders SET missing_since = now()",
        "DELETE FROM holders",
        "UPDATE jobs SET last_seq = 0",
        "SELECT mailroom_hold_accounts('{1}')",
    ];
    denied(&db, Role::Sender, &own).await;
}

#[tokio::test]
async fn an_application_signs_up_and_reads_but_neither_promises_nor_settles() {
    let db = Database::fresh().await.unwrap();
    db.execute(&sign_up("role", 1)).await.unwrap();
    let not = [
        "SELECT token FROM deliveries",
        "INSERT INTO deliveries (token, queue, priority) VALUES (2, 'mailroom', 1)",
        "UPDATE deliveries SET due_at = now()",
        "DELETE FROM deliveries",
        "INSERT INTO delivery_log (token, attempt, outcome) VALUES (1, 1, 'sent')",
        "DELETE FROM delivery_log",
        "UPDATE tokens SET secret = secret",
        "UPDATE tokens SET account = 1",
        "UPDATE actions SET statuses = '{suspended}'",
        "SELECT number FROM holders",
        "UPDATE jobs SET last_seq = 0",
        "SELECT mailroom_hold_accounts('{1}')",
        // With a trigger of its own on these it would promise what it likes.
        "CREATE TEMP TABLE mine (id bigint, action token_action);
         CREATE TRIGGER mine AFTER INSERT ON mine REFERENCING NEW TABLE AS inserted
             FOR EACH STATEMENT EXECUTE FUNCTION trg_after_token_inserted()",
    ];
    denied(&db, Role::Application, &not).await;

    let may = "SET LOCAL ROLE mailroom_application;
        UPDATE accounts SET email = 'other@mail.example', status = 'suspended';
        UPDATE accounts SET status = 'active';
        UPDATE tokens SET consumed_at = 1 WHERE consumed_at IS NULL;
        INSERT INTO tokens (account, action) SELECT id, 'password_recovery' FROM accounts;
        SELECT state, detail FROM delivery_status;
        SELECT outcome FROM delivery_log;
        DELETE FROM accounts;";
    db.execute(may).await.unwrap();
}

#[tokio::test]
async fn an_operator_puts_mail_right_and_learns_no_secret() {
    let db = Database::fresh().await.unwrap();
    db.execute(&sign_up("role", 1)).await.unwrap();
    let not = [
        "SELECT secret FROM tokens",
        "SELECT code FROM tokens",
        "SELECT data FROM tokens",
        "SELECT * FROM accounts",
        "UPDATE accounts SET status = 'active'",
        "UPDATE tokens SET consumed_at = 1",
        "DELETE FROM tokens",
        "INSERT INTO tokens (account, action) VALUES (1, 'activation')",
        "UPDATE delivery_log SET outcome = 'sent'",
        "UPDATE delivery_totals SET count = 0",
        "UPDATE delivery_totals_until SET counted_until = 'infinity'",
        "UPDATE actions SET path = '/x'",
        "DELETE FROM holders",
        "SELECT mailroom_hold_accounts('{1}')",
        "SELECT mailroom_roles()",
    ];
    denied(&db, Role::Operator, &not).await;
    let may = "SET LOCAL ROLE mailroom_operator;
        SELECT id, email, login, status FROM accounts;
        UPDATE tokens SET expires_at = expires_at + 60;
        SELECT state FROM delivery_status;
        UPDATE deliveries SET due_at = now();
        INSERT INTO delivery_log (token, attempt, outcome) SELECT token, 0, 'failed' FROM deliveries;
        DELETE FROM deliveries;
        SELECT mailroom_count_log(), mailroom_purge(now(), now(), 10);
        SELECT count FROM mailroom_totals();
        DELETE FROM delivery_log;
        SELECT number FROM holders;";
    db.execute(may).await.unwrap();
}

/// What runs with its owner's rights must not be a superuser's.
#[tokio::test]
async fn what_a_trigger_may_do_is_what_mailroom_needs() {
    let db = Database::fresh().await.unwrap();
    let definers = "SELECT string_agg(DISTINCT proowner::regrole::text, ' ') FROM pg_proc
        WHERE prosecdef AND pronamespace = 'public'::regnamespace";
    assert_eq!(db.query_text(definers).await.unwrap(), "mailroom_owner");
    let loose = "SELECT count(*) FROM pg_proc AS p WHERE prosecdef
        AND pronamespace = 'public'::regnamespace
        AND (proconfig IS NULL OR has_function_privilege('public', p.oid, 'EXECUTE'))";
    assert_eq!(db.query_i64(loose).await.unwrap(), 0);
    let powers = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'mailroom_%' AND
        (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)";
    assert_eq!(db.query_i64(powers).await.unwrap(), 0);
    for sql in [
        "SELECT email FROM accounts",
        "UPDATE accounts SET email = ''",
        "SELECT secret FROM tokens",
        "CREATE TABLE mine (id bigint)",
    ] {
        let tried = db.execute(&format!("SET LOCAL ROLE mailroom_owner; {sql}")).await;
        let words = tried.map_or_else(|error| format!("{error:#}"), |_| "done".to_owned());
        assert!(words.contains(DENIED), "{sql}: {words}");
    }
}

/// A server of one's own, without the roles, and a database that belongs to `owner`.
async fn bare(owner_may: &str) -> (Postgres, World) {
    let server = Postgres::start_with(&Options::fast()).unwrap();
    let db = Database::empty_on(&server).await.unwrap();
    let sql: String = Role::ALL.map(|role| format!("DROP ROLE {role};")).concat();
    db.execute(&sql).await.unwrap();
    let name = db.name();
    db.execute(&format!("CREATE ROLE owner LOGIN {owner_may}")).await.unwrap();
    db.execute(&format!("ALTER DATABASE {name} OWNER TO owner")).await.unwrap();
    // From PostgreSQL 15 on this is what the owner of a database has anyway.
    db.execute("GRANT ALL ON SCHEMA public TO owner WITH GRANT OPTION").await.unwrap();
    (server, World::in_database(db))
}

fn owners_url(world: &World) -> String {
    world.db.url().replacen("postgres@", "owner@", 1)
}

const OWNERS: &str = "SELECT string_agg(DISTINCT tableowner, ' ' ORDER BY tableowner)
    FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_migrations'";

/// Migrates as the owner, down to nothing and up again, and then mails.
async fn migrated_by_the_owner_mails(world: &World, login_as: [&str; 2]) {
    let url = owners_url(world);
    let dir = migrations_dir();
    migrate(&url, &dir, None).await.unwrap();
    migrate_down(&url, &dir, None).await.unwrap();
    migrate(&url, &dir, None).await.unwrap();
    let logins = "DO $$ DECLARE r name; BEGIN FOR r IN SELECT rolname FROM pg_roles
        WHERE rolname LIKE 'mailroom_%' LOOP EXECUTE format('ALTER ROLE %I LOGIN', r); END LOOP;
        END $$";
    world.db.execute(logins).await.unwrap();
    let url = |role: &str| world.db.url().replacen("postgres@", &format!("{role}@"), 1);
    let collector = world.collector().env("MAILROOM_DATABASE_URL", url(login_as[0]));
    let sender = world.sender().env("MAILROOM_DATABASE_URL", url(login_as[1]));
    let pipe = testkit::Pipeline::spawn(collector, sender).unwrap();
    let sign_up = "INSERT INTO accounts (email, login) VALUES ('new@mail.example', 'new-login')";
    world.db.execute(&format!("SET LOCAL ROLE owner; {sign_up}")).await.unwrap();
    world.mails(1).await;
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(1).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
}

#[tokio::test]
async fn who_may_make_roles_makes_them_and_gives_away_what_is_mailrooms() {
    let (_server, world) = bare("CREATEROLE").await;
    let halves = ["mailroom_collector", "mailroom_sender"];
    migrated_by_the_owner_mails(&world, halves).await;
    assert_eq!(world.db.query_text(OWNERS).await.unwrap(), "mailroom_owner owner");
}

#[tokio::test]
async fn who_may_not_make_roles_keeps_everything_until_somebody_who_may_does() {
    let (_server, world) = bare("").await;
    migrated_by_the_owner_mails(&world, ["owner", "owner"]).await;
    assert_eq!(world.db.query_text(OWNERS).await.unwrap(), "owner");
    let roles = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'mailroom_%'";
    assert_eq!(world.db.query_i64(roles).await.unwrap(), 0);

    // What docs/SCHEMA.md asks of a superuser, and then of the owner.
    let superuser = "CREATE ROLE mailroom_owner; CREATE ROLE mailroom_collector LOGIN;
        CREATE ROLE mailroom_sender LOGIN; CREATE ROLE mailroom_application;
        CREATE ROLE mailroom_operator;
        GRANT mailroom_owner TO owner";
    world.db.execute(superuser).await.unwrap();
    let again = "SET LOCAL ROLE owner; SELECT mailroom_roles(); SELECT mailroom_roles()";
    world.db.execute(again).await.unwrap();
    assert_eq!(world.db.query_text(OWNERS).await.unwrap(), "mailroom_owner owner");
    denied(&world.db, Role::Sender, &NOT_THE_HALVES).await;
    // Those who ran as the owner still can, and still migrate.
    let as_owner = |process: Process| process.env("MAILROOM_DATABASE_URL", owners_url(&world));
    for (mails, pipe) in [
        (2, testkit::Pipeline::spawn(world.collector(), world.sender()).unwrap()),
        (
            3,
            testkit::Pipeline::spawn(as_owner(world.collector()), as_owner(world.sender()))
                .unwrap(),
        ),
    ] {
        world.db.execute(&sign_up(&format!("later-{mails}"), 1)).await.unwrap();
        world.ses.wait_mails(mails, SOON).unwrap();
        world.settled().await;
        stop(&pipe);
        world.quiet(&[&pipe.collector, &pipe.sender], &["deliveries_released"]).await;
    }
    migrate_down(&owners_url(&world), &migrations_dir(), Some(1)).await.unwrap();
}

/// What a dump without privileges forgets, and what a stranger could do with it.
#[tokio::test]
async fn what_nobody_may_call_is_taken_back_from_everybody() {
    let db = Database::fresh().await.unwrap();
    db.execute("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC").await.unwrap();
    db.execute("SELECT mailroom_roles()").await.unwrap();
    denied(&db, Role::Sender, &["SELECT mailroom_hold_accounts('{1}')"]).await;
}

/// An owner who may do anything would lend that to triggers.
#[tokio::test]
async fn a_role_of_that_name_that_may_too_much_is_refused() {
    let (_server, world) = bare("").await;
    world.db.execute("CREATE ROLE mailroom_owner SUPERUSER").await.unwrap();
    let refused = migrate(world.db.url(), &migrations_dir(), None).await.unwrap_err();
    assert!(format!("{refused:#}").contains("may do too much"), "{refused:#}");
}

/// Row-level security hides rows without a word, and what is not there is not mailed.
#[tokio::test]
async fn rows_that_a_policy_hides_stop_a_collector_and_lose_nothing() {
    let world = World::new().await;
    let hidden = "ALTER TABLE tokens ENABLE ROW LEVEL SECURITY;
        CREATE POLICY application ON tokens TO mailroom_application USING (true)";
    world.db.execute(hidden).await.unwrap();
    world.db.execute(&sign_up("hidden", 1)).await.unwrap();
    let collector = world.collector().spawn().unwrap();
    assert_eq!(collector.wait(SOON).unwrap(), 78, "{}", collector.stderr());
    assert!(collector.stderr().contains("row-level security"), "{}", collector.stderr());
    world.db.execute("ALTER TABLE tokens DISABLE ROW LEVEL SECURITY").await.unwrap();
    let pipe = world.pipe();
    world.mails(1).await;
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(1).await;
}

/// The likely mistake: each ends at once, says whose role it needs, and nothing is lost.
#[tokio::test]
async fn a_half_with_the_others_role_ends_and_says_so() {
    let world = World::new().await;
    world.db.execute(&sign_up("mixed", 2)).await.unwrap();
    let with = |process: Process, role| process.env("MAILROOM_DATABASE_URL", world.db.url_as(role));
    let collector = with(world.collector(), Role::Sender).spawn().unwrap();
    assert_eq!(collector.wait(SOON).unwrap(), 78, "{}", collector.stderr());
    let sender = with(world.sender(), Role::Collector);
    let pipe = testkit::Pipeline::spawn(world.collector(), sender).unwrap();
    assert_eq!(pipe.sender.wait(SOON).unwrap(), 78, "{}", pipe.sender.stderr());
    assert_eq!(pipe.collector.wait(SOON).unwrap(), 75, "{}", pipe.collector.stderr());
    for log in [collector.stderr(), pipe.sender.stderr()] {
        assert!(log.contains("must be a member"), "{log}");
    }
    let right = world.pipe();
    world.mails(2).await;
    world.settled().await;
    stop(&right);
    world.each_mailed_once(2).await;
    world.quiet(&[&right.collector, &right.sender], &["deliveries_released"]).await;
}

/// Advisory locks are anybody's to take.
#[tokio::test]
async fn a_stranger_who_takes_our_locks_stops_nobody() {
    let world = World::new().await;
    let stranger = world.db.client().await.unwrap();
    let locks = "SET ROLE mailroom_application;
        SELECT pg_try_advisory_lock(mailroom_holder_class(), n) FROM generate_series(1, 5) AS n";
    stranger.batch_execute("SET SESSION AUTHORIZATION mailroom_application").await.unwrap();
    stranger.batch_execute(locks).await.unwrap();
    let proxy = testkit::Proxy::start(testkit::shared().addr()).unwrap();
    let pipe = testkit::Pipeline::spawn(world.collector_through(&proxy), world.sender()).unwrap();
    world.db.execute(&sign_up("first", 1)).await.unwrap();
    world.mails(1).await;
    world.settled().await;
    // Its number is free for a moment, and taken by the stranger before it can be fenced.
    let number = "SELECT max(number) FROM holders WHERE kind = 'collector'";
    let number = world.db.query_i64(number).await.unwrap();
    let waits = format!("SELECT pg_advisory_lock_shared(mailroom_holder_class(), {number})");
    let waiting = tokio::spawn(async move { stranger.batch_execute(&waits).await });
    let blocked = format!(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND objid::bigint = {number}
         AND classid::bigint = mailroom_holder_class())"
    );
    world.db.wait_until(&blocked, SOON).await.unwrap();
    proxy.cut().unwrap();
    waiting.await.unwrap().unwrap();
    world.db.execute(&sign_up("second", 1)).await.unwrap();
    world.mails(2).await;
    world.settled().await;
    stop(&pipe);
    world.each_mailed_once(2).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &["connection_lost"]).await;
}

/// Two databases of one server, migrated by different owners: the second may not give its tables to
/// a role that the first one's owner made, and keeps them.
#[tokio::test]
async fn the_roles_of_a_server_serve_all_its_databases() {
    let (server, first) = bare("CREATEROLE").await;
    migrate(&owners_url(&first), &migrations_dir(), None).await.unwrap();
    let second = Database::empty_on(&server).await.unwrap();
    second.execute("CREATE ROLE other LOGIN; GRANT ALL ON SCHEMA public TO other").await.unwrap();
    let name = second.name();
    second.execute(&format!("ALTER DATABASE {name} OWNER TO other")).await.unwrap();
    let url = second.url().replacen("postgres@", "other@", 1);
    migrate(&url, &migrations_dir(), None).await.unwrap();
    assert_eq!(second.query_text(OWNERS).await.unwrap(), "other");
    denied(&second, Role::Collector, &NOT_THE_HALVES).await;
    migrate_down(&url, &migrations_dir(), None).await.unwrap();
    denied(&first.db, Role::Application, &["DELETE FROM deliveries"]).await;
}
