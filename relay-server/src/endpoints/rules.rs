//! The bounds of an endpoint's settings; each refusal names the setting.

use std::collections::BTreeMap;

use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use towline_shared::api::{Ack, EndpointLimits, Retention};

use super::EndpointError;
use crate::store::{EndpointSettings, NamedSecret, NewEndpoint};

/// Endpoints of one relay; all of them are in memory.
const MOST_ENDPOINTS: usize = 10_000;

/// Secrets of one endpoint: a failed check tries them all.
const MOST_SECRETS: usize = 16;

/// The longest secret: a key in PEM, or a set of keys.
const LONGEST_SECRET: usize = 64 * 1024;

/// Parameters of one endpoint, and the longest name and value.
const MOST_PARAMETERS: usize = 64;
const LONGEST_PARAMETER: usize = 4096;

/// The longest scheme file.
const LONGEST_SCHEME: usize = 64 * 1024;

/// The longest slug of a provider or name of a variant.
const LONGEST_SLUG: usize = 128;

/// The answer to the sender: fields, the longest of them, and the longest body.
const MOST_ACK_FIELDS: usize = 32;
const LONGEST_ACK_FIELD: usize = 4096;
const LONGEST_ACK_BODY: usize = 64 * 1024;

/// Fields that the relay writes itself when it frames an answer.
const FRAMING: [HeaderName; 5] = [
    CONNECTION,
    CONTENT_LENGTH,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

pub(super) fn check_new(new: &NewEndpoint) -> Result<(), EndpointError> {
    check_settings(&new.settings)?;
    check_number_of_secrets(new.secrets.len())?;
    for (place, secret) in new.secrets.iter().enumerate() {
        check_secret(secret)?;
        let is_same = |other: &NamedSecret| other.name == secret.name;
        if new.secrets[..place].iter().any(is_same) {
            let problem = format!("`{}` is there twice", secret.name);
            return Err(invalid("secrets", problem));
        }
    }
    Ok(())
}

pub(super) fn check_settings(settings: &EndpointSettings) -> Result<(), EndpointError> {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    for (field, text, most) in [
        ("provider", &settings.provider, LONGEST_SLUG),
        ("own_scheme", &settings.own_scheme, LONGEST_SCHEME),
        ("variant", &settings.variant, LONGEST_SLUG),
    ] {
        at_most(field, length(text), most, "bytes")?;
    }
    check_parameters(&settings.parameters)?;
    check_ack(&settings.ack)?;
    check_retention(settings.retention)?;
    check_limits(settings.limits)
}

/// A bound of zero would remove every event before anybody could read it.
fn check_retention(retention: Retention) -> Result<(), EndpointError> {
    for (field, bound) in [
        ("retention.max_age_seconds", retention.max_age_seconds),
        ("retention.max_events", retention.max_events),
        ("retention.max_bytes", retention.max_bytes),
    ] {
        check_not_zero(field, bound)?;
    }
    Ok(())
}

/// A limit of zero would refuse every request.
fn check_limits(limits: EndpointLimits) -> Result<(), EndpointError> {
    let events = limits.events_per_second.map(u64::from);
    let rejected = limits.rejected_per_minute.map(u64::from);
    check_not_zero("limits.events_per_second", events)?;
    check_not_zero("limits.bytes_per_second", limits.bytes_per_second)?;
    check_not_zero("limits.rejected_per_minute", rejected)
}

fn check_not_zero(field: &'static str, bound: Option<u64>) -> Result<(), EndpointError> {
    if bound == Some(0) {
        return Err(invalid(field, "0 is not 1 or more".to_owned()));
    }
    Ok(())
}

pub(super) fn check_secret(secret: &NamedSecret) -> Result<(), EndpointError> {
    let length = secret.secret.expose().len();
    if length == 0 || length > LONGEST_SECRET {
        let name = &secret.name;
        let problem = format!("`{name}` has {length} bytes, expected 1 to {LONGEST_SECRET}");
        return Err(invalid("secret", problem));
    }
    Ok(())
}

pub(super) fn check_number_of_secrets(number: usize) -> Result<(), EndpointError> {
    at_most("secrets", number, MOST_SECRETS, "of them")
}

pub(super) fn check_number_of_endpoints(before: usize) -> Result<(), EndpointError> {
    at_most("name", before + 1, MOST_ENDPOINTS, "endpoints in all")
}

fn check_parameters(parameters: &BTreeMap<String, String>) -> Result<(), EndpointError> {
    at_most("parameters", parameters.len(), MOST_PARAMETERS, "of them")?;
    for (name, value) in parameters {
        let longest = name.len().max(value.len());
        at_most("parameters", longest, LONGEST_PARAMETER, "bytes each")?;
    }
    Ok(())
}

fn check_ack(ack: &Ack) -> Result<(), EndpointError> {
    if !(200..=299).contains(&ack.status) {
        let problem = format!("{} is not a status from 200 to 299", ack.status);
        return Err(invalid("ack.status", problem));
    }
    at_most("ack.headers", ack.headers.len(), MOST_ACK_FIELDS, "of them")?;
    for (name, value) in &ack.headers {
        check_ack_field(name, value)?;
    }
    let length = ack.body.as_ref().map_or(0, String::len);
    if length > 0 && matches!(ack.status, 204 | 205) {
        let problem = format!("an answer with status {} has no body", ack.status);
        return Err(invalid("ack.body", problem));
    }
    at_most("ack.body", length, LONGEST_ACK_BODY, "bytes")
}

fn check_ack_field(name: &str, value: &str) -> Result<(), EndpointError> {
    at_most(
        "ack.headers",
        name.len().max(value.len()),
        LONGEST_ACK_FIELD,
        "bytes each",
    )?;
    let refuse = |why: &str| {
        let problem = format!("`{}` {why}", name.escape_default());
        Err(invalid("ack.headers", problem))
    };
    let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
        return refuse("is not a field name (RFC 9110 §5.1)");
    };
    if FRAMING.contains(&parsed) {
        return refuse("is written by the relay itself");
    }
    if HeaderValue::from_str(value).is_err() {
        return refuse("has a value with a control character or one that is not ASCII");
    }
    Ok(())
}

