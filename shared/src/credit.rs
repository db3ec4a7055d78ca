//! Flow control of the wire in bytes: how much a sender may send, and when a receiver gives more.
//! Counts the payload of `data` frames only; what a frame carries inline is bounded by the window.

/// Credit that every stream starts with.
pub const STREAM_CREDIT: u64 = 256 * 1024;

/// Credit that a connection starts with, for all its streams together.
pub const CONNECTION_CREDIT: u64 = 4 * 1024 * 1024;

/// More than was allowed was taken or granted; the peer breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("credit of {limit} bytes was exceeded")]
pub struct CreditExceeded {
    /// The credit that the stream or connection works with.
    pub limit: u64,
}

/// The sending side: what may still be sent.
#[derive(Clone, Debug)]
pub struct SendCredit {
    limit: u64,
    available: u64,
}

impl SendCredit {
    /// Starts with the whole `limit` available.
    pub const fn new(limit: u64) -> Self {
        Self {
            limit,
            available: limit,
        }
    }

    /// How many bytes may be sent at once.
    pub const fn available(&self) -> u64 {
        self.available
    }

    /// Uses credit for bytes that are sent; at most [`SendCredit::available`].
    pub const fn take(&mut self, bytes: u64) {
        self.available = self.available.saturating_sub(bytes);
    }

    /// Adds what the receiver granted.
    ///
    /// # Errors
    /// When the receiver grants more than was ever used.
    pub fn grant(&mut self, bytes: u64) -> Result<(), CreditExceeded> {
        let available = self
            .available
            .checked_add(bytes)
            .filter(|&sum| sum <= self.limit);
        self.available = available.ok_or(CreditExceeded { limit: self.limit })?;
        Ok(())
    }
}

/// The receiving side: what the sender may still send, and what was consumed but not granted again.
#[derive(Clone, Debug)]
pub struct ReceiveCredit {
    limit: u64,
    outstanding: u64,
    consumed: u64,
}

impl ReceiveCredit {
    /// Starts with the whole `limit` granted.
    pub const fn new(limit: u64) -> Self {
        Self {
            limit,
            outstanding: limit,
            consumed: 0,
        }
    }

    /// Counts bytes that arrived.
    ///
    /// # Errors
    /// When the sender sent more than it was granted.
    pub fn receive(&mut self, bytes: u64) -> Result<(), CreditExceeded> {
        let outstanding = self.outstanding.checked_sub(bytes);
        self.outstanding = outstanding.ok_or(CreditExceeded { limit: self.limit })?;
        Ok(())
    }

    /// Counts bytes that were passed on, and returns what to grant now: nothing until half of the
    /// limit is free, so that credit frames stay rare.
    pub fn consume(&mut self, bytes: u64) -> Option<u64> {
        self.consumed += bytes;
        if self.consumed < self.limit / 2 {
            return None;
        }
        let grant = std::mem::take(&mut self.consumed);
        self.outstanding += grant;
        Some(grant)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_grant_above_the_limit_is_refused() {
        let mut credit = SendCredit::new(100);
        credit.take(10);

        assert!(credit.grant(10).is_ok());
        assert_eq!(credit.grant(1), Err(CreditExceeded { limit: 100 }));
    }

    #[test]
    fn one_byte_more_than_granted_is_refused() {
        let mut credit = ReceiveCredit::new(100);

        assert!(credit.receive(100).is_ok());
        assert!(credit.receive(1).is_err());
    }

    proptest! {
        #[test]
        fn an_honest_pair_never_breaks_the_rule_and_never_stalls(chunks in proptest::collection::vec(1_u64..70_000, 1..200)) {
            let mut sender = SendCredit::new(STREAM_CREDIT);
            let mut receiver = ReceiveCredit::new(STREAM_CREDIT);
            for wanted in chunks {
                let sent = wanted.min(sender.available());
                prop_assert!(sent > 0, "stalled");
                sender.take(sent);
                receiver.receive(sent).unwrap();
                if let Some(grant) = receiver.consume(sent) {
                    sender.grant(grant).unwrap();
                }
            }
        }
    }
}
