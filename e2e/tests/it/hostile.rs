//! What people call themselves, and what comes in at the wrong door.

use std::io::Write as _;
use std::time::Duration;

use testkit::Database;

use crate::SOON;
use crate::audit::mails;
use crate::faults::together;
use crate::support::{bytea, sign_up};
use crate::world::{World, stop, stop_collector};

/// Signs up one account, whatever is in its name.
async fn insert(world: &World, email: &str, login: &str) {
    let client = world.db.client().await.unwrap();
    let sql = "INSERT INTO accounts (email, login) VALUES ($1, $2)";
    client.execute(sql, &[&email, &login]).await.unwrap();
}

#[tokio::test]
async fn a_hostile_login_is_text_in_exactly_one_mail_to_its_own_address() {
    let longest = "\u{1f600}".repeat(254);
    let logins = [
        "m,x,11111,1,victim@corp.test,EvilLogin",
        "\",1,victim@corp.test,evil,",
        "x\",\"secret\":\"stolen\",\"y\":\"",
        "\"",
        "\"\"",
        "'",
        ",",
        ",,,,",
        " ",
        "  blanks around  ",
        "\\",
        "back\\slash\\",
        "\\u0000\\n",
        "<a href=\"https://evil.test\">click</a>",
        "<script>alert(1)</script>",
        "</td></table><!--",
        "&lt;b&gt; &amp; co.",
        "{{secret}}",
        "{{{secret}}} {{#if secret}}x{{/if}} {{> partial}}",
        "}}{{",
        "${jndi:ldap://evil.test}",
        "'; DROP TABLE accounts; --",
        "$1 %s %n",
        "#comment",
        "=1+1",
        "-rf",
        "Zoë \u{202e}txt.exe\u{200d}",
        "\u{feff}bom",
        "null",
        &longest,
    ];
    let world = World::new().await;
    let pipe = world.pipe();
    for (n, login) in logins.iter().enumerate() {
        insert(&world, &format!("hostile-{n}@mail.example"), login).await;
    }
    world.mails(logins.len()).await;
    world.settled().await;
    stop(&pipe);
    // The right address, the login once unescaped, a token that verifies; each once.
    world.each_mailed_once(logins.len()).await;
    for mail in mails(&world.ses).into_values().flatten() {
        let login = mail.text("login");
        assert!(!login.contains(['<', '>', '"', '\'']), "markup: {login}");
        assert_eq!(mail.data.as_object().unwrap().len(), 2, "nothing slipped in: {:?}", mail.data);
    }
    world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
}

/// Databases in encodings of single bytes keep bytes that are no characters, and those without an
/// encoding keep anything. It is one account's trouble, and nobody else's.
#[test]
fn a_login_that_its_databases_encoding_cannot_say_stops_no_others() {
    #[tokio::main(flavor = "current_thread")]
    async fn mailed(encoding: &str, good: (&[u8], &str), bad: &[u8]) {
        let world = World::in_database(Database::encoded(encoding).await.unwrap());
        let client = world.db.client().await.unwrap();
        let sql = "INSERT INTO accounts (email, login)
            VALUES ($1, convert_from($2, getdatabaseencoding()))";
        for (email, login) in [("bad@mail.example", bad), ("good@mail.example", good.0)] {
            client.execute(sql, &[&email, &login]).await.unwrap();
        }
        let pipe = world.pipe();
        world.mails(1).await;
        world.settled().await;
        stop(&pipe);
        for mail in mails(&world.ses).into_values().flatten() {
            assert_eq!(mail.text("login"), good.1);
        }
        let log = "SELECT string_agg(concat_ws(' ', outcome, detail), ', ' ORDER BY token)
            FROM delivery_log";
        assert_eq!(world.db.query_text(log).await.unwrap(), "failed login is not UTF-8, sent");
        // Nobody who speaks UTF-8 can read it: not the audit, either.
        world.db.execute("DELETE FROM accounts WHERE email LIKE 'bad%'").await.unwrap();
        world.quiet(&[&pipe.collector, &pipe.sender], &["delivery_failed"]).await;
    }
    together(&[
        ("WIN1252", || mailed("WIN1252", (b"Zo\xeb", "Zo\u{eb}"), b"Zo\x81")),
        ("WIN1253", || mailed("WIN1253", (b"Zo\xe7", "Zo\u{3b7}"), b"Zo\xd2")),
        ("SQL_ASCII", || mailed("SQL_ASCII", ("Zo\u{eb}".as_bytes(), "Zo\u{eb}"), b"Zo\xeb")),
    ]);
}

