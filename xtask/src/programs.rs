//! How do the demo and the benchmark start?
//!
//! They are programs of the package `rustle-tests`, which may know the daemon's interface; here is only what comes
//! before them: the build, and where the daemon and the command line lie.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::cargo::Workspace;
use crate::toolchain;

/// Builds everything, runs the program `name`, and returns its exit code.
pub(crate) fn run(workspace: &Workspace, name: &str, arguments: &[OsString]) -> Result<ExitCode> {
    toolchain::ensure()?;
    workspace.claim()?;
    // All of it, as the tests do: of fewer packages some crates get other features, and would be built a second time.
    workspace.cargo(["build", "--workspace", "--bins"])?;

    let program = workspace.binary(name);
    let mut command = Command::new(&program);
    command
        .args(arguments)
        .env("RUSTLED_BIN", workspace.binary("rustled"))
        .env("RUSTLE_BIN", workspace.binary("rustle"))
        .env("RUSTLE_WORKSPACE", &workspace.top);
    let status = command
        .status()
        .with_context(|| format!("starting {}", program.display()))?;
    // A program that a signal ended has no code of its own.
    let code = status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1);
    Ok(ExitCode::from(code))
}
