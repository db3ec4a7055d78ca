//! The verification engine from outside: vectors, signing, robustness.
//! `TOWLINE_VECTORS=FOLDER` runs the vectors of another folder of the same form.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

mod case;
mod effort;
mod facts;
mod repeats;
mod robustness;
mod oracle;
mod own_keys;
mod rules;
mod signing;
mod vectors;
