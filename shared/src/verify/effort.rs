//! What one check may cost. Body and signatures are a stranger's choice, so that the work on them has a bound of its own:
//! beyond it the check fails as `over_limit`, which no lone signature reaches with any number of secrets.

use std::cell::Cell;

use super::trouble::Failing;
use crate::verdict::Cause;

/// How often a check hashes or searches each byte of a body. The most expensive request that a provider makes is hashed
/// under each of 16 secrets in one of two forms, and its parts are looked for before: 25 MiB come to 1000 MiB at most.
pub(super) const MAX_READINGS: u64 = 40;

/// What a shorter body may cost: less than this is not worth refusing.
const LEAST_BODY_BYTES: u64 = 4 * 1024 * 1024;

/// The signatures that one check tries with public keys: 3 to 10 ms of one core. A provider signs with one key, and an
/// endpoint has at most 16.
pub(super) const MAX_PUBLIC_KEY_CHECKS: u32 = 64;

/// What a check may still cost.
pub(super) struct Effort {
    bytes_left: Cell<u64>,
    public_key_checks: Cell<u32>,
}

impl Effort {
    /// What the check of a body of this length may cost.
    pub(super) fn new(body_length: u64) -> Self {
        let body = body_length.max(LEAST_BODY_BYTES);
        Self {
            bytes_left: Cell::new(body.saturating_mul(MAX_READINGS)),
            public_key_checks: Cell::new(0),
        }
    }

    /// Counts bytes that are about to be hashed, or searched.
    pub(super) fn hash(&self, bytes: u64) -> Result<(), Failing> {
        let left = self.bytes_left.get().checked_sub(bytes).ok_or_else(|| {
            over(format!(
                "the body would have to be read more than {MAX_READINGS} times for the signatures that are there"
            ))
        })?;
        self.bytes_left.set(left);
        Ok(())
    }

    /// Counts a signature that is about to be tried with a public key.
    pub(super) fn check_public_key(&self, message: &[u8]) -> Result<(), Failing> {
        let number = self.public_key_checks.get();
        if number == MAX_PUBLIC_KEY_CHECKS {
            return Err(over(format!(
                "more than {MAX_PUBLIC_KEY_CHECKS} signatures would have to be tried with public keys"
            )));
        }
        self.public_key_checks.set(number + 1);
        self.hash(message.len() as u64)
    }
}

fn over(detail: String) -> Failing {
    Failing::new(Cause::OverLimit, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_up_to_the_bound_are_hashed_and_one_more_is_not() {
        let effort = Effort::new(25 << 20);

        effort.hash(1000 << 20).unwrap();
        let refused = effort.hash(1).unwrap_err();

        assert_eq!(refused.cause, Cause::OverLimit);
        assert!(Effort::new(0).hash(160 << 20).is_ok());
        assert!(Effort::new(0).hash((160 << 20) + 1).is_err());
    }

    #[test]
    fn public_keys_are_tried_up_to_the_bound_and_not_once_more() {
        let effort = Effort::new(1);

        for _ in 0..MAX_PUBLIC_KEY_CHECKS {
            effort.check_public_key(b"m").unwrap();
        }
        let refused = effort.check_public_key(b"m").unwrap_err();

        assert_eq!(refused.cause, Cause::OverLimit);
    }

    #[test]
    fn what_public_keys_read_counts_as_hashed() {
        let effort = Effort::new(1);
        effort.hash((160 << 20) - 1).unwrap();

        assert!(effort.check_public_key(b"m").is_ok());
        assert!(effort.check_public_key(b"m").is_err());
    }
}
