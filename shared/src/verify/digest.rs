//! Hashes and keyed hashes (HMAC, RFC 2104) that are fed piece by piece, and their comparison in constant time.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// A running hash or HMAC.
pub(super) enum Digester {
    Sha1(Sha1),
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
    HmacSha1(Hmac<Sha1>),
    HmacSha256(Hmac<Sha256>),
    HmacSha384(Hmac<Sha384>),
    HmacSha512(Hmac<Sha512>),
}

impl Hash {
    /// Its name in the scheme language.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "sha1" => Self::Sha1,
            "sha256" => Self::Sha256,
            "sha384" => Self::Sha384,
            "sha512" => Self::Sha512,
            _ => return None,
        })
    }

    /// Its name in words.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        }
    }

    /// The length of its result in bytes.
    pub(super) const fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Begins a plain hash.
    pub(super) fn begin(self) -> Digester {
        match self {
            Self::Sha1 => Digester::Sha1(Sha1::new()),
            Self::Sha256 => Digester::Sha256(Sha256::new()),
            Self::Sha384 => Digester::Sha384(Sha384::new()),
            Self::Sha512 => Digester::Sha512(Sha512::new()),
        }
    }

    /// Begins an HMAC under `key`.
    pub(super) fn begin_hmac(self, key: &[u8]) -> Digester {
        const ANY_LENGTH: &str = "an HMAC takes a key of any length";
        match self {
            Self::Sha1 => Digester::HmacSha1(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            Self::Sha256 => Digester::HmacSha256(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            Self::Sha384 => Digester::HmacSha384(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            Self::Sha512 => Digester::HmacSha512(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
        }
    }

    /// The hash of `bytes`.
    pub(super) fn digest(self, bytes: &[u8]) -> Vec<u8> {
        self.begin().finish_with(bytes)
    }

    /// The HMAC of `bytes` under `key`.
    pub(super) fn hmac(self, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        self.begin_hmac(key).finish_with(bytes)
    }
}

impl Digester {
    /// Takes the next piece of the message.
    pub(super) fn update(&mut self, piece: &[u8]) {
        match self {
            Self::Sha1(running) => Digest::update(running, piece),
            Self::Sha256(running) => Digest::update(running, piece),
            Self::Sha384(running) => Digest::update(running, piece),
            Self::Sha512(running) => Digest::update(running, piece),
            Self::HmacSha1(running) => Mac::update(running, piece),
            Self::HmacSha256(running) => Mac::update(running, piece),
            Self::HmacSha384(running) => Mac::update(running, piece),
            Self::HmacSha512(running) => Mac::update(running, piece),
        }
    }

    /// The result when this is the last piece.
    pub(super) fn finish_with(mut self, piece: &[u8]) -> Vec<u8> {
        self.update(piece);
        self.finish()
    }

    /// The result.
    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha1(running) => running.finalize().to_vec(),
            Self::Sha256(running) => running.finalize().to_vec(),
            Self::Sha384(running) => running.finalize().to_vec(),
            Self::Sha512(running) => running.finalize().to_vec(),
            Self::HmacSha1(running) => running.finalize().into_bytes().to_vec(),
            Self::HmacSha256(running) => running.finalize().into_bytes().to_vec(),
            Self::HmacSha384(running) => running.finalize().into_bytes().to_vec(),
            Self::HmacSha512(running) => running.finalize().into_bytes().to_vec(),
        }
    }
}

/// Compares in constant time; only a difference in length, which is no secret, shows at once.
pub(super) fn is_equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// The CRC-32 of zip files and PNG (polynomial 0x04C11DB7, reflected), piece by piece.
pub(super) struct Crc32(u32);

impl Crc32 {
    pub(super) const fn begin() -> Self {
        Self(u32::MAX)
    }

    pub(super) fn update(&mut self, piece: &[u8]) {
        for &byte in piece {
            let index = (self.0 ^ u32::from(byte)) & 0xff;
            self.0 = (self.0 >> 8) ^ CRC_TABLE[index as usize];
        }
    }

    pub(super) const fn finish(&self) -> u32 {
        !self.0
    }
}

const CRC_TABLE: [u32; 256] = crc_table();

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = (value >> 1) ^ (0xedb8_8320 * (value & 1));
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers_hold() {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);

        assert_eq!(
            hex(&Hash::Sha1.digest(b"abc")),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        // RFC 4231, test case 2
        assert_eq!(
            hex(&Hash::Sha256.hmac(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let mut crc = Crc32::begin();
        crc.update(b"1234");
        crc.update(b"56789");
        assert_eq!(crc.finish(), 0xcbf4_3926);
    }

    #[test]
    fn every_result_has_its_length() {
        for hash in [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512] {
            assert_eq!(hash.digest(b"").len(), hash.length());
            assert_eq!(hash.hmac(b"", b"").len(), hash.length());
        }
    }

    #[test]
    fn equal_means_equal_length_and_bytes() {
        assert!(is_equal(b"ab", b"ab"));
        assert!(!is_equal(b"ab", b"abc"));
        assert!(!is_equal(b"ab", b"ac"));
    }
}
