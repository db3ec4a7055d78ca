//! The proxy between here and the relay: which one the environment names, and the way through it
//! (HTTP CONNECT or SOCKS 5). Never used for the target.

use std::future::{Ready, ready};
use std::io;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio::time;
use tower_service::Service;
use url::Host;

use super::{DialError, Place, STEP_TIMEOUT, Stream, connect, handshake, no_answer};

/// What the environment says about proxies; lower-case names win, as with curl.
#[derive(Clone, Default)]
pub(super) struct ProxyVariables {
    pub(super) http: String,
    pub(super) https: String,
    pub(super) all: String,
    pub(super) none: String,
}

impl ProxyVariables {
    pub(super) fn from_environment() -> Self {
        Self {
            http: variable(["http_proxy", "HTTP_PROXY"]),
            https: variable(["https_proxy", "HTTPS_PROXY"]),
            all: variable(["all_proxy", "ALL_PROXY"]),
            none: variable(["no_proxy", "NO_PROXY"]),
        }
    }

    /// The proxy for a place, if there is one.
    ///
    /// # Errors
    /// When a proxy is named that cannot be used: going round it silently would only fail later, or
    /// leak what was meant to pass it.
    pub(super) fn proxy_for(&self, place: &Place) -> Result<Option<Intercept>, DialError> {
        let (name, own) = match place.is_https {
            true => ("HTTPS_PROXY", &self.https),
            false => ("HTTP_PROXY", &self.http),
        };
        let (name, value) = match own.is_empty() {
            true => ("ALL_PROXY", &self.all),
            false => (name, own),
        };
        if value.is_empty() || place.is_loopback() {
            return Ok(None);
        }
        let wrong = || {
            DialError::new(
                "choosing the proxy",
                format!("{name} is not the address of a proxy, such as http://proxy.test:3128"),
            )
        };
        let destination = destination(place).ok_or_else(wrong)?;
        let proxy = Matcher::builder()
            .all(value.as_str())
            .build()
            .intercept(&destination)
            .ok_or_else(wrong)?;
        if proxy
            .uri()
            .scheme_str()
            .is_some_and(|scheme| scheme.starts_with("socks4"))
        {
            return Err(DialError::new(
                "choosing the proxy",
                format!("{name} names a SOCKS 4 proxy; http, https and socks5 are supported"),
            ));
        }
        let is_exempt = Matcher::builder()
            .all(value.as_str())
            .no(self.none.as_str())
            .build()
            .intercept(&destination)
            .is_none();
        Ok((!is_exempt).then_some(proxy))
    }
}

/// The first variable that is set and not empty.
fn variable(names: [&str; 2]) -> String {
    let set = names.iter().filter_map(|name| std::env::var(name).ok());
    set.map(|value| value.trim().to_owned())
        .find(|value| !value.is_empty())
        .unwrap_or_default()
}

/// The place as the address that is asked for at the proxy; its port always stands in it.
fn destination(place: &Place) -> Option<Uri> {
    let scheme = if place.is_https { "https" } else { "http" };
    format!("{scheme}://{}/", place.authority()).parse().ok()
}

/// Connects to the proxy and through it to the place.
pub(super) async fn connect_through(
    proxy: &Intercept,
    place: &Place,
) -> Result<Box<dyn Stream>, DialError> {
    let proxy_place = place_of_proxy(proxy)?;
    let step = || {
        format!(
            "the proxy {} on the way to {}",
            proxy_place.authority(),
            place.authority()
        )
    };
    let tcp = connect(&proxy_place)
        .await
        .map_err(|error| DialError::new(step(), error))?;
    let stream: Box<dyn Stream> = match proxy_place.is_https {
        true => handshake(Box::new(tcp), &proxy_place, None).await?,
        false => Box::new(tcp),
    };
    let destination = destination(place)
        .ok_or_else(|| DialError::new(step(), "the relay's address does not fit a proxy"))?;
    let through = time::timeout(STEP_TIMEOUT, open(proxy, stream, destination));
    through
        .await
        .map_err(|_| DialError::new(step(), no_answer()))?
        .map_err(|detail| DialError::new(step(), detail))
}

async fn open(
    proxy: &Intercept,
    stream: Box<dyn Stream>,
    destination: Uri,
) -> Result<Box<dyn Stream>, String> {
    let connected = Connected(Some(TokioIo::new(stream)));
    let stream = if proxy
        .uri()
        .scheme_str()
        .is_some_and(|scheme| scheme.starts_with("socks5"))
    {
        let mut socks = SocksV5::new(proxy.uri().clone(), connected);
        if let Some((user, password)) = proxy.raw_auth() {
            socks = socks.with_auth(user.to_owned(), password.to_owned());
        }
        socks
            .call(destination)
            .await
            .map_err(|error| error.to_string())?
    } else {
        let mut tunnel = Tunnel::new(proxy.uri().clone(), connected);
        if let Some(credentials) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        tunnel
            .call(destination)
            .await
            .map_err(|error| error.to_string())?
    };
    Ok(stream.into_inner())
}

