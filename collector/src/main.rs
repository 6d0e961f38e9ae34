//! `collector`: see `--help`.

use std::process::ExitCode;

use collector::config::{Config, HELP};
use collector::emitter::Emitter;
use collector::run::{explain, run};
use daemon::exit::Exit;
use daemon::settings::{Command, command_line, print};
use daemon::shutdown::Shutdown;

const PROG: &str = "collector";

fn main() -> ExitCode {
    let command = command_line(PROG, env!("CARGO_PKG_VERSION"), HELP);
    let checked = command.and_then(|command| match command {
        Command::Print(text) => Ok(Err(text)),
        Command::Check => Config::from_vars(std::env::vars_os()).map(|c| Err(c.describe())),
        Command::Run => Config::from_vars(std::env::vars_os()).map(Ok),
    });
    let exit = match checked {
        Ok(Ok(config)) => start(&config),
        Ok(Err(text)) => print(&text).map_or(Exit::Unavailable, |()| Exit::Done),
        Err(problems) => {
            daemon::log::complain(PROG, problems);
            Exit::Config
        }
    };
    exit.into()
}

fn start(config: &Config) -> Exit {
    daemon::log::init(PROG, config.log.level, config.log.format);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    explain(runtime.map_err(Into::into).and_then(|runtime| {
        runtime.block_on(async {
            let emitter = Emitter::stdout(config.batch_limit)?;
            run(config, emitter, Shutdown::on_signals()?).await
        })
    }))
}
