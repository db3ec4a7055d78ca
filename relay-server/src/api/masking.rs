//! The request target as lists and streams show it: without what equals a secret or a parameter of its endpoint, such
//! as a verify token. Lists are read over shoulders and copied into tickets; the kept bytes stay as they came.

use subtle::{Choice, ConstantTimeEq};

use crate::store::Endpoint;

/// What stands where a value was.
const MASK: &str = "[hidden]";

/// The target with the values of its query that nobody should read replaced.
pub(super) fn target(endpoint: &Endpoint, target: String) -> String {
    let Some((path, query)) = target.split_once('?') else {
        return target;
    };
    let shown = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) if is_private(endpoint, &decoded(value)) => format!("{name}={MASK}"),
        _ => pair.to_owned(),
    });
    format!("{path}?{}", shown.collect::<Vec<_>>().join("&"))
}

/// Compares with all of them and in constant time: whoever reads lists may send requests as well.
fn is_private(endpoint: &Endpoint, value: &[u8]) -> bool {
    let secrets = endpoint.secrets.iter().map(|named| named.secret.expose());
    let parameters = endpoint.settings.parameters.values().map(String::as_bytes);
    let known = secrets.chain(parameters).filter(|known| !known.is_empty());
    let found = known.fold(Choice::from(0), |found, known| found | known.ct_eq(value));
    found.into()
}

/// The bytes of a query's value; an escape that is none stands for itself.
fn decoded(value: &str) -> Vec<u8> {
    let mut output = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, others)) = rest.split_first() {
        rest = others;
        let escaped = match (first, others) {
            (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                output.push(high << 4 | low);
                rest = &others[2..];
            }
            None if first == b'+' => output.push(b' '),
            None => output.push(first),
        }
    }
    output
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use towline_shared::id::EndpointKey;
    use towline_shared::secret::Secret;
    use towline_shared::time::Timestamp;

    use super::*;
    use crate::store::{EndpointId, EndpointSettings, NamedSecret};

    #[test]
    fn values_that_equal_a_secret_or_a_parameter_are_not_shown() {
        let endpoint = endpoint();
        let shown = |query: &str| target(&endpoint, format!("/in/k?{query}"));

        for (query, expected) in [
            (
                "hub.verify_token=my+token&a=1",
                "hub.verify_token=[hidden]&a=1",
            ),
            ("a=1&t=my%20token", "a=1&t=[hidden]"),
            ("key=s3cret", "key=[hidden]"),
            ("key=S3cret&my+token", "key=S3cret&my+token"),
            ("a=&b=%&c=%zz", "a=&b=%&c=%zz"),
        ] {
            assert_eq!(shown(query), format!("/in/k?{expected}"));
        }
        assert_eq!(target(&endpoint, "/in/k".to_owned()), "/in/k");
    }

    fn endpoint() -> Endpoint {
        let parameters = [("verify_token", "my token"), ("empty", "")];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Endpoint {
            id: EndpointId(1),
            name: "orders".parse().unwrap(),
            key: EndpointKey::new([7; 20]),
            settings: EndpointSettings {
                provider: Some("meta".to_owned()),
                parameters: parameters.into(),
                max_body: 1000,
                ..EndpointSettings::default()
            },
            created_at: Timestamp::from_millis(1),
            secrets: vec![NamedSecret {
                name: "live".parse().unwrap(),
                secret: Secret::new("s3cret"),
                created_at: Timestamp::from_millis(1),
            }],
        }
    }
}
