//! The application: settings from the environment, then HTTP until it is told to stop.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context;
use signup::{App, Settings, router};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without a stderr there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "signup: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let settings = Settings::from_env()?;
    let listener = TcpListener::bind(&settings.listen).await.context("LISTEN")?;
    let address = listener.local_addr().context("ask for the port")?;
    writeln!(std::io::stdout(), "http://{address}").context("write to stdout")?;
    axum::serve(listener, router(App::new(settings))).await.context("serve")
}
