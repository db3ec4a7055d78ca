//! An app on a real socket that hands every request to the test, which answers it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use super::client::patiently;

/// Hands every request to the test, which answers it.
pub(super) struct App {
    pub(super) target: String,
    calls: mpsc::Receiver<AppCall>,
    count: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

pub(super) struct AppCall {
    pub(super) request: Vec<u8>,
    pub(super) reply: oneshot::Sender<&'static str>,
}

impl App {
    pub(super) async fn start() -> Self {
        Self::start_at("127.0.0.1:0").await
    }

    pub(super) async fn start_at(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let target = listener.local_addr().unwrap().to_string();
        let (sender, calls) = mpsc::channel(100);
        let count = Arc::new(AtomicUsize::new(0));
        let counter = count.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, sender.clone(), counter.clone()));
            }
        });
        Self {
            target,
            calls,
            count,
            task,
        }
    }

    pub(super) async fn shut(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    pub(super) async fn call(&mut self) -> AppCall {
        patiently(self.calls.recv()).await.unwrap()
    }

    pub(super) async fn answer(&mut self, reply: &'static str) -> String {
        String::from_utf8(self.answer_bytes(reply).await).unwrap()
    }

    pub(super) async fn answer_bytes(&mut self, reply: &'static str) -> Vec<u8> {
        let call = self.call().await;
        call.reply.send(reply).unwrap();
        call.request
    }

    pub(super) fn calls(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

impl AppCall {
    pub(super) async fn answer(self, reply: &'static str) {
        self.reply.send(reply).unwrap();
    }
}

pub(super) async fn serve(
    mut stream: TcpStream,
    calls: mpsc::Sender<AppCall>,
    count: Arc<AtomicUsize>,
) {
    while let Some(request) = read_request(&mut stream).await {
        count.fetch_add(1, Ordering::SeqCst);
        let (reply, answer) = oneshot::channel();
        calls.send(AppCall { request, reply }).await.unwrap();
        let Ok(answer) = answer.await else {
            return;
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// One request with its `Content-Length`; nothing when the client closed the connection.
pub(super) async fn read_request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(request.clone()).unwrap();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .map_or(0, |length| length.parse().unwrap());
    let start = request.len();
    request.resize(start + length, 0);
    stream.read_exact(&mut request[start..]).await.ok()?;
    Some(request)
}
