use testkit::{Database, Options, Postgres, Role, TransactionPooler, migrate, migrations_dir};

use super::support::{SetUp, clock, diagnose};
use crate::support::SOON;

const HOUR: i64 = 3_600;

#[tokio::test]
async fn what_is_broken_in_the_database_is_named_with_its_remedy() {
    const ENABLE: &str = "ALTER TABLE accounts ENABLE TRIGGER before_account_insert";
    const ANEW: &str = "migrations/2_deliveries.up.sql";
    for (broken, check, detail, remedy) in [
        (
            "ALTER TABLE accounts DISABLE TRIGGER before_account_insert",
            "triggers",
            "before_account_insert on accounts is disabled",
            ENABLE,
        ),
        (
            "ALTER TABLE accounts ENABLE REPLICA TRIGGER before_account_insert",
            "triggers",
            "before_account_insert on accounts fires only in a replica",
            ENABLE,
        ),
        (
            "DROP TRIGGER after_token_inserted ON tokens",
            "triggers",
            "after_token_inserted on tokens is missing",
            ANEW,
        ),
        // As the original's.
        (
            "DROP TRIGGER before_account_insert ON accounts;
             CREATE TRIGGER before_account_insert BEFORE INSERT ON accounts
                 FOR EACH ROW EXECUTE FUNCTION trg_before_account_insert()",
            "triggers",
            "before_account_insert on accounts is another one",
            "mailroom migrate up",
        ),
        (
            "UPDATE schema_migrations SET dirty = true",
            "schema",
            "is dirty: its migration failed half-way",
            "mailroom migrate force",
        ),
        (
            "UPDATE schema_migrations SET version = 2",
            "schema",
            "version 2 is older than this program",
            "mailroom migrate up",
        ),
        (
            "ALTER TABLE deliveries DROP COLUMN ambiguities CASCADE",
            "schema for the sender",
            "ambiguities",
            "mailroom migrate up",
        ),
        (
            "CREATE OR REPLACE FUNCTION mailroom_channel() RETURNS text
                 LANGUAGE sql IMMUTABLE AS $$SELECT 'mail'$$",
            "channel",
            "the triggers notify mail, and MAILROOM_CHANNEL_NAME is token_insert",
            "MAILROOM_CHANNEL_NAME=mail",
        ),
        (
            "ALTER TYPE token_action ADD VALUE 'invitation'",
            "actions",
            "invitation has no row",
            "INSERT INTO actions",
        ),
        (
            "ALTER FUNCTION trg_after_token_inserted() SECURITY INVOKER",
            "functions",
            "trg_after_token_inserted does not run with its owner's rights",
            ANEW,
        ),
        (
            "DROP FUNCTION mailroom_purge",
            "functions",
            "mailroom_purge is missing",
            "mailroom migrate up",
        ),
        (
            "ALTER FUNCTION mailroom_count_log() SECURITY INVOKER",
            "functions",
            "mailroom_count_log does not run with its owner's rights",
            "4_operations.up.sql",
        ),
        (
            "REVOKE INSERT ON deliveries FROM mailroom_owner;
             ALTER TABLE deliveries OWNER TO postgres;
             REVOKE INSERT ON deliveries FROM mailroom_owner",
            "functions",
            "trg_after_token_inserted runs as mailroom_owner, who may not do what it does",
            "SELECT mailroom_roles()",
        ),
        (
            "ALTER TABLE accounts ENABLE ROW LEVEL SECURITY",
            "functions",
            "row-level security of accounts would hide rows from mailroom_hold_accounts",
            "ALTER ROLE mailroom_owner BYPASSRLS",
        ),
    ] {
        let set_up = SetUp::new().await;
        set_up.db.execute(broken).await.unwrap();
        diagnose(set_up.doctor()).is_wrong(check, detail, remedy);
    }
}

#[tokio::test]
async fn a_database_without_our_schema_or_with_the_originals_is_told_to_be_migrated() {
    let set_up = SetUp::over(Database::empty().await.unwrap());
    let empty = diagnose(set_up.doctor());
    empty.is_wrong("schema", "the migrations are missing", "mailroom migrate up").alone();
    empty.says("skipped", "triggers and the rest", &[]);
    migrate(set_up.db.url(), &migrations_dir(), Some(1)).await.unwrap();
    let original = diagnose(set_up.doctor());
    original.is_wrong("schema", "is older than this program", "mailroom migrate up").alone();
}

