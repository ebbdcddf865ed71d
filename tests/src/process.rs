//! Running a program to its end, and what it said.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustle_types::Multiaddr;
use tokio::process::Command;

use crate::programs;
use crate::waiting::within;

/// Longest time that any program may take that ends by itself.
const END_DEADLINE: Duration = Duration::from_secs(20);

/// A program that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: String,
}

// === impl Finished ===

impl Finished {
    /// Standard output as text, without the last end of line.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    /// The one line that a refusal is; panics where it is not exactly that, with this exit code and no output.
    #[track_caller]
    pub fn refusal(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "exit code; {self:?}");
        assert!(self.stdout.is_empty(), "output of a refusal: {self:?}");
        let lines: Vec<&str> = self.stderr.lines().collect();
        let [line] = lines[..] else {
            panic!("not one line on standard error: {self:?}");
        };
        assert!(
            !line.contains("panicked") && !line.contains("backtrace"),
            "{line}"
        );
        line
    }
}

/// Runs `rustled` until it ends by itself.
pub async fn rustled<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Finished> {
    finish(Command::new(programs::rustled()?).args(arguments)).await
}

/// Runs `rustle` until it ends.
pub async fn rustle<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Finished> {
    finish(Command::new(programs::rustle()?).args(arguments)).await
}

/// Runs `rustle` for the daemon of this data directory.
pub async fn rustle_at<A: AsRef<OsStr>>(
    data_dir: &Path,
    arguments: impl IntoIterator<Item = A>,
) -> Result<Finished> {
    let mut command = Command::new(programs::rustle()?);
    finish(command.arg("--data-dir").arg(data_dir).args(arguments)).await
}

async fn finish(command: &mut Command) -> Result<Finished> {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {:?}", command.as_std().get_program()))?;
    let line = format!("the end of {:?}", command.as_std());
    let output = within(&line, END_DEADLINE, child.wait_with_output()).await??;
    Ok(Finished {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// An address without its `/p2p/` part.
pub fn tcp_of(address: &Multiaddr) -> String {
    let text = address.to_string();
    match text.split_once("/p2p/") {
        Some((bare, _)) => bare.to_owned(),
        None => text,
    }
}
