//! The edge on real sockets: what a sender may send, what it gets, and what is kept of it.

mod drain;
mod framing;
mod http2;
mod limits;
mod methods;

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use towline_shared::id::{EndpointKey, Seq};
use towline_shared::time::Timestamp;

use crate::config::Config;
use crate::endpoints::LiveEndpoint;
use crate::limits::Limits;
use crate::serve::{RunningRelay, start};
use crate::store::{EndpointSettings, NewEndpoint, StoredEvent};

/// Far more than any of these tests waits for.
const IN_TIME: Duration = Duration::from_secs(20);

/// The endpoint's limit in these tests.
const MAX_BODY: u64 = 100_000;

/// A relay with one endpoint that checks nothing.
struct TestRelay {
    running: RunningRelay,
    endpoint: Arc<LiveEndpoint>,
    _folder: TempDir,
}

impl TestRelay {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut Limits)) -> Self {
        Self::start_configured(|config| change(&mut config.limits)).await
    }

    async fn start_configured(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::with_data(folder.path());
        config.listen.set_port(0);
        change(&mut config);
        let running = start(config).await.unwrap();
        let new = NewEndpoint {
            name: "orders".parse().unwrap(),
            key: EndpointKey::new([7; 20]),
            settings: EndpointSettings {
                max_body: MAX_BODY,
                ..EndpointSettings::default()
            },
            created_at: Timestamp::from_millis(1),
            secrets: Vec::new(),
        };
        let endpoint = running.relay().endpoints.create(new).await.unwrap();
        Self {
            running,
            endpoint,
            _folder: folder,
        }
    }

    /// The path of the endpoint.
    fn path(&self) -> String {
        format!("/in/{}", self.endpoint.endpoint.key)
    }

    async fn connect(&self) -> Sender {
        let stream = TcpStream::connect(self.running.address()).await.unwrap();
        Sender { stream }
    }

    /// Everything that is kept, oldest first.
    async fn events(&self) -> Vec<Arc<StoredEvent>> {
        let store = &self.running.relay().store;
        let endpoint = self.endpoint.endpoint.id;
        store.events_after(endpoint, Seq(0), 1000).await.unwrap()
    }

    /// Makes sure that one broken connection has not hurt the next.
    async fn assert_next_connection_works(&self) {
        let mut sender = self.connect().await;
        let request = format!(
            "POST {} HTTP/1.1\r\nContent-Length: 2\r\n\r\nok",
            self.path()
        );
        sender.send(request.as_bytes()).await;
        assert_eq!(sender.reply().await.status, 200);
    }
}

/// One connection to the relay.
struct Sender {
    stream: TcpStream,
}

/// What came back.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Sender {
    /// Sends bytes; a relay that has closed the connection already is no error.
    async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// The next reply, interim ones included.
    async fn reply(&mut self) -> Reply {
        timeout(IN_TIME, self.read_reply(true))
            .await
            .expect("a reply in time")
    }

    /// The next reply, to a request whose reply has no body.
    async fn reply_without_body(&mut self) -> Reply {
        timeout(IN_TIME, self.read_reply(false))
            .await
            .expect("a reply in time")
    }

    async fn read_reply(&mut self, has_body: bool) -> Reply {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = self.stream.read_u8().await;
            head.push(
                byte.unwrap_or_else(|_| panic!("a whole head, not `{}`", head.escape_ascii())),
            );
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; if has_body { length } else { 0 }];
        self.stream.read_exact(&mut body).await.unwrap();
        Reply {
            status: head["http/1.1 ".len()..][..3].parse().unwrap(),
            head,
            body: String::from_utf8(body).unwrap(),
        }
    }

    /// Whether a reply comes rather than the end of the connection.
    async fn is_served(&mut self) -> bool {
        let mut byte = [0];
        let read = timeout(IN_TIME, self.stream.read(&mut byte)).await;
        matches!(read.expect("a reply or the end in time"), Ok(1))
    }

    /// Says that nothing more will be sent.
    async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Waits for the end of the connection; what comes until then is in the result.
    async fn end(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let read = timeout(IN_TIME, self.stream.read_to_end(&mut rest)).await;
        // A reset is an end, too.
        let _ = read.expect("the relay closes the connection");
        rest
    }
}

impl Reply {
    fn has(&self, line: &str) -> bool {
        self.head.lines().any(|has| has == line)
    }
}
