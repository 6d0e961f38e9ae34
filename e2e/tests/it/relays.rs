//! The same tokens through every way out: what the recipient reads is the same, to the character.

use std::fs;
use std::io::Write as _;

use mail_parser::MessageParser;
use mailroom::ActionNumber;
use render::{Catalogue, Letter, Locales};
use sender::compose::Composer;
use sender::transport::{Call, Mail};
use tempfile::{NamedTempFile, TempDir};
use testkit::ses::Content;
use testkit::{Authority, Onward, Pipeline, Process, Relay, SmtpOptions, SmtpServer, Software};

use crate::SOON;
use crate::support::{recovery, rows_by_pgcrypto};
use crate::world::{World, stop};

const BASE_URL: &str = "https://app.example";

/// What a relay could stumble over. No minutes: they run while the test does.
const SUBJECT: &str = "Grüße, {{login}}: 日本語 🎉, and so long that it must be folded somewhere\n";
const TEXT: &str = "Hello {{login}},
.
..
.a dot at the start of a line
From the start of a line
=3D is no equals sign, = is one
blanks and a tab at the end: \t \n\
{{base_url}}/activate/{{secret}}

\ta line that is longer than SMTP allows: {{#each long}}{{this}}{{/each}}
Grüße 日本語 🎉
-- 
.
";
const HTML: &str = "<!doctype html>\n<p>Hello {{login_html}},</p>\n.\n..<br>\nFrom: Grüße 日本語 🎉 =20\n\
    <a href=\"{{base_url}}/activate/{{secret}}\">{{base_url}}</a> \n\n\n.</p>\n";

/// Two tokens, and the letters that they must become.
struct Correspondence {
    world: World,
    templates: TempDir,
    expected: Vec<Expected>,
}

struct Expected {
    to: String,
    token: String,
    letter: Letter,
}

/// What arrived.
struct Arrived {
    to: Vec<String>,
    letter: Letter,
}

impl Correspondence {
    async fn new() -> Correspondence {
        let templates = templates();
        let world = World::new().await;
        let sql = "INSERT INTO accounts (email, login)
            VALUES ('zoe@mail.example', 'Zoë \"Q\" <b>&amp;</b> {{secret}}');";
        world.db.execute(sql).await.unwrap();
        world.db.execute(&recovery("ann")).await.unwrap();
        // Text that comes with a token, too long for a line of SMTP.
        let sql = "UPDATE tokens SET expires_at = extract(epoch FROM now())::bigint + 3600,
            data = jsonb_build_object('long',
                (SELECT jsonb_agg(n || ', ') FROM generate_series(1, 250) AS n))";
        world.db.execute(sql).await.unwrap();
        let data = world.db.query_text("SELECT data::text FROM tokens LIMIT 1").await.unwrap();
        let data = serde_json::from_str(&data).unwrap();
        let expires_at = world.db.query_i64("SELECT expires_at FROM tokens LIMIT 1").await.unwrap();

        // By the composer itself, from what pgcrypto says.
        let catalogue = Catalogue::load(templates.path()).unwrap();
        let composer = Composer::new(catalogue, Locales::default(), Some(BASE_URL.to_owned()));
        let rows = rows_by_pgcrypto(&world.db).await;
        let expected = rows.iter().map(|row| expected(&composer, row, &data, expires_at)).collect();
        Correspondence { world, templates, expected }
    }

    /// Has the pipe send both mails by this transport.
    async fn send(&self, transport: &str, settings: &[(&str, &str)]) {
        let sender = self
            .world
            .sender()
            .env("MAILROOM_TRANSPORT", transport)
            .env("MAILROOM_TEMPLATES", self.templates.path())
            .env("MAILROOM_BASE_URL", BASE_URL)
            .envs(settings.iter().copied());
        self.pipe(sender).await;
    }

    async fn pipe(&self, sender: Process) {
        let log = "DELETE FROM delivery_log";
        self.world.db.execute(log).await.unwrap();
        // As docs/SCHEMA.md has it.
        let again = "INSERT INTO deliveries (token, queue, priority)
            SELECT t.id, a.queue, a.priority FROM tokens AS t JOIN actions AS a ON a.action = t.action
            ON CONFLICT DO NOTHING";
        self.world.db.execute(again).await.unwrap();
        let pipe = Pipeline::spawn(self.world.collector(), sender).unwrap();
        self.world.settled().await;
        stop(&pipe);
        let sql = "SELECT string_agg(outcome::text, ' ') FROM delivery_log";
        assert_eq!(self.world.db.query_text(sql).await.unwrap(), "sent sent");
        self.world.quiet(&[&pipe.collector, &pipe.sender], &[]).await;
    }

    /// Sends both by SMTP to this place, and reads them at the end of their way.
    async fn by_smtp(&self, port: u16, ca_file: Option<&NamedTempFile>, end: &SmtpServer) {
        let before = end.messages().len();
        let mut settings = vec![("MAILROOM_SMTP_HOST", "localhost".to_owned())];
        settings.push(("MAILROOM_SMTP_PORT", port.to_string()));
        match ca_file {
            None => settings.push(("MAILROOM_SMTP_TLS", "none".to_owned())),
            Some(file) => {
                settings.push(("MAILROOM_SMTP_TLS", "starttls".to_owned()));
                settings.push(("MAILROOM_SMTP_CA_FILE", file.path().display().to_string()));
            }
        }
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, &**value)).collect();
        self.send("smtp", &settings).await;
        end.wait_messages(before + 2, SOON).unwrap();
        let arrived: Vec<Arrived> = end
            .messages()
            .into_iter()
            .skip(before)
            .map(|received| Arrived { to: received.to, ..read(&received.message) })
            .collect();
        self.same(&arrived);
    }

    async fn through(&self, software: Software) {
        if let Some(why) = Relay::missing(software) {
            // Past the test harness, which would keep it to itself.
            _ = writeln!(std::io::stderr(), "SKIPPED: mail through {software:?}: {why}");
            return;
        }
        let end = SmtpServer::start().unwrap();
        let onward = Onward::To(end.addr());
        let relay = Relay::start(software, onward, None).unwrap();
        self.by_smtp(relay.addr().port(), None, &end).await;

        let authority = Authority::new("ours").unwrap();
        let certificate = authority.certificate_for(&["localhost"]).unwrap();
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(authority.pem.as_bytes()).unwrap();
        let relay = Relay::start(software, onward, Some(&certificate)).unwrap();
        // Built with OpenSSL 3 it cannot sign (its issue 1239), and every handshake fails.
        if relay.log().contains("OpenSMTPD 6.8.0") {
            _ = writeln!(std::io::stderr(), "SKIPPED: STARTTLS to OpenSMTPD: 6.8.0 cannot do it");
            return;
        }
        self.by_smtp(relay.addr().port(), Some(&file), &end).await;
    }

    /// Each mail arrived once, at its address, as it was composed.
    #[track_caller]
    fn same(&self, arrived: &[Arrived]) {
        assert_eq!(arrived.len(), self.expected.len());
        for expected in &self.expected {
            let of_it = |arrived: &&Arrived| arrived.letter.text.contains(&expected.token);
            let [arrived] = arrived.iter().filter(of_it).collect::<Vec<_>>()[..] else {
                panic!("not one mail of a token");
            };
            assert_eq!(arrived.to, [&*expected.to]);
            assert_eq!(arrived.letter, expected.letter);
        }
    }
}

