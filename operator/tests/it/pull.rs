use std::fs;

use testkit::Ses;
use testkit::ses::Content;

use crate::support::{folder, mailroom, ours, put, text, with_ses};

#[test]
fn what_was_pushed_comes_back_as_it_was() {
    let ses = Ses::start().unwrap();
    assert_eq!(with_ses(&ses, &["push", text(&ours())]).code, 0);
    ses.store_template("somebodyelses", Content::default());
    ses.store_template("activationv12", Content::default());
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("templates");
    let ran = with_ses(&ses, &["pull", text(&to)]);
    assert_eq!((ran.code, ran.out.len()), (0, 30), "{}", ran.err);
    for line in &ran.out {
        let path = line.strip_suffix(": written").unwrap();
        let ours = ours().join(path.strip_prefix(text(&to)).unwrap().trim_start_matches('/'));
        assert_eq!(fs::read_to_string(path).unwrap(), fs::read_to_string(ours).unwrap(), "{path}");
    }
    let again = with_ses(&ses, &["pull", text(&to)]);
    assert_eq!(again.code, 0);
    assert!(again.out.iter().all(|line| line.ends_with(": unchanged")), "{:?}", again.out);
    // All but what samples there are, which SES does not know.
    for action in ["invitation", "email_change"] {
        let name = format!("{action}/variables.json");
        fs::copy(ours().join(&name), to.join(&name)).unwrap();
    }
    assert_eq!(mailroom(&["lint", text(&to)]).out, [""; 0]);
}

#[test]
fn a_file_that_differs_is_kept_unless_forced() {
    let ses = Ses::start().unwrap();
    let dir = folder(&[]);
    let root = text(dir.path());
    assert_eq!(with_ses(&ses, &["push", root]).code, 0);
    put(dir.path(), "welcome/en/body.txt", "mine\n");
    let ran = with_ses(&ses, &["pull", root]);
    assert_eq!(ran.code, 78);
    let line = |file: &str, end: &str| format!("{root}/welcome/en/{file}: {end}");
    let [subject, html] = ["subject.txt", "body.html"].map(|file| line(file, "unchanged"));
    let kept = line("body.txt", "differs from SES, kept; --force overwrites it");
    assert_eq!(ran.out, [subject.clone(), html.clone(), kept]);
    assert_eq!(fs::read_to_string(dir.path().join("welcome/en/body.txt")).unwrap(), "mine\n");
    let ran = with_ses(&ses, &["pull", "--force", root]);
    assert_eq!(ran.out, [subject, html, line("body.txt", "overwritten")]);
    assert_eq!(ran.code, 0);
}

#[test]
fn an_action_known_from_nowhere_else_is_named() {
    let ses = Ses::start().unwrap();
    let content = Content { subject: "a".into(), html: "b".into(), text: "c".into() };
    ses.store_template("lastcallv1_pt-BR", content);
    let dir = tempfile::tempdir().unwrap();
    let root = text(dir.path());
    assert_eq!(with_ses(&ses, &["pull", root]).out, [""; 0]);
    let ran = with_ses(&ses, &["pull", "--action", "last_call", root]);
    assert_eq!(ran.out[0], format!("{root}/last_call/pt-BR/subject.txt: written"));
    let ran = with_ses(&ses, &["pull", "--action", "../x", root]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (78, "mailroom: --action \"../x\" is not an action's name\n")
    );
}
