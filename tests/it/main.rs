//! The journeys: the whole system through real sockets, real files and real processes. One file tells one story.
#![allow(
    clippy::unwrap_used,
    reason = "all of this is test code; clippy sees only functions marked as tests"
)]

mod app_faults;
mod authority;
mod bad_heads;
mod big_bodies;
mod command;
mod consumers;
mod deploy;
mod drain;
mod escapes;
mod fidelity;
mod filters;
mod frames;
mod help;
mod house;
mod keys;
mod kill;
mod licences;
mod listen_command;
mod long_and_slow;
mod no_room;
mod oauth;
mod own_and_others;
mod own_keys;
mod providers_in_code;
mod readme;
mod resign;
mod resume;
mod routes;
mod schemes_command;
mod signatures;
mod startup;
mod tls;
mod tokens;
mod trigger;
mod turned_away;
mod two_sides;
mod verify_command;
