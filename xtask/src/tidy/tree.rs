//! Which files does the workspace consist of, and what may lie at its top?

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Finding;
use crate::cargo::output;

/// Everything that may lie at the top besides dotfiles. Whoever adds to it makes each newcomer read one more name.
const TOP: [&str; 13] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "bins",
    "clippy.toml",
    "crates",
    "deny.toml",
    "proto",
    "rustfmt.toml",
    "tests",
];

/// At the top too, but listed apart because they are not part of the product.
const TOP_TOOLS: [&str; 2] = ["fuzz", "xtask"];

/// The files that git knows or would add.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Every path from the top, with `/`.
    pub(super) paths: Vec<String>,
    /// Those of them that are text.
    pub(super) files: Vec<File>,
}

/// A text file.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

impl Tree {
    /// Reads every file that is not ignored.
    pub(super) fn read(top: &Path) -> Result<Self> {
        let mut git = Command::new("git");
        git.current_dir(top)
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
        let mut tree = Self::default();
        for path in output(&mut git)?.split_terminator('\0') {
            // Git still lists what was deleted and not yet committed.
            let Ok(bytes) = std::fs::read(top.join(path)) else {
                continue;
            };
            tree.paths.push(path.to_owned());
            if let Ok(text) = String::from_utf8(bytes) {
                tree.files.push(File {
                    path: path.to_owned(),
                    text,
                });
            }
        }
        Ok(tree)
    }

    /// The text of the file at `path`, if there is one.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files
            .iter()
            .find(|file| file.path == path)
            .map(|file| file.text.as_str())
    }
}

impl File {
    /// Whether a person wrote this Rust.
    pub(super) fn is_own_rust(&self) -> bool {
        self.path.ends_with(".rs") && !self.is_generated()
    }

    /// Whether a program wrote this file, so that rules for people do not fit.
    pub(super) fn is_generated(&self) -> bool {
        self.path.ends_with("Cargo.lock") || self.path.contains("/generated/")
    }
}

/// Nothing lies at the top but what is in the list.
pub(super) fn check(paths: &[String]) -> Vec<Finding> {
    let is_allowed = |name: &str| name.starts_with('.') || TOP_TOOLS.contains(&name) || TOP.contains(&name);
    paths
        .iter()
        .filter(|path| !is_allowed(path.split('/').next().unwrap_or_default()))
        .map(|path| Finding {
            path: path.clone(),
            line: 1,
            rule: "top-level",
            message: "move it below crates, bins, proto, tests or xtask".to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_stranger_at_the_top() {
        let paths = [
            "README.md",
            ".ci/run",
            "xtask/src/main.rs",
            "docs/plan.md",
            "notes.txt",
        ]
        .map(String::from);

        let findings = check(&paths);

        let found: Vec<&str> = findings.iter().map(|finding| finding.path.as_str()).collect();
        assert_eq!(found, ["docs/plan.md", "notes.txt"]);
    }

    #[test]
    fn tells_generated_code_from_ours() {
        let file = |path: &str| File {
            path: path.to_owned(),
            text: String::new(),
        };

        assert!(file("crates/wire/src/frame.rs").is_own_rust());
        assert!(!file("crates/wire/src/generated/rustle.wire.v1.rs").is_own_rust());
        assert!(!file("README.md").is_own_rust());
    }
}
