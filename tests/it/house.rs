//! The rules of the house, read off the sources: who may name whom, and how a file looks.
//! Each rule says in its message why it is there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use towline_tests::binaries::workspace;

/// The packages whose sources are the product.
const PRODUCT: [&str; 3] = ["shared/src", "relay-server/src", "relay-client/src"];

/// The most lines of code in a file, its unit tests not counted. The aim is 80 to 350 (CONTRIBUTING.md);
/// what is longer has a second job that wants a file of its own.
const MAX_CODE_LINES: usize = 450;

/// The most lines of a file with its unit tests.
const MAX_LINES: usize = 1_100;

/// The floors of the relay, lowest first. A module may name modules of its own floor and below.
const FLOORS: [&[&str]; 4] = [
    &["limits", "config", "error"],
    &["store", "keys", "bus", "metrics"],
    &[
        "auth",
        "access_tokens",
        "endpoints",
        "fanout",
        "verify",
        "resign",
        "recheck",
        "outcome",
    ],
    &[
        "relay",
        "problem",
        "listener",
        "ingest",
        "session",
        "oauth",
        "retention",
        "api",
        "ui",
        "serve",
        "main",
        "lib",
        "cli",
    ],
];

#[test]
fn the_relay_is_built_in_floors_and_nothing_below_names_what_is_above() {
    let broken = sources(&["relay-server/src"], |file| {
        let own = floor_of(&file.module());
        file.code_lines()
            .flat_map(modules_named)
            .filter(|named| floor_of(named) > own)
            .map(|named| format!("names `crate::{named}` of a higher floor"))
            .collect()
    });

    assert_none(
        &broken,
        "edge → core → ports → ground (ARCHITECTURE.md): a rule that knows the edge cannot be tested without it",
    );
}

#[test]
fn every_module_of_the_relay_has_its_floor() {
    let broken = sources(&["relay-server/src"], |file| {
        let module = file.module();
        let is_known = FLOORS.iter().any(|floor| floor.contains(&module.as_str()));
        (!is_known)
            .then(|| format!("module `{module}` has no floor"))
            .into_iter()
            .collect()
    });

    assert_none(
        &broken,
        "give it a place in FLOORS, and the story in ARCHITECTURE.md a sentence",
    );
}

#[test]
fn http_servers_are_named_only_at_the_edge() {
    let edge = FLOORS[3];
    let broken = sources(&["relay-server/src"], |file| {
        let is_edge = edge.contains(&file.module().as_str());
        // `keys` is a client of HTTP; no head or body of a webhook passes through it.
        let is_client = file.module() == "keys";
        file.naming(&["axum", "hyper", "hyper_util", "tokio_tungstenite"])
            .filter(|_| !is_edge && !is_client)
            .collect()
    });

    assert_none(
        &broken,
        "the core decides about heads and bodies, not about a library's types",
    );
}

#[test]
fn sql_is_named_only_under_the_store() {
    let broken = sources(&PRODUCT, |file| {
        let is_store = file.path.starts_with("relay-server") && file.module() == "store";
        file.naming(&["rusqlite"]).filter(|_| !is_store).collect()
    });

    assert_none(
        &broken,
        "another store must be able to stand behind the same interface",
    );
}

#[test]
fn shared_has_no_sockets_no_clock_and_no_files() {
    let broken = sources(&["shared/src"], |file| {
        file.naming(&["tokio", "hyper", "axum", "rusqlite"])
            .chain(file.containing(&[
                "SystemTime::now",
                "Instant::now",
                "std::fs",
                "std::env",
                "TcpStream",
                "TcpListener",
            ]))
            .collect()
    });

    assert_none(
        &broken,
        "time and bytes come in as arguments, so that every rule can be tried in a unit test",
    );
}

