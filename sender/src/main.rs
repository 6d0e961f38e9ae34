//! `sender`: see `--help`.

use std::process::ExitCode;

use daemon::exit::{Exit, ExitExt};
use daemon::settings::{Command, command_line, print};
use daemon::shutdown::Shutdown;
use sender::config::{Config, HELP};
use sender::reader;
use sender::run::{explain, run};
use sender::transport::dry_run::DryRun;
use sender::transport::ses::Ses;

const PROG: &str = "sender";

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
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return explain(Err(error.into())),
    };
    let exit = explain(runtime.block_on(send(config)));
    // A stdin that is not a pipe may still be read by a thread that nothing can interrupt.
    runtime.shutdown_background();
    exit
}

async fn send(config: &Config) -> anyhow::Result<Exit> {
    let shutdown = Shutdown::on_signals()?;
    let reader = reader::stdin()?;
    let settings = config.ses();
    if config.dry_run {
        let transport = DryRun::to_stdout(settings).exit(Exit::Config)?;
        run(config, &transport, reader, shutdown).await
    } else {
        let transport = Ses::connect(settings).await.exit(Exit::Config)?;
        run(config, &transport, reader, shutdown).await
    }
}
