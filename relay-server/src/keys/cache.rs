//! What was fetched, by URL: bounded in number, fresh for a time, and a memory of what could not be had. No IO and no clock.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::KeyTrouble;

/// Documents that are kept, 64 KiB each at most: more than all providers publish together.
const MOST_KEPT: usize = 256;

/// Failures that are remembered. Whoever makes the relay forget one gains a fetch, and those are rationed.
const MOST_REFUSED: usize = 1024;

/// How long something that is not there is not asked for again.
const ABSENT_FOR: Duration = Duration::from_secs(60);

/// How long a server that did not answer well is left alone.
pub(super) const LATE_FOR: Duration = Duration::from_secs(15);

/// How long a document serves after its time while its server cannot be reached: an outage there must not stop
/// webhooks whose keys are known.
const STALE_FOR: Duration = Duration::from_secs(6 * 60 * 60);

/// A document that was fetched.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) bytes: Bytes,
    pub(super) fetched_at: Instant,
    fresh_until: Instant,
}

/// Documents and failures by URL.
#[derive(Default)]
pub(super) struct Cache {
    kept: HashMap<String, Kept>,
    refused: HashMap<String, (KeyTrouble, Instant)>,
}

impl Cache {
    /// A document that is fresh and was fetched after `since`.
    pub(super) fn fresh(&self, url: &str, since: Option<Instant>, now: Instant) -> Option<Kept> {
        let kept = self.kept.get(url)?;
        let is_new = since.is_none_or(|since| kept.fetched_at > since);
        (now < kept.fresh_until && is_new).then(|| kept.clone())
    }

    /// A document that may still serve when there is no newer one to be had.
    pub(super) fn usable(&self, url: &str, now: Instant) -> Option<Kept> {
        let kept = self.kept.get(url)?;
        (now < kept.fresh_until + STALE_FOR).then(|| kept.clone())
    }

    /// Whether a document was had from this URL.
    pub(super) fn is_known(&self, url: &str) -> bool {
        self.kept.contains_key(url)
    }

    /// Lets a document go.
    pub(super) fn forget(&mut self, url: &str) {
        self.kept.remove(url);
    }

    /// Why the URL is not to be asked at the moment.
    pub(super) fn refusal(&self, url: &str, now: Instant) -> Option<KeyTrouble> {
        let (trouble, until) = self.refused.get(url)?;
        (now < *until).then(|| trouble.clone())
    }

    /// Keeps a document for its lifetime.
    pub(super) fn keep(
        &mut self,
        url: String,
        bytes: Bytes,
        lifetime: Duration,
        now: Instant,
    ) -> Kept {
        self.refused.remove(&url);
        if self.kept.len() >= MOST_KEPT && !self.kept.contains_key(&url) {
            remove_first(&mut self.kept, |kept| kept.fresh_until);
        }
        let kept = Kept {
            bytes,
            fetched_at: now,
            fresh_until: now + lifetime,
        };
        self.kept.insert(url, kept.clone());
        kept
    }

    /// Remembers a failure for a while.
    pub(super) fn refuse(&mut self, url: String, trouble: KeyTrouble, now: Instant) {
        if self.refused.len() >= MOST_REFUSED && !self.refused.contains_key(&url) {
            remove_first(&mut self.refused, |(_, until)| *until);
        }
        let time = match trouble {
            KeyTrouble::Absent(_) => ABSENT_FOR,
            KeyTrouble::Late(_) => LATE_FOR,
        };
        self.refused.insert(url, (trouble, now + time));
    }
}

/// Makes room: what ends first goes first.
fn remove_first<V>(map: &mut HashMap<String, V>, ends: impl Fn(&V) -> Instant) {
    let first = map.iter().min_by_key(|(_, value)| ends(value));
    if let Some(url) = first.map(|(url, _)| url.clone()) {
        map.remove(&url);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);
    const URL: &str = "https://a.example/key";

    fn late() -> KeyTrouble {
        KeyTrouble::Late("no answer".to_owned())
    }

    fn absent() -> KeyTrouble {
        KeyTrouble::Absent("404".to_owned())
    }

    #[test]
    fn a_document_is_fresh_for_its_lifetime_and_usable_for_six_hours_more() {
        let mut cache = Cache::default();
        let start = Instant::now();
        let almost = Duration::from_millis(1);

        cache.keep(URL.to_owned(), Bytes::from_static(b"key"), HOUR, start);

        assert_eq!(
            cache.fresh(URL, None, start + HOUR - almost).unwrap().bytes,
            "key"
        );
        assert!(cache.fresh(URL, None, start + HOUR).is_none());
        assert!(
            cache
                .usable(URL, start + HOUR + STALE_FOR - almost)
                .is_some()
        );
        assert!(cache.usable(URL, start + HOUR + STALE_FOR).is_none());
        assert!(
            cache
                .fresh("https://a.example/other", None, start)
                .is_none()
        );
    }

    #[test]
    fn one_who_needs_a_newer_document_does_not_get_the_old_one() {
        let mut cache = Cache::default();
        let start = Instant::now();
        cache.keep(URL.to_owned(), Bytes::new(), HOUR, start);

        assert!(cache.fresh(URL, Some(start), start).is_none());
        cache.keep(URL.to_owned(), Bytes::new(), HOUR, start + HOUR / 2);
        assert!(cache.fresh(URL, Some(start), start + HOUR / 2).is_some());
    }

    #[test]
    fn a_failure_is_remembered_for_a_while_and_a_success_wipes_it_out() {
        let mut cache = Cache::default();
        let start = Instant::now();
        let almost = Duration::from_millis(1);

        for (trouble, time) in [(late(), LATE_FOR), (absent(), ABSENT_FOR)] {
            cache.refuse(URL.to_owned(), trouble.clone(), start);

            assert_eq!(cache.refusal(URL, start + time - almost), Some(trouble));
            assert_eq!(cache.refusal(URL, start + time), None);
        }
        cache.keep(URL.to_owned(), Bytes::new(), HOUR, start);
        assert_eq!(cache.refusal(URL, start), None);
    }

    #[test]
    fn both_memories_are_bounded_and_what_ends_first_goes_first() {
        let mut cache = Cache::default();
        let start = Instant::now();
        let later = |number: usize| start + Duration::from_secs(number as u64);

        for number in 0..=MOST_KEPT {
            let url = format!("https://a.example/{number}");
            cache.keep(url, Bytes::new(), HOUR, later(number));
        }
        for number in 0..=MOST_REFUSED {
            cache.refuse(
                format!("https://b.example/{number}"),
                absent(),
                later(number),
            );
        }

        assert_eq!(cache.kept.len(), MOST_KEPT);
        assert!(!cache.kept.contains_key("https://a.example/0"));
        assert_eq!(cache.refused.len(), MOST_REFUSED);
        assert!(!cache.refused.contains_key("https://b.example/0"));
    }

    #[test]
    fn a_flood_of_failures_drives_out_no_key() {
        let mut cache = Cache::default();
        let start = Instant::now();
        cache.keep(URL.to_owned(), Bytes::new(), HOUR, start);

        for number in 0..2 * MOST_REFUSED {
            cache.refuse(format!("https://b.example/{number}"), absent(), start);
        }

        assert!(cache.fresh(URL, None, start).is_some());
    }
}