#[test]
fn server_and_client_meet_in_one_file_only() {
    let of_server = sources(&["shared/src", "relay-server/src"], |file| {
        file.naming(&["towline"]).collect()
    });
    let of_client = sources(&["relay-client/src"], |file| {
        file.naming(&["towline_server"]).collect()
    });

    assert_none(&of_server, "the relay runs without the client");
    let files: Vec<_> = of_client.keys().collect();
    assert!(
        files.len() <= 1,
        "the client embeds a relay in one file, so that the rest works against any relay; it is named in {files:?}"
    );
}

#[test]
fn nothing_unwraps_outside_tests() {
    let broken = sources(&PRODUCT, |file| file.containing(&[".unwrap()"]).collect());

    assert_none(
        &broken,
        "no input may end the process; `expect` states the invariant when there is one",
    );
}

#[test]
fn every_file_says_on_top_what_it_is_for() {
    let broken = sources(
        &[
            "shared/src",
            "relay-server/src",
            "relay-client/src",
            "tests",
        ],
        |file| {
            let first = file.text.lines().next().unwrap_or_default();
            let sentence = first.strip_prefix("//! ").unwrap_or_default();
            let says_something = sentence.len() > 20 || sentence.contains(' ');
            (!says_something)
                .then(|| "does not begin with `//! …`".to_owned())
                .into_iter()
                .collect()
        },
    );

    assert_none(&broken, "one file, one job, sayable in one sentence");
}

#[test]
fn no_file_is_a_drawer_for_everything() {
    let drawers = [
        "utils", "util", "helpers", "helper", "common", "misc", "types2", "manager", "mod",
    ];
    let broken = sources(
        &[
            "shared/src",
            "relay-server/src",
            "relay-client/src",
            "tests",
        ],
        |file| {
            let stem = file.path.file_stem().unwrap_or_default().to_string_lossy();
            drawers
                .contains(&stem.as_ref())
                .then(|| format!("is called `{stem}`"))
                .into_iter()
                .collect()
        },
    );

    assert_none(
        &broken,
        "a name says what is inside; `name.rs` + `name/` instead of `mod.rs`",
    );
}

#[test]
fn no_file_is_too_long_to_read_in_one_go() {
    let broken = sources(
        &[
            "shared/src",
            "relay-server/src",
            "relay-client/src",
            "tests",
        ],
        |file| {
            let (code, all) = (file.code_lines().count(), file.text.lines().count());
            (code > MAX_CODE_LINES || all > MAX_LINES)
                .then(|| format!("{code} lines of code, {all} in all"))
                .into_iter()
                .collect()
        },
    );

    assert_none(
        &broken,
        "split it by job (limits: MAX_CODE_LINES and MAX_LINES)",
    );
}

#[test]
fn nothing_is_imported_by_star() {
    let broken = sources(&PRODUCT, |file| {
        file.code_lines()
            .map(str::trim)
            .filter(|line| {
                (line.starts_with("use ") || line.starts_with("pub use ")) && line.ends_with("::*;")
            })
            .map(str::to_owned)
            .collect()
    });

    assert_none(
        &broken,
        "a reader finds where a name comes from at the top of the file",
    );
}

#[test]
fn journeys_do_not_sleep_and_none_is_left_out() {
    let broken = sources(&["tests/it"], |file| {
        let is_this = file.path.ends_with("house.rs");
        file.containing(&["sleep(", "#[ignore"])
            .filter(|_| !is_this)
            .collect()
    });

    assert_none(
        &broken,
        "wait for what you wait for (`eventually`); a test that does not run proves nothing",
    );
}

#[test]
fn versions_stand_in_the_root_manifest_only() {
    for member in ["shared", "relay-server", "relay-client", "tests"] {
        let path = workspace().join(member).join("Cargo.toml");
        let text = std::fs::read_to_string(path).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = manifest.get(section).and_then(toml::Value::as_table) else {
                continue;
            };
            for (name, value) in dependencies {
                let is_inherited =
                    value.get("workspace").and_then(toml::Value::as_bool) == Some(true);
                assert!(
                    is_inherited,
                    "{member}: `{name}` must be `{name}.workspace = true`: one version each, changed in one place"
                );
            }
        }
    }
}

