//! A network between two parts that fails on command: cut, stall, trickle, or a flipped bit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What the network does to every byte that passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Bytes wait, connections stay open, new ones are taken and wait too.
    Stall,
    /// A few bytes at a time, with a pause between.
    Trickle {
        /// How many bytes at a time.
        bytes: usize,
        /// The pause.
        pause: Duration,
    },
    /// The next piece that flows towards the client has a bit flipped in its first byte:
    /// a reserved bit, when a WebSocket frame begins there.
    CorruptTowardsClient,
    /// The next piece that flows towards the server has a bit flipped in its first byte:
    /// a reserved bit, when a WebSocket frame begins there.
    CorruptTowardsServer,
}

/// A running proxy.
pub struct FaultProxy {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    cut: Arc<Mutex<CancellationToken>>,
    stopping: CancellationToken,
}

impl FaultProxy {
    /// Starts a faultless proxy to `server`.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let proxy = Self {
            address,
            fault: watch::Sender::new(Fault::None),
            cut: Arc::default(),
            stopping: CancellationToken::new(),
        };
        let (fault, cut) = (proxy.fault.clone(), Arc::clone(&proxy.cut));
        let stopping = proxy.stopping.clone();
        tokio::spawn(async move {
            while let Some(Ok((client, _))) = stopping.run_until_cancelled(listener.accept()).await
            {
                let cut = cut.lock().child_token();
                let fault = fault.clone();
                tokio::spawn(async move {
                    cut.run_until_cancelled(connect_through(client, server, fault))
                        .await;
                });
            }
        });
        proxy
    }

    /// Where clients connect.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what happens to bytes from here on.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// What happens to bytes; goes back to [`Fault::None`] by itself after a flipped bit.
    pub fn fault(&self) -> Fault {
        *self.fault.borrow()
    }

    /// Drops every connection that there is; new ones work.
    pub fn cut(&self) {
        std::mem::take(&mut *self.cut.lock()).cancel();
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.stopping.cancel();
        self.cut();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Towards {
    Client,
    Server,
}

async fn connect_through(client: TcpStream, server: SocketAddr, fault: watch::Sender<Fault>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(
        pass(from_client, to_server, Towards::Server, &fault),
        pass(from_server, to_client, Towards::Client, &fault),
    );
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    towards: Towards,
    faults: &watch::Sender<Fault>,
) {
    let mut current = faults.subscribe();
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let Ok(fault) = current
            .wait_for(|fault| *fault != Fault::Stall)
            .await
            .map(|fault| *fault)
        else {
            return;
        };
        let piece = &mut buffer[..read];
        if is_corrupting(fault, towards) {
            piece[0] ^= 0x40;
            faults.send_replace(Fault::None);
        }
        if write(&mut to, piece, fault).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

fn is_corrupting(fault: Fault, towards: Towards) -> bool {
    match towards {
        Towards::Client => fault == Fault::CorruptTowardsClient,
        Towards::Server => fault == Fault::CorruptTowardsServer,
    }
}

async fn write(to: &mut OwnedWriteHalf, piece: &[u8], fault: Fault) -> std::io::Result<()> {
    let Fault::Trickle { bytes, pause } = fault else {
        return to.write_all(piece).await;
    };
    for part in piece.chunks(bytes.max(1)) {
        to.write_all(part).await?;
        tokio::time::sleep(pause).await;
    }
    Ok(())
}
