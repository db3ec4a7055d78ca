//! Cuts one signature value into candidate signatures and named parts, such as `t=1,v1=ab,v1=cd`.

use super::evaluate::{Evaluation, NamedPart};
use super::template::Template;
use super::trouble::{Failing, Trouble};
use crate::verdict::Cause;

/// How many differing groups, each of which costs a digest of its own, one request may carry.
pub(super) const MAX_GROUPS: usize = 8;

/// How many signatures one group may carry; providers send one for each secret while they rotate.
pub(super) const MAX_SIGNATURES: usize = 32;

/// How a value is cut.
#[derive(Debug, Default)]
pub(super) struct CandidateRule {
    /// Parts the groups, each of which has its own named parts.
    pub(super) group: Option<String>,
    /// Parts the items of a group.
    pub(super) split: Option<String>,
    /// Items are a key and a value.
    pub(super) key_value: Option<KeyValue>,
    /// The name of the first item, which is no signature.
    pub(super) first: Option<String>,
    /// What a signature may begin with.
    pub(super) prefixes: Vec<String>,
    /// Whether an item without prefix is a signature too.
    pub(super) prefix_is_optional: bool,
}

/// Items such as `v1=ab`.
#[derive(Debug)]
pub(super) struct KeyValue {
    pub(super) separator: String,
    /// The keys whose values are signatures; all others are named parts.
    pub(super) signature_keys: Vec<Template>,
}

/// The signatures that go with one set of named parts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Candidates<'v> {
    pub(super) parts: Vec<NamedPart<'v>>,
    pub(super) signatures: Vec<&'v [u8]>,
}

impl CandidateRule {
    /// The candidates in several values of one signature place; groups with equal parts are one.
    pub(super) fn read_all<'v>(
        &'v self,
        values: impl IntoIterator<Item = &'v [u8]>,
        evaluation: &Evaluation<'_>,
    ) -> Result<Vec<Candidates<'v>>, Failing> {
        let mut groups: Vec<Candidates<'v>> = Vec::new();
        for value in values {
            for piece in split(value, self.group.as_deref()) {
                let candidates = self.read_group(piece, evaluation)?;
                match groups
                    .iter_mut()
                    .find(|group| group.parts == candidates.parts)
                {
                    Some(group) => group.signatures.extend(candidates.signatures),
                    None if candidates.signatures.is_empty() => {}
                    None => groups.push(candidates),
                }
                check_bounds(&groups)?;
            }
        }
        groups.retain(|group| !group.signatures.is_empty());
        Ok(groups)
    }

    /// How a value is cut, in words.
    pub(super) fn in_words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(separator) = &self.group {
            words.push(format!("groups between `{separator}`"));
        }
        if let Some(separator) = &self.split {
            words.push(format!("items between `{separator}`"));
        }
        if let Some(name) = &self.first {
            words.push(format!("the first item is `{name}`"));
        }
        if let Some(rule) = &self.key_value {
            let keys = rule
                .signature_keys
                .iter()
                .map(|key| format!("`{}`", key.text));
            let keys = keys.collect::<Vec<_>>().join(" or ");
            words.push(format!(
                "key and value with `{}` between; signatures are those of {keys}",
                rule.separator
            ));
        }
        if !self.prefixes.is_empty() {
            let prefixes = self.prefixes.iter().map(|prefix| format!("`{prefix}`"));
            let may = if self.prefix_is_optional {
                "may begin"
            } else {
                "begins"
            };
            words.push(format!(
                "a signature {may} with {}",
                prefixes.collect::<Vec<_>>().join(" or ")
            ));
        }
        words
    }

    fn read_group<'v>(
        &'v self,
        group: &'v [u8],
        evaluation: &Evaluation<'_>,
    ) -> Result<Candidates<'v>, Failing> {
        let mut candidates = Candidates::default();
        let mut items = split(group, self.split.as_deref())
            .map(|item| {
                if self.split.is_some() {
                    item.trim_ascii()
                } else {
                    item
                }
            })
            .filter(|item| !item.is_empty());
        if let Some(name) = &self.first
            && let Some(value) = items.next()
        {
            candidates.parts.push((name.as_bytes(), value));
        }
        match &self.key_value {
            Some(rule) => rule.sort(items, &mut candidates, evaluation)?,
            None => candidates
                .signatures
                .extend(items.filter_map(|item| self.without_prefix(item))),
        }
        Ok(candidates)
    }

    fn without_prefix<'v>(&self, item: &'v [u8]) -> Option<&'v [u8]> {
        let mut prefixes = self.prefixes.iter();
        match prefixes.find_map(|prefix| item.strip_prefix(prefix.as_bytes())) {
            Some(signature) => Some(signature),
            None if self.prefixes.is_empty() || self.prefix_is_optional => Some(item),
            None => None,
        }
    }
}

impl KeyValue {
    fn sort<'v>(
        &self,
        items: impl Iterator<Item = &'v [u8]>,
        candidates: &mut Candidates<'v>,
        evaluation: &Evaluation<'_>,
    ) -> Result<(), Failing> {
        let keys = self
            .signature_keys
            .iter()
            .map(|key| evaluation.render(key))
            .collect::<Result<Vec<_>, Trouble>>()
            .map_err(Trouble::into_failing)?;
        for item in items {
            let Some((key, value)) = split_once(item, self.separator.as_bytes()) else {
                continue;
            };
            let key = key.trim_ascii();
            if keys.iter().any(|signature_key| **signature_key == *key) {
                if !value.is_empty() {
                    candidates.signatures.push(value);
                }
            } else if candidates.parts.iter().any(|(name, _)| *name == key) {
                return Err(Failing::new(
                    Cause::MalformedSignature,
                    format!("the signature has two parts named `{}`", key.escape_ascii()),
                ));
            } else {
                candidates.parts.push((key, value));
            }
        }
        Ok(())
    }
}

fn check_bounds(groups: &[Candidates<'_>]) -> Result<(), Failing> {
    let has_too_many = groups.len() > MAX_GROUPS
        || groups
            .iter()
            .any(|group| group.signatures.len() > MAX_SIGNATURES);
    if has_too_many {
        return Err(Failing::new(
            Cause::MalformedSignature,
            format!("there are more than {MAX_GROUPS} groups or {MAX_SIGNATURES} signatures"),
        ));
    }
    Ok(())
}

/// The pieces between separators; the whole text when there is no separator.
fn split<'v>(text: &'v [u8], separator: Option<&'v str>) -> impl Iterator<Item = &'v [u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let current = rest?;
        match separator.and_then(|separator| split_once(current, separator.as_bytes())) {
            Some((piece, after)) => {
                rest = Some(after);
                Some(piece)
            }
            None => rest.take(),
        }
    })
}

fn split_once<'v>(text: &'v [u8], separator: &[u8]) -> Option<(&'v [u8], &'v [u8])> {
    let start = match separator {
        [] => None,
        [byte] => text.iter().position(|candidate| candidate == byte),
        _ => text
            .windows(separator.len())
            .position(|window| window == separator),
    }?;
    Some((&text[..start], &text[start + separator.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_lie_between_separators() {
        let pieces = |text: &'static str, separator| -> Vec<&[u8]> {
            split(text.as_bytes(), separator).collect()
        };

        assert_eq!(pieces("a,b,", Some(",")), [&b"a"[..], b"b", b""]);
        assert_eq!(pieces("a--b", Some("--")), [&b"a"[..], b"b"]);
        assert_eq!(pieces("a,b", None), [&b"a,b"[..]]);
        assert_eq!(pieces("", Some(",")), [&b""[..]]);
    }
}
