//! The schema: whether it is there, and as new as this program.

use super::finding::Finding;
use super::query::{self, MIGRATE};
use crate::database::Database;
use crate::migrate::newest;

const CHECK: &str = "schema";

/// Looks; whether there is anything to look at further.
pub async fn look(database: &Database) -> (bool, Vec<Finding>) {
    let schema =
        query::row(database, CHECK, include_str!("../../sql/doctor/schema.sql"), &[]).await;
    let schema = match schema {
        Ok(schema) => schema,
        Err(finding) => return (false, vec![finding]),
    };
    let there: bool = schema.get("deliveries");
    if let (false, Some(elsewhere)) = (there, schema.get::<_, Option<&str>>("elsewhere")) {
        let detail = format!("it is in {elsewhere}, where this login does not look, or may not");
        let remedy = format!("GRANT USAGE ON SCHEMA {elsewhere} and ALTER ROLE … SET search_path");
        return (false, vec![Finding::wrong(CHECK, detail, remedy)]);
    }
    if !schema.get::<_, bool>("migrations") {
        let finding = match (there, schema.get("original")) {
            (true, _) => Finding::warning(
                CHECK,
                "there is no table schema_migrations: it was not made by a migrator",
                format!("mailroom migrate force {}, if it is of that version", newest()),
            ),
            (false, true) => Finding::wrong(
                CHECK,
                "it is the original's: accounts and tokens are there, and no migrator has recorded them",
                "mailroom migrate force 0, then mailroom migrate up (or is it another database?)",
            ),
            (false, false) => Finding::wrong(CHECK, "the migrations are missing", MIGRATE),
        };
        return (there, vec![finding]);
    }
    if !schema.get::<_, bool>("readable") {
        let detail = "this login may not read schema_migrations";
        let remedy = "what is asked of the schema is looked at all the same";
        return (there, vec![Finding::skipped("schema version", detail, remedy)]);
    }
    let rows =
        query::rows(database, CHECK, include_str!("../../sql/doctor/version.sql"), &[]).await;
    let finding = match rows {
        Err(finding) => finding,
        Ok(rows) => match rows.first() {
            None => Finding::wrong(CHECK, "the migrations are missing", MIGRATE),
            Some(row) => version(row.get("version"), row.get("dirty")),
        },
    };
    (there, vec![finding])
}

fn version(version: i64, dirty: bool) -> Finding {
    let newest = newest();
    if dirty {
        let before = version - 1;
        return Finding::wrong(
            CHECK,
            format!("version {version} is dirty: its migration failed half-way"),
            format!(
                "see what of it is there; mailroom migrate force {before} if nothing, force {version} \
                 if all; then mailroom migrate up"
            ),
        );
    }
    if version < newest {
        let detail = format!("version {version} is older than this program, which needs {newest}");
        return Finding::wrong(CHECK, detail, MIGRATE);
    }
    if version > newest {
        let detail = format!("version {version} is newer than this program, which knows {newest}");
        return Finding::warning(CHECK, detail, "upgrade collector, sender and this program");
    }
    Finding::ok(CHECK, format!("version {version}"))
}
