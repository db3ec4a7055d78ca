//! How long what was fetched may be used, by what its server says of it and within our own bounds.

use std::time::Duration;

/// The shortest time: a server that forbids caching would otherwise be asked for every request.
pub(super) const SHORTEST: Duration = Duration::from_secs(5 * 60);

/// The longest: a key that its provider takes back must not live on for long.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What applies when the server says nothing.
const USUAL: Duration = Duration::from_secs(60 * 60);

/// How long an answer with this `Cache-Control` is fresh (RFC 9111 §5.2.2).
pub(super) fn lifetime(cache_control: Option<&str>) -> Duration {
    let Some(text) = cache_control else {
        return USUAL;
    };
    let directives = || text.split(',').map(str::trim);
    let is_forbidden = directives().any(|directive| {
        let name = directive.split('=').next().unwrap_or_default();
        name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache")
    });
    if is_forbidden {
        return SHORTEST;
    }
    let seconds = directives().find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        let is_age = name.trim().eq_ignore_ascii_case("max-age");
        is_age.then(|| value.trim().trim_matches('"').parse().ok())?
    });
    seconds.map_or(USUAL, |seconds| {
        Duration::from_secs(seconds).clamp(SHORTEST, LONGEST)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_how_long_within_bounds() {
        for (text, expected) in [
            (None, USUAL),
            (Some(""), USUAL),
            (Some("public, max-age=7200"), Duration::from_secs(7200)),
            (Some("Max-Age=\"7200\""), Duration::from_secs(7200)),
            (Some("max-age=299"), SHORTEST),
            (Some("max-age=0"), SHORTEST),
            (Some("max-age=86401"), LONGEST),
            (Some("max-age=18446744073709551616"), USUAL),
            (Some("max-age=-1"), USUAL),
            (Some("no-store, max-age=7200"), SHORTEST),
            (Some("no-cache"), SHORTEST),
            (Some("s-maxage=10"), USUAL),
        ] {
            assert_eq!(lifetime(text), expected, "{text:?}");
        }
    }
}
