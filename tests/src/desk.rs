//! A developer's desk: a relay in the process of the test, an empty home, and the command to type.

use std::path::PathBuf;

use tokio::process::Command;

use crate::api::{Api, path_of};
use crate::binaries::Binary;
use crate::message::Message;
use crate::process::{Finished, Process, command, run_command};
use crate::relay::Relay;
use crate::sender::send;

/// A relay and a home folder.
pub struct Desk {
    /// The relay.
    pub relay: Relay,
    /// Its interface, as the admin.
    pub api: Api,
}

impl Desk {
    /// Starts the relay.
    pub async fn new() -> Self {
        let relay = Relay::start().await;
        Self {
            api: relay.api(),
            relay,
        }
    }

    /// The home folder, which is the working folder too.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn home(&self) -> PathBuf {
        let home = self.relay.folder().join("home");
        std::fs::create_dir_all(&home).expect("the folder can be written");
        home
    }

    /// `towline` with these arguments and nothing configured.
    pub fn bare(&self, arguments: &[&str]) -> Command {
        let mut towline = command(Binary::Towline, &self.home());
        towline.args(arguments);
        towline
    }

    /// `towline` with these arguments, the relay and the admin's token.
    pub fn towline(&self, arguments: &[&str]) -> Command {
        let mut towline = self.bare(arguments);
        towline
            .env("TOWLINE_RELAY", format!("http://{}", self.relay.address()))
            .env("TOWLINE_TOKEN", self.api.token());
        towline
    }

    /// Runs `towline` to its end.
    pub async fn run(&self, arguments: &[&str]) -> Finished {
        run_command(&mut self.towline(arguments)).await
    }

    /// Runs `towline` to its end, which must be a good one; gives standard output.
    ///
    /// # Panics
    /// When it ends badly.
    pub async fn done(&self, arguments: &[&str]) -> String {
        let finished = self.run(arguments).await;
        assert_eq!(finished.code, 0, "towline {arguments:?}: {finished:?}");
        finished.stdout
    }

    /// Runs `towline … --json` to its good end; gives the one JSON value it wrote.
    ///
    /// # Panics
    /// When it ends badly or writes something else.
    pub async fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let text = self.done(&[arguments, &["--json"]].concat()).await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("not JSON ({error}): {text}"))
    }

    /// Starts `towline` and leaves it running.
    pub fn start(&self, arguments: &[&str]) -> Process {
        Process::start_with(&mut self.towline(arguments))
    }

    /// Makes an endpoint that checks nothing; gives the path of its URL.
    pub async fn endpoint(&self, name: &str) -> String {
        path_of(&self.api.open_endpoint(name).await)
    }

    /// Sends a request that is taken; gives the event's id.
    ///
    /// # Panics
    /// When it is not taken.
    pub async fn send(&self, request: &[u8]) -> String {
        let reply: Message = send(self.relay.address(), request).await;
        assert_eq!(reply.status(), 200, "{}", reply.text());
        let id = reply.json()["id"].as_str().map(str::to_owned);
        id.expect("the answer has the event's id")
    }
}
