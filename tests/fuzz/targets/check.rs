//! Every provider: a test vector with a few edits, through check, handshake, facts, wanted keys and signing.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use towline_fuzz::{Case, Edit, cases};
use towline_shared::verify::Provider;

static CASES: LazyLock<Vec<Case>> = LazyLock::new(cases);

fuzz_target!(|input: (u16, Vec<Edit<'_>>)| {
    let (index, edits) = input;
    let case = &CASES[usize::from(index) % CASES.len()];
    let Some(provider) = Provider::builtin(&case.provider) else {
        return;
    };
    let mut asked = case.asked.clone();
    for edit in edits {
        edit.apply(&mut asked);
    }
    asked.of(&provider);
});
