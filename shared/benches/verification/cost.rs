//! The cost of a verification beside the bare HMAC of the same body, of a failed one, and of reading the scheme files.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha512};
use towline_shared::verify::Provider;

use crate::request::Signed;

/// Ten providers that sign with HMAC-SHA256 and that nearly everybody knows.
const BEST_KNOWN: [&str; 10] = [
    "github", "stripe", "shopify", "slack", "svix", "zoom", "meta", "twitch", "razorpay", "openai",
];

/// What a verification may cost, in bare HMACs of the body.
const MOST_HMACS: f64 = 3.0;

/// What a failed verification may cost, its diagnosis included.
const MOST_FAILED: Duration = Duration::from_millis(2);

/// How often each is timed; the fastest half tells what it costs on a machine that does other things too.
const ROUNDS: usize = 2_000;

/// Prints all figures.
pub(crate) fn run() {
    scheme_files();
    let body = body(1024);
    let bare = bare_hmac(&body);
    println!("\nverifying an event of 1 KiB");
    println!("  {:<34} {}", "bare HMAC-SHA256", micros(bare));
    let sha512 = bare_hmac_sha512(&body);
    println!("  {:<34} {}", "bare HMAC-SHA512", micros(sha512));
    for slug in BEST_KNOWN {
        ratio(slug, &body, bare);
    }
    slowest(&body, bare);
    let all: Vec<_> = Provider::builtin_slugs().collect();
    failed(&all, "1 KiB", &body);
    failed(&BEST_KNOWN, "64 KiB", &many_fields(64 * 1024));
    failed(&BEST_KNOWN, "256 KiB", &many_fields(256 * 1024));
}

/// An event in JSON of so many bytes.
fn body(bytes: usize) -> Vec<u8> {
    let mut body =
        br#"{"id":"evt_1","type":"invoice.paid","created":1760000000,"data":{"text":""#.to_vec();
    body.resize(bytes - 3, b'x');
    body.extend_from_slice(b"\"}}");
    body
}

/// JSON that is dear to lay out anew: short fields, spaces, slashes and letters outside ASCII.
fn many_fields(bytes: usize) -> Vec<u8> {
    let field = "\"a\": [1, \"é/\"], ";
    let mut body = format!("{{{}", field.repeat((bytes - 16) / field.len())).into_bytes();
    body.extend_from_slice(b"\"z\": 1}");
    body
}

fn scheme_files() {
    println!("\nreading the scheme files");
    let start = Instant::now();
    let first: Vec<_> = Provider::builtin_slugs().map(Provider::builtin).collect();
    let reading = start.elapsed();
    let start = Instant::now();
    let second: Vec<_> = Provider::builtin_slugs().map(Provider::builtin).collect();
    let again = start.elapsed();
    let same = first.iter().zip(&second).filter(|pair| match pair {
        (Some(first), Some(second)) => Arc::ptr_eq(first, second),
        _ => false,
    });
    println!(
        "  {:<34} {} for {} files",
        "first use of all",
        micros(reading),
        first.len()
    );
    println!("  {:<34} {}", "second use of all", micros(again));
    println!(
        "  {:<34} {} of {}",
        "read once and shared after that",
        same.count(),
        first.len()
    );
}

const KEY: &[u8] = b"a secret of a usual length, 32 b";
const ANY_LENGTH: &str = "an HMAC takes a key of any length";

fn bare_hmac(body: &[u8]) -> Duration {
    fastest_half(|| {
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY).expect(ANY_LENGTH);
        mac.update(black_box(body));
        black_box(mac.finalize().into_bytes());
    })
}

/// Some providers sign with SHA-512: their ratio to this is the one that counts.
fn bare_hmac_sha512(body: &[u8]) -> Duration {
    fastest_half(|| {
        let mut mac = Hmac::<Sha512>::new_from_slice(KEY).expect(ANY_LENGTH);
        mac.update(black_box(body));
        black_box(mac.finalize().into_bytes());
    })
}

fn ratio(slug: &str, body: &[u8], bare: Duration) {
    let Some(time) = verifying(slug, body) else {
        println!("  {slug:<34} cannot be signed here");
        return;
    };
    let hmacs = time.as_secs_f64() / bare.as_secs_f64();
    let verdict = if hmacs <= MOST_HMACS { "met" } else { "MISSED" };
    println!(
        "  {slug:<34} {:<12} {hmacs:>5.2} × bare   aim {MOST_HMACS}: {verdict}",
        micros(time)
    );
}

fn verifying(slug: &str, body: &[u8]) -> Option<Duration> {
    let provider = Provider::builtin(slug)?;
    let signed = Signed::by(&provider, body)?;
    let head = signed.head();
    Some(fastest_half(|| {
        black_box(signed.check(black_box(&provider), &head));
    }))
}

fn slowest(body: &[u8], bare: Duration) {
    let mut times: Vec<(Duration, &str)> = Provider::builtin_slugs()
        .filter_map(|slug| Some((verifying(slug, body)?, slug)))
        .collect();
    times.sort();
    println!("  the slowest of {} with a shared secret", times.len());
    for (time, slug) in times.iter().rev().take(5) {
        let hmacs = time.as_secs_f64() / bare.as_secs_f64();
        println!("    {slug:<32} {:<12} {hmacs:>5.2} × bare", micros(*time));
    }
}

/// Providers with a body that was changed on its way, so that the diagnosis searches all it knows.
fn failed(slugs: &[&'static str], size: &str, body: &[u8]) {
    println!("\na failed verification with its diagnosis, {size}");
    let mut changed = body.to_vec();
    // A digit for another, or a letter for another: the JSON stays JSON.
    if let Some(letter) = changed
        .iter_mut()
        .rev()
        .find(|byte| matches!(byte, b'1' | b'x'))
    {
        *letter ^= 1;
    }
    let mut times: Vec<(Duration, &str)> = slugs
        .iter()
        .filter_map(|&slug| {
            let provider = Provider::builtin(slug)?;
            let mut signed = Signed::by(&provider, body)?;
            signed.body.clone_from(&changed);
            let head = signed.head();
            let time = fastest_half(|| {
                black_box(signed.check(black_box(&provider), &head));
            });
            Some((time, slug))
        })
        .collect();
    times.sort();
    for (time, slug) in times.iter().rev().take(3) {
        let verdict = if *time <= MOST_FAILED {
            "met"
        } else {
            "MISSED"
        };
        println!(
            "  {slug:<34} {:<12} aim {}: {verdict}",
            micros(*time),
            micros(MOST_FAILED)
        );
    }
    if let Some((time, slug)) = times.get(times.len() / 2) {
        println!("  {:<34} {}", format!("the median ({slug})"), micros(*time));
    }
}

/// The mean of the fastest half of many runs.
fn fastest_half(mut run: impl FnMut()) -> Duration {
    let budget = Instant::now();
    let mut times = Vec::with_capacity(ROUNDS);
    while times.len() < ROUNDS
        && (times.len() < 50 || budget.elapsed() < Duration::from_millis(200))
    {
        let start = Instant::now();
        run();
        times.push(start.elapsed());
    }
    times.sort();
    let half = &times[..times.len() / 2];
    let count = u32::try_from(half.len()).expect("a small number");
    half.iter().sum::<Duration>() / count
}

fn micros(time: Duration) -> String {
    format!("{:.2} µs", time.as_secs_f64() * 1e6)
}
