//! What does `cargo xtask …` do, and where is each task?
//!
//! `task` reads the command line; `programs` runs the demo and the benchmark, `suite` the tests, `ci` everything that a
//! submission must pass, `interop` the tests with Kubo, `fuzz` the search for inputs that break a promise, `tidy` the rules of the house that no compiler knows. `cargo` and `toolchain` are below them:
//! where builds go, and what a machine must have for one.

mod cargo;
mod ci;
mod fuzz;
mod interop;
mod programs;
mod suite;
mod task;
mod tidy;
mod toolchain;

use std::process::ExitCode;

use anyhow::Result;

use crate::cargo::Workspace;
use crate::task::Task;

fn main() -> ExitCode {
    let task = match Task::parse(std::env::args_os().skip(1)) {
        Ok(task) => task,
        Err(usage) => {
            eprintln!("xtask: {usage}");
            return ExitCode::from(2);
        }
    };
    match run(&task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> Result<ExitCode> {
    let workspace = Workspace::locate()?;
    match task {
        Task::Help => print!("{}", task::HELP),
        Task::Fmt => workspace.cargo(["fmt", "--all"])?,
        Task::Codegen { check } => ci::codegen(&workspace, *check)?,
        Task::Tidy => tidy::run(&workspace)?,
        Task::Test => suite::run_all(&workspace)?,
        Task::Ci => ci::run(&workspace)?,
        Task::Demo { arguments } => return programs::run(&workspace, "demo", arguments),
        Task::Bench { arguments } => return programs::run(&workspace, "bench", arguments),
        Task::InteropKubo => interop::kubo(&workspace)?,
        Task::Fuzz(search) => fuzz::run(&workspace, search)?,
    }
    Ok(ExitCode::SUCCESS)
}
