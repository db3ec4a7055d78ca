//! Whether the time of a check tells where a signature is wrong: Welch's t-test over two classes of requests in
//! random order, as dudect does it (Reparaz, Balasch, Verbauwhede 2017).

use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::time::{Duration, Instant};

use towline_shared::verify::Provider;

use crate::request::Signed;

/// Above this |t| the two classes differ by more than chance (dudect's own threshold).
const THRESHOLD: f64 = 4.5;

/// Requests of each comparison, and the longest that one may take.
const SAMPLES: usize = 60_000;
const LONGEST: Duration = Duration::from_secs(20);

/// A credential so long that a comparison byte by byte would show.
const CREDENTIAL_BYTES: usize = 4_096;

/// Prints a line for each comparison.
pub(crate) fn run() {
    println!("\ndoes time tell where a signature is wrong? (|t| under {THRESHOLD}: nothing seen)");
    control();
    let body = vec![b'x'; 64];
    let github = Provider::builtin("github").expect("a built-in provider");
    let signed = Signed::by(&github, &body).expect("GitHub signs with a shared secret");
    let last = signed.fields.last().map_or(0, |(_, value)| value.len());
    let first = "sha256=".len();
    compare(
        "HMAC, wrong in the first or last byte",
        &github,
        &signed,
        &[first],
        &[last - 1],
    );
    compare(
        "HMAC, wrong in one byte or eight",
        &github,
        &signed,
        &[first],
        &few(first, 8),
    );

    let telegram = Provider::builtin("telegram").expect("a built-in provider");
    let secret = "a".repeat(CREDENTIAL_BYTES);
    let signed = Signed {
        fields: vec![("X-Telegram-Bot-Api-Secret-Token".to_owned(), secret.clone())],
        body,
        secret: towline_shared::secret::Secret::new(secret),
    };
    let last = CREDENTIAL_BYTES - 1;
    compare(
        "credential, wrong in the first or last byte",
        &telegram,
        &signed,
        &[0],
        &[last],
    );
    compare(
        "credential, wrong in one byte or eight",
        &telegram,
        &signed,
        &[0],
        &few(0, 8),
    );
}

fn few(start: usize, count: usize) -> Vec<usize> {
    (start..start + count).collect()
}

/// The same harness around `==`, which stops at the first difference: it must be seen, or nothing would be.
fn control() {
    let right = vec![b'a'; CREDENTIAL_BYTES];
    let mut coin = Coin::new();
    let mut samples = Samples::default();
    for _ in 0..SAMPLES {
        let is_second = coin.toss();
        let mut value = right.clone();
        value[if is_second { CREDENTIAL_BYTES - 1 } else { 0 }] = b'b';
        let start = Instant::now();
        black_box(black_box(&value) == black_box(&right));
        samples.add(is_second, start.elapsed());
    }
    samples.print("control: `==`, first or last byte (must be seen)");
}

/// Times checks of two classes of requests, whose last field is wrong at these places.
fn compare(name: &str, provider: &Provider, signed: &Signed, first: &[usize], second: &[usize]) {
    let mut coin = Coin::new();
    let mut samples = Samples::default();
    let begin = Instant::now();
    for _ in 0..SAMPLES {
        let is_second = coin.toss();
        let mut fields = signed.fields.clone();
        if let Some((_, value)) = fields.last_mut() {
            let mut bytes = std::mem::take(value).into_bytes();
            for &place in if is_second { second } else { first } {
                bytes[place] = if bytes[place] == b'0' { b'1' } else { b'0' };
            }
            *value = String::from_utf8(bytes).expect("digits are text");
        }
        let wrong = Signed {
            fields,
            body: signed.body.clone(),
            secret: signed.secret.clone(),
        };
        let head = wrong.head();
        let start = Instant::now();
        black_box(wrong.check(black_box(provider), &head));
        samples.add(is_second, start.elapsed());
        if begin.elapsed() > LONGEST {
            break;
        }
    }
    samples.print(name);
}

/// The times of two classes in nanoseconds.
#[derive(Default)]
struct Samples {
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Samples {
    fn add(&mut self, is_second: bool, time: Duration) {
        let class = if is_second {
            &mut self.second
        } else {
            &mut self.first
        };
        class.push(time.as_secs_f64() * 1e9);
    }

    /// The largest |t| of the uncut times and of those below some percentiles: a scheduler's pause hides a leak.
    fn t(&self) -> f64 {
        let mut all: Vec<f64> = self.first.iter().chain(&self.second).copied().collect();
        all.sort_by(f64::total_cmp);
        [0.5, 0.8, 0.95, 1.0]
            .into_iter()
            .map(|share| {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    clippy::cast_precision_loss,
                    reason = "an index into the sorted times"
                )]
                let index = ((all.len() - 1) as f64 * share) as usize;
                let below = |class: &[f64]| -> Vec<f64> {
                    let limit = all[index];
                    class
                        .iter()
                        .copied()
                        .filter(|time| *time <= limit)
                        .collect()
                };
                welch(&below(&self.first), &below(&self.second))
            })
            .fold(
                0.0,
                |largest: f64, t: f64| if t.abs() > largest.abs() { t } else { largest },
            )
    }

    fn print(&self, name: &str) {
        let t = self.t();
        let verdict = if t.abs() > THRESHOLD {
            "seen"
        } else {
            "nothing seen"
        };
        println!(
            "  {name:<48} t = {t:>7.2} of {} checks: {verdict}",
            self.first.len() + self.second.len()
        );
    }
}

/// Welch's t of two samples.
fn welch(first: &[f64], second: &[f64]) -> f64 {
    let ((mean1, error1), (mean2, error2)) = (mean_and_error(first), mean_and_error(second));
    let error = (error1 + error2).sqrt();
    if error > 0.0 {
        (mean1 - mean2) / error
    } else {
        0.0
    }
}

/// The mean, and its variance.
fn mean_and_error(sample: &[f64]) -> (f64, f64) {
    #[expect(clippy::cast_precision_loss, reason = "some thousands of times")]
    let count = sample.len().max(2) as f64;
    let mean = sample.iter().sum::<f64>() / count;
    let squares: f64 = sample.iter().map(|time| (time - mean).powi(2)).sum();
    (mean, squares / (count - 1.0) / count)
}

/// A fair coin (xorshift), seeded by the system.
struct Coin(u64);

impl Coin {
    fn new() -> Self {
        Self(RandomState::new().hash_one(0) | 1)
    }

    fn toss(&mut self) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 & (1 << 40) != 0
    }
}
