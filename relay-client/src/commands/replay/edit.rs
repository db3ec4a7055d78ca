//! The edited body of a replay: out of a file, with single values of its JSON set, or from the person's editor.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use towline_shared::head::Head;
use towline_shared::id::EventId;

use super::super::events::CapturedRequest;
use super::super::trigger::Change;
use super::super::{Context, Failure};
use crate::relay_api::RelayApi;

/// The longest body that is edited; the relay takes no longer one.
const MOST_BYTES: u64 = 10 * 1024 * 1024;

/// How the body is edited.
#[derive(Debug, Args)]
#[command(next_help_heading = "Edit")]
pub(super) struct EditOptions {
    /// Edit the body in $VISUAL or $EDITOR; nothing is sent when it stays as it is
    #[arg(long, conflicts_with_all = ["body_file", "set"])]
    edit: bool,
    /// Send the content of this file as the body; `-` is stdin
    #[arg(long, value_name = "FILE", conflicts_with = "set")]
    body_file: Option<PathBuf>,
    /// Put another value into the JSON or form of the body, such as `/data/id=evt_2`; what reads as JSON is put in as
    /// it is, other text as a string (repeatable)
    #[arg(long, value_name = "/POINTER=VALUE")]
    set: Vec<Change>,
}

impl EditOptions {
    /// Whether the body is edited.
    pub(super) fn is_wanted(&self) -> bool {
        self.edit || self.body_file.is_some() || !self.set.is_empty()
    }

    /// The edited body.
    pub(super) async fn body(
        &self,
        event: EventId,
        api: &RelayApi,
        context: &Context,
    ) -> anyhow::Result<Bytes> {
        if let Some(path) = &self.body_file {
            return read(path);
        }
        let editor = if self.edit {
            Some(editor(context)?)
        } else {
            None
        };
        let request = CapturedRequest::fetch(api, event).await?;
        if request.detail.summary.info.body_length > MOST_BYTES {
            return Err(too_long(&format!("the body of {event}")).into());
        }
        let captured = request.body(api).await?;
        match editor {
            Some(editor) => in_editor(event, &editor, &captured, context.settings.folders.state()),
            None => self.with_values(&request.head, &captured),
        }
    }

    fn with_values(&self, head: &Head, captured: &[u8]) -> anyhow::Result<Bytes> {
        let is_form = is_form(head);
        let mut body = captured.to_vec();
        for change in &self.set {
            body = change.apply(&body, is_form).map_err(|problem| {
                Failure::invalid(format!("the body cannot be changed as asked: {problem}"))
            })?;
        }
        Ok(body.into())
    }
}

fn is_form(head: &Head) -> bool {
    const FORM: &[u8] = b"application/x-www-form-urlencoded";
    let is_form = |value: &[u8]| {
        let media_type = value.split(|&byte| byte == b';').next().unwrap_or_default();
        media_type.trim_ascii().eq_ignore_ascii_case(FORM)
    };
    head.values("content-type").next().is_some_and(is_form)
}

fn too_long(what: &str) -> Failure {
    Failure::invalid(format!(
        "{what} has more than {MOST_BYTES} bytes, the most that is edited"
    ))
}

fn read(path: &Path) -> anyhow::Result<Bytes> {
    let name = path.display();
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        let stdin = std::io::stdin().lock();
        stdin.take(MOST_BYTES + 1).read_to_end(&mut bytes)
    } else {
        fs::File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| {
        Failure::invalid(format!("could not read the body from `{name}`")).because(error)
    })?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(too_long(&format!("`{name}`")).into());
    }
    Ok(bytes.into())
}

/// The editor, when there is a person to use it.
fn editor(context: &Context) -> Result<String, Failure> {
    if !context.screen.can_ask() {
        return Err(
            Failure::usage("`--edit` needs a terminal, and a person at it").hint(
                "`--set /POINTER=VALUE` and `--body-file FILE` edit without one; `towline events show ID --body` writes the body",
            ),
        );
    }
    let environment = &context.settings.environment;
    let named = environment
        .get("VISUAL")
        .or_else(|| environment.get("EDITOR"));
    named.map(str::to_owned).ok_or_else(|| {
        Failure::usage("neither `VISUAL` nor `EDITOR` names an editor")
            .hint("such as `EDITOR=nano towline replay …`")
    })
}

