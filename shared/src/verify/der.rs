//! As much of DER (X.690) as it takes to find the public key in a `SubjectPublicKeyInfo` or an X.509 certificate,
//! and where the issuer of a certificate is published.

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// The explicit version field of a certificate.
const CONTEXT_0: u8 = 0xa0;
/// The explicit extensions of a certificate.
const CONTEXT_3: u8 = 0xa3;
/// A URI as a general name.
const URI_NAME: u8 = 0x86;
const BOOLEAN: u8 = 0x01;

/// `id-pe-authorityInfoAccess` and `id-ad-caIssuers` (RFC 5280 §4.2.2.1).
const AUTHORITY_INFO_ACCESS: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01];
const CA_ISSUERS: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02];

/// The algorithm and key of a `SubjectPublicKeyInfo` (RFC 5280 §4.1).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PublicKeyInfo<'d> {
    pub(super) algorithm: &'d [u8],
    /// The named curve, for elliptic curves.
    pub(super) parameters: Option<&'d [u8]>,
    pub(super) key: &'d [u8],
}

/// Elements that follow each other.
struct Elements<'d>(&'d [u8]);

/// Reads a `SubjectPublicKeyInfo`.
pub(super) fn public_key_info(der: &[u8]) -> Option<PublicKeyInfo<'_>> {
    let mut info = Elements(only_sequence(der)?);
    let mut algorithm = Elements(info.next(SEQUENCE)?);
    let [0, key @ ..] = info.next(BIT_STRING)? else {
        return None;
    };
    Some(PublicKeyInfo {
        algorithm: algorithm.next(OBJECT_IDENTIFIER)?,
        parameters: algorithm.next(OBJECT_IDENTIFIER),
        key,
    })
}

/// The `SubjectPublicKeyInfo` inside an X.509 certificate, whose own signature is not checked.
pub(super) fn certificate_key_info(der: &[u8]) -> Option<PublicKeyInfo<'_>> {
    let fields = fields_from_key_info(der)?;
    let (info, _) = element(fields.0, SEQUENCE)?;
    public_key_info(&fields.0[..info.end])
}

/// The URLs at which an X.509 certificate says that its issuer's certificate is.
pub(super) fn issuer_urls(der: &[u8]) -> Vec<&str> {
    let access = extension(der, AUTHORITY_INFO_ACCESS).and_then(only_sequence);
    let mut descriptions = Elements(access.unwrap_or_default());
    let mut urls = Vec::new();
    while let Some(description) = descriptions.next(SEQUENCE) {
        let mut description = Elements(description);
        let method = description.next(OBJECT_IDENTIFIER);
        let place = description.next(URI_NAME);
        if let (Some(CA_ISSUERS), Some(place)) = (method, place) {
            urls.extend(std::str::from_utf8(place));
        }
    }
    urls
}

/// The value of an extension of an X.509 certificate.
fn extension<'d>(der: &'d [u8], id: &[u8]) -> Option<&'d [u8]> {
    let mut fields = fields_from_key_info(der)?;
    fields.next(SEQUENCE)?;
    // Unique identifiers would stand between; nobody has written them for decades.
    let mut extensions = Elements(only_sequence(fields.next(CONTEXT_3)?)?);
    while let Some(extension) = extensions.next(SEQUENCE) {
        let mut extension = Elements(extension);
        let found = extension.next(OBJECT_IDENTIFIER)?;
        let _is_critical = extension.next(BOOLEAN);
        if found == id {
            return extension.next(OCTET_STRING);
        }
    }
    None
}

/// The fields of an X.509 certificate, from the public key on.
fn fields_from_key_info(der: &[u8]) -> Option<Elements<'_>> {
    let mut certificate = Elements(only_sequence(der)?);
    let mut fields = Elements(certificate.next(SEQUENCE)?);
    let _version = fields.next(CONTEXT_0);
    let _serial = fields.next(INTEGER)?;
    for _algorithm_issuer_validity_subject in 0..4 {
        fields.next(SEQUENCE)?;
    }
    Some(fields)
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017 §A.1.1), without leading zeros.
pub(super) fn rsa_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut numbers = Elements(only_sequence(der)?);
    Some((
        without_leading_zeros(numbers.next(INTEGER)?),
        without_leading_zeros(numbers.next(INTEGER)?),
    ))
}

/// The digits of a big-endian number that count.
pub(super) fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    &number[zeros..]
}

impl<'d> Elements<'d> {
    /// The content of the next element, when it has this tag.
    fn next(&mut self, tag: u8) -> Option<&'d [u8]> {
        let (content, rest) = element(self.0, tag)?;
        let bytes = &self.0[content];
        self.0 = rest;
        Some(bytes)
    }
}

fn only_sequence(der: &[u8]) -> Option<&[u8]> {
    let (content, rest) = element(der, SEQUENCE)?;
    rest.is_empty().then(|| &der[content])
}

/// Where the content of the first element lies, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(std::ops::Range<usize>, &[u8])> {
    if *der.first()? != tag {
        return None;
    }
    let first = usize::from(*der.get(1)?);
    let (length, start) = if first < 0x80 {
        (first, 2)
    } else {
        let count = first - 0x80;
        let is_readable = (1..=4).contains(&count);
        let digits = is_readable.then(|| der.get(2..2 + count))??;
        let length = digits
            .iter()
            .fold(0_usize, |sum, &byte| (sum << 8) | usize::from(byte));
        (length, 2 + count)
    };
    let end = start.checked_add(length)?;
    Some((start..end, der.get(end..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_info_gives_its_algorithm_and_key() {
        let der = [
            0x30, 0x0a, 0x30, 0x04, 0x06, 0x02, 0x2b, 0x65, 0x03, 0x02, 0x00, 0x07,
        ];

        assert_eq!(
            public_key_info(&der),
            Some(PublicKeyInfo {
                algorithm: &[0x2b, 0x65],
                parameters: None,
                key: &[7],
            })
        );
        assert_eq!(public_key_info(&der[..11]), None);
    }

    proptest! {
        #[test]
        fn reading_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(first) = bytes.first_mut() {
                *first = SEQUENCE;
            }
            let _ = public_key_info(&bytes);
            let _ = certificate_key_info(&bytes);
            let _ = issuer_urls(&bytes);
            let _ = rsa_numbers(&bytes);
        }
    }
}
