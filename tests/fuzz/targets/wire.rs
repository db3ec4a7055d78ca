//! The wire: any message is a frame or an error, and a frame that was read is written as one that reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use towline_shared::wire::{FromClient, FromRelay};

fuzz_target!(|message: &[u8]| {
    let message = message.to_vec().into();
    if let Ok(frame) = FromClient::decode(&message) {
        let again = FromClient::decode(&frame.encode());
        assert_eq!(again.expect("what was written reads back"), frame);
    }
    if let Ok(frame) = FromRelay::decode(&message) {
        let again = FromRelay::decode(&frame.encode());
        assert_eq!(again.expect("what was written reads back"), frame);
    }
});
