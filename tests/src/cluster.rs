//! Several nodes of one network.

use std::path::Path;

use anyhow::Result;
use futures::future::try_join_all;
use rustle_admin::Client;
use rustle_admin::views::{ChainRef, InviteTerms};
use rustle_types::ChainId;

use crate::{Daemon, Setup};

/// Nodes that were started together, in the order of their names.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Daemon>,
}

// === impl Cluster ===

impl Cluster {
    /// Starts one node for each name; they do not know each other yet.
    pub async fn start<'a>(names: impl IntoIterator<Item = &'a str>, setup: &Setup) -> Result<Self> {
        Self::start_below(&std::env::temp_dir(), names, setup).await
    }

    /// The same, with their folders below `parent`.
    pub async fn start_below<'a>(
        parent: &Path,
        names: impl IntoIterator<Item = &'a str>,
        setup: &Setup,
    ) -> Result<Self> {
        let starts = names
            .into_iter()
            .map(|name| Daemon::start_below(parent, name, setup.clone()));
        Ok(Self {
            nodes: try_join_all(starts).await?,
        })
    }

    /// A node.
    pub fn node(&self, index: usize) -> &Daemon {
        &self.nodes[index]
    }

    /// A node, to kill or to restart.
    pub fn node_mut(&mut self, index: usize) -> &mut Daemon {
        &mut self.nodes[index]
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Daemon] {
        &self.nodes
    }

    /// Takes the nodes out.
    pub fn into_nodes(self) -> Vec<Daemon> {
        self.nodes
    }

    /// A connection to a node.
    pub async fn client(&self, index: usize) -> Result<Client> {
        self.nodes[index].client().await
    }

    /// A connection to each node.
    pub async fn clients(&self) -> Result<Vec<Client>> {
        try_join_all(self.nodes.iter().map(Daemon::client)).await
    }

    /// Connects all others to the first node; returns when the handshakes are complete.
    pub async fn connect_to_first(&self) -> Result<()> {
        for node in &self.nodes[1..] {
            node.client()
                .await?
                .connect_peer(self.nodes[0].address(), None)
                .await?;
        }
        Ok(())
    }

    /// Makes a chain on the first node and lets all others join, each with an invitation of its own.
    pub async fn share_chain(&self, name: &str) -> Result<ChainRef> {
        let first = self.client(0).await?;
        let chain: ChainId = first.create_chain(name).await?;
        let terms = InviteTerms {
            expires_in: None,
            uses: 1,
        };
        for node in &self.nodes[1..] {
            let invitation = first.invite(&ChainRef::Id(chain), terms).await?;
            let joined = node.client().await?.join(&invitation, None).await?;
            anyhow::ensure!(joined.chain == chain, "{} joined another chain", node.name());
        }
        Ok(ChainRef::Id(chain))
    }
}