/// Both were made by psql.
#[tokio::test]
async fn a_schema_that_no_migrator_recorded_is_told_what_to_record() {
    let set_up = SetUp::over(Database::empty().await.unwrap());
    let migrations = migrations_dir();
    let run = async |name: &str| {
        let sql = std::fs::read_to_string(migrations.join(name)).unwrap();
        set_up.db.execute(&sql).await.unwrap();
    };
    run("0_init.up.sql").await;
    diagnose(set_up.doctor())
        .is_wrong(
            "schema",
            "it is the original's",
            "mailroom migrate force 0, then mailroom migrate up",
        )
        .alone();
    set_up.db.execute("DROP TABLE tokens CASCADE").await.unwrap();
    diagnose(set_up.doctor()).is_wrong("schema", "migrations are missing", "mailroom migrate up");

    let set_up = SetUp::new().await;
    set_up.db.execute("DROP TABLE schema_migrations").await.unwrap();
    let newest = operator::migrate::newest();
    diagnose(set_up.doctor()).warns(
        "schema",
        "not made by a migrator",
        &format!("mailroom migrate force {newest}"),
    );
}

/// A function that a migration adds is looked at.
#[tokio::test]
async fn every_function_that_runs_with_its_owners_rights_is_known() {
    let db = Database::fresh().await.unwrap();
    let made =
        "SELECT string_agg(p.proname, ' ' ORDER BY p.proname COLLATE \"C\") FROM pg_proc AS p
        WHERE p.prosecdef AND p.pronamespace = 'public'::regnamespace
          AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')";
    let known = operator::doctor::triggers::DEFINERS.join(" ");
    assert_eq!(db.query_text(made).await.unwrap(), known);
}

