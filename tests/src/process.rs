//! Real processes of the project's binaries, with their output at hand: started, asked to stop, or killed.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::binaries::Binary;
use crate::eventually::{eventually, in_time};

/// A running process; it is killed when dropped.
pub struct Process {
    child: Child,
    pid: u32,
    stdout: Lines,
    stderr: Lines,
}

/// How a finished process ended and what it printed.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; -1 after a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// The lines of one output so far.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>, Arc<AtomicBool>);

impl Process {
    /// Starts a binary with no settings but those given: an empty home in `folder`, no colour, no input.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(binary: Binary, folder: &Path, arguments: &[&str]) -> Self {
        Self::start_with(command(binary, folder).args(arguments))
    }

    /// Starts a prepared command.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_with(command: &mut Command) -> Self {
        Self::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    /// Starts a prepared command whose output nobody reads.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_quiet(command: &mut Command) -> Self {
        Self::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let pid = child.id().expect("a started process has an id");
        let stdout = Lines::default();
        let stderr = Lines::default();
        if let Some(output) = child.stdout.take() {
            stdout.follow(output);
        }
        if let Some(output) = child.stderr.take() {
            stderr.follow(output);
        }
        Self {
            child,
            pid,
            stdout,
            stderr,
        }
    }

    /// The process id.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Everything on standard output so far.
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.0.lock().clone()
    }

    /// Everything on standard error so far.
    pub fn stderr(&self) -> Vec<String> {
        self.stderr.0.lock().clone()
    }

    /// Waits for what `find` makes of a line of either output.
    ///
    /// # Panics
    /// When no such line comes in time; the message shows what was printed instead.
    pub async fn wait_for_line<T>(
        &mut self,
        what: &str,
        mut find: impl FnMut(&str) -> Option<T>,
    ) -> T {
        eventually(what, async || {
            // A process may be gone before its last lines have been read.
            let is_over = self.stdout.is_over() && self.stderr.is_over();
            let found = [&self.stdout, &self.stderr]
                .iter()
                .find_map(|lines| lines.0.lock().iter().find_map(|line| find(line)));
            assert!(
                found.is_some() || !is_over,
                "the process ended without {what}: {:?} {:?}",
                self.stdout(),
                self.stderr()
            );
            found
        })
        .await
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    ///
    /// # Panics
    /// When the operating system refuses.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("an own child can be killed");
    }

    /// Sends a signal by name, such as `TERM`.
    ///
    /// # Panics
    /// When the operating system refuses.
    pub async fn signal(&self, name: &str) {
        let status = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{name} {}", self.pid))
            .status()
            .await
            .expect("sh can be started");
        assert!(status.success(), "could not send {name}");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn end(&mut self) -> ExitStatus {
        in_time("the process ends", self.child.wait())
            .await
            .expect("an own child can be waited for")
    }
}

impl Lines {
    /// Whether the output has ended and every line of it is here.
    fn is_over(&self) -> bool {
        self.1.load(Ordering::Acquire)
    }

    fn follow(&self, output: impl AsyncRead + Unpin + Send + 'static) {
        let lines = self.clone();
        tokio::spawn(async move {
            let mut reader = BufReader::new(output);
            let mut line = Vec::new();
            while let Ok(1..) = reader.read_until(b'\n', &mut line).await {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                lines.0.lock().push(text);
                line.clear();
            }
            lines.1.store(true, Ordering::Release);
        });
    }
}

/// A command of the project with an empty home in `folder`.
pub fn command(binary: Binary, folder: &Path) -> Command {
    let mut command = Command::new(binary.path());
    command.env_clear().current_dir(folder).env("HOME", folder);
    for name in [
        "PATH",
        "TMPDIR",
        "LLVM_PROFILE_FILE",
        "RUST_BACKTRACE",
        "TOKIO_WORKER_THREADS",
    ] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("NO_COLOR", "1");
    command
}

/// Runs a binary to its end.
///
/// # Panics
/// When it does not end in time.
pub async fn run(binary: Binary, folder: &Path, arguments: &[&str]) -> Finished {
    run_command(command(binary, folder).args(arguments)).await
}

/// Runs a prepared command to its end.
///
/// # Panics
/// When it does not end in time.
pub async fn run_command(command: &mut Command) -> Finished {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = in_time("the command ends", command.output())
        .await
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    Finished {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