/// Lets the person edit the body in a file that goes with the edit.
fn in_editor(
    event: EventId,
    editor: &str,
    captured: &[u8],
    folder: &Path,
) -> anyhow::Result<Bytes> {
    if !is_text(captured) {
        let message = format!("the body of {event} is not text, and an editor could damage it");
        return Err(Failure::invalid(message)
            .hint("write it with `towline events show ID --body > FILE`, then send it with `--body-file FILE`")
            .into());
    }
    fs::create_dir_all(folder).with_context(|| format!("could not make `{}`", folder.display()))?;
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(captured).is_ok();
    let extension = if is_json { "json" } else { "txt" };
    let path = folder.join(format!("edit-{event}-{}.{extension}", std::process::id()));
    let file = EditedFile(path);
    file.write(captured)?;
    // As git and others do: the variable may hold options too.
    let status = Command::new("sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(&file.0)
        .status()
        .with_context(|| format!("could not run the editor `{editor}`"))?;
    if !status.success() {
        return Err(Failure::invalid(format!(
            "the editor ended with {status}, so nothing is sent"
        ))
        .into());
    }
    let edited = without_added_line_end(read(&file.0)?, captured);
    if edited == captured {
        return Err(Failure::invalid("the body was not changed, so nothing is sent").into());
    }
    Ok(edited)
}

/// UTF-8 without control characters but tab and line ends.
fn is_text(body: &[u8]) -> bool {
    let is_plain = |letter: char| !letter.is_control() || matches!(letter, '\t' | '\n' | '\r');
    std::str::from_utf8(body).is_ok_and(|text| text.chars().all(is_plain))
}

/// Editors end the last line of a file; where the body had no such end, it is theirs and goes again.
fn without_added_line_end(edited: Bytes, captured: &[u8]) -> Bytes {
    match edited.strip_suffix(b"\n") {
        Some(shorter) if !captured.ends_with(b"\n") => edited.slice_ref(shorter),
        _ => edited,
    }
}

/// A file that only its owner reads, and that is removed with this value.
struct EditedFile(PathBuf);

impl EditedFile {
    fn write(&self, content: &[u8]) -> anyhow::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let written = options
            .open(&self.0)
            .and_then(|mut file| file.write_all(content));
        written.with_context(|| format!("could not write `{}`", self.0.display()))
    }
}

impl Drop for EditedFile {
    fn drop(&mut self) {
        // An editor may have moved it away.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: EventId = EventId::from_bytes([7; 16]);

    fn edited(script: &str, captured: &[u8]) -> anyhow::Result<Bytes> {
        let folder = tempfile::tempdir().unwrap();
        let result = in_editor(EVENT, script, captured, folder.path());
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            0,
            "no file stays"
        );
        result
    }

    #[test]
    fn what_the_editor_wrote_is_sent_without_the_line_end_that_it_added() {
        let body = edited("f() { printf '{\"n\":2}\\n' > \"$1\"; }; f", b"{\"n\":1}").unwrap();
        let with_line_end = edited("f() { printf 'b\\n' > \"$1\"; }; f", b"a\n").unwrap();

        assert_eq!(body, "{\"n\":2}");
        assert_eq!(with_line_end, "b\n");
    }

    #[test]
    fn an_edit_that_is_given_up_sends_nothing() {
        let failed = edited("false", b"{}").unwrap_err();
        let unchanged = edited("true", b"{}").unwrap_err();

        assert!(failed.to_string().contains("nothing is sent"), "{failed}");
        assert!(
            unchanged.to_string().contains("nothing is sent"),
            "{unchanged}"
        );
    }

    #[test]
    fn what_is_not_text_is_not_given_to_an_editor() {
        for binary in [&b"\x1f\x8b\x08"[..], b"\0", b"a\x1bb"] {
            let error = edited("rm", binary).unwrap_err();
            assert!(error.to_string().contains("not text"), "{error}");
        }
        assert!(is_text("{\"ü\":\t1}\r\n".as_bytes()));
    }

    #[test]
    fn a_file_of_the_longest_length_is_read_and_a_longer_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        let file = fs::File::create(&path).unwrap();
        file.set_len(MOST_BYTES).unwrap();
        assert_eq!(read(&path).unwrap().len() as u64, MOST_BYTES);
        file.set_len(MOST_BYTES + 1).unwrap();
        assert!(read(&path).is_err());
    }
}
