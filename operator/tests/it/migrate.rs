//! `mailroom migrate`, alone and beside golang-migrate.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use testkit::{Database, Process, Running, Signal};
use tokio::task::JoinSet;

use crate::golang_migrate::{GolangMigrate, Name};
use crate::support::{Ran, SOON, finish};

fn command(url: &str, args: &str) -> Process {
    Process::new("mailroom")
        .arg("migrate")
        .args(args.split_whitespace())
        .env("MAILROOM_DATABASE_URL", url)
}

fn migrate(db: &Database, args: &str) -> Ran {
    finish(command(db.url(), args))
}

fn spawn(db: &Database, args: &str) -> Running {
    command(db.url(), args).spawn().unwrap()
}

/// All migrations and nothing else.
async fn migrated() -> Database {
    Database::fresh_on(testkit::shared()).await.unwrap()
}

/// All that a schema is made of.
async fn schema(db: &Database) -> Vec<Vec<Option<String>>> {
    let sql = "
        SELECT 'column', table_name::text, column_name::text, concat_ws(' ', udt_name, is_nullable,
            column_default) FROM information_schema.columns WHERE table_schema = 'public'
        UNION ALL
        SELECT 'relation', relname::text, relowner::regrole::text, relacl::text FROM pg_class
        WHERE relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT 'index', indexname::text, indexdef, NULL FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL
        SELECT 'constraint', conname::text, conrelid::regclass::text, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL
        SELECT 'function', proname::text, pg_get_function_arguments(oid), proowner::regrole || prosrc
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL
        SELECT 'trigger', tgname::text, tgrelid::regclass::text, pg_get_triggerdef(oid)
        FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL
        SELECT 'label', enumtypid::regtype::text, enumlabel::text, NULL FROM pg_enum
        ORDER BY 1, 2, 3, 4";
    db.query_rows(sql).await.unwrap()
}

