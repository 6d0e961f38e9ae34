//! What is packaged starts: both halves take the settings that compose.yaml and the Kubernetes
//! manifests have, with the files of `scripts/secrets`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use testkit::{Process, Running};

use crate::SOON;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split_once(before).and_then(|(_, rest)| rest.split_once(after)).unwrap().0
}

/// The settings among these lines of YAML: `NAME: value`, or `- { name: NAME, value: text }`.
fn settings(yaml: &str) -> Vec<(&str, &str)> {
    let pairs = yaml.lines().filter_map(|line| {
        let line = line.trim();
        match line.strip_prefix("- { name: ") {
            Some(entry) => entry.strip_suffix(" }")?.split_once(", value: "),
            None => line.split_once(": "),
        }
    });
    pairs
        .filter(|(name, _)| name.starts_with("MAILROOM_") || name.starts_with("AWS_"))
        .map(|(name, value)| (name, value.trim_matches('"')))
        .collect()
}

fn secrets(directory: &Path, host: &str, path: &str) -> Running {
    let script = root().join("scripts/secrets");
    let process = Process::at("/bin/sh").arg(script).arg(directory).args([host, "app"]);
    process.env("PATH", path).spawn().unwrap()
}

fn system_path() -> String {
    std::env::var("PATH").unwrap()
}

/// Both halves say that they would start.
fn taken(settings: &[(&str, &str)], host: &str) {
    let secret = tempfile::tempdir().unwrap();
    let made = secrets(secret.path(), host, &system_path());
    assert_eq!(made.wait(SOON).unwrap(), 0, "{}", made.stderr());
    let here: Vec<(&str, String)> = settings
        .iter()
        .map(|&(name, value)| {
            let value = if name.ends_with("_FILE") {
                let file = Path::new(value).file_name().unwrap();
                secret.path().join(file).display().to_string()
            } else {
                // Where the Dockerfile puts them.
                value.replace("/usr/share/mailroom", &root().display().to_string())
            };
            (name, value)
        })
        .collect();
    for half in ["collector", "sender"] {
        let half = Process::new(half).arg("--check").envs(here.iter().map(|(n, v)| (n, v)));
        let half = half.spawn().unwrap();
        assert_eq!(half.wait(SOON).unwrap(), 0, "{}", half.stderr());
        assert_eq!(half.stderr(), "");
    }
}

#[test]
fn both_halves_take_the_settings_of_compose() {
    let compose = fs::read_to_string(root().join("compose.yaml")).unwrap();
    let settings = settings(between(&compose, "\n  mailroom:\n", "\n  serve:\n"));
    assert!(settings.len() >= 8, "{settings:?}");
    taken(&settings, "postgres");
}

#[test]
fn both_halves_take_the_settings_of_kubernetes() {
    let manifest = fs::read_to_string(root().join("packaging/kubernetes/mailroom.yaml")).unwrap();
    let mut all = settings(between(&manifest, "\ndata:\n", "\n---\n"));
    assert!(all.len() >= 5, "{all:?}");
    let pod = settings(between(&manifest, "args: [run]", "volumeMounts:"));
    assert_eq!(pod.len(), 2, "{pod:?}");
    all.extend(pod);
    taken(&all, "postgres.example.internal");
}

#[test]
fn secrets_in_a_directory_that_was_open_to_everybody_are_not() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for _ in 0..2 {
        let made = secrets(directory.path(), "postgres", &system_path());
        assert_eq!(made.wait(SOON).unwrap(), 0, "{}", made.stderr());
    }
    let mode = fs::metadata(directory.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn without_randomness_there_is_no_secret() {
    let (programs, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // Fails; and is content with too little.
    for od in ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho ' 00 11'\n"] {
        let program = programs.path().join("od");
        fs::write(&program, od).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", programs.path().display(), system_path());
        let made = secrets(directory.path(), "postgres", &path);
        assert_eq!(made.wait(SOON).unwrap(), 75, "{}", made.stderr());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
