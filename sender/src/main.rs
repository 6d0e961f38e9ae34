//! `sender`: see `--help`.

use std::process::ExitCode;

use daemon::exit::{Exit, ExitExt};
use daemon::program::{Program, block_on};
use daemon::shutdown::Shutdown;
use sender::compose::Composer;
use sender::config::{Config, HELP, Kind};
use sender::reader;
use sender::run::run;
use sender::transport::dry_run::{DryLetters, DryRun};
use sender::transport::file::Files;
use sender::transport::noop::Noop;
use sender::transport::ses::Ses;
use sender::transport::smtp::Smtp;

/// Keeps nothing for later: ADR 13.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const _: () = assert!(
    option_env!("JEMALLOC_SYS_WITH_MALLOC_CONF").is_some(),
    "the allocator is set up in .cargo/config.toml, which cargo reads where it is called: \
     call it in Mailroom's directory, or set JEMALLOC_SYS_WITH_MALLOC_CONF as it is there"
);

const SENDER: Program = Program { name: "sender", version: env!("CARGO_PKG_VERSION"), help: HELP };

fn main() -> ExitCode {
    SENDER.main(|| Config::from_vars(std::env::vars_os()), Config::check, deliver)
}

fn deliver(config: Config) -> Exit {
    daemon::log::init(SENDER.name, config.log.level, config.log.format);
    block_on(async move { send(&config).await })
}

async fn send(config: &Config) -> anyhow::Result<Exit> {
    let shutdown = Shutdown::on_signals()?;
    let reader = reader::stdin()?;
    match (config.transport, config.dry_run) {
        (Kind::Ses, true) => {
            let composer = composer_for_ses(config)?;
            let transport = DryRun::to_stdout(config.ses(), composer).exit(Exit::Config)?;
            run(config, &transport, reader, shutdown).await
        }
        (Kind::Ses, false) => {
            let composer = composer_for_ses(config)?;
            let transport = Ses::connect(config.ses()).await.exit(Exit::Config)?;
            run(config, &transport.with_composer(composer), reader, shutdown).await
        }
        (Kind::Smtp | Kind::File | Kind::Noop, true) => {
            let composer = config.composer().exit(Exit::Config)?;
            let transport = DryLetters::to_stdout(config.origin.clone(), composer);
            run(config, &transport, reader, shutdown).await
        }
        (Kind::Smtp, false) => {
            let composer = config.composer().exit(Exit::Config)?;
            let transport = Smtp::new(config.smtp.clone(), config.origin.clone(), composer);
            run(config, &transport.exit(Exit::Config)?, reader, shutdown).await
        }
        (Kind::File, false) => {
            let composer = config.composer().exit(Exit::Config)?;
            let files = Files::into_folder(&config.file_path, config.origin.clone(), composer);
            run(config, &files.exit(Exit::Config)?, reader, shutdown).await
        }
        (Kind::Noop, false) => run(config, &Noop, reader, shutdown).await,
    }
}

/// SES has templates of its own; only where ours are named are they rendered here, too.
fn composer_for_ses(config: &Config) -> anyhow::Result<Option<Composer>> {
    config.templates.as_ref().map(|_| config.composer()).transpose().exit(Exit::Config)
}
