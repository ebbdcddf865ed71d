//! Who is told what this node has, and by which DHTs?

use rustle_net::IpfsDht;
use rustle_types::{Multiaddr, address};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::Wrong;
use super::found::check_dialled;

/// How content is found, by others and by this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutingConfig {
    /// Which content others are told of.
    pub provide: Provide,
    /// In which DHTs of IPFS the node takes part, beside that of its network. Only with `foreign = allow`, as all their
    /// nodes are foreign. By default in both: it learns of them only from foreign peers that connect, or by `ipfs_boot`.
    pub ipfs_dht: IpfsDht,
    /// Nodes of IPFS to begin with, each with `/p2p/`. None by default: nobody is made to ask the public ones.
    pub ipfs_boot: Vec<Multiaddr>,
}

/// Which content the DHTs are told of, when it comes and again every 22 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provide {
    /// What is pinned: the root of each file or folder, and not its inner blocks. Whoever has found the root asks the same
    /// node for the rest.
    #[default]
    Roots,
    /// Each block of all that is pinned.
    Pinned,
    /// Each block.
    All,
    /// Nothing; only `rustle provide` tells of content.
    None,
}

/// The section `[routing]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoutingSection {
    /// Which content others are told of.
    pub provide: Option<Provide>,
    /// In which DHTs of IPFS to take part.
    #[serde(deserialize_with = "ipfs_dht")]
    pub ipfs_dht: Option<IpfsDht>,
    /// Nodes of IPFS to begin with.
    #[serde(deserialize_with = "super::file::addresses")]
    pub ipfs_boot: Option<Vec<Multiaddr>>,
}

// === impl RoutingConfig ===

impl Default for RoutingConfig {
    fn default() -> Self {
        Self {
            provide: Provide::default(),
            ipfs_dht: IpfsDht::Auto,
            ipfs_boot: Vec::new(),
        }
    }
}

// === impl RoutingSection ===

impl RoutingSection {
    /// What is said here, and where nothing is, what is said `below`.
    pub(super) fn or(self, below: Self) -> Self {
        Self {
            provide: self.provide.or(below.provide),
            ipfs_dht: self.ipfs_dht.or(below.ipfs_dht),
            ipfs_boot: self.ipfs_boot.or(below.ipfs_boot),
        }
    }

    pub(super) fn check(&self) -> Result<(), Wrong> {
        let field = "routing.ipfs_boot";
        check_dialled(field, self.ipfs_boot.as_deref())?;
        let mut boot = self.ipfs_boot.iter().flatten();
        match boot.find(|node| address::peer(node).is_none()) {
            Some(node) => Err(super::found::unnamed(field, node)),
            None => Ok(()),
        }
    }
}

/// What `--ipfs-dht` and its key may say.
pub fn parse_ipfs_dht(text: &str) -> Result<IpfsDht, String> {
    match text {
        "off" => Ok(IpfsDht::Off),
        "lan" => Ok(IpfsDht::Lan),
        "auto" => Ok(IpfsDht::Auto),
        other => Err(format!("`{other}` is none of `off`, `lan` and `auto`")),
    }
}

fn ipfs_dht<'de, D: Deserializer<'de>>(value: D) -> Result<Option<IpfsDht>, D::Error> {
    let parsed = parse_ipfs_dht(&String::deserialize(value)?);
    parsed.map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_says_what_it_may() {
        let section: RoutingSection =
            toml::from_str("provide = \"pinned\"\nipfs_dht = \"lan\"\nipfs_boot = []").unwrap();
        assert_eq!(section.provide, Some(Provide::Pinned));
        assert_eq!(section.ipfs_dht, Some(IpfsDht::Lan));
        for wrong in ["provide = \"some\"", "ipfs_dht = \"on\"", "ipfs_boot = [\"x\"]"] {
            assert!(toml::from_str::<RoutingSection>(wrong).is_err(), "{wrong}");
        }
        let unnamed: RoutingSection = toml::from_str("ipfs_boot = [\"/ip4/8.8.8.8/tcp/1\"]").unwrap();
        assert!(unnamed.check().unwrap_err().why.contains("/p2p/"));
    }
}
