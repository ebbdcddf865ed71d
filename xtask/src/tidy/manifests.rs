//! Does every manifest take its lints, its versions and its package fields from the workspace?

use toml::{Table, Value};

use super::Finding;
use super::graph::Package;
use super::tree::Tree;

/// Fields that all packages share.
const INHERITED: [&str; 6] = [
    "version",
    "edition",
    "rust-version",
    "license",
    "repository",
    "publish",
];
const DEPENDENCIES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// Checks the manifest of every package.
pub(super) fn check(packages: &[Package], tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let path = format!("{}/Cargo.toml", package.folder);
        if let Some(text) = tree.text(&path) {
            findings.extend(check_text(&path, text));
        }
    }
    findings
}

fn check_text(path: &str, text: &str) -> Vec<Finding> {
    let finding = |line, message| Finding {
        path: path.to_owned(),
        line,
        rule: "manifest",
        message,
    };
    let manifest: Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => {
            return vec![finding(
                1,
                format!("mend the syntax: {}", error.to_string().replace('\n', " ")),
            )];
        }
    };
    let mut findings = Vec::new();
    if !inherits(manifest.get("lints")) {
        findings.push(finding(1, "add `[lints] workspace = true`".to_owned()));
    }
    for field in INHERITED {
        if !inherits(manifest.get("package").and_then(|package| package.get(field))) {
            findings.push(finding(
                line_of(text, field),
                format!("write `{field}.workspace = true`"),
            ));
        }
    }
    for (name, dependency) in tables(&manifest).into_iter().flatten() {
        if !inherits(Some(dependency)) {
            let message =
                format!("write `{name}.workspace = true`, with the version in the workspace's Cargo.toml");
            findings.push(finding(line_of(text, name), message));
        }
    }
    findings
}

/// Every table of dependencies, those for one platform too.
fn tables(manifest: &Table) -> Vec<&Table> {
    let platforms = manifest.get("target").and_then(Value::as_table);
    let platforms = platforms
        .into_iter()
        .flat_map(Table::values)
        .filter_map(Value::as_table);
    let holders = std::iter::once(manifest).chain(platforms);
    holders
        .flat_map(|holder| DEPENDENCIES.iter().filter_map(|key| holder.get(*key)?.as_table()))
        .collect()
}

fn inherits(value: Option<&Value>) -> bool {
    value
        .and_then(|value| value.get("workspace"))
        .and_then(Value::as_bool)
        == Some(true)
}

/// Where `key` is set; the first line if that cannot be seen.
fn line_of(text: &str, key: &str) -> usize {
    let is_set = |line: &str| {
        line.strip_prefix(key)
            .is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    text.lines().position(is_set).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
[package]
name = \"rustle-x\"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
repository.workspace = true
publish.workspace = true

[dependencies]
bytes = { workspace = true, features = [\"serde\"] }
thiserror.workspace = true

[lints]
workspace = true
";

    fn found(text: &str) -> Vec<String> {
        check_text("crates/x/Cargo.toml", text)
            .iter()
            .map(Finding::to_string)
            .collect()
    }

    #[test]
    fn accepts_a_manifest_that_inherits_everything() {
        assert_eq!(found(GOOD), [""; 0]);
    }

    #[test]
    fn finds_a_version_of_its_own() {
        let text = GOOD.replace("thiserror.workspace = true", "thiserror = \"2\"");
        let expected = "crates/x/Cargo.toml:12: manifest: write `thiserror.workspace = true`, \
                        with the version in the workspace's Cargo.toml";
        assert_eq!(found(&text), [expected]);

        for table in [
            "dev-dependencies",
            "build-dependencies",
            "target.'cfg(unix)'.dependencies",
        ] {
            assert_eq!(
                found(&format!("{GOOD}\n[{table}]\nrand = {{ path = \"../rand\" }}\n")).len(),
                1,
                "{table}"
            );
        }
    }

    #[test]
    fn finds_missing_lints_and_fields_of_its_own() {
        let text = GOOD
            .replace("[lints]\nworkspace = true\n", "")
            .replace("edition.workspace = true", "edition = \"2021\"");

        let findings = found(&text);

        assert_eq!(findings.len(), 2, "{findings:?}");
        assert_eq!(
            findings[1],
            "crates/x/Cargo.toml:4: manifest: write `edition.workspace = true`"
        );
    }
}
