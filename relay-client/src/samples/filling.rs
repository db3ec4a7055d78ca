//! Fills the placeholders of sample texts: times, and ids that look like the provider's. The same placeholder is the
//! same text everywhere in one webhook; another webhook has another seed.

use sha2::{Digest, Sha256};
use towline_shared::time::Timestamp;

/// What placeholders become in one webhook.
///
/// | written | becomes |
/// |---|---|
/// | `${unix}` `${unix_ms}` `${unix_us}` | the time as a number |
/// | `${rfc3339}` `${rfc3339_s}` `${date}` `${http_date}` | the time as text, with and without milliseconds |
/// | `${unix-3600}` `${date+86400}` | so many seconds before or after |
/// | `${uuid}` `${hex40}` `${HEX8}` `${alnum24}` `${upper12}` `${digits10}` | an id of that many characters |
/// | `${hex40.after}` | another one of the same form |
/// | `${delivery_id}` | the id of the delivery |
#[derive(Clone, Debug)]
pub struct Filling {
    now: Timestamp,
    seed: [u8; 32],
}

impl Filling {
    /// A filling for this time; webhooks of the same seed and time are the same.
    pub const fn new(now: Timestamp, seed: [u8; 32]) -> Self {
        Self { now, seed }
    }

    /// The text with its placeholders filled; what is none stays.
    pub fn fill(&self, text: &str, delivery_id: Option<&str>) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            filled.push_str(before);
            let value = after.split_once('}').and_then(|(name, behind)| {
                let value = match name {
                    "delivery_id" => delivery_id.map(str::to_owned),
                    name => self.value(name),
                };
                Some((value?, behind))
            });
            match value {
                Some((value, behind)) => {
                    filled.push_str(&value);
                    rest = behind;
                }
                None => {
                    filled.push_str("${");
                    rest = after;
                }
            }
        }
        filled.push_str(rest);
        filled
    }

    fn value(&self, name: &str) -> Option<String> {
        self.time(name).or_else(|| self.id(name))
    }

    fn time(&self, name: &str) -> Option<String> {
        let sign = name.find(['+', '-']).unwrap_or(name.len());
        let (kind, offset) = name.split_at(sign);
        let offset: i64 = match offset {
            "" => 0,
            offset => offset.parse().ok()?,
        };
        let millis = i64::try_from(self.now.as_millis()).ok()? + offset.checked_mul(1000)?;
        let time = jiff::Timestamp::from_millisecond(millis).ok()?;
        Some(match kind {
            "unix" => time.as_second().to_string(),
            "unix_ms" => millis.to_string(),
            "unix_us" => millis.checked_mul(1000)?.to_string(),
            "rfc3339" => format!("{time:.3}"),
            "rfc3339_s" => format!("{time:.0}"),
            "date" => time.strftime("%Y-%m-%d").to_string(),
            "http_date" => time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
            _ => return None,
        })
    }

    fn id(&self, name: &str) -> Option<String> {
        const LOWER_HEX: &[u8] = b"0123456789abcdef";
        let form = name.split_once('.').map_or(name, |(form, _label)| form);
        if form == "uuid" {
            return Some(self.uuid(name));
        }
        let start = form.find(|character: char| character.is_ascii_digit())?;
        let (kind, length) = form.split_at(start);
        let alphabet: &[u8] = match kind {
            "hex" => LOWER_HEX,
            "HEX" => b"0123456789ABCDEF",
            "alnum" => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            "upper" => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            "digits" => b"123456789",
            _ => return None,
        };
        Some(self.letters(name, alphabet, length.parse().ok()?))
    }

    /// A random UUID in its form (RFC 9562 §5.4).
    fn uuid(&self, name: &str) -> String {
        let mut bytes: [u8; 16] = std::array::from_fn(|index| self.block(name, 0)[index]);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex = data_encoding::HEXLOWER.encode(&bytes);
        [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        ]
        .join("-")
    }

    /// Ids only have to look right and to differ: that some letters are a little likelier does no harm.
    fn letters(&self, name: &str, alphabet: &[u8], length: u8) -> String {
        let blocks = (0_u8..).flat_map(|number| self.block(name, number));
        let letter = |byte: u8| char::from(alphabet[usize::from(byte) % alphabet.len()]);
        blocks.take(usize::from(length)).map(letter).collect()
    }

    fn block(&self, name: &str, number: u8) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update([number]);
        hash.update(name.as_bytes());
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filling(seed: u8) -> Filling {
        Filling::new(Timestamp::from_millis(1_760_000_000_123), [seed; 32])
    }

    #[test]
    fn times_are_written_in_every_form() {
        for (text, filled) in [
            ("${unix}", "1760000000"),
            ("${unix-3600}", "1759996400"),
            ("${unix_ms}", "1760000000123"),
            ("${unix_us}", "1760000000123000"),
            ("${rfc3339}", "2025-10-09T08:53:20.123Z"),
            ("${rfc3339_s+1}", "2025-10-09T08:53:21Z"),
            ("${date+86400}", "2025-10-10"),
            ("${http_date}", "Thu, 09 Oct 2025 08:53:20 GMT"),
        ] {
            assert_eq!(filling(1).fill(text, None), filled);
        }
    }

    #[test]
    fn the_same_placeholder_is_the_same_text_in_one_webhook_only() {
        let first = filling(1).fill("${hex40} ${hex40} ${hex40.other}", None);
        let words: Vec<_> = first.split(' ').collect();

        assert_eq!(words[0], words[1]);
        assert_ne!(words[0], words[2]);
        assert_ne!(filling(2).fill("${hex40}", None), words[0]);
        assert_eq!(words[0].len(), 40);
    }

    #[test]
    fn ids_have_the_form_that_is_asked_for() {
        let filled = filling(3).fill("${digits10} ${upper9} ${HEX4} ${alnum70} ${uuid}", None);
        let words: Vec<_> = filled.split(' ').collect();

        assert!(words[0].len() == 10 && words[0].bytes().all(|b| b.is_ascii_digit()));
        assert!(
            words[1]
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        );
        assert!(words[2].len() == 4 && words[3].len() == 70);
        assert_eq!(words[4].len(), 36);
        assert_eq!(words[4].as_bytes()[14], b'4');
    }

    #[test]
    fn the_delivery_id_is_given_and_what_is_no_placeholder_stays() {
        let text = "a ${delivery_id} ${nothing} ${ $ } ${hex} ${unix+x}";

        assert_eq!(
            filling(1).fill(text, Some("evt_1")),
            "a evt_1 ${nothing} ${ $ } ${hex} ${unix+x}"
        );
    }
}
