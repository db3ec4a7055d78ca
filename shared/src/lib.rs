//! What the relay and the client must agree on: identifiers, heads, events, outcomes, the wire,
//! and how a signature is checked. No sockets, no SQL, no clock: time and bytes come in as arguments.

pub mod id;
pub mod time;
pub mod secret;
pub mod head;
pub mod verdict;
pub mod verify;
pub mod event;
pub mod hop;
pub mod filter;
pub mod outcome;
pub mod wire;
pub mod credit;
pub mod backoff;
pub mod api;
