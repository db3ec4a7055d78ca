//! Forms as signed text: sorted pairs (Twilio, Mandrill) and PHP's `serialize` (Paddle Classic).

use crate::verdict::Cause;
use crate::verify::trouble::Trouble;

type Pairs = [(String, String)];

/// Unique pairs sorted by key, then value; each key is followed by its value.
pub(super) fn sorted(pairs: &Pairs) -> Result<Vec<u8>, Trouble> {
    let mut pairs: Vec<_> = pairs.iter().collect();
    pairs.sort();
    pairs.dedup();
    let pieces = pairs
        .iter()
        .flat_map(|(key, value)| [key.as_bytes(), value.as_bytes()]);
    Ok(pieces.collect::<Vec<_>>().concat())
}

/// PHP's `serialize` of the fields as an array of strings, sorted by key, without one field.
pub(super) fn php_serialised(pairs: &Pairs, left_out: &str) -> Result<Vec<u8>, Trouble> {
    let mut pairs: Vec<_> = pairs.iter().filter(|(key, _)| key != left_out).collect();
    pairs.sort();
    if let Some(twice) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(Trouble::fatal(
            Cause::AmbiguousForm,
            format!(
                "the form field `{}` is there more than once",
                twice[0].0.escape_debug()
            ),
        ));
    }
    let mut output = format!("a:{}:{{", pairs.len());
    for (key, value) in pairs {
        if is_php_integer(key) {
            output.push_str(&format!("i:{key};"));
        } else {
            output.push_str(&format!("s:{}:\"{key}\";", key.len()));
        }
        output.push_str(&format!("s:{}:\"{value}\";", value.len()));
    }
    output.push('}');
    Ok(output.into_bytes())
}

/// PHP turns array keys that are written as canonical integers into integers.
fn is_php_integer(key: &str) -> bool {
    let digits = key.strip_prefix('-').unwrap_or(key);
    let is_number = (1..=18).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    key == "0" || is_number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn equal_pairs_count_once() {
        let form = pairs(&[("b", "2"), ("a", "2"), ("a", "1"), ("a", "2")]);

        assert_eq!(sorted(&form).unwrap(), b"a1a2b2");
    }

    #[test]
    fn php_counts_bytes_and_makes_integers_of_keys() {
        let form = pairs(&[("sig", "x"), ("é", "ü"), ("10", "a"), ("01", "b")]);

        assert_eq!(
            String::from_utf8(php_serialised(&form, "sig").unwrap()).unwrap(),
            "a:3:{s:2:\"01\";s:1:\"b\";i:10;s:1:\"a\";s:2:\"é\";s:2:\"ü\";}"
        );
    }

    #[test]
    fn php_cannot_have_a_field_twice() {
        assert!(php_serialised(&pairs(&[("a", "1"), ("a", "2")]), "sig").is_err());
    }
}
