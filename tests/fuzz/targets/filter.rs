//! Filters of routes and searches: any text is a filter or a mistake with its place; a filter reads back as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use towline_shared::filter::Filter;

fuzz_target!(|text: &str| {
    match Filter::parse(text) {
        Ok(filter) => {
            let again = Filter::parse(filter.as_str());
            assert_eq!(
                again.expect("a filter reads back").as_str(),
                filter.as_str()
            );
        }
        Err(error) => {
            let _ = (error.message(), error.pointed());
        }
    }
    let _ = Filter::of_events(text);
});
