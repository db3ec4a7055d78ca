//! What the fuzz targets share: the test vectors as starting points, and requests built from bytes.

mod case;
mod request;

pub use case::{Case, Edit, cases};
pub use request::Asked;
