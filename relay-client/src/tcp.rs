//! TCP to the first of several addresses that answers: attempts start one after the other and overlap
//! (RFC 8305), so that an address that swallows packets does not hide one that works.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time;

/// How long an attempt has before the next address is tried beside it (RFC 8305 §5 recommends this value).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The most addresses that are tried; names with more are not names of one machine.
const MAX_ADDRESSES: usize = 16;

/// Connects to the first address that answers, without Nagle's delay.
///
/// # Errors
/// The error of the address that failed last, when none answers. There is no time limit in here.
pub async fn connect_any(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut waiting = addresses.iter().copied().take(MAX_ADDRESSES);
    let mut running = FuturesUnordered::new();
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    if let Some(address) = waiting.next() {
        running.push(TcpStream::connect(address));
    }
    loop {
        let delay = time::sleep(ATTEMPT_DELAY);
        tokio::select! {
            biased;
            ended = running.next() => match ended {
                Some(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Some(Err(error)) => {
                    last_error = error;
                    running.extend(waiting.next().map(TcpStream::connect));
                }
                None => return Err(last_error),
            },
            () = delay, if waiting.len() > 0 => {
                running.extend(waiting.next().map(TcpStream::connect));
            }
        }
    }
}

/// The addresses with IPv6 and IPv4 taking turns, the first one's family first (RFC 8305 §4).
pub fn interleave_families(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first_is_ipv6) = addresses.first().map(SocketAddr::is_ipv6) else {
        return addresses;
    };
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_ipv6);
    let mut second = second.into_iter();
    let mut mixed = Vec::new();
    for address in first {
        mixed.push(address);
        mixed.extend(second.next());
    }
    mixed.extend(second);
    mixed
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_address_that_refuses_gives_way_to_the_next() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refusing = closed.local_addr().unwrap();
        drop(closed);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();

        let stream = connect_any(&[refusing, open]).await.unwrap();

        assert_eq!(stream.peer_addr().unwrap(), open);
    }

    #[tokio::test]
    async fn the_last_error_is_told_when_no_address_answers() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refusing = closed.local_addr().unwrap();
        drop(closed);

        let refused = connect_any(&[refusing]).await.unwrap_err();
        let nowhere = connect_any(&[]).await.unwrap_err();

        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(nowhere.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn families_take_turns() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (a, b, c) = (
            address("[::1]:1"),
            address("[::2]:1"),
            address("127.0.0.1:1"),
        );

        assert_eq!(interleave_families(vec![a, b, c]), [a, c, b]);
        assert_eq!(interleave_families(vec![c, a, b]), [c, a, b]);
    }
}
