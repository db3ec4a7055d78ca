//! Compares numbers as they are written in JSON, exactly: no digit is lost to a float.

use std::cmp::Ordering;

/// The largest exponent, either way. What is beyond is not compared.
const MAX_EXPONENT: i64 = 1_000_000_000_000;

/// A number's digits and where its point lies.
struct Number<'n> {
    is_negative: bool,
    whole: &'n [u8],
    fraction: &'n [u8],
    exponent: i64,
}

/// Whether the text is a number of JSON (RFC 8259 §6).
pub(super) fn is_number(text: &str) -> bool {
    read(text.as_bytes()).is_some()
}

/// Compares two numbers; nothing when one is not a number.
pub(super) fn compare(left: &[u8], right: &[u8]) -> Option<Ordering> {
    let (left, right) = (read(left)?, read(right)?);
    let (left_sign, right_sign) = (left.sign(), right.sign());
    if left_sign != right_sign || left_sign == 0 {
        return Some(left_sign.cmp(&right_sign));
    }
    let absolute = left
        .magnitude()
        .cmp(&right.magnitude())
        .then_with(|| left.significant().cmp(right.significant()));
    Some(if left.is_negative {
        absolute.reverse()
    } else {
        absolute
    })
}

fn read(text: &[u8]) -> Option<Number<'_>> {
    let (is_negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, text) = digits(text)?;
    if whole.len() > 1 && whole.starts_with(b"0") {
        return None;
    }
    let (fraction, text) = match text.strip_prefix(b".") {
        Some(rest) => digits(rest)?,
        None => (&[][..], text),
    };
    let exponent = match text {
        [] => 0,
        [b'e' | b'E', rest @ ..] => {
            let (is_down, rest) = match rest {
                [b'-', rest @ ..] => (true, rest),
                [b'+', rest @ ..] => (false, rest),
                _ => (false, rest),
            };
            let (exponent, []) = digits(rest)? else {
                return None;
            };
            let exponent: i64 = std::str::from_utf8(exponent).ok()?.parse().ok()?;
            if is_down { -exponent } else { exponent }
        }
        _ => return None,
    };
    (exponent.abs() <= MAX_EXPONENT).then_some(Number {
        is_negative,
        whole,
        fraction,
        exponent,
    })
}

/// The digits in front, at least one, and the rest.
fn digits(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

impl Number<'_> {
    fn all_digits(&self) -> impl DoubleEndedIterator<Item = u8> {
        self.whole.iter().chain(self.fraction).copied()
    }

    fn sign(&self) -> i8 {
        match (
            self.is_negative,
            self.all_digits().all(|digit| digit == b'0'),
        ) {
            (_, true) => 0,
            (true, false) => -1,
            (false, false) => 1,
        }
    }

    /// Where the first digit that is not zero stands, as a power of ten.
    fn magnitude(&self) -> i64 {
        let zeros = self.all_digits().take_while(|&digit| digit == b'0').count();
        let signed = |length: usize| i64::try_from(length).unwrap_or(i64::MAX / 4);
        signed(self.whole.len()) - signed(zeros) + self.exponent
    }

    /// The digits without the zeros before the first and behind the last that is not zero.
    fn significant(&self) -> impl Iterator<Item = u8> {
        let trailing = self
            .all_digits()
            .rev()
            .take_while(|&digit| digit == b'0')
            .count();
        let length = self.whole.len() + self.fraction.len() - trailing;
        self.all_digits()
            .take(length)
            .skip_while(|&digit| digit == b'0')
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_digit_is_lost() {
        let is = |left: &str, right: &str| compare(left.as_bytes(), right.as_bytes()).unwrap();

        assert_eq!(
            is("9007199254740993", "9007199254740992"),
            Ordering::Greater
        );
        assert_eq!(is("0.1", "0.10000000000000000001"), Ordering::Less);
        assert_eq!(is("1e3", "1000.00"), Ordering::Equal);
        assert_eq!(is("12e-1", "1.2"), Ordering::Equal);
        assert_eq!(is("-0", "0e9"), Ordering::Equal);
        assert_eq!(is("-2", "-10"), Ordering::Greater);
        assert_eq!(is("0.02", "0.1"), Ordering::Less);
        assert_eq!(is("1e999999", "1e1000000"), Ordering::Less);
    }

    #[test]
    fn only_numbers_of_json_are_numbers() {
        for bad in [
            "",
            "-",
            "01",
            "1.",
            ".5",
            "1e",
            "1e+",
            "+1",
            "0x1",
            "1 ",
            "NaN",
            "1e99999999999999999999",
        ] {
            assert!(!is_number(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn it_orders_as_integers_do(left in any::<i64>(), right in any::<i64>()) {
            let ordering = compare(left.to_string().as_bytes(), right.to_string().as_bytes());

            prop_assert_eq!(ordering, Some(left.cmp(&right)));
        }

        #[test]
        fn a_shifted_point_changes_nothing(number in 1_i64..1_000_000, shift in 0_usize..30) {
            let shifted = format!("{number}{}e-{shift}", "0".repeat(shift));

            prop_assert_eq!(compare(number.to_string().as_bytes(), shifted.as_bytes()), Some(Ordering::Equal));
        }

        #[test]
        fn it_never_panics(left in "[-0-9.eE+]{0,40}", right in "[-0-9.eE+]{0,40}") {
            let _ = compare(left.as_bytes(), right.as_bytes());
        }
    }
}
