//! The demo's providers: they sign on their own, without the engine that checks them, and speak HTTP over a plain
//! socket, so that every byte that is sent is known.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use towline_shared::head::ReplyHead;
use towline_shared::time::Timestamp;

/// How long the relay may take for an answer.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// The longest answer that is read; the relay's is far shorter.
const MOST_ANSWER_BYTES: u64 = 64 * 1024;

/// HMAC-SHA256.
pub(super) fn hmac_sha256(key: &str, message: &[u8]) -> Vec<u8> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// HMAC-SHA256 in lower-case hex.
pub(super) fn hex_sha256(key: &str, message: &[u8]) -> String {
    HEXLOWER.encode(&hmac_sha256(key, message))
}

/// HMAC-SHA256 in base64.
pub(super) fn base64_sha256(key: &str, message: &[u8]) -> String {
    BASE64.encode(&hmac_sha256(key, message))
}

/// HMAC-SHA1 in lower-case hex.
pub(super) fn hex_sha1(key: &str, message: &[u8]) -> String {
    let mut mac =
        Hmac::<Sha1>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(message);
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

/// The value of `Authorization` for `USER:PASSWORD`.
pub(super) fn basic(credentials: &str) -> String {
    format!("Basic {}", BASE64.encode(credentials.as_bytes()))
}

/// A JWT by HS256 that is valid for five minutes.
pub(super) fn jwt(key: &str, now: Timestamp) -> String {
    let issued = now.as_seconds();
    let claims = format!(
        r#"{{"iss":"extole","iat":{issued},"exp":{}}}"#,
        issued + 300
    );
    let part = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let signed = format!(
        "{}.{}",
        part(r#"{"alg":"HS256","typ":"JWT"}"#),
        part(&claims)
    );
    let signature = BASE64URL_NOPAD.encode(&hmac_sha256(key, signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// The time as Benji writes it (RFC 9110 §5.6.7).
pub(super) fn imf_fixdate(now: Timestamp) -> String {
    let time = jiff::Timestamp::from_second(now.as_seconds()).unwrap_or_default();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// An answer of the relay.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Writes a request as it is and reads the answer.
pub(super) async fn send(relay: SocketAddr, head: &[u8], body: &[u8]) -> anyhow::Result<Answer> {
    let exchange = async {
        let mut stream = TcpStream::connect(relay)
            .await
            .context("could not connect to the relay")?;
        stream
            .write_all(&[head, body].concat())
            .await
            .context("could not send to the relay")?;
        read(stream).await
    };
    timeout(ANSWER_TIME, exchange)
        .await
        .context("the relay did not answer in time")?
}

async fn read(mut stream: TcpStream) -> anyhow::Result<Answer> {
    let mut bytes = Vec::new();
    loop {
        if let Some(answer) = whole_answer(&bytes)? {
            return Ok(answer);
        }
        if bytes.len() as u64 > MOST_ANSWER_BYTES {
            bail!("the relay's answer has more than {MOST_ANSWER_BYTES} bytes");
        }
        if stream
            .read_buf(&mut bytes)
            .await
            .context("could not read the relay's answer")?
            == 0
        {
            bail!("the relay closed the connection before its answer was whole");
        }
    }
}

fn whole_answer(bytes: &[u8]) -> anyhow::Result<Option<Answer>> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head =
        ReplyHead::parse(bytes[..end + 4].to_vec()).context("could not read the relay's answer")?;
    let length = head.values("content-length").next();
    let length: usize = length
        .and_then(|value| std::str::from_utf8(value).ok()?.parse().ok())
        .context("the relay's answer has no length")?;
    let body = bytes[end + 4..].get(..length);
    Ok(body.map(|body| Answer {
        status: head.status(),
        body: body.to_vec(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_that_others_computed() {
        // RFC 4231, test case 2.
        assert_eq!(
            hex_sha256("Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        // RFC 2202, test case 2.
        assert_eq!(
            hex_sha1("Jefe", b"what do ya want for nothing?"),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
        );
        // RFC 7617 §2.
        assert_eq!(
            basic("Aladdin:open sesame"),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
    }

    #[test]
    fn a_date_has_the_form_of_http() {
        assert_eq!(
            imf_fixdate(Timestamp::from_millis(784_111_777_000)),
            "Sun, 06 Nov 1994 08:49:37 GMT"
        );
    }

    #[test]
    fn an_answer_is_read_when_it_is_whole() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

        assert!(whole_answer(&text[..text.len() - 1]).unwrap().is_none());
        assert_eq!(whole_answer(text).unwrap().unwrap().body, b"ok");
    }
}
