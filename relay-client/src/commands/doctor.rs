//! `towline doctor`: looks at everything between this machine's settings and the relay, one line a check, and says what
//! to do about each problem.

mod checks;

use clap::Args;
use serde::Serialize;

use super::{Context, Exit};
use crate::screen::{escape, paint};
use crate::target::Target;

/// Check settings, the way to the relay, the token, clocks and, if given, a target
#[derive(Debug, Args)]
#[command(after_help = "\
Ends with 0 when all is well, else with the code of the first problem.

Examples:
  towline doctor
  towline doctor 3000
  towline doctor --relay https://relay.example --json")]
pub struct Arguments {
    /// A target to reach as well, such as 3000
    target: Option<Target>,
}

/// What one check found.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    is_ok: bool,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(skip)]
    exit: Exit,
}

impl Finding {
    fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self {
            check,
            is_ok: true,
            detail: detail.into(),
            hint: None,
            exit: Exit::Done,
        }
    }

    fn problem(
        check: &'static str,
        exit: Exit,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            check,
            is_ok: false,
            detail: detail.into(),
            hint: Some(hint.into()),
            exit,
        }
    }
}

/// Checks everything in order.
///
/// # Errors
/// Only when stdout cannot be written; what is wrong is shown.
pub async fn run(arguments: Arguments, context: &Context) -> anyhow::Result<Exit> {
    let mut exit = Exit::Done;
    let mut show = |finding: Finding| {
        if exit == Exit::Done {
            exit = finding.exit;
        }
        print(&finding, context)
    };
    show(checks::version())?;
    show(checks::settings(context))?;
    show(checks::state_folder(context))?;
    for finding in checks::relay(context).await {
        show(finding)?;
    }
    if let Some(target) = &arguments.target {
        show(checks::target(target).await)?;
    }
    Ok(exit)
}

fn print(finding: &Finding, context: &Context) -> anyhow::Result<()> {
    if context.global.json {
        return Ok(context.screen.json(finding)?);
    }
    let word = if finding.is_ok {
        paint::good("ok     ")
    } else {
        paint::bad("problem")
    };
    context.screen.data(&format!(
        "{word}  {:<9} {}",
        finding.check,
        escape::line(&finding.detail)
    ))?;
    if let Some(hint) = &finding.hint {
        context.screen.data(&format!(
            "         {} {}",
            paint::strong("hint:"),
            escape::line(hint)
        ))?;
    }
    Ok(())
}