/// What its template does not need cannot harm the mail itself, either.
#[test]
fn nor_does_such_a_byte_in_a_code_a_locale_or_data() {
    #[tokio::main(flavor = "current_thread")]
    async fn both_mailed(bad: &str) {
        let world = World::in_database(Database::encoded("WIN1252").await.unwrap());
        world.db.execute(&sign_up("odd", 2)).await.unwrap();
        world.db.execute(&format!("UPDATE {bad} WHERE id = 1")).await.unwrap();
        let pipe = world.pipe();
        world.settled().await;
        stop(&pipe);
        let log = "SELECT string_agg(outcome::text, ', ' ORDER BY token) FROM delivery_log";
        assert_eq!(world.db.query_text(log).await.unwrap(), "sent, sent");
        world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
    }
    together(&[
        ("code", || both_mailed(r"tokens SET code = convert_from('\x81', 'WIN1252')")),
        ("locale", || both_mailed(r"accounts SET locale = convert_from('\x81', 'WIN1252')")),
        ("data", || {
            both_mailed(
                r"tokens SET data = convert_from('\x7b2261223a2281227d', 'WIN1252')::jsonb",
            );
        }),
    ]);
}

#[tokio::test]
async fn an_address_is_mailed_as_it_is_or_not_at_all() {
    let plain = [
        ("o'brien+x=y{z}@sub.mail.example", "o'brien+x=y{z}@sub.mail.example"),
        ("UPPER.case!#$%&*/?^_`|~-@mail.example", "UPPER.case!#$%&*/?^_`|~-@mail.example"),
        ("idn@b\u{fc}cher.example", "idn@xn--bcher-kva.example"),
    ];
    // SES could read these as another address or as more than one.
    let refused = [
        "a@mail.example,victim@corp.test",
        "b@mail.example, victim@corp.test",
        "c@mail.example;victim@corp.test",
        "Name <victim@corp.test>",
        "<victim@corp.test>",
        "\"quoted\"@mail.example",
        "two@signs@mail.example",
        "blank in@mail.example",
        "<a href=x>@mail.example",
        "{{secret}} @mail.example",
        "zo\u{eb}@mail.example",
        "no-at-sign",
        "\"",
        &"\u{1f600}".repeat(254),
    ];
    let world = World::new().await;
    let pipe = world.pipe();
    for (n, email) in plain.iter().map(|(email, _)| email).chain(&refused).enumerate() {
        insert(&world, email, &format!("addressee-{n}")).await;
    }
    world.mails(plain.len()).await;
    world.settled().await;
    stop(&pipe);

    let mut mailed: Vec<String> = world.ses.mails().into_iter().map(|mail| mail.to).collect();
    let mut expected: Vec<String> = plain.iter().map(|(_, to)| (*to).to_owned()).collect();
    mailed.sort();
    expected.sort();
    assert_eq!(mailed, expected);
    let called: usize = world.ses.calls().iter().map(|call| call.entries.len()).sum();
    assert_eq!(called, plain.len(), "the others are not even tried");
    let failed = "SELECT count(*) FROM delivery_log WHERE outcome = 'failed' AND detail <> ''";
    let failed = world.db.query_i64(failed).await.unwrap();
    assert_eq!(usize::try_from(failed).unwrap(), refused.len());
    let shown = "SELECT count(*) FROM delivery_log WHERE detail LIKE '%corp.test%'";
    assert_eq!(world.db.query_i64(shown).await.unwrap(), 0);
    world.quiet(&[&pipe.collector, &pipe.sender], &["mail_failed"]).await;
}

#[tokio::test]
async fn control_characters_fail_with_a_reason_and_spoil_nobody_elses_mail() {
    let world = World::new().await;
    let controls = ['\n', '\r', '\u{1}', '\t', '\u{7f}', '\u{85}', '\u{2028}'];
    for (n, control) in controls.into_iter().enumerate() {
        let login = format!("control{control}login-{n}");
        insert(&world, &format!("login-{n}@mail.example"), &login).await;
        let email = format!("control{control}email-{n}@mail.example");
        insert(&world, &email, &format!("innocent-{n}")).await;
        insert(&world, &format!("neighbour-{n}@mail.example"), &format!("neighbour-{n}")).await;
    }
    let pipe = world.pipe();
    world.mails(controls.len()).await;
    world.settled().await;
    stop(&pipe);
    assert_eq!(world.ses.mail_count(), controls.len());
    assert!(world.ses.mails().iter().all(|mail| mail.to.starts_with("neighbour-")));
    let sql = "SELECT DISTINCT s.state || ': ' || s.detail, count(*)::text
        FROM delivery_status AS s WHERE s.state <> 'sent' GROUP BY 1 ORDER BY 1";
    let expected = ["email", "login"].map(|field| {
        let words = format!("failed: {field} has control characters");
        vec![Some(words), Some(controls.len().to_string())]
    });
    assert_eq!(world.db.query_rows(sql).await.unwrap(), expected);
    world.quiet(&[&pipe.collector, &pipe.sender], &["delivery_failed"]).await;
}