fn place_of_proxy(proxy: &Intercept) -> Result<Place, DialError> {
    let uri = proxy.uri();
    let wrong = |detail: String| DialError::new(format!("the proxy {uri}"), detail);
    let host = uri.host().ok_or_else(|| wrong("it names no host".into()))?;
    let scheme_port = match uri.scheme_str() {
        Some("https") => 443,
        Some("http") | None => 80,
        Some(_) => 1080,
    };
    Ok(Place {
        is_https: uri.scheme_str() == Some("https"),
        host: Host::parse(host).map_err(|error| wrong(error.to_string()))?,
        port: uri.port_u16().unwrap_or(scheme_port),
    })
}

/// A connection that is already there, in the form in which hyper-util's proxies ask for one.
struct Connected(Option<TokioIo<Box<dyn Stream>>>);

impl Service<Uri> for Connected {
    type Response = TokioIo<Box<dyn Stream>>;
    type Error = io::Error;
    type Future = Ready<Result<Self::Response, io::Error>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _proxy: Uri) -> Self::Future {
        ready(
            self.0
                .take()
                .ok_or_else(|| io::Error::other("the connection was taken before")),
        )
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::dial::{RelayAddress, dial_through};

    fn place(url: &str) -> Place {
        Place::of(&url.parse().unwrap()).unwrap()
    }

    fn variables(https: &str, none: &str) -> ProxyVariables {
        ProxyVariables {
            https: https.into(),
            none: none.into(),
            ..ProxyVariables::default()
        }
    }

    fn chosen(variables: &ProxyVariables, url: &str) -> Option<String> {
        let proxy = variables.proxy_for(&place(url)).unwrap();
        proxy.map(|proxy| proxy.uri().to_string())
    }

    #[test]
    fn each_scheme_has_its_variable_and_all_proxy_serves_both() {
        let own = variables("http://proxy.test:3128", "");
        let all = ProxyVariables {
            all: "socks5://proxy.test".into(),
            ..ProxyVariables::default()
        };

        assert_eq!(
            chosen(&own, "https://relay.test").as_deref(),
            Some("http://proxy.test:3128/")
        );
        assert_eq!(chosen(&own, "http://relay.test"), None);
        assert_eq!(
            chosen(&all, "http://relay.test").as_deref(),
            Some("socks5://proxy.test/")
        );
    }

    #[test]
    fn no_proxy_and_this_machine_are_exempt() {
        let proxies = variables("http://proxy.test:3128", "relay.test, 10.0.0.0/8");

        for exempt in [
            "https://relay.test",
            "https://eu.relay.test",
            "https://10.1.2.3",
            "https://localhost",
            "https://[::1]",
        ] {
            assert_eq!(chosen(&proxies, exempt), None, "{exempt}");
        }
        assert!(chosen(&proxies, "https://otherrelay.test").is_some());
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_that_names_the_variable() {
        for bad in ["ftp://proxy.test", "socks4://proxy.test", "http://"] {
            let error = variables(bad, "")
                .proxy_for(&place("https://relay.test"))
                .unwrap_err();

            assert!(error.to_string().contains("HTTPS_PROXY"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_tunnel_is_asked_for_with_credentials_and_then_carries_the_bytes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://user:p%40ss@{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let mut heard = [0; 5];
            stream.read_exact(&mut heard).await.unwrap();
            (request, heard)
        });

        let mut stream = dial("http://relay.test", &proxy).await.unwrap();
        stream.write_all(b"hello").await.unwrap();

        let (request, heard) = server.await.unwrap();
        assert!(
            request.starts_with("CONNECT relay.test:80 HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(
            request.contains("Proxy-Authorization: Basic dXNlcjpwQHNz\r\n"),
            "{request}"
        );
        assert_eq!(&heard, b"hello");
    }

    #[tokio::test]
    async fn a_proxy_that_wants_credentials_is_named_and_the_given_ones_are_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://user:hunter2@{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 407 No\r\n\r\n").await.unwrap();
        });

        let Err(error) = dial("http://relay.test", &proxy).await else {
            panic!("it connected");
        };

        let message = error.to_string();
        assert!(message.contains("the proxy 127.0.0.1:"), "{message}");
        assert!(message.contains("authorization required"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_socks_proxy_is_given_the_name_to_look_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("socks5h://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut greeting = [0; 3];
            stream.read_exact(&mut greeting).await.unwrap();
            stream.write_all(&[5, 0]).await.unwrap();
            let mut request = vec![0; 4 + 1 + 10 + 2];
            stream.read_exact(&mut request).await.unwrap();
            stream
                .write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
                .await
                .unwrap();
            request
        });

        dial("http://relay.test", &proxy).await.unwrap();

        assert_eq!(
            server.await.unwrap(),
            b"\x05\x01\x00\x03\x0arelay.test\x00\x50"
        );
    }

    async fn dial(url: &str, proxy: &str) -> Result<Box<dyn Stream>, DialError> {
        let relay = RelayAddress {
            url: url.parse().unwrap(),
            ca_file: None,
        };
        let variables = ProxyVariables {
            all: proxy.into(),
            ..ProxyVariables::default()
        };
        dial_through(&relay, &variables).await
    }

    async fn read_head(stream: &mut tokio::net::TcpStream) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }
}
