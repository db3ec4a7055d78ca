//! The bodies of the demo: what Benji and Extole send, as their documents show it, and bodies that are not JSON.

use data_encoding::HEXLOWER;

/// Benji's own sample: spaces and line ends are part of what is signed.
pub(super) const BENJI_TRANSACTION: &str = r#"{
    "event": "reward_transaction_updated",
    "entity": 3,
    "entity_id": 243
}"#;

/// The same of a user, with text beyond ASCII and an escaped slash, which careless relays rewrite.
pub(super) const BENJI_USER: &str = r#"{"event":"user_updated","entity":1,"entity_id":8841,"name":"Zoë Müller 😀","page":"https:\/\/benji.example\/u\/8841"}"#;

/// The same of a campaign; the order of keys and the spelling of the number stay.
pub(super) const BENJI_CAMPAIGN: &str =
    r#"{"event":"campaign_updated","entity":2,"entity_id":17,"budget":1250.00,"active":true}"#;

/// Extole's own sample; the space before the person's id is part of what is signed.
pub(super) const EXTOLE_REWARD_EARNED: &str = concat!(
    r#"{"type":"reward_earned","event_id":"qb3jju459ugjr2aojk5e","event_time":"2020-05-29T14:14:18.548Z","#,
    r#""reward_id":"bf67905b4e1b41daf39c30f0","reward_supplier_name":"Advocate Account Credit","#,
    r#""reward_supplier_id":"701e681a9e46c8b6778f3452","partner_reward_supplier_id":"Advocate Account Credit","#,
    r#""reward_supplier_type":"CUSTOM_REWARD","person_id": "6816411215104951917","partner_user_id":"1036950000","#,
    r#""face_value":50,"face_value_type":"USD","message":null,"schema_version":1}"#,
);

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
    fn the_samples_are_those_of_the_documents() {
        assert_eq!(BENJI_TRANSACTION.len(), 84);
        assert_eq!(EXTOLE_REWARD_EARNED.len(), 468);
        for sample in [
            BENJI_TRANSACTION,
            BENJI_USER,
            BENJI_CAMPAIGN,
            EXTOLE_REWARD_EARNED,
        ] {
            serde_json::from_str::<serde_json::Value>(sample).unwrap();
        }
    }

    #[test]
    fn the_compressed_body_is_one_and_the_other_body_is_not_text() {
        assert!(gzip().starts_with(&[0x1f, 0x8b]));
        assert_eq!(gzip().len(), 114);
        assert!(NOT_JSON.contains(&0xff), "no UTF-8 text has this byte");
    }
}
