//! `cargo xtask <task>`: the workspace's chores that deserve a program.

mod bench;
mod bench_smtp;
mod demo;
mod example;
mod soak;

use std::io::Write as _;
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <task>

    demo    the whole pipe at work, on a private PostgreSQL and a double of Amazon SES
    example the application of examples/signup, to be opened in a browser
    bench [rows=1,2,…] [rounds=5] [part=1] [growth=10000,1000000] [peers=DIR] [json=FILE]
            Mailroom beside its limits and beside other queues: docs/BENCHMARKS.md
    bench-smtp [MAILS]
            mails a second to a loopback Postfix: lettre's send() against the SMTP transport
    soak [SECONDS] [SEED]
            writers, two pipelines, about one fault a second; then a count of what was lost
    help    this text

MAILROOM_TEST_BIN_DIR=<dir>    take collector and sender from there instead of building them
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["demo"] => demo::run(),
        ["example"] => example::run(),
        ["bench", args @ ..] => bench::run(args),
        ["bench-smtp", args @ ..] => bench_smtp::run(args),
        [bench::listener::TASK, url, line] => bench::listener::run(url, line),
        ["soak", args @ ..] => soak::run(args),
        ["help" | "--help" | "-h"] => {
            std::io::stdout().write_all(HELP.as_bytes()).map_err(Into::into)
        }
        _ => Err(anyhow::anyhow!("{args:?} is not a task\n\n{HELP}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without a stderr there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