fn at_most(
    field: &'static str,
    number: usize,
    most: usize,
    unit: &str,
) -> Result<(), EndpointError> {
    if number > most {
        let problem = format!("{number} is more than {most} {unit}");
        return Err(invalid(field, problem));
    }
    Ok(())
}

fn invalid(field: &'static str, problem: String) -> EndpointError {
    EndpointError::Invalid { field, problem }
}

#[cfg(test)]
mod tests {
    use towline_shared::secret::Secret;
    use towline_shared::time::Timestamp;

    use super::*;

    #[test]
    fn an_ack_is_a_success() {
        for good in [200, 204, 299] {
            assert!(check_ack(&ack(good)).is_ok(), "{good}");
        }
        for bad in [199, 300, 0] {
            let error = check_ack(&ack(bad)).unwrap_err();
            assert!(error.to_string().starts_with("`ack.status`:"), "{error}");
        }
    }

    #[test]
    fn an_ack_cannot_smuggle_fields() {
        for (name, value) in [
            ("X-A", "1\r\nX-B: 2"),
            ("X A", "1"),
            ("", "1"),
            ("Content-Length", "0"),
            ("transfer-encoding", "chunked"),
        ] {
            let mut ack = ack(200);
            ack.headers = vec![(name.to_owned(), value.to_owned())];
            assert!(check_ack(&ack).is_err(), "{name}");
        }
    }

    #[test]
    fn one_field_or_byte_of_an_ack_too_many_is_refused() {
        let with_fields = |count| Ack {
            headers: vec![("X-A".to_owned(), "1".to_owned()); count],
            ..ack(200)
        };
        let with_body = |length| Ack {
            body: Some("x".repeat(length)),
            ..ack(200)
        };

        assert!(check_ack(&with_fields(MOST_ACK_FIELDS)).is_ok());
        assert!(check_ack(&with_fields(MOST_ACK_FIELDS + 1)).is_err());
        assert!(check_ack(&with_body(LONGEST_ACK_BODY)).is_ok());
        assert!(check_ack(&with_body(LONGEST_ACK_BODY + 1)).is_err());
    }

    #[test]
    fn a_retention_of_one_is_taken_and_one_of_nothing_is_not() {
        let events = |max_events| Retention {
            max_events: Some(max_events),
            ..Retention::default()
        };

        let error = check_retention(events(0)).unwrap_err();

        assert!(
            error.to_string().contains("retention.max_events"),
            "{error}"
        );
        assert!(check_retention(events(1)).is_ok());
    }

    #[test]
    fn a_secret_has_a_byte_at_least_and_64_kib_at_most() {
        assert!(check_secret(&secret(0)).is_err());
        assert!(check_secret(&secret(1)).is_ok());
        assert!(check_secret(&secret(LONGEST_SECRET)).is_ok());
        assert!(check_secret(&secret(LONGEST_SECRET + 1)).is_err());
    }

    #[test]
    fn numbers_at_the_bound_are_taken_and_one_more_is_not() {
        assert!(check_number_of_secrets(MOST_SECRETS).is_ok());
        assert!(check_number_of_secrets(MOST_SECRETS + 1).is_err());
        assert!(check_number_of_endpoints(MOST_ENDPOINTS - 1).is_ok());
        assert!(check_number_of_endpoints(MOST_ENDPOINTS).is_err());
        assert!(check_parameters(&parameters(MOST_PARAMETERS)).is_ok());
        assert!(check_parameters(&parameters(MOST_PARAMETERS + 1)).is_err());
    }

    #[test]
    fn a_text_at_its_bound_is_taken_and_one_byte_more_is_not() {
        let text = |length| Some("x".repeat(length));
        let provider = |length| EndpointSettings {
            provider: text(length),
            ..EndpointSettings::default()
        };
        let own_scheme = |length| EndpointSettings {
            own_scheme: text(length),
            ..EndpointSettings::default()
        };
        let variant = |length| EndpointSettings {
            variant: text(length),
            ..EndpointSettings::default()
        };

        for (field, at_most, of_length) in [
            (
                "provider",
                LONGEST_SLUG,
                &provider as &dyn Fn(usize) -> EndpointSettings,
            ),
            ("own_scheme", LONGEST_SCHEME, &own_scheme),
            ("variant", LONGEST_SLUG, &variant),
        ] {
            assert!(check_settings(&of_length(at_most)).is_ok(), "{field}");
            let error = check_settings(&of_length(at_most + 1)).unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("`{field}`:")),
                "{error}"
            );
        }
    }

    fn ack(status: u16) -> Ack {
        Ack {
            status,
            ..Ack::default()
        }
    }

    fn secret(length: usize) -> NamedSecret {
        NamedSecret {
            name: "live".parse().unwrap(),
            secret: Secret::new(vec![b'x'; length]),
            created_at: Timestamp::default(),
        }
    }

    fn parameters(number: usize) -> BTreeMap<String, String> {
        let pair = |number: usize| (number.to_string(), String::new());
        (0..number).map(pair).collect()
    }
}
