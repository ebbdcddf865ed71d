//! What does cargo say about our packages and what they reach?

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cargo::{Workspace, output};

/// A package of the workspace.
#[derive(Debug, Clone, Default)]
pub(super) struct Package {
    pub(super) name: String,
    /// Its folder from the top, with `/`.
    pub(super) folder: String,
    /// `package.metadata.house.layer`.
    pub(super) layer: Option<u64>,
    /// `package.metadata.house.pure`.
    pub(super) is_pure: Option<bool>,
    pub(super) dependencies: Vec<Dependency>,
    /// Every package that a build of this one alone compiles, without dev-dependencies; filled for pure packages only.
    pub(super) reached: BTreeSet<String>,
}

/// A line in a manifest's dependencies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// What a dependency is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Build,
    Dev,
}

/// Asks cargo for all packages of the workspace.
pub(super) fn read(workspace: &Workspace) -> Result<Vec<Package>> {
    let mut command = workspace.cargo_command();
    command.args(["metadata", "--format-version", "1", "--no-deps"]);
    let metadata: Value = serde_json::from_str(&output(&mut command)?).context("reading cargo metadata")?;
    let mut packages = parse(&metadata).context("cargo metadata has another shape than format version 1")?;
    for package in packages
        .iter_mut()
        .filter(|package| package.is_pure == Some(true))
    {
        package.reached = reach(workspace, &package.name)?;
    }
    Ok(packages)
}

fn parse(metadata: &Value) -> Option<Vec<Package>> {
    let top = metadata["workspace_root"].as_str()?;
    metadata["packages"]
        .as_array()?
        .iter()
        .map(|package| parse_package(package, top))
        .collect()
}

fn parse_package(package: &Value, top: &str) -> Option<Package> {
    let manifest = package["manifest_path"].as_str()?;
    let folder = manifest
        .strip_prefix(top)?
        .trim_start_matches(['/', '\\'])
        .strip_suffix("Cargo.toml")?;
    let house = &package["metadata"]["house"];
    let dependencies = package["dependencies"].as_array()?.iter().map(|dependency| {
        let kind = match dependency["kind"].as_str() {
            None => Kind::Normal,
            Some("build") => Kind::Build,
            Some("dev") => Kind::Dev,
            Some(_) => return None,
        };
        Some(Dependency {
            name: dependency["name"].as_str()?.to_owned(),
            kind,
        })
    });
    Some(Package {
        name: package["name"].as_str()?.to_owned(),
        folder: folder.trim_end_matches(['/', '\\']).replace('\\', "/"),
        layer: house["layer"].as_u64(),
        is_pure: house["pure"].as_bool(),
        dependencies: dependencies.collect::<Option<_>>()?,
        reached: BTreeSet::new(),
    })
}

/// The names of all packages below `name`.
///
/// The graph in `cargo metadata` unites the features of the whole workspace, where a pure crate seems to reach `futures`
/// because libp2p switched on a feature of a codec that both use. `cargo tree --package` resolves as a build of this
/// package alone does, and that is what the rule promises.
fn reach(workspace: &Workspace, name: &str) -> Result<BTreeSet<String>> {
    let mut command = workspace.cargo_command();
    command.args([
        "tree",
        "--package",
        name,
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    let tree = output(&mut command)?;
    Ok(tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|word| *word != name)
        .map(String::from)
        .collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_cargo_writes() {
        let metadata = json!({
            "workspace_root": "/top",
            "packages": [{
                "name": "rustle-wire",
                "manifest_path": "/top/crates/wire/Cargo.toml",
                "metadata": { "house": { "layer": 1, "pure": true } },
                "dependencies": [{ "name": "bytes", "kind": null }, { "name": "proptest", "kind": "dev" }],
            }, {
                "name": "rustle-codegen",
                "manifest_path": "/top/xtask/codegen/Cargo.toml",
                "metadata": null,
                "dependencies": [],
            }],
        });

        let packages = parse(&metadata).unwrap();

        assert_eq!(packages[0].folder, "crates/wire");
        assert_eq!((packages[0].layer, packages[0].is_pure), (Some(1), Some(true)));
        let proptest = Dependency {
            name: "proptest".to_owned(),
            kind: Kind::Dev,
        };
        assert_eq!(packages[0].dependencies[1], proptest);
        assert_eq!((packages[1].layer, packages[1].is_pure), (None, None));
    }

    #[test]
    fn refuses_another_shape() {
        assert!(parse(&json!({ "packages": [] })).is_none());
    }
}
