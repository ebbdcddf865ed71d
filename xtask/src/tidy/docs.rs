//! Does every file say what it is for, and does the map name every crate?

use super::Finding;
use super::graph::Package;
use super::tree::{File, Tree};

/// The map of the crates.
const MAP: &str = "crates/README.md";

/// A file opens with the question that it answers.
pub(super) fn check_head(file: &File) -> Option<Finding> {
    let opens = file
        .text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("//! "));
    opens
        .is_none_or(|words| words.trim().is_empty())
        .then(|| Finding {
            path: file.path.clone(),
            line: 1,
            rule: "file-doc",
            message: "open with `//!` and what question this file answers".to_owned(),
        })
}

/// The map names each package of `crates/` and `bins/`.
pub(super) fn check_map(packages: &[Package], tree: &Tree) -> Vec<Finding> {
    let map = tree.text(MAP).unwrap_or_default();
    let shipped = packages
        .iter()
        .filter(|package| package.folder.starts_with("crates/") || package.folder.starts_with("bins/"));
    shipped
        .filter(|package| !names(map, &package.name))
        .map(|package| Finding {
            path: MAP.to_owned(),
            line: 1,
            rule: "map",
            message: format!("say what {} is for", package.name),
        })
        .collect()
}

/// Whether `text` holds `name` as a whole: `rustle-store-rocksdb` does not name `rustle-store`.
fn names(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    text.match_indices(name).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + name.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_file_without_its_question() {
        let head = |text: &str| {
            check_head(&File {
                path: "a.rs".to_owned(),
                text: text.to_owned(),
            })
        };

        assert_eq!(head("//! What is a leaf?\n"), None);
        for text in [
            "",
            "use std::fmt;\n",
            "//!\n//! late\n",
            "/// item\n",
            "\n//! late\n",
        ] {
            assert!(head(text).is_some(), "{text:?}");
        }
    }

    #[test]
    fn finds_a_crate_that_the_map_forgot() {
        let tree = Tree {
            paths: Vec::new(),
            files: vec![File {
                path: MAP.to_owned(),
                text: "`rustle-store-rocksdb` keeps.\n".to_owned(),
            }],
        };
        let package = |name: &str, folder: &str| Package {
            name: name.to_owned(),
            folder: folder.to_owned(),
            ..Package::default()
        };
        let packages = [
            package("rustle-store-rocksdb", "crates/store-rocksdb"),
            package("rustle-store", "crates/store"),
            package("xtask", "xtask"),
        ];

        let findings = check_map(&packages, &tree);

        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].message, "say what rustle-store is for");
    }
}
