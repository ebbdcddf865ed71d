//! Step 2: a chain on A; the others join with invitation strings.

use anyhow::{Result, ensure};
use rustle_admin::views::ChainRef;

use crate::Cluster;
use crate::demo::CONVERGENCE_DEADLINE;
use crate::waiting::converged;

/// Makes the chain, lets the others join, and waits until all have the same.
pub async fn create_and_join(cluster: &Cluster, name: &str) -> Result<(ChainRef, String)> {
    let chain = cluster.share_chain(name).await?;
    let clients = cluster.clients().await?;
    converged(&clients, &chain, CONVERGENCE_DEADLINE).await?;
    for (client, node) in clients.iter().zip(cluster.nodes()) {
        let chains = client.chains().await?;
        let [view] = &chains[..] else {
            anyhow::bail!("{} has {} chains instead of one", node.name(), chains.len());
        };
        ensure!(
            ChainRef::Id(view.chain) == chain && view.name == name,
            "{} has another chain: {view:?}",
            node.name()
        );
    }
    Ok((
        chain.clone(),
        format!("{} joined {chain}", cluster.nodes().len() - 1),
    ))
}
