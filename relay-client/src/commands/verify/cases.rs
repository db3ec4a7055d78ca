//! `--cases FILE…`: runs files of test vectors and tells each case that differs, so that others can check this engine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use towline_shared::verify::Provider;

use super::super::input;
use super::super::{Context, Exit, Failure};
use super::case::{Case, Comparison, Difference};
use crate::screen::escape;

/// The longest file of cases; the largest provider's has less than 1 MiB.
const MOST_BYTES: u64 = 256 * 1024 * 1024;

/// Which cases run, and with what.
pub(super) struct Run<'a> {
    /// Files, folders of `*.json` files, or `-` for stdin.
    pub(super) places: &'a [PathBuf],
    /// Only cases of this provider run.
    pub(super) only: Option<&'a str>,
    /// The provider of those cases, in place of the built-in one.
    pub(super) own: Option<Arc<Provider>>,
    /// Whether another reason for the same verdict counts as a difference.
    pub(super) compares_reasons: bool,
}

#[derive(Default)]
struct Tally {
    run: usize,
    differ: usize,
    other_reasons: usize,
}

/// A case that differs, as JSON.
#[derive(Serialize)]
struct DifferenceLine<'a> {
    v: u32,
    r#type: &'static str,
    provider: &'a str,
    case: &'a str,
    #[serde(flatten)]
    difference: &'a Difference,
}

/// The summary as JSON.
#[derive(Serialize)]
struct SummaryLine {
    v: u32,
    r#type: &'static str,
    cases: usize,
    differ: usize,
    other_reasons: usize,
}

impl Run<'_> {
    /// Runs all cases; a line on stdout for each that differs, a summary on stderr.
    ///
    /// # Errors
    /// When a file cannot be read, or no case is there to run.
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<Exit> {
        let mut tally = Tally::default();
        for place in files(self.places)? {
            for case in read(&place)? {
                let is_wanted = self.only.is_none_or(|only| only == case.provider);
                if is_wanted {
                    self.run_one(&case, &mut tally, context)?;
                }
            }
        }
        if tally.run == 0 {
            let of = self
                .only
                .map_or_else(String::new, |slug| format!(" of `{slug}`"));
            return Err(Failure::invalid(format!("there is no case{of} to run")).into());
        }
        summarise(&tally, context)?;
        Ok(if tally.differ == 0 {
            Exit::Done
        } else {
            Exit::VerificationFailed
        })
    }

    fn run_one(&self, case: &Case, tally: &mut Tally, context: &Context) -> anyhow::Result<()> {
        tally.run += 1;
        let difference = match self.compare(case) {
            Comparison::Same => return Ok(()),
            Comparison::OtherReason(difference) => {
                tally.other_reasons += 1;
                if !self.compares_reasons {
                    return Ok(());
                }
                difference
            }
            Comparison::Differs(difference) => difference,
        };
        tally.differ += 1;
        if context.global.json {
            context.screen.json(&DifferenceLine {
                v: 1,
                r#type: "difference",
                provider: &case.provider,
                case: &case.name,
                difference: &difference,
            })?;
        } else {
            let line = format!(
                "{}/{}: expected {}, found {}",
                case.provider, case.name, difference.expected, difference.found
            );
            context.screen.data(&escape::line(&line))?;
        }
        Ok(())
    }

    fn compare(&self, case: &Case) -> Comparison {
        let differs = |found: String| {
            Comparison::Differs(Difference {
                expected: "a case that can be run".to_owned(),
                found,
            })
        };
        let provider = match &self.own {
            Some(own) => Some(Arc::clone(own)),
            None => Provider::builtin(&case.provider),
        };
        match provider {
            None => differs(format!("no provider `{}`", case.provider)),
            Some(provider) => case
                .run(&provider)
                .unwrap_or_else(|error| differs(error.to_string())),
        }
    }
}

fn summarise(tally: &Tally, context: &Context) -> anyhow::Result<()> {
    if context.global.json {
        context.screen.json(&SummaryLine {
            v: 1,
            r#type: "summary",
            cases: tally.run,
            differ: tally.differ,
            other_reasons: tally.other_reasons,
        })?;
        return Ok(());
    }
    let mut line = format!("{} cases, {} differ", tally.run, tally.differ);
    if tally.other_reasons > 0 {
        line += &format!(
            "; {} have the verdict but another reason (`--reasons` lists them)",
            tally.other_reasons
        );
    }
    context.screen.notice(&line);
    Ok(())
}

/// The files themselves, and those of folders, sorted.
fn files(places: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for place in places {
        if !place.is_dir() {
            files.push(place.clone());
            continue;
        }
        let unreadable = |error: std::io::Error| {
            Failure::invalid(format!("could not read the folder `{}`", place.display()))
                .because(error)
        };
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(place).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                inside.push(path);
            }
        }
        inside.sort();
        files.append(&mut inside);
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<Case>, Failure> {
    let place = path.display().to_string();
    let bytes = input::read(&place, "cases", MOST_BYTES).map_err(|failure| {
        failure.hint("PROVIDER stands before `--cases`, files and folders behind it")
    })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Failure::invalid(format!("the cases in `{place}` cannot be read"))
            .because(error)
            .hint("expected a JSON list of cases, each with name, provider, secrets, now, request and expect")
    })
}
