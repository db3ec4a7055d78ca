//! The command on the developer's machine: `towline`. `listen` is the way of an event from the relay to
//! the app; `commands` is everything a person can type; the rest is what both stand on.

#![allow(
    rustdoc::bare_urls,
    reason = "doc comments of options are the texts of `--help`"
)]

pub mod cli;
pub mod commands;
pub mod settings;
pub mod screen;
pub mod tcp;
pub mod tls;
pub mod dial;
pub mod relay_api;
pub mod listen;
pub mod link;
pub mod seen;
pub mod target;
pub mod body;
pub mod local_signer;
pub mod forward;
pub mod samples;