/// The nasty one, and one that comes with Mailroom, without its minutes.
fn templates() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let nasty = dir.path().join("activation/en");
    fs::create_dir_all(&nasty).unwrap();
    let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/../templates/password_recovery/en/");
    let usual = dir.path().join("password_recovery/en");
    fs::create_dir_all(&usual).unwrap();
    for (name, text) in [("subject.txt", SUBJECT), ("body.txt", TEXT), ("body.html", HTML)] {
        fs::write(nasty.join(name), text).unwrap();
        let text = fs::read_to_string(format!("{ours}{name}")).unwrap();
        fs::write(usual.join(name), text.replace("expires_minutes", "expires_at")).unwrap();
    }
    dir
}

fn expected(composer: &Composer, row: &str, data: &serde_json::Value, expires_at: i64) -> Expected {
    let [action, email, login, token, code] = row.splitn(5, ',').collect::<Vec<_>>()[..] else {
        panic!("{row}")
    };
    let mail = Mail {
        delivery: None,
        email: email.to_owned(),
        login: login.to_owned(),
        token: token.to_owned(),
        code: Some(code.to_owned()),
        locale: None,
        expires_at: Some(expires_at),
        data: Some(data.to_string()),
    };
    let action = ActionNumber::new(action.parse().unwrap()).unwrap();
    let call = Call { action, label: None, mails: vec![] };
    let letter = composer.letter(&call, &mail).unwrap();
    Expected { to: mail.email, token: mail.token, letter: normal(letter) }
}

