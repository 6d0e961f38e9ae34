//! A TCP proxy that fails like a network.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc as reply;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::wait::POLL;
use crate::{apart, port};

const CHUNK_BYTES: usize = 16 * 1024;
/// How long a fault may take to be in force.
const OBEYED_WITHIN: Duration = Duration::from_secs(10);
const LISTENS_WITHIN: Duration = Duration::from_secs(5);

/// Sits between a client and a server on 127.0.0.1. Each fault is in force when its method returns.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    upstream: SocketAddr,
    orders: Option<mpsc::UnboundedSender<Order>>,
    weather: watch::Sender<Weather>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Fault {
    Cut,
    Refuse(bool),
    Mute(bool),
    Abandon,
}

/// What befalls the bytes on their way.
#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    /// Nothing gets through.
    hole: bool,
    /// What the server says is lost.
    mute: bool,
    /// Nothing gets through on the connections with lower numbers, for ever.
    abandoned: u64,
}

impl Weather {
    fn passes(&self, connection: u64) -> bool {
        !self.hole && connection >= self.abandoned
    }
}

type Order = (Fault, reply::Sender<io::Result<()>>);

impl Proxy {
    /// Starts one in front of `upstream`, on a free port. The upstream need not be there yet.
    ///
    /// # Errors
    ///
    /// If there is no port or thread to be had.
    pub fn start(upstream: impl Into<SocketAddr>) -> anyhow::Result<Proxy> {
        let upstream = upstream.into();
        let listener = port::listener()?;
        let addr = listener.local_addr().context("ask for the port")?;
        listener.set_nonblocking(true).context("set up the listener")?;
        let runtime = apart::runtime()?;
        let (orders, received) = mpsc::unbounded_channel();
        let weather = watch::Sender::new(Weather::default());
        let made = weather.clone();
        let thread = std::thread::Builder::new()
            .name("testkit-proxy".into())
            .spawn(move || runtime.block_on(serve(listener, upstream, received, made)))
            .context("start a thread")?;
        Ok(Proxy { addr, upstream, orders: Some(orders), weather, thread: Some(thread) })
    }

    /// Where clients go instead.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// A URL of the upstream, leading through the proxy instead.
    pub fn rewrite(&self, url: &str) -> String {
        url.replace(&self.upstream.to_string(), &self.addr.to_string())
    }

    /// Breaks all connections, both sides of each being told so by a reset.
    ///
    /// # Errors
    ///
    /// If the proxy's thread is not there any more.
    pub fn cut(&self) -> anyhow::Result<()> {
        self.order(Fault::Cut)
    }

    /// Refuses new connections, or takes them again. Existing ones stay.
    ///
    /// # Errors
    ///
    /// If the port has been taken by someone else meanwhile.
    pub fn refuse(&self, refuse: bool) -> anyhow::Result<()> {
        self.order(Fault::Refuse(refuse))
    }

    /// Forwards nothing any more in either direction, while connections stay open and new ones are
    /// taken; or forwards again, what was held back first: what a network does that loses all
    /// packets for a while.
    pub fn black_hole(&self, hole: bool) {
        self.weather.send_modify(|weather| weather.hole = hole);
    }

    /// Leaves the connections there are in a black hole for ever, while new ones work: what a
    /// firewall does that has forgotten them.
    ///
    /// # Errors
    ///
    /// If the proxy's thread is not there any more.
    pub fn abandon(&self) -> anyhow::Result<()> {
        self.order(Fault::Abandon)
    }

    /// Loses all that the server says, while it hears everything that is said to it; or loses nothing
    /// any more. What a lost answer was is not said again: [`cut`](Proxy::cut) the connections before
    /// the end of it.
    ///
    /// # Errors
    ///
    /// If the proxy's thread is not there any more.
    pub fn mute(&self, mute: bool) -> anyhow::Result<()> {
        self.order(Fault::Mute(mute))
    }

    /// Ends all faults, but for what has been [abandoned](Proxy::abandon).
    ///
    /// # Errors
    ///
    /// As [`refuse`](Proxy::refuse).
    pub fn heal(&self) -> anyhow::Result<()> {
        self.black_hole(false);
        self.mute(false)?;
        self.refuse(false)
    }

