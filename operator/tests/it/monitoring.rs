//! What Prometheus and Grafana make of it: promtool has to agree where it is on the PATH.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use testkit::Database;

use crate::serve::Serve;

/// `promtool check metrics`; Debian's `prometheus` has it.
pub(crate) fn promtool(text: &str) {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        _ = writeln!(std::io::stderr(), "SKIPPED: promtool check metrics: there is no promtool");
        return;
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let ran = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.is_empty(), "{said}\n{text}");
}

/// What is in the files that come with it: dashboard and alert rules.
fn packaged(path: &str) -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(root.join("../packaging").join(path)).unwrap()
}

fn expressions(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            found.extend(fields.get("expr").and_then(|e| e.as_str()).map(str::to_owned));
            fields.values().for_each(|value| expressions(value, found));
        }
        serde_json::Value::Array(values) => {
            values.iter().for_each(|value| expressions(value, found));
        }
        _ => {}
    }
}

/// A misspelt name would be an empty panel, and an alert that never fires.
#[tokio::test]
async fn the_dashboard_and_the_alerts_name_only_what_is_served() {
    let db = Database::fresh().await.unwrap();
    let metrics = Serve::of(&db).scrape();
    let dashboard = serde_json::from_str(&packaged("grafana/mailroom.json")).unwrap();
    let mut asked = Vec::new();
    expressions(&dashboard, &mut asked);
    assert!(asked.len() > 10, "{asked:?}");
    let alerts = packaged("prometheus/alerts.yml");
    for text in asked.iter().chain([&alerts]) {
        let names = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
        for name in names.filter(|name| name.starts_with("mailroom_")) {
            let family = name.strip_suffix("_bucket").unwrap_or(name);
            assert!(metrics.family(family).is_some(), "{name} in {text}");
        }
    }
    if Command::new("promtool").arg("--version").output().is_err() {
        _ = writeln!(std::io::stderr(), "SKIPPED: promtool check rules: there is no promtool");
        return;
    }
    let rules: Vec<_> = asked
        .iter()
        .enumerate()
        .map(|(n, expr)| {
            let expr = expr.replace("$__rate_interval", "5m");
            serde_json::json!({ "record": format!("panel_{n}"), "expr": expr })
        })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rules.yml");
    let rules = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    std::fs::write(&path, rules.to_string()).unwrap();
    let ran = Command::new("promtool").args(["check", "rules"]).arg(path).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}
