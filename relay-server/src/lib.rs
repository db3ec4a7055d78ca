//! The relay: takes webhooks in, keeps them, hands them on. The modules stand in the order in which an event meets them.

pub mod config;
pub mod limits;
pub mod serve;
pub mod relay;
mod listener;
mod ingest;
mod access_tokens;
mod endpoints;
mod keys;
mod verify;
mod resign;
mod recheck;
pub mod store;
mod fanout;
mod session;
mod retention;
mod auth;
mod oauth;
mod api;
mod problem;

pub use config::{Config, Outbound};
pub use limits::SessionLimits;
pub use serve::{Drained, RunningRelay, StartError, start};
