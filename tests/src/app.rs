//! A developer's app on a raw socket: records the exact bytes that arrive and replies as it is told,
//! well or badly.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::eventually::{eventually, in_time};
use crate::message::{Message, Reader, Unframed};

/// How the app replies to a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// This status and an empty body.
    Status(u16),
    /// These bytes; the connection stays open.
    Raw(Vec<u8>),
    /// These bytes, then the end of the connection.
    RawThenClose(Vec<u8>),
    /// Nothing for this time, then the other reply.
    After(Duration, Box<Reply>),
    /// Nothing until [`App::release`], then 200.
    Hold,
    /// The connection is reset.
    Reset,
    /// A status line, a head and a body that never ends.
    Endless,
}

type Program = Arc<dyn Fn(usize, &Message) -> Reply + Send + Sync>;

/// A running app.
pub struct App {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Message>>>,
    answered: Arc<Mutex<Vec<usize>>>,
    arrived: watch::Sender<usize>,
    open: Arc<AtomicUsize>,
    newest: Arc<Mutex<Option<SocketAddr>>>,
    program: Program,
    released: CancellationToken,
    running: Option<(CancellationToken, TaskTracker)>,
}

impl App {
    /// Starts an app that answers everything with 200.
    pub async fn start() -> Self {
        Self::replying(|_, _| Reply::Status(200)).await
    }

