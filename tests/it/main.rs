//! The journeys: the whole system through real sockets, real files and real processes. One file tells one story.
#![allow(
    clippy::unwrap_used,
    reason = "all of this is test code; clippy sees only functions marked as tests"
)]

mod app_faults;
mod authority;
mod bad_heads;
mod fidelity;
mod house;
mod keys;
mod kill;
mod licences;
mod long_and_slow;
mod resume;
mod signatures;
mod tokens;
