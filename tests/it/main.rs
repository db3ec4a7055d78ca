//! The journeys: the whole system through real sockets, real files and real processes. One file tells one story.
#![allow(
    clippy::unwrap_used,
    reason = "all of this is test code; clippy sees only functions marked as tests"
)]

mod house;
mod licences;
