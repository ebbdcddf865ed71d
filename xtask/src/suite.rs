//! How are all tests run?

use anyhow::Result;

use crate::cargo::{Workspace, run, succeeds};
use crate::toolchain;

/// Builds the programs that the end-to-end tests start, then runs the examples of the documents and all tests.
///
/// The tests come last, so that the output closes on their count; by cargo-nextest where it is installed, because it
/// runs the end-to-end tests of all packages beside each other.
pub(crate) fn run_all(workspace: &Workspace) -> Result<()> {
    toolchain::ensure()?;
    workspace.claim()?;
    workspace.cargo(["build", "--workspace", "--bins", "--tests"])?;
    workspace.cargo(["test", "--quiet", "--workspace", "--doc"])?;

    let has_nextest = succeeds(workspace.cargo_command().args(["nextest", "--version"]));
    let mut tests = workspace.cargo_command();
    if has_nextest {
        tests.args(["nextest", "run", "--workspace"]);
    } else {
        tests.args(["test", "--workspace", "--lib", "--bins", "--tests"]);
    }
    tests
        .env("RUSTLED_BIN", workspace.binary("rustled"))
        .env("RUSTLE_BIN", workspace.binary("rustle"));
    run(&mut tests)
}
