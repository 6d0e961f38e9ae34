//! `collector`: see `--help`.

use std::process::ExitCode;

use collector::config::{Config, HELP};
use collector::emitter::Emitter;
use collector::run::run;
use daemon::exit::Exit;
use daemon::program::{Program, block_on};
use daemon::shutdown::Shutdown;

const COLLECTOR: Program =
    Program { name: "collector", version: env!("CARGO_PKG_VERSION"), help: HELP };

fn main() -> ExitCode {
    COLLECTOR.main(
        || Config::from_vars(std::env::vars_os()),
        |config| Ok(config.describe()),
        collect,
    )
}

fn collect(config: Config) -> Exit {
    daemon::log::init(COLLECTOR.name, config.log.level, config.log.format);
    block_on(async move {
        let emitter = Emitter::stdout(config.batch_limit)?;
        run(&config, emitter, Shutdown::on_signals()?).await
    })
}
