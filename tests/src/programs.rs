//! Where are the programs under test?
//!
//! `cargo xtask` says it in the environment; without it they lie where cargo built this program too.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

/// The daemon: `$RUSTLED_BIN`, else `rustled` in the folder of this program's build.
pub fn rustled() -> Result<PathBuf> {
    program("RUSTLED_BIN", "rustled")
}

/// The command line: `$RUSTLE_BIN`, else `rustle` in the folder of this program's build.
pub fn rustle() -> Result<PathBuf> {
    program("RUSTLE_BIN", "rustle")
}

/// The crowd of the benchmark: `crowd` in the folder of this program's build.
pub(crate) fn crowd() -> Result<PathBuf> {
    program("RUSTLE_CROWD_BIN", "crowd")
}

/// Lets a program have as many open files as the system allows its processes.
pub(crate) fn unbounded(command: &Command) -> Command {
    // The shell's own `ulimit`: safe Rust has none.
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "ulimit -n \"$(ulimit -H -n)\" && exec \"$0\" \"$@\""])
        .arg(command.as_std().get_program())
        .args(command.as_std().get_args());
    shell
}

/// How many files a process may have open at most.
pub(crate) fn open_files_max() -> Result<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let hard = line.and_then(|line| line.split_whitespace().nth(1));
    match hard.context("/proc/self/limits tells no open files")? {
        "unlimited" => Ok(usize::MAX),
        number => Ok(number.parse()?),
    }
}

/// The top of the workspace: `$RUSTLE_WORKSPACE`, else where this program was built from.
pub fn workspace() -> PathBuf {
    match std::env::var_os("RUSTLE_WORKSPACE") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .unwrap_or(Path::new("."))
            .to_owned(),
    }
}

/// The folder that builds go to.
pub fn target() -> Result<PathBuf> {
    let profile = profile_folder()?;
    Ok(profile.parent().unwrap_or(&profile).to_owned())
}

fn program(variable: &str, name: &str) -> Result<PathBuf> {
    let path = match std::env::var_os(variable).filter(|path| !path.is_empty()) {
        Some(path) => path.into(),
        None => profile_folder()?.join(name),
    };
    ensure!(
        path.is_file(),
        "{} is missing; run `cargo build -p rustled -p rustle` first, or set ${variable}",
        path.display()
    );
    Ok(path)
}

/// `<target>/debug`: programs lie in it, tests one folder deeper.
fn profile_folder() -> Result<PathBuf> {
    let own = std::env::current_exe().context("this program's own path")?;
    let folder = own.parent().context("a program lies in a folder")?;
    let is_test = folder.file_name().is_some_and(|name| name == "deps");
    Ok(if is_test {
        folder.parent().unwrap_or(folder)
    } else {
        folder
    }
    .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_open_files_can_be_read() {
        assert!(64 <= open_files_max().unwrap());
    }
}