#[tokio::test]
async fn a_secret_or_code_of_the_wrong_form_fails_and_leaves_the_line_in_step() {
    let world = World::new().await;
    world.db.execute(&sign_up("orderly", 6)).await.unwrap();
    let short = bytea(&[1; 31]);
    for sql in [
        format!("UPDATE tokens SET secret = {short} WHERE id = 2"),
        "UPDATE tokens SET secret = '' WHERE id = 3".to_owned(),
        "UPDATE tokens SET action = 'password_recovery', code = '#####' WHERE id = 4".to_owned(),
        "UPDATE accounts SET status = 'active' WHERE id = 4".to_owned(),
    ] {
        world.db.execute(&sql).await.unwrap();
    }
    let pipe = world.pipe();
    world.mails(3).await;
    world.settled().await;
    stop(&pipe);
    let mut mailed: Vec<String> = world.ses.mails().into_iter().map(|mail| mail.to).collect();
    mailed.sort();
    assert_eq!(mailed, [1, 5, 6].map(|n| format!("orderly-{n}@mail.example")));
    let failed = "SELECT count(*) FROM delivery_log WHERE outcome = 'failed' AND detail <> ''";
    assert_eq!(world.db.query_i64(failed).await.unwrap(), 3);
    world.db.execute("DELETE FROM tokens WHERE octet_length(secret) < 32").await.unwrap();
    world.quiet(&[&pipe.collector, &pipe.sender], &["delivery_failed"]).await;
}

#[tokio::test]
async fn garbage_on_stdin_is_reported_and_the_lines_in_between_are_sent() {
    let world = World::new().await;
    world.db.execute(&sign_up("good", 30)).await.unwrap();
    let collector = world.collector().spawn().unwrap();
    collector.wait_line(3, SOON).unwrap();
    stop_collector(&collector);
    let good = collector.lines();
    let first_row = good[0].splitn(6, ',').take(5).collect::<Vec<_>>().join(",");
    let mut noise = vec![0; 100_000];
    fastrand::fill(&mut noise);
    let garbage: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"hello".to_vec(),
        b"1,a@mail.example,a".to_vec(),
        b"1,a@mail.example,a,short,11111".to_vec(),
        b"0,a@mail.example,a,,".to_vec(),
        format!("{first_row},1,half@mail.example").into_bytes(),
        format!("{first_row}\u{85}").into_bytes(),
        format!("\"{first_row}").into_bytes(),
        b"\xff\xfe\x00\x00".to_vec(),
        vec![b','; 10_000],
        vec![b'"'; 10_001],
        vec![b'x'; 300_000],
        noise,
    ];
    let mut input = Vec::new();
    let mut bad = 0;
    for (n, junk) in garbage.iter().enumerate() {
        bad += junk.split(|&byte| byte == b'\n').count();
        input.extend_from_slice(junk);
        input.push(b'\n');
        if let Some(line) = good.get(n / 4).filter(|_| n % 4 == 0) {
            input.extend_from_slice(line.as_bytes());
            input.push(b'\n');
        }
    }
    let sender = world.sender().stdin_bytes(input).spawn().unwrap();
    assert_eq!(sender.wait(SOON).unwrap(), 65, "{}", sender.stderr());
    let reported = sender.stderr().matches("event=line_malformed").count();
    assert_eq!(reported, bad, "every bad line has a line of its own in the log");
    sender.wait_for("line=1 reason=\"line has no rows\"", SOON).unwrap();
    world.each_mailed_once(30).await;
    world.quiet(&[&collector, &sender], &["line_malformed"]).await;
}

#[tokio::test]
async fn a_line_without_an_end_does_not_exhaust_the_memory() {
    const MEGABYTES: usize = 64;
    /// Of a debug build; it starts with about half of it.
    const RESIDENT_KB_MAX: u64 = 40 * 1024;
    let world = World::new().await;
    world.db.execute(&sign_up("after", 10)).await.unwrap();
    let collector = world.collector().spawn().unwrap();
    let line = collector.wait_line(1, SOON).unwrap();
    stop_collector(&collector);

    let sender = world.sender().stdin_held().spawn().unwrap();
    let mut stdin = sender.take_stdin().unwrap();
    let megabyte = vec![b'x'; 1 << 20];
    for _ in 0..MEGABYTES {
        stdin.write_all(&megabyte).unwrap();
    }
    writeln!(stdin, "\n{line}").unwrap();
    world.mails(10).await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", sender.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < RESIDENT_KB_MAX, "{peak} kB");
    drop(stdin);
    assert_eq!(sender.wait(SOON).unwrap(), 65, "{}", sender.stderr());
    world.each_mailed_once(10).await;
    world.quiet(&[&collector, &sender], &["line_malformed"]).await;
}

#[tokio::test]
async fn half_a_line_is_discarded_and_its_rows_come_back() {
    let world = World::new().await;
    world.db.execute(&sign_up("torn", 10)).await.unwrap();
    let collector = world.collector().spawn().unwrap();
    let line = collector.wait_line(1, SOON).unwrap();
    stop_collector(&collector);
    // Even one that reads like a whole one.
    let sender = world.sender().stdin_bytes(line).spawn().unwrap();
    assert_eq!(sender.wait(SOON).unwrap(), 0, "{}", sender.stderr());
    assert_eq!(world.ses.calls().len(), 0);
    let pipe = world.pipe();
    world
        .db
        .wait_until("SELECT count(*) = 0 FROM deliveries", Duration::from_secs(15))
        .await
        .unwrap();
    stop(&pipe);
    world.each_mailed_once(10).await;
    world.quiet(&[&collector, &sender], &["line_unterminated"]).await;
    world.quiet(&[&pipe.collector, &pipe.sender], &["deliveries_released"]).await;
}
