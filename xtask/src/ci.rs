//! What must a submission pass?

use std::ffi::OsString;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::cargo::{Workspace, cache_folder, run as run_command, succeeds};
use crate::{interop, suite, tidy, toolchain};

/// One thing to pass, and how it is called when it fails.
struct Step {
    name: &'static str,
    run: fn(&Workspace) -> Result<()>,
}

/// Cheap ones first, README's test command last: the log closes on the count of tests.
const STEPS: [Step; 7] = [
    Step {
        name: "cargo fmt --all --check",
        run: |workspace| workspace.cargo(["fmt", "--all", "--check"]),
    },
    Step {
        name: "cargo xtask tidy",
        run: tidy::run,
    },
    Step {
        name: "cargo deny check bans licenses sources",
        run: deny,
    },
    Step {
        name: "cargo clippy",
        run: clippy,
    },
    Step {
        name: "cargo xtask codegen --check",
        run: |workspace| codegen(workspace, true),
    },
    Step {
        name: "cargo xtask interop kubo",
        run: interop::kubo,
    },
    Step {
        name: "cargo xtask test",
        run: suite::run_all,
    },
];

/// Runs every step, and stops at the first that fails.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let begin = now();
    for (index, step) in STEPS.iter().enumerate() {
        println!("ci: [{}/{}] {}", index + 1, STEPS.len(), step.name);
        let begin = now();
        let result = (step.run)(workspace);
        let took = begin.elapsed().as_secs_f64();
        result.with_context(|| format!("ci: `{}` failed after {took:.1} s", step.name))?;
        println!(
            "ci: [{}/{}] {} passed in {took:.1} s",
            index + 1,
            STEPS.len(),
            step.name
        );
    }
    println!(
        "ci: all {} steps passed in {:.0} s",
        STEPS.len(),
        begin.elapsed().as_secs_f64()
    );
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a tool tells how long a step took; no rule of the node depends on it"
)]
fn now() -> Instant {
    Instant::now()
}

/// Runs the generator: writes, or with `check` only compares.
pub(crate) fn codegen(workspace: &Workspace, check: bool) -> Result<()> {
    workspace.claim()?;
    let flags: &[&str] = if check { &["--check"] } else { &[] };
    workspace.cargo(
        ["run", "--quiet", "--package", "rustle-codegen", "--"]
            .iter()
            .chain(flags),
    )
}

fn clippy(workspace: &Workspace) -> Result<()> {
    toolchain::ensure()?;
    workspace.claim()?;
    workspace.cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    // What runs only where it is named is not among all targets.
    workspace.cargo([
        "clippy",
        "--workspace",
        "--test",
        "interop",
        "--",
        "-D",
        "warnings",
    ])
}

/// Licences, bans and sources; advisories are left out because their database is not in a package registry.
fn deny(workspace: &Workspace) -> Result<()> {
    let tools = cache_folder()?.join("tools").join("bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: OsString = std::env::join_paths(std::env::split_paths(&path).chain([tools]))?;
    let deny = |arguments: &[&str]| {
        let mut command = workspace.cargo_command();
        command.env("PATH", &path).arg("deny").args(arguments);
        command
    };
    ensure!(
        succeeds(&mut deny(&["--version"])),
        "cargo-deny is missing; .ci/run installs it, or run: cargo install cargo-deny --locked"
    );
    // Warnings would be pages of duplicate versions that only their authors can end.
    run_command(&mut deny(&[
        "--locked",
        "--log-level",
        "error",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))
}
