//! What one diagnosis may still cost, so that a flood of bad requests is no attack.

/// The most MACs that one diagnosis computes.
pub(super) const MAX_MACS: u32 = 64;

/// The most bytes that it reads for MACs and for changed bodies, so that it stays within 2 ms of one core.
pub(super) const MAX_BYTES: u64 = 1024 * 1024;

/// The most operations with a public key, the dearer ones counted twice: about 50 µs each.
pub(super) const MAX_PUBLIC_KEY_OPERATIONS: usize = 16;

/// What is left, and whether something was left out for want of it.
pub(super) struct Budget {
    pub(super) macs: u32,
    pub(super) bytes: u64,
    pub(super) public_key_operations: usize,
    pub(super) left_something_out: bool,
}

impl Budget {
    pub(super) const fn full() -> Self {
        Self {
            macs: MAX_MACS,
            bytes: MAX_BYTES,
            public_key_operations: MAX_PUBLIC_KEY_OPERATIONS,
            left_something_out: false,
        }
    }

    /// Takes one MAC of so many bytes; false when that is too much.
    pub(super) fn spend_mac(&mut self, bytes: u64) -> bool {
        if self.macs == 0 || !self.spend_bytes(bytes) {
            self.left_something_out = true;
            return false;
        }
        self.macs -= 1;
        true
    }

    /// Takes bytes that are read or written; false when that is too much.
    pub(super) fn spend_bytes(&mut self, bytes: u64) -> bool {
        let left = self.bytes.checked_sub(bytes);
        self.left_something_out |= left.is_none();
        self.bytes = left.unwrap_or(self.bytes);
        left.is_some()
    }

    /// Takes operations with a public key; false when that is too much.
    pub(super) fn spend_public_key_operations(&mut self, count: usize) -> bool {
        let left = self.public_key_operations.checked_sub(count);
        self.left_something_out |= left.is_none();
        self.public_key_operations = left.unwrap_or(self.public_key_operations);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_with_the_last_mac_byte_or_operation_and_tells() {
        let count = |spend: fn(&mut Budget) -> bool| {
            let mut budget = Budget::full();
            let count = (0..100).filter(|_| spend(&mut budget)).count();
            assert!(budget.left_something_out);
            count
        };

        assert_eq!(count(|budget| budget.spend_mac(1)), 64);
        assert_eq!(count(|budget| budget.spend_mac(MAX_BYTES / 4)), 4);
        assert_eq!(count(|budget| budget.spend_bytes(MAX_BYTES / 2)), 2);
        assert_eq!(count(|budget| budget.spend_public_key_operations(2)), 8);
        let mut budget = Budget::full();
        assert!(budget.spend_mac(MAX_BYTES) && !budget.left_something_out);
    }
}
