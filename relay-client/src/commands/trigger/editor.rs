//! Lets a person change a body in the editor of their choice.

use std::io::{Read, Write};
use std::process::Command;

use super::super::{Context, Failure};

/// The longest body that comes back from an editor.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// The body as the person left it. One line end that the editor put at the end is left out.
///
/// # Errors
/// When nobody can be asked, or the editor fails.
pub(super) fn edited(body: &[u8], context: &Context) -> Result<Vec<u8>, Failure> {
    if !context.screen.can_ask() {
        let usage = Failure::usage("`--edit` needs a terminal");
        return Err(usage
            .hint("change values with `--set /POINTER=VALUE`, or send a file with `--body-file`"));
    }
    let environment = &context.settings.environment;
    let editor = environment
        .get("VISUAL")
        .or_else(|| environment.get("EDITOR"));
    let editor = editor.ok_or_else(|| {
        Failure::usage("neither `VISUAL` nor `EDITOR` is set")
            .hint("name your editor in one of them")
    })?;
    in_file(body, editor).map_err(|error| {
        Failure::invalid("the body could not be changed in the editor").because(error)
    })
}

fn in_file(body: &[u8], editor: &str) -> anyhow::Result<Vec<u8>> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    let name = format!(
        "towline-body-{}.txt",
        data_encoding::HEXLOWER.encode(&random)
    );
    let path = std::env::temp_dir().join(name);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&path)?.write_all(body)?;
    // An editor is a command line of its own, such as `code --wait`.
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg("sh")
        .arg(&path)
        .status();
    let mut changed = Vec::new();
    let read =
        std::fs::File::open(&path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut changed));
    // The system clears its temporary folder too.
    let _ = std::fs::remove_file(&path);
    anyhow::ensure!(status?.success(), "the editor ended with an error");
    read?;
    if !body.ends_with(b"\n") && changed.ends_with(b"\n") {
        changed.pop();
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_editor_wrote_comes_back_without_its_last_line_end() {
        let changed = in_file(b"{\"a\":1}", "f() { echo '{\"a\":2}' > \"$1\"; }; f").unwrap();

        assert_eq!(changed, b"{\"a\":2}");
        assert!(in_file(b"x", "false").is_err());
    }
}