    fn order(&self, fault: Fault) -> anyhow::Result<()> {
        let (obeyed, done) = reply::channel();
        let orders = self.orders.as_ref().context("the proxy has ended")?;
        orders.send((fault, obeyed)).map_err(|_| anyhow!("the proxy has ended"))?;
        done.recv_timeout(OBEYED_WITHIN)
            .context("the proxy does not obey")?
            .with_context(|| format!("listen on {}", self.addr))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(
    listener: std::net::TcpListener,
    upstream: SocketAddr,
    mut orders: mpsc::UnboundedReceiver<Order>,
    weather: watch::Sender<Weather>,
) {
    let (Ok(addr), Ok(listener)) = (listener.local_addr(), TcpListener::from_std(listener)) else {
        return;
    };
    let mut listener = Some(listener);
    let mut lines = JoinSet::new();
    let mut next = 0;
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some((fault, obeyed)) = order else { return };
                let _ = obeyed.send(match fault {
                    Fault::Cut => {
                        lines.shutdown().await;
                        Ok(())
                    }
                    Fault::Refuse(true) => {
                        stop_listening(&mut listener);
                        Ok(())
                    }
                    Fault::Refuse(false) if listener.is_some() => Ok(()),
                    Fault::Refuse(false) => {
                        listen_again(addr).await.map(|again| listener = Some(again))
                    }
                    Fault::Mute(mute) => {
                        weather.send_modify(|weather| weather.mute = mute);
                        Ok(())
                    }
                    Fault::Abandon => {
                        weather.send_modify(|weather| weather.abandoned = next);
                        Ok(())
                    }
                });
            }
            client = accept(listener.as_ref()) => {
                lines.spawn(carry(client, upstream, next, weather.subscribe()));
                next += 1;
            }
            Some(_) = lines.join_next() => {}
        }
    }
}

/// Not only by closing it: a process that is being spawned holds a copy of the socket until it
/// executes its program.
fn stop_listening(listener: &mut Option<TcpListener>) {
    if let Some(listener) = listener.take() {
        let _ = rustix::net::shutdown(listener, rustix::net::Shutdown::Both);
    }
}

/// See [`stop_listening`]: where that does not do, the copy is soon gone.
async fn listen_again(addr: SocketAddr) -> io::Result<TcpListener> {
    let deadline = Instant::now() + LISTENS_WITHIN;
    loop {
        match TcpListener::bind(addr).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                tokio::time::sleep(POLL).await;
            }
            other => return other,
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        if let Ok((client, _)) = listener.accept().await {
            return client;
        }
    }
}

/// A stream that ends with a reset, unless it has been closed in both directions before.
struct Cuttable {
    stream: TcpStream,
    closed: bool,
}

impl Cuttable {
    fn new(stream: TcpStream) -> Cuttable {
        let _ = stream.set_nodelay(true);
        Cuttable { stream, closed: false }
    }
}

impl Drop for Cuttable {
    fn drop(&mut self) {
        if !self.closed {
            let _ = self.stream.set_zero_linger();
        }
    }
}

async fn carry(
    client: TcpStream,
    upstream: SocketAddr,
    number: u64,
    mut weather: watch::Receiver<Weather>,
) {
    let mut client = Cuttable::new(client);
    let _ = weather.wait_for(|weather| weather.passes(number)).await;
    let Ok(upstream) = TcpStream::connect(upstream).await else { return };
    let mut upstream = Cuttable::new(upstream);
    let (from_client, to_client) = client.stream.split();
    let (from_upstream, to_upstream) = upstream.stream.split();
    let up = Pump { number, answers: false, weather: weather.clone() };
    let down = Pump { number, answers: true, weather };
    let both =
        tokio::try_join!(up.carry(from_client, to_upstream), down.carry(from_upstream, to_client));
    client.closed = both.is_ok();
    upstream.closed = both.is_ok();
}

/// One direction of a connection.
struct Pump {
    number: u64,
    /// From the server to the client.
    answers: bool,
    weather: watch::Receiver<Weather>,
}

impl Pump {
    async fn carry(
        mut self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = from.read(&mut chunk).await?;
            let _ = self.weather.wait_for(|weather| weather.passes(self.number)).await;
            if read == 0 {
                return to.shutdown().await;
            }
            if !(self.answers && self.weather.borrow().mute) {
                to.write_all(&chunk[..read]).await?;
            }
        }
    }
}
