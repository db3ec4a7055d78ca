//! A relay and a client as real processes of the built binaries, to be killed, stopped and measured.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::api::Api;
use crate::binaries::Binary;
use crate::eventually::eventually;
use crate::process::{Process, command};
use crate::sender;

/// `towline-server` on a folder of its own.
pub struct RelayProcess {
    process: Process,
    address: SocketAddr,
    folder: PathBuf,
    arguments: Vec<String>,
}

impl RelayProcess {
    /// Starts a relay on a free port, with its data in `folder/data`.
    pub async fn start(folder: &Path, more_arguments: &[&str]) -> Self {
        let any_port = "127.0.0.1:0".parse().expect("the address is valid");
        let arguments: Vec<_> = more_arguments.iter().map(ToString::to_string).collect();
        let mut process = spawn(folder, any_port, &arguments);
        let address = process
            .wait_for_line("the relay's address", loopback_address)
            .await;
        Self {
            process,
            address,
            folder: folder.to_path_buf(),
            arguments,
        }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process.
    pub const fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The file with the admin's token.
    pub fn token_file(&self) -> PathBuf {
        self.data().join("admin.token")
    }

    /// Its interface, with the admin's token.
    pub fn api(&self) -> Api {
        Api::with_token_file(self.address, &self.token_file())
    }

    /// Kills it as `kill -9` does.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Starts it again, on the same folder and address; does not wait for it.
    pub fn start_again(&mut self) {
        self.process = spawn(&self.folder, self.address, &self.arguments);
    }

    /// Waits until a consumer of an endpoint is connected.
    ///
    /// # Panics
    /// When it does not come in time.
    pub async fn wait_until_connected(&self, endpoint: &str, consumer: &str) {
        let api = self.api();
        eventually("the consumer is connected", async || {
            let consumers = api.consumers(endpoint).await.consumers;
            let found = consumers.iter().find(|one| one.name.as_str() == consumer)?;
            found.is_connected.then_some(())
        })
        .await;
    }

    /// Waits until it answers.
    ///
    /// # Panics
    /// When it ends or stays silent.
    pub async fn wait_until_ready(&mut self) {
        let address = self.address;
        eventually("the relay answers", async || {
            let request = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";
            let mut sender = sender::Sender::try_connect(address).await.ok()?;
            sender.send(request).await;
            sender.try_reply().await.ok()
        })
        .await;
    }
}

fn spawn(folder: &Path, listen: SocketAddr, arguments: &[String]) -> Process {
    let data = folder.join("data");
    let listen = listen.to_string();
    let mut all = vec![
        "--listen",
        &listen,
        "--data",
        data.to_str().expect("the path is text"),
    ];
    all.extend(arguments.iter().map(String::as_str));
    Process::start(Binary::Relay, folder, &all)
}

/// The first address of loopback with a real port that stands in a line.
fn loopback_address(line: &str) -> Option<SocketAddr> {
    let start = line.find("127.0.0.1:")?;
    let is_part = |letter: char| letter.is_ascii_digit() || letter == '.' || letter == ':';
    let text: String = line[start..]
        .chars()
        .take_while(|&letter| is_part(letter))
        .collect();
    let address: SocketAddr = text.trim_end_matches([':', '.']).parse().ok()?;
    (address.port() != 0).then_some(address)
}

/// `towline listen`, with its home in a folder of its own.
pub struct ClientProcess {
    process: Process,
    home: PathBuf,
    arguments: Vec<String>,
}

impl ClientProcess {
    /// Starts to listen to `endpoint` as the consumer `laptop`, from the beginning, and to deliver to `app`.
    pub fn start(
        home: &Path,
        relay: &RelayProcess,
        endpoint: &str,
        app: &str,
        more_arguments: &[&str],
    ) -> Self {
        let usual = ["--as", "laptop", "--since", "beginning", "--json"];
        let more = [&usual[..], more_arguments].concat();
        let arguments = listen_arguments(home, relay, endpoint, app, &more);
        Self {
            process: spawn_client(home, &arguments),
            home: home.to_path_buf(),
            arguments,
        }
    }

    /// The same without output, as a consumer and from a start that are among the arguments: what a process
    /// of the bench prints must not cost its reader time.
    pub fn start_quiet(
        home: &Path,
        relay: &RelayProcess,
        endpoint: &str,
        app: &str,
        more_arguments: &[&str],
    ) -> Self {
        let arguments = listen_arguments(home, relay, endpoint, app, more_arguments);
        let words: Vec<_> = arguments.iter().map(String::as_str).collect();
        Self {
            process: Process::start_quiet(command(Binary::Towline, home).args(words)),
            home: home.to_path_buf(),
            arguments,
        }
    }

    /// The process.
    pub const fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Waits until it says `ready`.
    pub async fn wait_until_ready(&mut self) {
        self.process
            .wait_for_line("a line `ready`", |line| {
                is_line(line, "ready").then_some(())
            })
            .await;
    }

    /// Kills it as `kill -9` does.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Starts it again, as it was started; does not wait for it.
    pub fn start_again(&mut self) {
        self.process = spawn_client(&self.home, &self.arguments);
    }
}

fn listen_arguments(
    home: &Path,
    relay: &RelayProcess,
    endpoint: &str,
    app: &str,
    more_arguments: &[&str],
) -> Vec<String> {
    std::fs::create_dir_all(home).expect("the home can be made");
    let relay_url = format!("http://{}", relay.address());
    let token_file = relay.token_file();
    let token_file = token_file.to_str().expect("the path is text");
    let usual = [
        "listen",
        app,
        "--endpoint",
        endpoint,
        "--relay",
        &relay_url,
        "--token-file",
        token_file,
    ];
    let all = usual.iter().chain(more_arguments);
    all.map(ToString::to_string).collect()
}

fn spawn_client(home: &Path, arguments: &[String]) -> Process {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    Process::start(Binary::Towline, home, &arguments)
}

/// Whether a line of `--json` output is of this type.
pub fn is_line(line: &str, kind: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(line).is_ok_and(|value| value["type"] == kind)
}