#[tokio::test]
async fn a_schema_that_the_login_does_not_see_is_told_from_one_that_is_missing() {
    let set_up = SetUp::new().await;
    set_up.db.execute("ALTER SCHEMA public RENAME TO post; CREATE SCHEMA public").await.unwrap();
    let diagnosis = diagnose(set_up.doctor());
    diagnosis.is_wrong("schema", "it is in post, where this login does not look", "search_path");
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_named_with_those_that_are() {
    let set_up = SetUp::new().await;
    let diagnosis = diagnose(set_up.doctor().env("MAILROOM_QUEUE_NAME", "bulk"));
    diagnosis.is_wrong("queue", "MAILROOM_QUEUE_NAME is bulk", "set it to one that is: mailroom");
    set_up.db.execute("DELETE FROM actions; DELETE FROM jobs").await.unwrap();
    diagnose(set_up.doctor()).is_wrong("queue", "not in jobs", "INSERT INTO jobs");
}

#[tokio::test]
async fn a_clock_that_is_an_hour_off_is_named() {
    let Some(clock) = clock() else { return };
    let set_up = SetUp::new().await;
    for (step, words) in [(HOUR, "60 min ahead of"), (-HOUR, "60 min behind")] {
        clock.step(step).unwrap();
        let diagnosis = diagnose(set_up.doctor().envs(clock.variables()));
        diagnosis.is_wrong("clock", &format!("{words} PostgreSQL's"), "NTP");
        diagnosis.is_wrong("SES clock", &format!("{words} SES's"), "NTP");
    }
}

#[tokio::test]
async fn a_login_without_a_halfs_rights_is_told_what_to_grant() {
    let set_up = SetUp::new().await;
    let as_one = |role| set_up.doctor().env("MAILROOM_DATABASE_URL", set_up.db.url_as(role));
    diagnose(as_one(Role::Application))
        .is_wrong("collector's rights", "permission denied", "GRANT mailroom_collector TO")
        .is_wrong("sender's rights", "permission denied", "GRANT mailroom_sender TO");
    let sender = diagnose(as_one(Role::Sender));
    sender.is_wrong("collector's rights", "mailroom_sender may not all", "--half sender");
    sender.says("ok", "sender's rights", &[]);
    let operator = diagnose(as_one(Role::Operator));
    for half in ["collector", "sender"] {
        operator.is_wrong(&format!("{half}'s rights"), "permission denied", "use the pipe's login");
    }
    // With its own half it is good: what it may not look at is no fault.
    for (role, half) in [(Role::Collector, "collector"), (Role::Sender, "sender")] {
        let own = diagnose(as_one(role).args(["--half", half]));
        assert_eq!(own.code, 0, "{own:?}");
        own.says("ok", &format!("{half}'s rights"), &[]);
        own.says("ok", "schema", &[]);
    }
    let takeaway = "REVOKE UPDATE (attempts) ON deliveries FROM mailroom_sender";
    set_up.db.execute(takeaway).await.unwrap();
    let less = diagnose(as_one(Role::Sender).args(["--half", "sender"]));
    less.is_wrong(
        "sender's rights",
        "permission denied for table deliveries",
        "SELECT mailroom_roles()",
    );
}

#[tokio::test]
async fn a_policy_that_would_hide_rows_from_a_half_is_named() {
    let set_up = SetUp::new().await;
    set_up.db.execute("ALTER TABLE tokens ENABLE ROW LEVEL SECURITY").await.unwrap();
    let doctor = set_up.doctor().env("MAILROOM_DATABASE_URL", set_up.db.url_as(Role::Sender));
    let diagnosis = diagnose(doctor.args(["--half", "sender"]));
    diagnosis.is_wrong(
        "rows for the sender",
        "row-level security policy",
        "mailroom_sender BYPASSRLS",
    );
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_named() {
    let set_up = SetUp::new().await;
    let read_only =
        format!("ALTER DATABASE {} SET default_transaction_read_only = on", set_up.db.name());
    set_up.db.execute(&read_only).await.unwrap();
    diagnose(set_up.doctor())
        .is_wrong("writable", "read-only by default", "ALTER DATABASE")
        .alone();

    let server = Postgres::start_with(&Options::fast()).unwrap();
    let set_up = SetUp::over(Database::fresh_on(&server).await.unwrap());
    let data = set_up.db.query_text("SHOW data_directory").await.unwrap();
    server.stop_fast().unwrap();
    std::fs::write(format!("{data}/standby.signal"), "").unwrap();
    server.start_again().unwrap();
    let standby = diagnose(set_up.doctor());
    standby.is_wrong("writable", "this server is a standby", "target_session_attrs").alone();
}

#[tokio::test]
async fn a_server_that_is_nearly_full_or_kept_from_cleaning_up_is_worth_a_word() {
    let Some(clock) = clock() else { return };
    let options = Options::fast().set("max_connections", "8");
    let options = clock
        .variables()
        .into_iter()
        .fold(options, |options, (name, value)| options.env(name, value));
    let server = Postgres::start_with(&options).unwrap();
    let set_up = SetUp::over(Database::fresh_on(&server).await.unwrap());
    let prepared = "BEGIN; SELECT count(*) FROM accounts; PREPARE TRANSACTION 'forgotten'";
    set_up.db.execute(prepared).await.unwrap();
    let forgetful = set_up.db.client().await.unwrap();
    forgetful.batch_execute("BEGIN; SELECT count(*) FROM accounts").await.unwrap();
    // Those that made the database take a moment to go.
    let alone = "SELECT sum(numbackends) = 2 FROM pg_stat_database WHERE datid <> 0";
    set_up.db.wait_until(alone, SOON).await.unwrap();
    let young = diagnose(set_up.doctor());
    young.warns("connections", "3 of 8 are free", "raise max_connections").alone();
    clock.step(HOUR).unwrap();
    diagnose(set_up.doctor())
        .says("warning", "open transactions", &["1 open for long", "60 min", "pg_stat_activity"])
        .says(
            "warning",
            "open transactions",
            &["1 prepared for long", "60 min", "COMMIT PREPARED"],
        );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_pooler_is_named() {
    let set_up = SetUp::new().await;
    let upstream = testkit::shared().addr();
    for prepares in [false, true] {
        let pooler = TransactionPooler { upstream, prepares }.start().await.unwrap();
        let url = set_up.db.url().replace(&upstream.to_string(), &pooler.to_string());
        let diagnosis = diagnose(set_up.doctor().env("MAILROOM_DATABASE_URL", url));
        diagnosis.is_wrong("pooler", "a session does not keep its backend", "session pooler");
    }
}

#[tokio::test]
async fn what_slows_mail_down_is_worth_a_word() {
    let set_up = SetUp::new().await;
    let name = set_up.db.name().to_owned();
    for (setting, detail) in [
        ("mailroom.notify = 'off'", "a sleeping collector is not woken"),
        ("mailroom.notify = 'always'", "slows sign-ups down"),
        ("session_replication_role = 'replica'", "no trigger fires"),
    ] {
        set_up.db.execute(&format!("ALTER DATABASE {name} SET {setting}")).await.unwrap();
        let of_it = setting.split(' ').next().unwrap();
        diagnose(set_up.doctor()).warns("settings of roles", detail, &format!("RESET {of_it}"));
        set_up.db.execute(&format!("ALTER DATABASE {name} RESET {of_it}")).await.unwrap();
    }
    set_up
        .db
        .execute("INSERT INTO accounts (email, login) VALUES ('a@example.com', 'a')")
        .await
        .unwrap();
    diagnose(set_up.doctor()).all_good();
    set_up.db.execute("UPDATE deliveries SET due_at = now() - interval '3 hours'").await.unwrap();
    let waiting = diagnose(set_up.doctor());
    waiting.warns("pipe", "mails overdue: 1, for up to 3 h", "start it: mailroom run").alone();
}
