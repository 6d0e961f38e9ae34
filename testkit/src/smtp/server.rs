//! The server's thread, and what it shares with its handle.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::dialogue::Dialogue;
use super::{Act, Received, SmtpOptions, Stage};
use crate::{apart, port};

type Script = Box<dyn FnMut(Stage, usize) -> Act + Send>;

pub(super) struct Shared {
    pub(super) options: SmtpOptions,
    pub(super) acceptor: Option<TlsAcceptor>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    script: Option<Script>,
    reached: HashMap<Stage, usize>,
    messages: Vec<Received>,
    said: Vec<String>,
    connections: usize,
}

impl Shared {
    pub(super) fn new(options: SmtpOptions) -> anyhow::Result<Shared> {
        let acceptor = options.certificate.as_ref().map(crate::tls::acceptor).transpose()?;
        Ok(Shared { options, acceptor, state: Mutex::default() })
    }

    pub(super) fn set_script(&self, script: impl FnMut(Stage, usize) -> Act + Send + 'static) {
        let mut state = self.lock();
        state.reached.clear();
        state.script = Some(Box::new(script));
    }

    /// What to do at this stage.
    pub(super) fn act(&self, stage: Stage) -> Act {
        let mut state = self.lock();
        let reached = state.reached.entry(stage).or_default();
        *reached += 1;
        let nth = *reached;
        state.script.as_mut().map_or(Act::Go, |script| script(stage, nth))
    }

    pub(super) fn accept(&self, message: Received) {
        self.lock().messages.push(message);
    }

    pub(super) fn hear(&self, line: &str) {
        self.lock().said.push(line.to_owned());
    }

    pub(super) fn messages(&self) -> Vec<Received> {
        self.lock().messages.clone()
    }

    pub(super) fn said(&self) -> Vec<String> {
        self.lock().said.clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.lock().connections
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("options", &self.options).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) struct Server {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(shared: Arc<Shared>) -> anyhow::Result<Server> {
        let listener = port::listener().context("listen for mail")?;
        let addr = listener.local_addr().context("ask for the port")?;
        listener.set_nonblocking(true).context("set up the listener")?;
        let runtime = apart::runtime()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("testkit-smtp".into())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = serve(listener, shared) => {}
                        _ = stopped => {}
                    }
                });
            })
            .context("start a thread")?;
        Ok(Server { addr, stop: Some(stop), thread: Some(thread) })
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        shared.lock().connections += 1;
        let shared = shared.clone();
        tokio::spawn(async move {
            // Its errors are what tests order, and clients that have gone.
            let _ = Dialogue::new(&shared).hold(stream).await;
        });
    }
}
