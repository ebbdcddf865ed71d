//! How is cargo called, and where do its builds go?
//!
//! RocksDB costs a quarter of an hour on two cores, so the builds of every clone share one folder in the user's cache.
//! That folder is kept honest by [`Workspace::claim`], and `tidy::rebuild` sees to it that all tasks share one RocksDB.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// The clone that a task works on, and the folder that its builds go to.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) top: PathBuf,
    /// What cargo gets as `CARGO_TARGET_DIR`.
    pub(crate) target: PathBuf,
    /// Whether `target` was chosen here, so that other clones use it too.
    is_shared: bool,
}

impl Workspace {
    /// Finds the clone by what `cargo run` tells, and chooses the build folder.
    pub(crate) fn locate() -> Result<Self> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("start me as `cargo xtask`")?;
        let top = Path::new(&manifest)
            .parent()
            .context("xtask lies one folder below the top")?
            .to_owned();
        let (target, is_shared) = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) if !folder.is_empty() => (std::path::absolute(folder)?, false),
            Some(_) | None => (cache_folder()?.join("target"), true),
        };
        Ok(Self {
            top,
            target,
            is_shared,
        })
    }

    /// The path that the program `name` is built at.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.target
            .join("debug")
            .join(name)
            .with_extension(std::env::consts::EXE_EXTENSION)
    }

    /// Runs cargo with these arguments, and fails if it does.
    pub(crate) fn cargo<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<()> {
        let mut command = self.cargo_command();
        command.args(arguments);
        run(&mut command)
    }

    /// A cargo that builds into our folder, in the caller's working folder.
    pub(crate) fn cargo_command(&self) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .env("CARGO_TARGET_DIR", &self.target)
            .current_dir(&self.top);
        command
    }

    /// Makes the shared build folder this clone's own; called before each build.
    ///
    /// Cargo knows a package of a workspace by its path below the top and judges it by the age of its files. With two
    /// clones on one folder it so takes the program of one for that of the other. When the folder was last used by
    /// another clone, what was built of our own packages is therefore dropped; the dependencies stay.
    pub(crate) fn claim(&self) -> Result<()> {
        if !self.is_shared {
            return Ok(());
        }
        std::fs::create_dir_all(&self.target)
            .with_context(|| format!("creating {}", self.target.display()))?;
        let stamp = self.target.join("rustle-clone");
        let owner = std::fs::read(&stamp).unwrap_or_default();
        let own = self.top.as_os_str().as_encoded_bytes();
        if owner == own {
            return Ok(());
        }
        if !owner.is_empty() {
            self.cargo(["clean", "--quiet", "--workspace"])?;
        }
        std::fs::write(&stamp, own).with_context(|| format!("writing {}", stamp.display()))
    }
}

/// The folder of the user that outlives a clone: builds and tools.
pub(crate) fn cache_folder() -> Result<PathBuf> {
    let caches = match std::env::var_os("XDG_CACHE_HOME") {
        Some(folder) if Path::new(&folder).is_absolute() => PathBuf::from(folder),
        Some(_) | None => Path::new(&std::env::var_os("HOME").context("HOME is not set")?).join(".cache"),
    };
    Ok(caches.join("rustle"))
}

/// Runs a command to its end, and fails if it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    let status = command.status().with_context(|| format!("starting `{line}`"))?;
    ensure!(status.success(), "`{line}` failed ({status})");
    Ok(())
}

/// Runs a command silently and tells whether it succeeded; one that cannot start did not.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a command and returns what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = line(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("starting `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed ({})", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed no text"))
}

/// The command as a person would type it.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_a_failed_command_as_it_would_be_typed() {
        let error = run(Command::new("/bin/sh").args(["-c", "exit 3"])).expect_err("it exits with 3");

        assert_eq!(error.to_string(), "`sh -c exit 3` failed (exit status: 3)");
        assert!(!succeeds(Command::new("no-such-program-at-all").arg("x")));
    }
}
