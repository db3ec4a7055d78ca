//! Reads a file, or stdin for `-`, up to a bound.

use std::io::Read;
use std::path::Path;

use super::Failure;

/// All bytes of a place; `what` names them in errors.
///
/// # Errors
/// When it cannot be read or has more than `most` bytes.
pub(super) fn read(place: &str, what: &str, most: u64) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::invalid(format!("could not read the {what} from `{place}`")).because(error)
    };
    let reader: Box<dyn Read> = if place == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(Path::new(place)).map_err(unreadable)?)
    };
    let mut bytes = Vec::new();
    reader
        .take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > most {
        let message = format!("`{place}` has more than {most} bytes: too long for the {what}");
        return Err(Failure::invalid(message));
    }
    Ok(bytes)
}
