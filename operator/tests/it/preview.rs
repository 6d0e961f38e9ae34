use std::fs;

use crate::support::{folder, mailroom, ours, text};

#[test]
fn the_preview_of_our_own_templates_shows_every_locale_of_every_action() {
    let to = tempfile::tempdir().unwrap();
    let ran = mailroom(&["preview", text(&ours()), "--out", text(to.path())]);
    let index = to.path().join("index.html");
    assert_eq!((ran.code, ran.out), (0, vec![index.display().to_string()]), "{}", ran.err);
    let index = fs::read_to_string(index).unwrap();
    for action in ["activation", "email_change", "invitation", "magic_link", "password_recovery"] {
        assert!(index.contains(&format!("href=\"{action}/index.html\"")), "{action}");
        let dir = to.path().join(action);
        let page = fs::read_to_string(dir.join("index.html")).unwrap();
        for locale in ["de", "en"] {
            // Three kinds of mail, each at two widths in two schemes.
            assert_eq!(page.matches(&format!("<section lang=\"{locale}\">")).count(), 3);
            let html = fs::read_to_string(dir.join(format!("{locale}.html"))).unwrap();
            assert!(html.contains("Zoë O&#x27;Neil &amp; Sons &lt;3"), "{html}");
            let letter = fs::read_to_string(dir.join(format!("{locale}.txt"))).unwrap();
            assert!(letter.contains("Zoë O'Neil & Sons <3"), "{letter}");
            let bare = fs::read_to_string(dir.join(format!("{locale}.bare.txt"))).unwrap();
            assert_ne!(bare, letter);
        }
        assert_eq!(page.matches("<iframe sandbox ").count(), 3 * 2 * 4);
        for frame in ["phone, light", "phone, dark", "desktop, light", "desktop, dark"] {
            assert!(page.contains(&format!("title=\"{frame}\"")), "{frame}");
        }
        // Nothing is loaded, and no frame asks for the scheme of the machine.
        assert!(!page.contains("src=\"") && !page.contains("<link") && !page.contains("<script"));
        assert!(!page.contains("prefers-color-scheme"));
    }
}

#[test]
fn one_action_can_be_looked_at_alone_and_what_fails_is_said() {
    let dir = folder(&[("other/en/subject.txt", "{{#if}}")]);
    let to = tempfile::tempdir().unwrap();
    let run = |action: &str| {
        mailroom(&["preview", text(dir.path()), "--out", text(to.path()), "--action", action])
    };
    let ran = run("other");
    assert_eq!(ran.code, 78);
    assert!(ran.err.contains("/other/en:1: cannot be read, see lint\n"), "{}", ran.err);
    assert!(!to.path().join("welcome").exists());
    let ran = run("nothing");
    assert_eq!(ran.code, 78);
    assert!(ran.err.ends_with(": there is no nothing\n"), "{}", ran.err);
}
