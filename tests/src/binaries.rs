//! Finds the built `towline` and `towline-server`, and builds them first, so that a plain
//! `cargo test --workspace` always runs what the sources say.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A binary of the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// The relay, `towline-server`.
    Relay,
    /// The command, `towline`.
    Towline,
}

impl Binary {
    /// Where it is; built in the profile of the running test when its sources are newer.
    ///
    /// # Panics
    /// When it does not build.
    pub fn path(self) -> PathBuf {
        static FOLDER: OnceLock<PathBuf> = OnceLock::new();
        let folder = FOLDER.get_or_init(build);
        let name = match self {
            Self::Relay => "towline-server",
            Self::Towline => "towline",
        };
        folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    }
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("the package lies in the workspace")
        .to_path_buf()
}

fn build() -> PathBuf {
    let own = std::env::current_exe().expect("a running program has a path");
    let folder = own
        .ancestors()
        .skip(1)
        .find(|folder| !folder.ends_with("deps"))
        .expect("a program lies in a folder")
        .to_path_buf();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(workspace())
        .args(["build", "--quiet", "--bins"])
        .args(["--package", "towline", "--package", "towline-server"]);
    if folder.ends_with("release") {
        command.arg("--release");
    }
    if let Some(target) = folder.parent() {
        command.arg("--target-dir").arg(target);
    }
    let status = command.status().expect("cargo can be started");
    assert!(status.success(), "the binaries do not build");
    folder
}
