//! Reads path, query and body of a request into types; what cannot be read is refused by name.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

use towline_shared::filter::Filter;

use super::refusal::Refusal;

/// The longest JSON body: an endpoint with a scheme file and sixteen long secrets fits.
const LONGEST_JSON: usize = 1024 * 1024;

/// The longest JSON body with a body of a webhook in it: 10 MiB in base64, and what stands beside it.
const LONGEST_LONG_JSON: usize = 14 * 1024 * 1024;

/// The one variable segment of a path.
pub(super) struct Segment<T>(pub(super) T);

/// The two variable segments of a path.
pub(super) struct Segments<A, B>(pub(super) A, pub(super) B);

/// The query.
pub(super) struct Asked<T>(pub(super) T);

/// A JSON body, read or to be sent.
pub(super) struct Json<T>(pub(super) T);

/// A JSON body that may carry the body of a webhook in base64.
pub(super) struct LongJson<T>(pub(super) T);

impl<S, T> FromRequestParts<S> for Segment<T>
where
    S: Send + Sync,
    T: FromStr<Err: Display>,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(text) = path.map_err(|error| Refusal::Malformed(error.body_text()))?;
        Ok(Self(segment(&text)?))
    }
}

impl<S, A, B> FromRequestParts<S> for Segments<A, B>
where
    S: Send + Sync,
    A: FromStr<Err: Display>,
    B: FromStr<Err: Display>,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((first, second)) = path.map_err(|error| Refusal::Malformed(error.body_text()))?;
        Ok(Self(segment(&first)?, segment(&second)?))
    }
}

fn segment<T: FromStr<Err: Display>>(text: &str) -> Result<T, Refusal> {
    let refuse = |error: T::Err| Refusal::Malformed(format!("path: {error}"));
    text.parse().map_err(refuse)
}

impl<S, T> FromRequestParts<S> for Asked<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        let Query(asked) = query.map_err(|error| Refusal::Malformed(error.body_text()))?;
        Ok(Self(asked))
    }
}

impl<S, T> FromRequest<S> for Json<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        read_json(request, LONGEST_JSON).await.map(Self)
    }
}

impl<S, T> FromRequest<S> for LongJson<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        read_json(request, LONGEST_LONG_JSON).await.map(Self)
    }
}

async fn read_json<T: DeserializeOwned>(request: Request, most: usize) -> Result<T, Refusal> {
    if !is_json(request.headers()) {
        return Err(Refusal::MediaType);
    }
    let body = read_body(request, most).await?;
    serde_json::from_slice(&body).map_err(|error| {
        let words = error.to_string();
        match error.classify() {
            serde_json::error::Category::Data => Refusal::invalid("body", words),
            _ => Refusal::Malformed(format!("body is not JSON: {words}")),
        }
    })
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<T: Serialize> Json<T> {
    /// The answer with which something new is shown.
    pub(super) fn created(self) -> Response {
        (StatusCode::CREATED, self).into_response()
    }
}

/// Reads a filter; a refusal points at the place of the mistake.
pub(super) fn filter(text: Option<&str>) -> Result<Option<Filter>, Refusal> {
    let read = text.map(Filter::parse).transpose();
    read.map_err(|error| Refusal::invalid("filter", format!("{error}\n{}", error.pointed())))
}

/// Reads a body of at most `most` bytes.
pub(super) async fn read_body(request: Request, most: usize) -> Result<Bytes, Refusal> {
    let body = Limited::new(request.into_body(), most).collect().await;
    let body = body.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Refusal::TooLong { most }
        } else {
            Refusal::Malformed("body could not be read to its end".to_owned())
        }
    })?;
    Ok(body.to_bytes())
}

/// `application/json` or a type that ends in `+json`, parameters aside.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return false;
    };
    let essence = value.as_bytes().split(|&byte| byte == b';').next();
    let essence = essence
        .unwrap_or_default()
        .trim_ascii()
        .to_ascii_lowercase();
    essence == b"application/json" || essence.ends_with(b"+json")
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::HeaderValue;

    use super::*;

    #[test]
    fn json_is_known_by_its_type() {
        for (value, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/vnd.x+json", true),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            assert_eq!(is_json(&headers), expected, "{value}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn a_body_at_the_limit_is_read_and_one_byte_more_is_not() {
        let request = |length: usize| Request::new(Body::from(vec![0; length]));

        assert!(read_body(request(100), 100).await.is_ok());
        let refusal = read_body(request(101), 100).await.unwrap_err();

        assert!(matches!(refusal, Refusal::TooLong { most: 100 }));
    }

    #[tokio::test]
    async fn a_wrong_value_is_invalid_and_broken_json_is_malformed() {
        assert!(matches!(
            read("{\"a\":1}").await,
            Err(Refusal::Invalid { .. })
        ));
        assert!(matches!(read("3 4").await, Err(Refusal::Malformed(_))));
        assert!(matches!(read("3").await, Ok(Json(3))));
    }

    async fn read(body: &'static str) -> Result<Json<u8>, Refusal> {
        let mut request = Request::new(Body::from(body));
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
        Json::from_request(request, &()).await
    }
}
