//! Sessions and the interface of a real relay on a free port, spoken to in bytes: no client of ours is in
//! between, so that also what a good client never does can be tried.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

mod handshakes;
mod filters;
mod interface;
mod limits;
mod oauth;
#[allow(dead_code, reason = "the tests of the library use all of it")]
mod key_server;
mod key_sets;
mod own_schemes;
mod relay;
mod repeats;
mod retention;
mod reveal;
mod session;
mod sns;
mod streams;
mod tail;
mod wire;
