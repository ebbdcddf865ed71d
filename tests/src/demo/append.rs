//! Step 3: all append at the same time, and end with the same blocks in the same order.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use rustle_admin::Client;
use rustle_admin::views::{BlockKind, ChainRef};
use rustle_types::BlockId;

use crate::Cluster;
use crate::demo::CONVERGENCE_DEADLINE;
use crate::waiting::{append, converged, data_blocks, ordered};

/// Appends `count` blocks on each node, all nodes at once; waits until each has delivered all of them, and compares.
pub async fn append_together(cluster: &Cluster, chain: &ChainRef, count: usize) -> Result<String> {
    let clients = cluster.clients().await?;
    let all = count * clients.len();
    let before = ordered(&clients[0], chain).await?.len();

    let writers = clients
        .iter()
        .zip(cluster.nodes())
        .map(|(client, node)| async move {
            let mut written = Vec::new();
            for number in 0..count {
                written.push(append(client, chain, format!("{} {number}", node.name())).await?);
            }
            anyhow::Ok(written)
        });
    let written: BTreeSet<BlockId> = try_join_all(writers).await?.into_iter().flatten().collect();
    ensure!(
        written.len() == all,
        "{} different blocks of {all}",
        written.len()
    );

    let deliveries = clients
        .iter()
        .map(|client| data_blocks(client, chain, all, CONVERGENCE_DEADLINE));
    try_join_all(deliveries).await?;
    let digest = converged(&clients, chain, CONVERGENCE_DEADLINE).await?;
    ensure!(
        digest.blocks == (before + all) as u64,
        "the chain has {} blocks instead of {before} and {all}",
        digest.blocks
    );

    let order = same_order(&clients, chain).await?;
    ensure!(
        order.iter().filter(|id| written.contains(id)).count() == all,
        "the logs lack blocks that were acknowledged"
    );
    Ok(format!(
        "{all} blocks in the same order on {} nodes",
        clients.len()
    ))
}

/// The ordered ids of the blocks of applications; fails where two nodes differ.
pub(super) async fn same_order(clients: &[Client], chain: &ChainRef) -> Result<Vec<BlockId>> {
    let logs = try_join_all(clients.iter().map(|client| ordered(client, chain))).await?;
    let mut orders = logs.iter().map(|log| -> Vec<BlockId> {
        let data = log.iter().filter(|block| block.kind == BlockKind::Data);
        data.map(|block| block.block).collect()
    });
    let first = orders.next().context("there are nodes")?;
    for order in orders {
        ensure!(order == first, "two nodes have the blocks in different orders");
    }
    Ok(first)
}
