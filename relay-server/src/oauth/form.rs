//! Reads `application/x-www-form-urlencoded` text strictly, as bytes: a client's secret need not be text.

/// The text is not encoded as it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A decoded name and its value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// The decoded names and values in order; a pair without `=` has an empty value.
pub(super) fn pairs(text: &[u8]) -> Result<Vec<Pair>, Malformed> {
    let pairs = text.split(|&byte| byte == b'&');
    let pairs = pairs.filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let equals = pair.iter().position(|&byte| byte == b'=');
            let (name, value) = match equals {
                Some(place) => (&pair[..place], &pair[place + 1..]),
                None => (pair, &b""[..]),
            };
            Ok((decoded(name)?, decoded(value)?))
        })
        .collect()
}

/// One name or value, decoded.
pub(super) fn decoded(text: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                high * 16 + low
            }
            byte => byte,
        });
    }
    Ok(decoded)
}

fn digit(byte: Option<&u8>) -> Result<u8, Malformed> {
    match byte {
        Some(byte @ b'0'..=b'9') => Ok(byte - b'0'),
        Some(byte @ b'a'..=b'f') => Ok(byte - b'a' + 10),
        Some(byte @ b'A'..=b'F') => Ok(byte - b'A' + 10),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_values_are_decoded() {
        let found = pairs(b"a=1+2&&b&c=%41%c3%A9&d==&=e").unwrap();

        let expected = [("a", "1 2"), ("b", ""), ("c", "Aé"), ("d", "="), ("", "e")];
        let expected = expected.map(|(name, value)| (name.into(), value.into()));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_broken_escape_is_refused() {
        for text in ["a=%", "a=%4", "a=%4g", "%zz=1", "a=%-1"] {
            assert_eq!(pairs(text.as_bytes()), Err(Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(text: Vec<u8>) {
            let _ = pairs(&text);
        }

        #[test]
        fn escaped_bytes_come_back(bytes: Vec<u8>) {
            let escaped: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();

            prop_assert_eq!(decoded(escaped.as_bytes()), Ok(bytes));
        }
    }
}
