//! The manual and the completions know every command there is.

use clap::{Command, CommandFactory as _};
use operator::cli::Cli;
use testkit::Process;

use crate::support::{Ran, finish};

fn mailroom(args: &[&str]) -> Ran {
    finish(Process::new("mailroom").args(args))
}

/// The words of each command, and of each command of a command.
fn paths() -> Vec<Vec<String>> {
    fn below(command: &Command, path: &[String], all: &mut Vec<Vec<String>>) {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let path = [path, &[sub.get_name().to_owned()]].concat();
            below(sub, &path, all);
            all.push(path);
        }
    }
    let mut all = Vec::new();
    below(&Cli::command(), &[], &mut all);
    assert!(all.len() > 10, "{all:?}");
    all
}

#[test]
fn there_is_a_page_for_every_command() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(mailroom(&["man", "--dir", dir.path().to_str().unwrap()]).code, 0);
    let first = mailroom(&["man"]).out.join("\n");
    for path in paths() {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        let page = mailroom(&[&["man"], words.as_slice()].concat());
        assert_eq!(page.code, 0, "{}", page.err);
        let name = format!("mailroom-{}", path.join("-"));
        let title = format!(".TH {name} 1");
        assert!(page.out.iter().any(|line| line.starts_with(&title)), "{:?}", page.out);
        assert!(dir.path().join(format!("{name}.1")).is_file(), "{name}.1");
        if path.len() == 1 {
            assert!(first.contains(&format!("{}(1)", name.replace('-', "\\-"))), "{first}");
        }
    }
    let ran = mailroom(&["man", "migrate", "sideways"]);
    assert_eq!(ran.code, 78);
    assert!(ran.err.contains("there is no command migrate sideways"), "{}", ran.err);
}

#[test]
fn shells_can_complete_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = mailroom(&["completions", shell]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let script = ran.out.join("\n");
        for word in paths().concat() {
            assert!(script.contains(&word), "{shell}: {word}");
        }
    }
}

#[test]
fn bash_takes_its_completions() {
    let script = mailroom(&["completions", "bash"]).out.join("\n");
    let asked = script
        + "\nCOMP_WORDS=(mailroom migrate f); COMP_CWORD=2; _mailroom mailroom f migrate\n\
           printf '%s\\n' \"${COMPREPLY[@]}\"\n";
    let ran = finish(Process::at("/bin/bash").arg("-s").stdin_bytes(asked));
    assert_eq!((ran.code, ran.out), (0, vec!["force".to_owned()]), "{}", ran.err);
}