    /// Starts an app with a program: from the request and its place (0 for the first) to the reply.
    pub async fn replying(
        program: impl Fn(usize, &Message) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let mut app = Self {
            address,
            seen: Arc::default(),
            answered: Arc::default(),
            arrived: watch::Sender::default(),
            open: Arc::default(),
            newest: Arc::default(),
            program: Arc::new(program),
            released: CancellationToken::new(),
            running: None,
        };
        app.run(listener);
        app
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that arrived whole, in order.
    pub fn seen(&self) -> Vec<Message> {
        self.seen.lock().clone()
    }

    /// How much arrived.
    pub fn count(&self) -> usize {
        self.seen.lock().len()
    }

    /// Waits until more than `count` requests have arrived, in a task that may move between threads.
    pub async fn wait_for_more_than(&self, count: usize) {
        let mut arrived = self.arrived.subscribe();
        let _ = in_time(
            "a request at the app",
            arrived.wait_for(|so_far| *so_far > count),
        )
        .await;
    }

    /// Waits until nobody is connected any more, so that nothing can arrive. Connections that wait to be
    /// accepted count: they come before the probe that is made here.
    ///
    /// # Panics
    /// When somebody stays, or the app is stopped.
    pub async fn wait_until_alone(&self) {
        let probe = TcpStream::connect(self.address)
            .await
            .expect("the app is running");
        let own = probe
            .local_addr()
            .expect("a connected socket has an address");
        eventually("the app accepts the probe", async || {
            (*self.newest.lock() == Some(own)).then_some(())
        })
        .await;
        drop(probe);
        eventually("nobody is connected to the app", async || {
            (self.open.load(Ordering::SeqCst) == 0).then_some(())
        })
        .await;
    }

    /// The places of the requests whose replies were written, in the order of the replies.
    pub fn answered(&self) -> Vec<usize> {
        self.answered.lock().clone()
    }

    /// Waits until `count` requests have arrived.
    ///
    /// # Panics
    /// When they do not come in time.
    pub async fn wait_for(&self, count: usize) -> Vec<Message> {
        eventually(&format!("{count} requests at the app"), async || {
            (self.count() >= count).then(|| self.seen())
        })
        .await
    }

    /// Lets the replies go that are held.
    pub fn release(&self) {
        self.released.cancel();
    }

    /// Stops listening and drops every connection; the port is refused from here on.
    pub async fn stop(&mut self) {
        if let Some((stopping, tasks)) = self.running.take() {
            stopping.cancel();
            tasks.wait().await;
        }
    }

    /// Listens again, at the same address.
    ///
    /// # Panics
    /// When somebody else took the port meanwhile.
    pub async fn start_again(&mut self) {
        let listener = TcpListener::bind(self.address)
            .await
            .expect("the port is still free");
        self.run(listener);
    }

    fn run(&mut self, listener: TcpListener) {
        let stopping = CancellationToken::new();
        let tasks = TaskTracker::new();
        let connections = Connections {
            seen: Arc::clone(&self.seen),
            answered: Arc::clone(&self.answered),
            arrived: self.arrived.clone(),
            open: Arc::clone(&self.open),
            newest: Arc::clone(&self.newest),
            program: Arc::clone(&self.program),
            released: self.released.clone(),
        };
        tasks.spawn({
            let (stopping, tasks) = (stopping.clone(), tasks.clone());
            async move {
                while let Some(Ok((stream, from))) =
                    stopping.run_until_cancelled(listener.accept()).await
                {
                    let (connections, stopping) = (connections.clone(), stopping.clone());
                    connections.open.fetch_add(1, Ordering::SeqCst);
                    *connections.newest.lock() = Some(from);
                    tasks.spawn(async move {
                        stopping
                            .run_until_cancelled(connections.serve(stream))
                            .await;
                        connections.open.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            }
        });
        tasks.close();
        self.running = Some((stopping, tasks));
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if let Some((stopping, _)) = &self.running {
            stopping.cancel();
        }
    }
}

/// What all connections of an app share.
#[derive(Clone)]
struct Connections {
    seen: Arc<Mutex<Vec<Message>>>,
    answered: Arc<Mutex<Vec<usize>>>,
    arrived: watch::Sender<usize>,
    open: Arc<AtomicUsize>,
    newest: Arc<Mutex<Option<SocketAddr>>>,
    program: Program,
    released: CancellationToken,
}

impl Connections {
    async fn serve(&self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let mut reader = Reader::new(stream);
        while let Ok(Some(request)) = reader.message(Unframed::Empty).await {
            let (place, mut reply) = {
                let mut seen = self.seen.lock();
                let place = seen.len();
                seen.push(request);
                self.arrived.send_replace(seen.len());
                (place, (self.program)(place, &seen[place]))
            };
            while let Reply::After(delay, next) = reply {
                tokio::time::sleep(delay).await;
                reply = *next;
            }
            if !matches!(self.write(reader.stream(), reply).await, Ok(true)) {
                return;
            }
            self.answered.lock().push(place);
        }
    }

    /// Says whether the connection goes on.
    async fn write(&self, stream: &mut TcpStream, reply: Reply) -> io::Result<bool> {
        match reply {
            Reply::Status(status) => stream.write_all(&plain(status)).await.map(|()| true),
            Reply::Raw(bytes) => stream.write_all(&bytes).await.map(|()| true),
            Reply::RawThenClose(bytes) => {
                stream.write_all(&bytes).await?;
                stream.shutdown().await.map(|()| false)
            }
            Reply::Hold => {
                tokio::select! {
                    () = self.released.cancelled() => {
                        stream.write_all(&plain(200)).await.map(|()| true)
                    }
                    () = end_of(stream) => Ok(false),
                }
            }
            Reply::Reset => {
                socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO))?;
                Ok(false)
            }
            Reply::Endless => {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .await?;
                loop {
                    stream.write_all(b"10\r\nand so on and on\r\n").await?;
                    tokio::task::yield_now().await;
                }
            }
            Reply::After(..) => unreachable!("delays are taken off before"),
        }
    }
}

/// Waits until the other side has closed the connection.
async fn end_of(stream: &TcpStream) {
    match stream.peek(&mut [0]).await {
        Ok(0) | Err(_) => {}
        Ok(_) => std::future::pending().await,
    }
}

/// A reply with this status and an empty body.
pub fn plain(status: u16) -> Vec<u8> {
    format!("HTTP/1.1 {status} Status\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// A reply with status 200 and this body.
pub fn with_body(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}
