//! The bodies of the demo: samples of Benji and Extole as `towline trigger` sends them, and bodies that are not JSON.

use data_encoding::HEXLOWER;
use towline_shared::time::Timestamp;

use crate::samples::{self, Filling};

/// The bodies of the providers; what bytes they have is the point of the demo: spaces and line ends, text beyond ASCII,
/// an escaped slash and the spelling of a number are what careless relays rewrite.
pub(super) struct Bodies {
    pub(super) benji_transaction: String,
    pub(super) benji_user: String,
    pub(super) benji_campaign: String,
    pub(super) extole_reward: String,
}

impl Bodies {
    /// Those of one run.
    pub(super) fn at(now: Timestamp) -> Self {
        // The relay of the demo lives as long as the demo: ids need not differ from run to run.
        let filling = Filling::new(now, [0; 32]);
        let body = |provider, event| {
            let sample = samples::find(provider, event).expect("a test finds the demo's samples");
            String::from_utf8_lossy(&sample.webhook(&filling, None).body).into_owned()
        };
        Self {
            benji_transaction: body("benji", "reward_transaction_updated"),
            benji_user: body("benji", "user_updated"),
            benji_campaign: body("benji", "campaign_updated"),
            extole_reward: body("extole", "reward_earned"),
        }
    }
}

/// Text and bytes that no JSON reader takes and no UTF-8 reader either.
pub(super) const NOT_JSON: &[u8] = b"order=42&note=caf\xe9 \x00\x01\xff\xfe{not json";

/// A body of 123 bytes of JSON, compressed by gzip.
pub(super) fn gzip() -> Vec<u8> {
    const HEX: &[u8] = b"1f8b08000000000002ffab562aa92c4855b2522a4a2d4f2c4a894f4d2cca4b4d51d251cacb2f0109976464162b\
24e5a7542a94142596a5e6142b24e7e71614a51617a7a62824e6a52814972456220b02b5a62526a7c69725e694020d303540e6c7432d0b0d7651aa0500dce9e0607b000000";
    HEXLOWER.decode(HEX).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_have_what_careless_relays_rewrite() {
        let bodies = Bodies::at(Timestamp::from_millis(1_760_000_000_000));

        assert!(bodies.benji_transaction.contains("\n    \"entity\""));
        assert!(bodies.benji_user.contains("😀") && bodies.benji_user.contains("\\/"));
        assert!(bodies.benji_campaign.contains("1250.00"));
        assert!(bodies.extole_reward.contains("\"person_id\": "));
    }

    #[test]
    fn the_compressed_body_is_one_and_the_other_body_is_not_text() {
        assert!(gzip().starts_with(&[0x1f, 0x8b]));
        assert_eq!(gzip().len(), 114);
        assert!(NOT_JSON.contains(&0xff), "no UTF-8 text has this byte");
    }
}
