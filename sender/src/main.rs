//! `sender`: see `--help`.

use std::process::ExitCode;

use daemon::exit::{Exit, ExitExt};
use daemon::program::{Program, end};
use daemon::shutdown::Shutdown;
use sender::config::{Config, HELP};
use sender::reader;
use sender::run::run;
use sender::transport::dry_run::DryRun;
use sender::transport::ses::Ses;

const SENDER: Program = Program { name: "sender", version: env!("CARGO_PKG_VERSION"), help: HELP };

fn main() -> ExitCode {
    SENDER.main(|| Config::from_vars(std::env::vars_os()), Config::describe, deliver)
}

fn deliver(config: &Config) -> Exit {
    daemon::log::init(SENDER.name, config.log.level, config.log.format);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return end(Err(error.into())),
    };
    let exit = end(runtime.block_on(send(config)));
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
