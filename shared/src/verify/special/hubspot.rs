//! HubSpot's reading of the URL: some percent escapes are decoded before it is signed, others are not.

/// The URL with those escapes decoded.
pub(in crate::verify) fn hubspot_uri(url: &[u8]) -> Vec<u8> {
    const DECODED: &[u8] = b":/?@!$'()*,;";
    let mut output = Vec::with_capacity(url.len());
    let mut rest = url;
    while let [first, tail @ ..] = rest {
        let escape = tail.get(..2).filter(|_| *first == b'%');
        let byte = escape.and_then(|digits| data_encoding::HEXLOWER_PERMISSIVE.decode(digits).ok());
        match byte.as_deref() {
            Some([byte]) if DECODED.contains(byte) => {
                output.push(*byte);
                rest = &tail[2..];
            }
            _ => {
                output.push(*first);
                rest = tail;
            }
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_escapes_are_decoded() {
        assert_eq!(hubspot_uri(b"/a%3Ab%20c%2f%zz%"), b"/a:b%20c/%zz%");
    }
}
