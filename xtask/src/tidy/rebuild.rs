//! Is RocksDB the same build whichever packages are selected?
//!
//! Cargo unites features over the packages of one call. Where that changes a feature among the tools that build RocksDB
//! (bindgen and its regex engine), `cargo build -p rustled` and `cargo test --workspace` each compile the C++ for
//! themselves, and nobody sees why it takes a quarter of an hour longer.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::Finding;
use crate::cargo::{Workspace, output};

/// The package whose build takes so long.
const ROOT: &str = "librocksdb-sys";
/// Linked into the program and not part of the C++ build, so that its features may differ.
const LINKED: &str = "libc";

/// Compares what builds RocksDB when the daemon is built alone and when everything is.
pub(super) fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let tree = |selection: &[&str]| {
        let mut command = workspace.cargo_command();
        command.args(["tree", "--prefix", "depth", "--format", " {p} [{f}]"]);
        output(command.args(selection))
    };
    let alone = tree(&["--package", "rustled", "--edges", "normal,build"])?;
    let together = tree(&["--workspace", "--edges", "normal,build,dev"])?;
    Ok(compare(&builders(&alone), &builders(&together)))
}

fn compare(alone: &BTreeSet<String>, together: &BTreeSet<String>) -> Vec<Finding> {
    let differing = alone.symmetric_difference(together);
    // The name is enough: both feature sets in one line are more than a line holds.
    let names: BTreeSet<&str> = differing
        .filter_map(|package| package.split(' ').next())
        .collect();
    names
        .into_iter()
        .map(|name| Finding {
            path: "crates/store-rocksdb/Cargo.toml".to_owned(),
            line: 1,
            rule: "rebuild",
            message: format!(
                "RocksDB would be compiled twice: give {name} the same features under `-p rustled` as under `--workspace`"
            ),
        })
        .collect()
}

/// Every package below [`ROOT`] with its version and features.
fn builders(tree: &str) -> BTreeSet<String> {
    let children = children(tree);
    let mut found = BTreeSet::new();
    let mut waiting: Vec<&str> = children
        .keys()
        .copied()
        .filter(|package| is(package, ROOT))
        .collect();
    while let Some(package) = waiting.pop() {
        if !is(package, LINKED) && found.insert(package.to_owned()) {
            waiting.extend(children.get(package).into_iter().flatten());
        }
    }
    found
}

/// Which packages each package depends on; cargo writes `(*)` where it has shown them before.
fn children(tree: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut children: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut above: Vec<&str> = Vec::new();
    for line in tree.lines() {
        let Some((depth, package)) = line.split_once(' ') else {
            continue;
        };
        let Ok(depth) = depth.parse::<usize>() else {
            continue;
        };
        let package = package.trim_end_matches(" (*)");
        above.truncate(depth);
        children.entry(package).or_default();
        if let Some(parent) = above.last() {
            children.entry(parent).or_default().insert(package);
        }
        above.push(package);
    }
    children
}

fn is(package: &str, name: &str) -> bool {
    package.split(' ').next() == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: &str = "\
0 rustled v0.1.0 []
1 regex v1.0.0 [std]
2 syntax v1.0.0 [std]
1 librocksdb-sys v0.19.0 [lz4]
2 libc v0.2.0 [std]
2 bindgen v0.72.0 [runtime]
3 regex v1.0.0 [std] (*)
";

    #[test]
    fn follows_what_cargo_shows_only_once() {
        let expected = [
            "bindgen v0.72.0 [runtime]",
            "librocksdb-sys v0.19.0 [lz4]",
            "regex v1.0.0 [std]",
            "syntax v1.0.0 [std]",
        ];

        assert_eq!(builders(ALONE), expected.map(String::from).into());
    }

    #[test]
    fn finds_a_feature_that_builds_it_twice() {
        let together = ALONE.replace("syntax v1.0.0 [std]", "syntax v1.0.0 [std,unicode]");

        let findings = compare(&builders(ALONE), &builders(&together));

        assert_eq!(findings.len(), 1);
        assert!(
            findings[0].message.contains("give syntax the same features"),
            "{}",
            findings[0]
        );
    }

    #[test]
    fn accepts_other_features_of_what_is_only_linked() {
        let together = ALONE.replace("libc v0.2.0 [std]", "libc v0.2.0 [std,extra]");

        assert_eq!(compare(&builders(ALONE), &builders(&together)), []);
    }
}
