//! How do we wait? On events, with a deadline, and a sentence that says what did not come.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::future::{FutureExt as _, try_join_all};
use futures::stream::{StreamExt as _, select_all};
use rustle_admin::Client;
use rustle_admin::views::{
    BlockKind, BlockView, ChainDigest, ChainRef, FollowFrom, LogQuery, NewEntry, Order, PeerView,
};
use rustle_types::{BlockId, Multiaddr};
use tokio::time::Instant;

use crate::Daemon;

/// How often we ask for what the interface has no event for.
const ASK_INTERVAL: Duration = Duration::from_millis(20);

/// Waits for a future, but not longer than `limit`.
pub async fn within<T>(what: &str, limit: Duration, future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(limit, future)
        .await
        .with_context(|| format!("waited {limit:?} in vain for {what}"))
}

/// Appends a block with this text.
pub async fn append(client: &Client, chain: &ChainRef, text: impl Into<String>) -> Result<BlockId> {
    let entry = NewEntry {
        topics: Vec::new(),
        body: text.into().into(),
    };
    Ok(client.append(chain, entry).await?.block)
}

/// Follows the chain from its start until `count` blocks of applications were delivered; gives them in that order.
///
/// Panics where a block comes twice, before a parent, or out of sequence: no test may tolerate that.
pub async fn data_blocks(
    client: &Client,
    chain: &ChainRef,
    count: usize,
    limit: Duration,
) -> Result<Vec<BlockView>> {
    let mut blocks = Vec::new();
    let mut seen = BTreeSet::new();
    let deadline = Instant::now() + limit;
    let mut deliveries = client.follow(chain, FollowFrom::Start).await?;
    while blocks.len() < count {
        let Ok(next) = tokio::time::timeout_at(deadline, deliveries.next()).await else {
            bail!(
                "after {limit:?} only {} of {count} blocks were delivered",
                blocks.len()
            );
        };
        let delivery = next.context("a follower's stream ended")??;
        let block = delivery.block;
        assert_eq!(
            delivery.sequence,
            seen.len() as u64,
            "sequence of {}",
            block.block
        );
        assert!(
            block.parents.iter().all(|parent| seen.contains(parent)),
            "{} before a parent",
            block.block
        );
        assert!(seen.insert(block.block), "{} twice", block.block);
        if block.kind == BlockKind::Data {
            blocks.push(block);
        }
    }
    Ok(blocks)
}

/// The whole chain in canonical order.
pub async fn ordered(client: &Client, chain: &ChainRef) -> Result<Vec<BlockView>> {
    let query = LogQuery {
        order: Order::OldestFirst,
        ..LogQuery::default()
    };
    let mut log = client.log(chain, query).await?;
    let mut blocks = Vec::new();
    while let Some(block) = log.next().await {
        blocks.push(block?);
    }
    Ok(blocks)
}

/// Waits until all nodes have the same digest, looking again after each delivery on any of them.
pub async fn converged(nodes: &[Client], chain: &ChainRef, limit: Duration) -> Result<ChainDigest> {
    let deadline = Instant::now() + limit;
    // Before the first look, so that no growth falls between the two.
    let followed = try_join_all(nodes.iter().map(|node| node.follow(chain, FollowFrom::Now))).await?;
    let mut grown = select_all(followed);
    loop {
        let digests = try_join_all(nodes.iter().map(|node| node.digest(chain))).await?;
        if digests.windows(2).all(|pair| pair[0] == pair[1]) {
            return digests.first().copied().context("no nodes to compare");
        }
        match tokio::time::timeout_at(deadline, grown.next()).await {
            Ok(next) => next.context("the followers' streams ended")??,
            Err(_) => {
                let counts: Vec<u64> = digests.iter().map(|digest| digest.blocks).collect();
                bail!("after {limit:?} the nodes still differ: they have {counts:?} blocks");
            }
        };
        // One look for all that is here already.
        while let Some(Some(next)) = grown.next().now_or_never() {
            next?;
        }
    }
}

/// Waits until the peers of a node are as wanted. The interface has no event for this, so we ask again and again.
pub async fn peers_are(
    client: &Client,
    what: &str,
    limit: Duration,
    wanted: impl Fn(&[PeerView]) -> bool,
) -> Result<Vec<PeerView>> {
    let deadline = Instant::now() + limit;
    loop {
        let peers = client.peers().await?;
        if wanted(&peers) {
            return Ok(peers);
        }
        if deadline < Instant::now() {
            bail!("waited {limit:?} in vain for {what}; the peers are {peers:?}");
        }
        tokio::time::sleep(ASK_INTERVAL).await;
    }
}

/// Waits until `pick` makes something of the addresses of a node. The interface has no event for this either.
pub async fn addresses_are<T>(
    client: &Client,
    what: &str,
    limit: Duration,
    pick: impl Fn(&[Multiaddr]) -> Option<T>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        let addresses = client.id().await?.addresses;
        if let Some(picked) = pick(&addresses) {
            return Ok(picked);
        }
        if deadline < Instant::now() {
            bail!("waited {limit:?} in vain for {what}; the addresses are {addresses:?}");
        }
        tokio::time::sleep(ASK_INTERVAL).await;
    }
}

/// Waits until a node has written something to its log.
pub async fn log_says(daemon: &Daemon, what: &str, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    while !daemon.log().contains(what) {
        if deadline < Instant::now() {
            bail!(
                "waited {limit:?} in vain for `{what}` in the log of {}",
                daemon.name()
            );
        }
        tokio::time::sleep(ASK_INTERVAL).await;
    }
    Ok(())
}
