//! A kind of mail of the deployment's own: an enum value, a row, and templates. No code.

use testkit::{Pipeline, Process, SmtpServer};

use crate::SOON;
use crate::world::{World, stop};

/// A sender that mails through this server, with links to `https://app.example`.
fn through(world: &World, relay: &SmtpServer) -> Process {
    world
        .sender()
        .env("MAILROOM_TRANSPORT", "smtp")
        .env("MAILROOM_SMTP_HOST", "localhost")
        .env("MAILROOM_SMTP_PORT", relay.addr().port().to_string())
        .env("MAILROOM_SMTP_TLS", "none")
        .env("MAILROOM_BASE_URL", "https://app.example/")
        .env("MAILROOM_FROM", "Post <noreply@mail.example>")
}

#[tokio::test]
async fn an_e_mail_change_needs_an_enum_value_a_row_and_a_template() {
    let world = World::new().await;
    let relay = SmtpServer::start().unwrap();
    // Each a migration of its own.
    world.db.execute("ALTER TYPE token_action ADD VALUE 'email_change'").await.unwrap();
    let row = "INSERT INTO actions (action, number, path, code_signed, statuses, priority)
        VALUES ('email_change', 3, '/change-email', true, '{active}', 3)";
    world.db.execute(row).await.unwrap();
    let pipe = Pipeline::spawn(world.collector(), through(&world, &relay)).unwrap();

    let ask = |login: &str, locale: &str| {
        format!(
            "SET LOCAL ROLE mailroom_application;
             WITH a AS (
                 INSERT INTO accounts (email, login, status, locale)
                 VALUES ('{login}@mail.example', '{login}-login', 'active', {locale}) RETURNING id
             )
             INSERT INTO tokens (account, action, data)
             SELECT id, 'email_change', '{{\"new_email\": \"<new>@mail.example\"}}' FROM a;
             RESET ROLE;"
        )
    };
    world.db.execute(&ask("anna", "'de_AT'")).await.unwrap();
    world.db.execute(&ask("anne", "'fr'")).await.unwrap();
    world.db.execute(&ask("ann", "NULL")).await.unwrap();
    relay.wait_messages(3, SOON).unwrap();
    world.settled().await;
    stop(&pipe);

    for message in relay.messages() {
        let to = message.to[0].clone();
        // Soft line breaks undone, so that a link is whole.
        let text = message.message.replace("=\r\n", "");
        let german = text.contains("<html lang=3D\"de\"") || text.contains("<html lang=\"de\"");
        assert_eq!(german, to == "anna@mail.example", "{to}: {text}");
        assert!(text.contains("https://app.example/change-email/"), "{text}");
        assert!(text.contains("<new>@mail.example"), "as text: {text}");
        assert!(text.contains("&lt;new&gt;@mail.example"), "as HTML: {text}");
    }
    let sent = "SELECT count(*) FROM delivery_log WHERE outcome = 'sent' AND transport = 'smtp'";
    assert_eq!(world.db.query_i64(sent).await.unwrap(), 3);
    world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
}

#[tokio::test]
async fn a_variable_that_is_missing_fails_the_mail_and_no_other() {
    let world = World::new().await;
    let relay = SmtpServer::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("activation/en");
    std::fs::create_dir_all(&template).unwrap();
    for (file, text) in [
        ("subject.txt", "Welcome {{login}}"),
        ("body.html", "<p>{{team_html}} {{base_url}}/{{secret}}</p>"),
        ("body.txt", "{{team}} {{base_url}}/{{secret}}"),
    ] {
        std::fs::write(template.join(file), text).unwrap();
    }
    let sender = through(&world, &relay).env("MAILROOM_TEMPLATES", folder.path());
    // Both are in one call.
    let sign_up = "INSERT INTO accounts (email, login) VALUES
            ('with@mail.example', 'with-team'), ('without@mail.example', 'without-team');
        UPDATE tokens SET data = '{\"team\": \"Ops\"}' WHERE id = 1;";
    world.db.execute(sign_up).await.unwrap();
    let pipe = Pipeline::spawn(world.collector(), sender).unwrap();
    relay.wait_messages(1, SOON).unwrap();
    world.settled().await;
    stop(&pipe);
    assert_eq!(relay.messages().len(), 1);
    assert_eq!(relay.messages()[0].to, ["with@mail.example"]);
    let failed = "SELECT detail FROM delivery_status WHERE token = 2 AND state = 'failed'";
    let detail = world.db.query_text(failed).await.unwrap();
    assert_eq!(detail, "template: html: the variable \"team_html\" is missing");
    world.quiet(&[&pipe.collector, &pipe.sender], &["mail_failed"]).await;
}
