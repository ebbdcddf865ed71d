//! Does this machine have what RocksDB is built with, and if not, can we get it?
//!
//! RocksDB needs a C++ compiler, and bindgen reads its header by libclang. Without this look a build would run for
//! minutes and then fail in the words of a build script.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cargo::{output, run, succeeds};

/// Fails in one line, or installs what is missing where nobody must be asked for a password.
pub(crate) fn ensure() -> Result<()> {
    let missing = missing();
    if !cfg!(target_os = "linux") || missing.is_empty() {
        return Ok(());
    }
    if let Some(told) = std::env::var_os("LIBCLANG_PATH").filter(|_| !has_libclang()) {
        bail!(
            "LIBCLANG_PATH={} holds no libclang; unset it or mend it",
            told.display()
        );
    }
    let Some(apt) = apt_get() else {
        bail!("{}", advice(&missing))
    };
    eprintln!("xtask: installing {} with apt-get", missing.join(" "));
    let with = |arguments: &[&str]| {
        let mut command = Command::new(apt[0]);
        command
            .args(&apt[1..])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    // Without the lists of packages a new machine finds nothing; with old ones it still may.
    let updated = succeeds(&mut with(&["update"]));
    run(with(&["install", "-y", "-qq", "--no-install-recommends"]).args(&missing)).with_context(|| {
        if updated {
            advice(&missing)
        } else {
            format!("{} (apt-get update failed)", advice(&missing))
        }
    })?;
    let still = self::missing();
    if still.is_empty() {
        Ok(())
    } else {
        bail!("{}", advice(&still))
    }
}

/// Debian's packages for what is not here.
fn missing() -> Vec<&'static str> {
    let mut packages = Vec::new();
    if !has_libclang() {
        packages.push("libclang-dev");
    }
    let compilers = std::env::var_os("CXX")
        .map(PathBuf::from)
        .into_iter()
        .chain(["c++", "g++", "clang++"].map(PathBuf::from));
    if !compilers
        .into_iter()
        .any(|compiler| succeeds(Command::new(compiler).arg("--version")))
    {
        packages.push("g++");
    }
    packages
}

fn advice(missing: &[&str]) -> String {
    format!(
        "building RocksDB needs {0}; run: sudo apt-get install -y {0}",
        missing.join(" ")
    )
}

/// The words that start apt-get without a question, or none if we may not.
fn apt_get() -> Option<&'static [&'static str]> {
    if !succeeds(Command::new("apt-get").arg("--version")) {
        None
    } else if output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0") {
        Some(&["apt-get"])
    } else if succeeds(Command::new("sudo").args(["-n", "true"])) {
        Some(&["sudo", "-n", "apt-get"])
    } else {
        None
    }
}

/// Looks where clang-sys looks: `LIBCLANG_PATH`, else the folders of the system.
fn has_libclang() -> bool {
    if let Some(told) = std::env::var_os("LIBCLANG_PATH") {
        let told = PathBuf::from(told);
        return told.is_file() || holds_libclang(&told);
    }
    library_folders().iter().any(|folder| holds_libclang(folder))
        || output(Command::new("ldconfig").arg("-p"))
            .is_ok_and(|cache| cache.split_whitespace().any(is_libclang))
}

fn library_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = ["/usr/lib", "/usr/lib64", "/usr/local/lib"]
        .map(PathBuf::from)
        .into();
    for entry in std::fs::read_dir("/usr/lib").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("llvm-") {
            folders.push(entry.path().join("lib"));
        } else if name.ends_with("-linux-gnu") {
            folders.push(entry.path());
        }
    }
    folders
}

fn holds_libclang(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    // A link whose target is gone is still listed; `exists` follows it.
    entries
        .filter(|entry| entry.path().exists())
        .any(|entry| is_libclang(&entry.file_name().to_string_lossy()))
}

/// `libclang.so`, `libclang.so.1`, `libclang-14.so.14.0.6`; but not `libclang-cpp.so.14`, which is another library.
fn is_libclang(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("libclang") else {
        return false;
    };
    let Some((version, end)) = rest.split_once(".so") else {
        return false;
    };
    let is_version = version.is_empty()
        || version
            .strip_prefix('-')
            .is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()));
    is_version && (end.is_empty() || end.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_libclang_by_its_names() {
        for name in [
            "libclang.so",
            "libclang.so.1",
            "libclang-14.so",
            "libclang-14.so.14.0.6",
            "libclang-14.0.6.so",
        ] {
            assert!(is_libclang(name), "{name}");
        }
        for name in [
            "libclang-cpp.so.14",
            "libclangAST.a",
            "libclang.a",
            "libclang.sofa",
            "clang",
        ] {
            assert!(!is_libclang(name), "{name}");
        }
    }

    #[test]
    fn says_in_one_line_what_to_run() {
        let advice = advice(&["libclang-dev", "g++"]);

        assert!(
            advice.ends_with("run: sudo apt-get install -y libclang-dev g++"),
            "{advice}"
        );
        assert!(!advice.contains('\n'));
    }
}
