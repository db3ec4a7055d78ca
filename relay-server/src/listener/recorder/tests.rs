//! What the recorder makes of whole connections, against httparse as a second reader.

use super::*;
