//! Heads of requests and replies: what is taken is kept byte for byte and can be read field by field.
#![no_main]

use libfuzzer_sys::fuzz_target;
use towline_shared::head::{Head, ReplyHead};
use towline_shared::hop;

fuzz_target!(|raw: &[u8]| {
    if let Ok(head) = Head::parse(raw.to_vec()) {
        assert_eq!(head.as_bytes(), raw);
        for field in head.fields() {
            assert!(!field.name.is_empty());
        }
        let _ = (head.method(), head.is_chunked());
        let _ = hop::endpoint_target(head.target());
    }
    if let Ok(reply) = ReplyHead::parse(raw.to_vec()) {
        let _ = reply.fields().count();
    }
});
