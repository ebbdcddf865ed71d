//! How long is it from an append on A to its delivery on B?

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use rustle_admin::views::FollowFrom;
use rustle_types::BlockId;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::report::millis;
use super::{PART_DEADLINE, Plan, Report, Unit, quantile, setup};
use crate::Cluster;
use crate::waiting::{append, converged, within};

/// Time between two appends: 50 in a second.
const PACE: Duration = Duration::from_millis(20);

pub(super) async fn measure(plan: &Plan, report: &mut Report) -> Result<()> {
    let cluster = Cluster::start_below(&plan.folder, ["A", "B"], &setup()).await?;
    cluster.connect_to_first().await?;
    let chain = cluster.share_chain("live").await?;
    let clients = cluster.clients().await?;
    converged(&clients, &chain, PART_DEADLINE).await?;
    let (a, b) = (clients[0].clone(), clients[1].clone());

    let mut deliveries = b.follow(&chain, FollowFrom::Now).await?;
    let count = plan.live_blocks;
    let receive = async {
        let mut seen: HashMap<BlockId, Instant> = HashMap::new();
        while seen.len() < count {
            let delivery = deliveries.next().await.context("the stream of B ended")??;
            seen.insert(delivery.block.block, Instant::now());
        }
        anyhow::Ok(seen)
    };
    let send = async {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sent = Vec::with_capacity(count);
        for number in 0..count {
            pace.tick().await;
            let began = Instant::now();
            let id = append(&a, &chain, format!("live {number}")).await?;
            sent.push((id, began));
        }
        anyhow::Ok(sent)
    };
    let (sent, seen) = within("live blocks", PART_DEADLINE, async {
        tokio::try_join!(send, receive)
    })
    .await??;

    let mut times = Vec::with_capacity(count);
    for (id, began) in sent {
        times.push(*seen.get(&id).context("B was given another block")? - began);
    }
    ensure!(times.len() == count, "some blocks were not timed");
    times.sort();
    report.refresh_limits(&plan.folder).await?;
    let syncs = 2.0 * millis(report.limits().sync());
    for (id, name, share) in [
        ("live_p50", "append on A to delivery on B, half within", 0.5),
        ("live_p99", "  99 % within", 0.99),
    ] {
        report.add(id, name, millis(quantile(&times, share)), Unit::Milliseconds);
        report.limit(syncs, "one such write on each side");
    }
    Ok(())
}
