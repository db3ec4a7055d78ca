//! What the journeys in `tests/it` and the bench stand on: senders and apps that speak raw bytes, a network
//! that fails on command, relays and clients in the process or as real processes. It shares no parser with
//! the product, so that it can prove the product wrong.

pub mod eventually;
pub mod message;
pub mod sender;
pub mod app;
pub mod fault_proxy;
pub mod wire;
pub mod api;
pub mod certificate;
pub mod seed;
pub mod relay;
pub mod listening;
pub mod binaries;
pub mod process;
pub mod nodes;
pub mod desk;
pub mod usage;