/// The names of the files, in order, as `mailroom` reports them: `up    0_init.up.sql`.
fn all_up() -> Vec<String> {
    let mut names: Vec<(u32, String)> = std::fs::read_dir(testkit::migrations_dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".up.sql"))
        .map(|name| (name.split('_').next().unwrap().parse().unwrap(), format!("up    {name}")))
        .collect();
    names.sort();
    names.into_iter().map(|(_, line)| line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_becomes_the_schema_and_the_second_time_is_no_change() {
    let db = Database::empty().await.unwrap();
    let status = migrate(&db, "status");
    assert_eq!(status.code, 0, "{}", status.err);
    assert!(status.out[1..].iter().all(|line| line.ends_with("pending")), "{:?}", status.out);

    let ran = migrate(&db, "up");
    assert_eq!((ran.code, ran.out, ran.err.as_str()), (0, all_up(), ""));
    let ran = migrate(&db, "up");
    assert_eq!((ran.code, ran.out, ran.err.as_str()), (0, vec!["no change".to_owned()], ""));
    let status = migrate(&db, "status");
    assert_eq!((status.code, status.out.len()), (0, all_up().len() + 1));
    assert!(status.out[1..].iter().all(|line| line.ends_with("applied")), "{:?}", status.out);

    assert_eq!(schema(&db).await, schema(&migrated().await).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_read_an_object_a_line() {
    let db = Database::empty().await.unwrap();
    let ran = migrate(&db, "up 2 --json");
    let done: Vec<serde_json::Value> =
        ran.out.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let short: Vec<String> = done
        .iter()
        .map(|it| format!("{} {} {} {}", it["direction"], it["version"], it["name"], it["at"]))
        .collect();
    assert_eq!(short[0], r#""up" 0 "init" 0"#);
    assert!(short.len() == 2 && done[1]["seconds"].is_f64(), "{short:?}");
    let down = migrate(&db, "down --all --yes --json");
    let done: serde_json::Value = serde_json::from_str(down.out.last().unwrap()).unwrap();
    assert_eq!((&done["version"], &done["at"]), (&0.into(), &(-1).into()));
    assert_eq!(migrate(&db, "down --all --yes --json").out, [""; 0]);
    let status = migrate(&db, "status --json");
    assert_eq!(status.out[0], r#"{"version":0,"name":"init","state":"pending"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn either_lock_of_golang_migrates_is_waited_for() {
    for name in [Name::Path, Name::Server] {
        let db = Database::empty().await.unwrap();
        let other = GolangMigrate::open(db.url(), name).await;
        other.lock().await;
        let ran = migrate(&db, "up --lock-timeout 0");
        assert_eq!((ran.code, ran.out.as_slice()), (75, &[] as &[String]), "{}", ran.err);
        assert!(ran.err.contains("still migrates this database after 0 s"), "{}", ran.err);

        let waiting = spawn(&db, "up");
        let said = waiting.wait_for("waiting up to 60 s for", SOON).unwrap();
        assert!(said.contains("server process"), "{said}");
        assert_eq!((waiting.lines(), other.version().await), (vec![], (-1, false)));
        other.unlock().await;
        assert_eq!(waiting.wait(SOON).unwrap(), 0);
        assert_eq!(waiting.lines(), all_up());
        // It has let go of both.
        other.lock().await;
        other.unlock().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_at_once_apply_each_file_once() {
    // golang-migrate's tool and its library do not keep out each other.
    for name in [Name::Path, Name::Server] {
        let db = Database::empty().await.unwrap();
        let gate = GolangMigrate::open(db.url(), name).await;
        gate.lock().await;
        let mut others = JoinSet::new();
        for _ in 0..2 {
            let url = db.url().to_owned();
            others.spawn(async move { GolangMigrate::open(&url, name).await.up().await });
        }
        let ours = [(); 3].map(|()| spawn(&db, "up"));
        for one in &ours {
            one.wait_for("waiting", SOON).unwrap();
        }
        gate.unlock().await;
        for one in &ours {
            assert_eq!(one.wait(SOON).unwrap(), 0, "{}", one.stderr());
        }
        for ended in others.join_all().await {
            ended.unwrap();
        }
        assert_eq!(gate.version().await, (gate.last(), false));
        assert_eq!(schema(&db).await, schema(&migrated().await).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_tools_interleave_step_by_step_up_and_down() {
    let db = Database::empty().await.unwrap();
    let others = [
        GolangMigrate::open(db.url(), Name::Path).await,
        GolangMigrate::open(db.url(), Name::Server).await,
    ];
    let last = others[0].last();
    for (n, ours) in [(1, "up 1"), (-1, "down 1 --yes"), (1, "up 1")] {
        let end = if n > 0 { last } else { -1 };
        for turn in 0.. {
            let (before, _) = others[0].version().await;
            if before == end {
                break;
            }
            match turn % 3 {
                0 => assert_eq!(migrate(&db, ours).code, 0),
                other => others[other - 1].steps(n).await.unwrap(),
            }
            let (after, dirty) = others[1].version().await;
            let step = if n > 0 {
                others[0].below(after) == before
            } else {
                others[0].below(before) == after
            };
            assert!(step && !dirty, "{before} became {after}");
        }
    }
    assert_eq!(schema(&db).await, schema(&migrated().await).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn single_steps_of_both_tools_at_once_skip_nothing_and_repeat_nothing() {
    let db = Database::empty().await.unwrap();
    let gate = GolangMigrate::open(db.url(), Name::Path).await;
    gate.lock().await;
    let mut ours = Vec::new();
    let mut others = JoinSet::new();
    for n in 0..all_up().len() {
        if n % 2 == 0 {
            ours.push(spawn(&db, "up 1"));
            continue;
        }
        let url = db.url().to_owned();
        others.spawn(async move { GolangMigrate::open(&url, Name::Path).await.steps(1).await });
    }
    for one in &ours {
        one.wait_for("waiting", SOON).unwrap();
    }
    gate.unlock().await;
    let mut files = Vec::new();
    for one in &ours {
        assert_eq!(one.wait(SOON).unwrap(), 0, "{}", one.stderr());
        files.extend(one.lines());
    }
    for ended in others.join_all().await {
        ended.unwrap();
    }
    assert_eq!(gate.version().await, (gate.last(), false));
    // Each of ours had a file of its own.
    files.sort();
    files.dedup();
    assert_eq!(files.len(), ours.len(), "{files:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dirty_version_stops_both_tools_and_force_mends_it() {
    const WORDS: &str = "Dirty database version 2. Fix and force version.";
    let db = Database::empty().await.unwrap();
    let other = GolangMigrate::open(db.url(), Name::Path).await;
    other.steps(2).await.unwrap();
    // In the way of 2_deliveries.
    db.execute("CREATE TABLE deliveries ()").await.unwrap();
    other.steps(1).await.unwrap_err();
    drop(other);

    for args in ["up", "up 1", "down 1 --yes", "down --all --yes", "status"] {
        let ran = migrate(&db, args);
        assert_eq!(ran.code, 78, "{args}");
        assert!(ran.err.contains(&format!("mailroom: {WORDS}\n")), "{args}: {}", ran.err);
        assert!(ran.err.contains("mailroom migrate force 1 "), "{args}: {}", ran.err);
    }
    let status = migrate(&db, "status").out;
    assert!(
        status.iter().any(|line| line.starts_with("2") && line.ends_with("dirty")),
        "{status:?}"
    );
    let other = GolangMigrate::open(db.url(), Name::Server).await;
    assert_eq!(other.up().await.unwrap_err(), WORDS);
    drop(other);

    db.execute("DROP TABLE deliveries").await.unwrap();
    assert_eq!(migrate(&db, "force 1").out, ["the version is 1, and clean"]);
    assert_eq!(migrate(&db, "up 1").code, 0);
    GolangMigrate::open(db.url(), Name::Server).await.up().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_fails_says_where_and_how_to_go_on() {
    let db = Database::empty().await.unwrap();
    assert_eq!(migrate(&db, "up 2").code, 0);
    db.execute("ALTER TYPE account_status RENAME TO another").await.unwrap();
    let ran = migrate(&db, "up");
    assert_eq!((ran.code, ran.out.as_slice()), (78, &[] as &[String]));
    let file = std::fs::read_to_string(testkit::migrations_dir().join("2_deliveries.up.sql"));
    let line = 1 + file.unwrap().lines().position(|it| it.contains("account_status[]")).unwrap();
    let first = format!(
        "mailroom: 2_deliveries.up.sql, line {line}: type \"account_status[]\" does not exist (42704)\n"
    );
    assert!(ran.err.starts_with(&first), "{}", ran.err);
    assert!(ran.err.contains("Nothing of the file was done"), "{}", ran.err);
    let other = GolangMigrate::open(db.url(), Name::Path).await;
    assert_eq!(other.version().await, (2, true));

    // What it tells one to do does it.
    assert!(ran.err.contains("  mailroom migrate force 1\n"), "{}", ran.err);
    db.execute("ALTER TYPE another RENAME TO account_status").await.unwrap();
    assert_eq!(migrate(&db, "force 1").code, 0);
    assert_eq!(migrate(&db, "up").code, 0);

    // Likewise down: what is in the way of 0_init is a view on a table of its.
    assert_eq!(migrate(&db, &format!("down {} --yes", other.last())).code, 0);
    db.execute("CREATE VIEW mine AS SELECT id FROM accounts").await.unwrap();
    let ran = migrate(&db, "down --all --yes");
    assert_eq!((ran.code, other.version().await), (78, (-1, true)), "{}", ran.err);
    assert!(ran.err.contains("mailroom migrate force 0\n"), "{}", ran.err);
    db.execute("DROP VIEW mine").await.unwrap();
    assert_eq!(migrate(&db, "force 0").code, 0);
    assert_eq!(migrate(&db, "down --all --yes").out, ["down  0_init.down.sql"]);
    assert_eq!(other.version().await, (-1, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_in_the_middle_of_a_file_leaves_it_dirty() {
    let db = Database::empty().await.unwrap();
    assert_eq!(migrate(&db, "up 1").code, 0);
    let blocker = db.client().await.unwrap();
    blocker.batch_execute("BEGIN; LOCK TABLE accounts").await.unwrap();
    let cut = spawn(&db, "up");
    db.wait_until("SELECT dirty FROM schema_migrations", SOON).await.unwrap();
    db.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'mailroom' AND datname = current_database()",
    )
    .await
    .unwrap();
    assert_eq!(cut.wait(SOON).unwrap(), 78, "{}", cut.stderr());
    assert!(cut.stderr().contains("1_epochs_outlive_2038.up.sql: "), "{}", cut.stderr());
    assert!(cut.stderr().contains("mailroom migrate force 0"), "{}", cut.stderr());
    blocker.batch_execute("COMMIT").await.unwrap();
    let ran = migrate(&db, "up");
    assert_eq!(ran.code, 78);
    assert!(ran.err.contains("Dirty database version 1. Fix and force version."), "{}", ran.err);
    assert_eq!((migrate(&db, "force 0").code, migrate(&db, "up").code), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_stop_it_ends_the_file_it_is_at_and_no_more() {
    let db = Database::empty().await.unwrap();
    assert_eq!(migrate(&db, "up 1").code, 0);
    let blocker = db.client().await.unwrap();
    blocker.batch_execute("BEGIN; LOCK TABLE accounts").await.unwrap();
    let asked = spawn(&db, "up");
    db.wait_until("SELECT dirty FROM schema_migrations", SOON).await.unwrap();
    asked.signal(Signal::TERM).unwrap();
    asked.wait_for("asked to stop: after this file", SOON).unwrap();
    blocker.batch_execute("COMMIT").await.unwrap();
    assert_eq!(asked.wait(SOON).unwrap(), 75, "{}", asked.stderr());
    assert_eq!(asked.lines(), [all_up()[1].as_str()]);
    let other = GolangMigrate::open(db.url(), Name::Path).await;
    assert_eq!(other.version().await, (1, false));

    // Also while it waits for others.
    other.lock().await;
    let asked = spawn(&db, "up");
    asked.wait_for("waiting", SOON).unwrap();
    asked.signal(Signal::INT).unwrap();
    assert_eq!(asked.wait(SOON).unwrap(), 75);
    assert!(asked.stderr().contains("asked to stop; nothing was done"), "{}", asked.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_newer_than_this_program_is_left_alone() {
    let db = Database::fresh().await.unwrap();
    let other = GolangMigrate::open(db.url(), Name::Path).await;
    other.force(other.last() + 1).await;
    for args in ["up", "down 1 --yes", "status"] {
        let ran = migrate(&db, args);
        let words = format!("version {} is not known to this mailroom", other.last() + 1);
        assert_eq!(ran.code, 78, "{args}");
        assert!(ran.err.contains(&words), "{args}: {}", ran.err);
    }
    assert_eq!(other.version().await, (other.last() + 1, false));
    let ran = migrate(&db, &format!("force {}", other.last() + 1));
    assert_eq!(ran.code, 78);
    assert!(ran.err.contains("there is no such migration"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_database_goes_up_and_its_mail_is_outstanding() {
    let db = Database::empty().await.unwrap();
    GolangMigrate::open(db.url(), Name::Path).await.steps(1).await.unwrap();
    db.execute("INSERT INTO accounts (email, login) VALUES ('ada@example.com', 'ada')")
        .await
        .unwrap();
    let ran = migrate(&db, "up");
    assert_eq!((ran.code, ran.out.as_slice()), (0, &all_up()[1..]), "{}", ran.err);
    assert_eq!(db.query_i64("SELECT count(*) FROM deliveries").await.unwrap(), 1);
    assert_eq!(schema(&db).await, schema(&migrated().await).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_without_a_record_are_not_migrated_from_nothing() {
    let db = Database::fresh().await.unwrap();
    db.execute("DROP TABLE schema_migrations").await.unwrap();
    let ran = migrate(&db, "up");
    assert_eq!(ran.code, 78);
    assert!(ran.err.contains("mailroom migrate force V"), "{}", ran.err);
    let other = GolangMigrate::open(db.url(), Name::Path).await;
    assert_eq!(other.version().await, (-1, false));
    assert_eq!(migrate(&db, &format!("force {}", other.last())).code, 0);
    assert_eq!(migrate(&db, "up").out, ["no change"]);
    assert_eq!(migrate(&db, "force -1").out, ["the version is -1, and clean"]);
    assert_eq!(other.version().await, (-1, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_back_unasked() {
    let db = Database::fresh().await.unwrap();
    let before = schema(&db).await;
    let ran = migrate(&db, "down --all");
    assert_eq!((ran.code, ran.out.as_slice()), (78, &[] as &[String]));
    assert!(ran.err.contains("what it drops is lost, with the data in it"), "{}", ran.err);
    assert!(ran.err.contains("0_init.down.sql: Back to nothing: the tables accounts and tokens are dropped, with ALL USERS."), "{}", ran.err);
    assert!(ran.err.contains("say --yes"), "{}", ran.err);
    assert_eq!(schema(&db).await, before);
    let ran = migrate(&db, "down");
    assert!(ran.code == 78 && ran.err.contains("or --all"), "{ran:?}");
    let many = migrate(&db, "status").out.len() - 1;
    let ran = migrate(&db, &format!("down {} --yes", many + 1));
    assert!(ran.code == 78 && ran.err.contains(&format!("only {many} are applied")), "{ran:?}");
    assert_eq!(schema(&db).await, before);
    assert_eq!(migrate(&db, "down 1 --all").code, 78);

    assert_eq!(migrate(&db, "down --all --yes").code, 0);
    assert_eq!(migrate(&db, "down --all").out, ["no change"]);
    let ran = migrate(&db, "down 1 --yes");
    assert!(ran.code == 78 && ran.err.contains("none is applied"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_the_one_new_tables_go_to() {
    let db = Database::empty().await.unwrap();
    let url = format!("{}?options=-csearch_path%3Dmail%2Cpublic", db.url());
    let ran = finish(command(&format!("{}?options=-csearch_path%3Dmail", db.url()), "up"));
    assert_eq!(ran.code, 78, "{}", ran.err);
    assert!(ran.err.contains("search_path names no schema that exists"), "{}", ran.err);

    db.execute("CREATE SCHEMA mail").await.unwrap();
    let ran = finish(command(&url, "up"));
    assert_eq!((ran.code, ran.out), (0, all_up()), "{}", ran.err);
    let sql = "SELECT count(*) FROM mail.schema_migrations WHERE to_regclass('mail.deliveries') IS NOT NULL";
    assert_eq!(db.query_i64(sql).await.unwrap(), 1);
    assert_eq!(
        db.query_text("SELECT to_regclass('public.schema_migrations') IS NULL").await.unwrap(),
        "t"
    );
    // Another schema is another lock.
    let other = GolangMigrate::open(db.url(), Name::Path).await;
    other.lock().await;
    assert_eq!(finish(command(&url, "up --lock-timeout 0")).out, ["no change"]);
}

/// Has every CREATE TYPE of the first file do this too.
async fn at_every_type(db: &Database, body: &str) {
    db.execute(&format!(
        "CREATE FUNCTION at_every_type() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
         {body};
         END $$;
         CREATE EVENT TRIGGER at_every_type ON ddl_command_end WHEN TAG IN ('CREATE TYPE')
         EXECUTE FUNCTION at_every_type()"
    ))
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_file_warns_of_is_said() {
    let db = Database::empty().await.unwrap();
    let warns =
        "RAISE NOTICE 'no matter'; RAISE WARNING 'the walls are thin' USING HINT = 'speak low'";
    at_every_type(&db, warns).await;
    let ran = migrate(&db, "up 1");
    assert_eq!(ran.code, 0);
    let words = "mailroom: warning: the walls are thin\nmailroom: hint: speak low\n";
    assert!(ran.err.starts_with(words) && !ran.err.contains("no matter"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_in_a_function_says_in_which_and_quotes_no_rows() {
    let db = Database::empty().await.unwrap();
    let fails = "RAISE 'not today' USING HINT = 'come back', DETAIL = '(email)=(ada@example.com)'";
    at_every_type(&db, fails).await;
    let ran = migrate(&db, "up");
    assert_eq!(ran.code, 78);
    let words = "mailroom: 0_init.up.sql: not today (P0001)\nmailroom: hint: come back\n\
                 mailroom: in PL/pgSQL function at_every_type() line 2 at RAISE\n";
    assert!(ran.err.starts_with(words) && !ran.err.contains("ada"), "{}", ran.err);
    assert!(ran.err.contains("mailroom migrate force -1\n"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_lost_its_locks_writes_no_version() {
    let db = Database::empty().await.unwrap();
    at_every_type(&db, "PERFORM pg_advisory_unlock_all()").await;
    let ran = migrate(&db, "up");
    assert_eq!((ran.code, ran.out.as_slice()), (78, &[] as &[String]));
    assert!(ran.err.contains("the session lost its locks"), "{}", ran.err);
    assert!(ran.err.contains("not a transaction pooler"), "{}", ran.err);
    let other = GolangMigrate::open(db.url(), Name::Path).await;
    assert_eq!(other.version().await, (0, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_reads_is_a_matter_for_a_person() {
    let db = Database::empty().await.unwrap();
    let url = format!("{}?options=-cdefault_transaction_read_only%3Don", db.url());
    let ran = finish(command(&url, "up"));
    assert_eq!(ran.code, 78);
    assert!(ran.err.contains("create schema_migrations: "), "{}", ran.err);
    assert!(ran.err.contains("read-only transaction"), "{}", ran.err);
    assert_eq!(finish(command(&url, "status")).code, 0);
}
