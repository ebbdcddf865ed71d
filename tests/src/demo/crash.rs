//! Step 4: B is killed in the middle of appends, the others go on, B comes back and catches up.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use futures::future::try_join_all;
use rustle_admin::Client;
use rustle_admin::views::ChainRef;
use rustle_types::BlockId;
use tokio::sync::watch;
use tokio::time::Instant;

use super::append::same_order;
use crate::Cluster;
use crate::demo::CONVERGENCE_DEADLINE;
use crate::waiting::{append, converged, within};

/// Index of the node that is killed.
const VICTIM: usize = 1;
/// Appends that are under way on it at any time, so that some are when it is killed.
const IN_FLIGHT: usize = 8;
/// Longest time until the victim has acknowledged enough.
const ACKNOWLEDGED_DEADLINE: Duration = Duration::from_secs(30);

/// How much happens around the crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashPlan {
    /// The node is killed once it has acknowledged so many blocks.
    pub acknowledged: usize,
    /// Each of the others appends so many while it is down.
    pub meanwhile: usize,
}

/// Kills B with SIGKILL while it appends, appends on the others, starts B again, and checks that nothing is lost.
pub async fn crash(cluster: &mut Cluster, chain: &ChainRef, plan: CrashPlan) -> Result<String> {
    let (count, counted) = watch::channel(0);
    let writer = tokio::spawn(write_until_broken(
        cluster.client(VICTIM).await?,
        chain.clone(),
        count,
    ));
    let mut counted = counted;
    within(
        "acknowledgements of B",
        ACKNOWLEDGED_DEADLINE,
        counted.wait_for(|count| plan.acknowledged <= *count),
    )
    .await?
    .context("the writer on B ended by itself")?;
    cluster.node_mut(VICTIM).kill().await?;
    let acknowledged = writer.await?;

    let others = cluster
        .nodes()
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != VICTIM);
    let writers = others.map(|(_, node)| async move {
        let client = node.client().await?;
        let mut written = Vec::new();
        for number in 0..plan.meanwhile {
            written.push(append(&client, chain, format!("{} without B {number}", node.name())).await?);
        }
        anyhow::Ok(written)
    });
    let meanwhile: Vec<BlockId> = try_join_all(writers).await?.into_iter().flatten().collect();

    let began = Instant::now();
    cluster.node_mut(VICTIM).restart().await?;
    let clients = cluster.clients().await?;
    converged(&clients, chain, CONVERGENCE_DEADLINE).await?;
    let took = began.elapsed();

    let kept: BTreeSet<BlockId> = same_order(&clients, chain).await?.into_iter().collect();
    let lost = acknowledged.iter().filter(|id| !kept.contains(id)).count();
    ensure!(
        lost == 0,
        "{lost} of {} blocks that B acknowledged are lost",
        acknowledged.len()
    );
    let lost = meanwhile.iter().filter(|id| !kept.contains(id)).count();
    ensure!(
        lost == 0,
        "{lost} of {} blocks of the others are lost",
        meanwhile.len()
    );
    Ok(format!(
        "{} acknowledged by B, {} by the others meanwhile, none lost; B was back in {:.2} s",
        acknowledged.len(),
        meanwhile.len(),
        took.as_secs_f64()
    ))
}

/// Appends without end, several at a time, until the node is gone; gives the ids that it acknowledged.
async fn write_until_broken(client: Client, chain: ChainRef, count: watch::Sender<usize>) -> Vec<BlockId> {
    let mut appends = futures::stream::iter(0_u64..)
        .map(|number| append(&client, &chain, format!("B before the crash {number}")))
        .buffer_unordered(IN_FLIGHT);
    let mut acknowledged = Vec::new();
    // The others under way fail too, but an acknowledgement may still be among them.
    let mut failures = 0;
    while failures < IN_FLIGHT {
        match appends.next().await {
            Some(Ok(id)) => {
                acknowledged.push(id);
                count.send_replace(acknowledged.len());
            }
            Some(Err(_)) => failures += 1,
            None => break,
        }
    }
    acknowledged
}
