//! The reader of scheme files: any text gives a provider or a mistake with its place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use towline_fuzz::Asked;
use towline_shared::verify::Provider;

fuzz_target!(|text: &str| {
    match Provider::parse("own", text) {
        Ok(provider) => {
            let _ = provider.variants();
            let _ = provider.needs_secret(None);
            Asked::with_header("x-signature", b"a=1,b=2", b"secret", b"{}").of(&provider);
        }
        Err(error) => {
            assert!(!error.place.is_empty());
            assert!(!error.problem.is_empty());
        }
    }
});