/// Reads a message as a mail program does.
fn read(message: &str) -> Arrived {
    let parsed = MessageParser::default().parse(message).unwrap();
    let body = |body: Option<std::borrow::Cow<'_, str>>| body.unwrap().into_owned();
    let to = parsed.to().unwrap().iter().map(|to| to.address().unwrap().to_owned()).collect();
    let letter = Letter {
        subject: parsed.subject().unwrap().to_owned(),
        text: body(parsed.body_text(0)),
        html: body(parsed.body_html(0)),
    };
    Arrived { to, letter: normal(letter) }
}

/// Lines that end as here.
fn normal(letter: Letter) -> Letter {
    let lines = |text: String| text.replace("\r\n", "\n");
    Letter { subject: letter.subject, text: lines(letter.text), html: lines(letter.html) }
}

#[tokio::test]
async fn a_mail_reads_the_same_by_smtp_by_file_and_by_ses() {
    let letters = Correspondence::new().await;

    for pipelining in [true, false] {
        let options = SmtpOptions { pipelining, ..SmtpOptions::default() };
        let server = SmtpServer::start_with(options).unwrap();
        letters.by_smtp(server.addr().port(), None, &server).await;
    }

    let folder = tempfile::tempdir().unwrap();
    letters.send("file", &[("MAILROOM_FILE_PATH", folder.path().to_str().unwrap())]).await;
    let files: Vec<Arrived> = fs::read_dir(folder.path())
        .unwrap()
        .map(|file| read(&fs::read_to_string(file.unwrap().path()).unwrap()))
        .collect();
    letters.same(&files);

    // The templates as they are pushed to SES, rendered there.
    let ses = &letters.world.ses;
    for (name, folder) in
        [("activationv1", "activation"), ("passwordrecoveryv1", "password_recovery")]
    {
        let folder = letters.templates.path().join(folder).join("en");
        let part = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let subject = part("subject.txt").trim_end().to_owned();
        ses.store_template(
            name,
            Content { subject, text: part("body.txt"), html: part("body.html") },
        );
    }
    letters.send("ses", &[]).await;
    let mails: Vec<Arrived> = ses
        .mails()
        .into_iter()
        .map(|mail| {
            let Content { subject, html, text } = mail.rendered.unwrap();
            Arrived { to: vec![mail.to], letter: normal(Letter { subject, html, text }) }
        })
        .collect();
    letters.same(&mails);
}

#[tokio::test]
async fn a_mail_reads_the_same_through_postfix() {
    Correspondence::new().await.through(Software::Postfix).await;
}

#[tokio::test]
async fn a_mail_reads_the_same_through_opensmtpd() {
    Correspondence::new().await.through(Software::OpenSmtpd).await;
}
