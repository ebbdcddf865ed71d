//! Do dependencies point downward, do the pure crates stay pure, and does one crate own each foreign thing?

use super::Finding;
use super::graph::{Kind, Package};

/// What waits, or opens a socket or a file; a pure crate reaches none of it.
const WAITING: [&str; 8] = [
    "tokio",
    "futures",
    "libp2p",
    "libp2p-swarm",
    "rocksdb",
    "tonic",
    "axum",
    "hyper",
];

/// Who may name a foreign crate in its manifest, for tests too. The first entry that fits a name decides.
const OWNERS: [Owner; 6] = [
    Owner {
        foreign: "libp2p-identity",
        packages: &["rustle-net", "rustle-types"],
    },
    Owner {
        // The tests' adversary plays foreign peers, and shares no code with what it attacks.
        foreign: "libp2p",
        packages: &["rustle-adversary", "rustle-net"],
    },
    Owner {
        foreign: "rocksdb",
        packages: &["rustle-store-rocksdb"],
    },
    Owner {
        foreign: "tonic-prost-build",
        packages: &["rustle-codegen"],
    },
    Owner {
        foreign: "tonic",
        packages: &["rustle-admin", "rustle", "rustle-tests"],
    },
    Owner {
        foreign: "axum",
        packages: &["rustle-kubo-api"],
    },
];

/// A foreign crate, and all whose names begin with its name and a dash.
struct Owner {
    foreign: &'static str,
    packages: &'static [&'static str],
}

/// Checks every package against every rule here.
pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let mut report = |rule, message| {
            findings.push(Finding {
                path: format!("{}/Cargo.toml", package.folder),
                line: 1,
                rule,
                message,
            });
        };
        for problem in record(package) {
            report("house-record", problem);
        }
        for problem in upward(package, packages) {
            report("layers", problem);
        }
        for foreign in package
            .reached
            .iter()
            .filter(|name| WAITING.contains(&name.as_str()))
        {
            report(
                "pure",
                format!(
                    "must not reach {foreign}: see `cargo tree -p {} -e normal -i {foreign}`",
                    package.name
                ),
            );
        }
        for problem in trespass(package) {
            report("owner", problem);
        }
    }
    findings
}

/// Each crate says where it stands, and is called after its folder.
fn record(package: &Package) -> Vec<String> {
    let expected = match package.folder.split_once('/') {
        Some(("crates", folder)) => format!("rustle-{folder}"),
        Some(("bins", folder)) => folder.to_owned(),
        Some(_) | None => return Vec::new(),
    };
    let mut problems = Vec::new();
    if package.name != expected {
        problems.push(format!("call the package {expected}, after its folder"));
    }
    if package.layer.is_none() {
        problems.push("add `layer = N` to [package.metadata.house]".to_owned());
    }
    if package.is_pure.is_none() {
        problems.push("add `pure = true` or `pure = false` to [package.metadata.house]".to_owned());
    }
    problems
}

/// Normal dependencies among ours point to a strictly lower layer.
fn upward(package: &Package, packages: &[Package]) -> Vec<String> {
    let Some(own) = package.layer else {
        return Vec::new();
    };
    let normal = package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind == Kind::Normal);
    normal
        .filter_map(|dependency| packages.iter().find(|other| other.name == dependency.name))
        .filter_map(|other| Some((other, other.layer?)))
        .filter(|(_, layer)| own <= *layer)
        .map(|(other, layer)| format!("layer {own} must not depend on {} of layer {layer}", other.name))
        .collect()
}

/// A foreign thing is named by its owner only.
fn trespass(package: &Package) -> Vec<String> {
    let owned = package.dependencies.iter().filter_map(|dependency| {
        let owner = OWNERS.iter().find(|owner| {
            let rest = dependency.name.strip_prefix(owner.foreign);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        });
        Some((dependency, owner?))
    });
    owned
        .filter(|(_, owner)| !owner.packages.contains(&package.name.as_str()))
        .map(|(dependency, owner)| format!("only {} may name {}", owner.packages.join(", "), dependency.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::graph::Dependency;

    fn package(folder: &str, layer: u64, dependencies: &[(&str, Kind)]) -> Package {
        Package {
            name: format!("rustle-{}", folder.rsplit('/').next().unwrap_or_default()),
            folder: folder.to_owned(),
            layer: Some(layer),
            is_pure: Some(false),
            dependencies: dependencies
                .iter()
                .map(|(name, kind)| Dependency {
                    name: (*name).to_owned(),
                    kind: *kind,
                })
                .collect(),
            reached: [].into(),
        }
    }

    fn rules(packages: &[Package]) -> Vec<&'static str> {
        check(packages).iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn accepts_a_downward_edge_and_a_test_that_looks_up() {
        let wire = package(
            "crates/wire",
            1,
            &[("rustle-types", Kind::Normal), ("rustle-node", Kind::Dev)],
        );

        assert_eq!(
            rules(&[
                wire,
                package("crates/types", 0, &[]),
                package("crates/node", 4, &[])
            ]),
            [""; 0]
        );
    }

    #[test]
    fn finds_an_edge_that_points_up_or_sideways() {
        let wire = package(
            "crates/wire",
            1,
            &[("rustle-peers", Kind::Normal), ("rustle-store", Kind::Normal)],
        );

        let findings = check(&[
            wire,
            package("crates/peers", 2, &[]),
            package("crates/store", 1, &[]),
        ]);

        let messages: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
        let up = "layer 1 must not depend on rustle-peers of layer 2";
        assert_eq!(
            messages,
            [up, "layer 1 must not depend on rustle-store of layer 1"]
        );
    }

    #[test]
    fn finds_a_pure_crate_that_can_wait() {
        let mut chain = package("crates/chain", 2, &[]);
        chain.reached = ["bytes", "tokio"].map(String::from).into();

        assert_eq!(rules(&[chain]), ["pure"]);
    }

    #[test]
    fn finds_a_foreign_name_outside_its_owner() {
        let allowed = [
            package(
                "crates/net",
                3,
                &[("libp2p", Kind::Normal), ("libp2p-identity", Kind::Normal)],
            ),
            package("crates/types", 0, &[("libp2p-identity", Kind::Normal)]),
            package("crates/admin", 3, &[("tonic-health", Kind::Normal)]),
        ];
        assert_eq!(rules(&allowed), [""; 0]);

        for name in [
            "libp2p",
            "libp2p-stream",
            "libp2p-identity",
            "rocksdb",
            "tonic",
            "tonic-types",
            "axum",
        ] {
            assert_eq!(
                rules(&[package("crates/node", 4, &[(name, Kind::Dev)])]),
                ["owner"],
                "{name}"
            );
        }
    }

    #[test]
    fn finds_a_crate_that_does_not_say_where_it_stands() {
        let mut silent = package("crates/wire", 1, &[]);
        silent.layer = None;
        silent.is_pure = None;
        let mut misnamed = package("crates/peers", 2, &[]);
        misnamed.name = "peers".to_owned();

        assert_eq!(rules(&[silent]), ["house-record"; 2]);
        assert_eq!(rules(&[misnamed]), ["house-record"]);
    }
}
