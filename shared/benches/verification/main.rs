//! What a verification costs, and whether its time tells anything of a secret: `cargo bench -p towline-shared`.
//!
//! Times belong to the machine and its load; ratios to the bare HMAC hold elsewhere too. A statistical
//! check of time shows a leak or shows none: it proves nothing, and no test depends on it.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod cost;
mod request;
mod timing;

fn main() {
    // `cargo test --benches` and `cargo bench` both start this binary; only the latter wants figures.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    cost::run();
    timing::run();
}