/// One source file.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The lines outside comments and before the unit tests; none of a file that has unit tests only.
    fn code_lines(&self) -> impl Iterator<Item = &str> {
        let is_tests_only = self.is_tests_only();
        self.text
            .lines()
            .take_while(move |line| !is_tests_only && !line.starts_with("#[cfg(test)]"))
            .map(without_comment)
    }

    /// Whether it is the `tests.rs` of a module, or below its `tests/`.
    fn is_tests_only(&self) -> bool {
        let mut parts = self.path.components().skip(2);
        parts.any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs")))
    }

    /// The module directly below `src` that the file belongs to.
    fn module(&self) -> String {
        let parts: Vec<_> = self.path.components().skip(2).collect();
        let first = parts
            .first()
            .map(|part| part.as_os_str().to_string_lossy())
            .unwrap_or_default();
        first.trim_end_matches(".rs").to_owned()
    }

    fn containing(&self, needles: &[&'static str]) -> impl Iterator<Item = String> {
        let needles = needles.to_vec();
        self.code_lines().flat_map(move |line| {
            needles
                .iter()
                .filter(|needle| line.contains(**needle))
                .map(|needle| format!("`{needle}` in: {}", line.trim()))
                .collect::<Vec<_>>()
        })
    }

    fn naming(&self, crates: &[&'static str]) -> impl Iterator<Item = String> {
        let crates = crates.to_vec();
        self.code_lines().flat_map(move |line| {
            crates
                .iter()
                .filter(|name| names_crate(line, name))
                .map(|name| format!("names `{name}`: {}", line.trim()))
                .collect::<Vec<_>>()
        })
    }
}

/// What each source file under these folders breaks.
fn sources(
    folders: &[&str],
    mut rule: impl FnMut(&Source) -> Vec<String>,
) -> BTreeMap<PathBuf, Vec<String>> {
    let root = workspace();
    let mut broken = BTreeMap::new();
    let mut count = 0;
    for folder in folders {
        for path in rust_files(&root.join(folder)) {
            let text = std::fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(&root).unwrap().to_path_buf();
            let source = Source { path, text };
            let complaints = rule(&source);
            count += 1;
            if !complaints.is_empty() {
                broken.insert(source.path, complaints);
            }
        }
    }
    assert!(
        count > 0,
        "no sources under {folders:?}: the rule looks in the wrong place"
    );
    broken
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn without_comment(line: &str) -> &str {
    let is_comment = |at: usize| at == 0 || line.as_bytes()[at - 1].is_ascii_whitespace();
    match line.find("//") {
        Some(at) if is_comment(at) => &line[..at],
        _ => line,
    }
}

/// The modules that a line reaches by `crate::`.
fn modules_named(line: &str) -> impl Iterator<Item = String> {
    line.match_indices("crate::").map(|(at, found)| {
        line[at + found.len()..]
            .chars()
            .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
            .collect()
    })
}

fn floor_of(module: &str) -> usize {
    FLOORS
        .iter()
        .position(|floor| floor.contains(&module))
        .unwrap_or(0)
}

/// Whether the line has the crate as the first part of a path, or imports it whole.
fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let is_start =
            before.is_none_or(|letter| !letter.is_alphanumeric() && !"_:\"`".contains(letter));
        let after = &line[at + name.len()..];
        is_start
            && (after.starts_with("::")
                || (after.starts_with(';') && line.trim_start().starts_with("use ")))
    })
}

fn assert_none(broken: &BTreeMap<PathBuf, Vec<String>>, reason: &str) {
    let list: Vec<_> = broken
        .iter()
        .flat_map(|(path, complaints)| {
            complaints
                .iter()
                .map(move |complaint| format!("  {}: {complaint}", path.display()))
        })
        .collect();
    assert!(list.is_empty(), "{reason}\n{}", list.join("\n"));
}
