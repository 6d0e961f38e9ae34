use std::os::unix::fs::PermissionsExt as _;

use testkit::Process;

use crate::support::{Ran, finish, text};

fn key(args: &[&str]) -> Ran {
    finish(Process::new("mailroom").arg("key").args(args))
}

#[test]
fn a_generated_key_is_one_and_no_two_are_alike() {
    let [one, other] = [key(&["generate"]), key(&["generate"])];
    assert_eq!((one.code, other.code), (0, 0));
    assert!(one.out[0].parse::<mailroom::SecretKey>().is_ok());
    assert_ne!(one.out, other.out);
}

#[test]
fn a_key_in_a_file_is_its_owners_and_replaces_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret_key");
    let made = key(&["generate", "--out", text(&path)]);
    assert_eq!((made.code, made.out.len()), (0, 0), "{}", made.err);
    let digits = std::fs::read_to_string(&path).unwrap();
    assert!(digits.trim_end().parse::<mailroom::SecretKey>().is_ok());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let again = key(&["generate", "--out", text(&path)]);
    assert_eq!(again.code, 78);
    assert!(
        again.err.contains("secret_key is there already, and a key is never written over"),
        "{}",
        again.err
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), digits);
}

#[test]
fn rotation_is_explained() {
    let explained = key(&["rotate"]);
    assert_eq!(explained.code, 0);
    assert!(explained.out.iter().any(|line| line.contains("mailroom key generate")));
}
