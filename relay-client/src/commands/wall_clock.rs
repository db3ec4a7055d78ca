//! The one place where commands ask what time it is.

use std::time::SystemTime;

use towline_shared::time::Timestamp;

/// Now.
pub(super) fn now() -> Timestamp {
    SystemTime::now().into()
}
