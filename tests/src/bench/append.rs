//! How fast are blocks appended, each durable before it is acknowledged?

use std::time::Duration;

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rustle_admin::Client;
use rustle_admin::views::ChainRef;
use tokio::time::Instant;

use super::report::millis;
use super::{Plan, Report, Unit, quantile, setup};
use crate::Daemon;
use crate::waiting::append;

/// Appends that are under way at the same time.
const WRITERS: usize = 64;
/// The limit of what waits for the disk.
const SYNC: &str = "4 KiB write with fdatasync";

pub(super) async fn measure(plan: &Plan, report: &mut Report) -> Result<()> {
    let node = Daemon::start_below(&plan.folder, "A", setup()).await?;
    let client = node.client().await?;

    report.refresh_limits(&plan.folder).await?;
    let alone = appended(&client, "alone", plan.appends_alone, 1).await?;
    report.refresh_limits(&plan.folder).await?;
    let together = appended(&client, "together", plan.appends_together, WRITERS).await?;
    report.refresh_limits(&plan.folder).await?;
    let calls = calls(&client, plan.appends_together).await?;

    let syncs = report.limits().syncs_per_second;
    report.add(
        "append_alone",
        "durable appends, one writer",
        alone.0,
        Unit::PerSecond,
    );
    report.limit(syncs, SYNC);
    spread(report, ["append_alone_p50", "append_alone_p99"], &alone.1);
    let name = format!("durable appends, {WRITERS} writers");
    report.add("append_together", name, together.0, Unit::PerSecond);
    // One sync serves all writers, so that the disk is the limit only where it is very slow.
    if calls < syncs * WRITERS as f64 {
        report.limit(calls, "gRPC calls that do nothing");
    } else {
        report.limit(syncs * WRITERS as f64, "such writes, each for all writers");
    }
    spread(
        report,
        ["append_together_p50", "append_together_p99"],
        &together.1,
    );
    Ok(())
}

/// Within which times half and nearly all appends were acknowledged.
fn spread(report: &mut Report, ids: [&'static str; 2], times: &[Duration]) {
    let sync = millis(report.limits().sync());
    for (id, name, share) in [(ids[0], "  half within", 0.5), (ids[1], "  99 % within", 0.99)] {
        report.add(id, name, millis(quantile(times, share)), Unit::Milliseconds);
        report.limit(sync, SYNC);
    }
}

/// Calls in a second that ask for nothing that takes time.
async fn calls(client: &Client, count: usize) -> Result<f64> {
    let began = Instant::now();
    stream::iter(0..count)
        .map(|_| client.id())
        .buffer_unordered(WRITERS)
        .try_for_each(async |_| Ok(()))
        .await?;
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

/// Appends to a new chain; gives the appends in a second and the sorted times of each.
pub(super) async fn appended(
    client: &Client,
    name: &str,
    count: usize,
    writers: usize,
) -> Result<(f64, Vec<Duration>)> {
    let chain = ChainRef::Id(client.create_chain(name).await?);
    let one = |number: usize| {
        let (client, chain) = (client.clone(), chain.clone());
        async move {
            let began = Instant::now();
            append(&client, &chain, format!("block {number} of the benchmark")).await?;
            anyhow::Ok(began.elapsed())
        }
    };
    let began = Instant::now();
    let mut times: Vec<Duration> = stream::iter(0..count)
        .map(one)
        .buffer_unordered(writers)
        .try_collect()
        .await?;
    let rate = count as f64 / began.elapsed().as_secs_f64();
    times.sort();
    Ok((rate, times))
}
