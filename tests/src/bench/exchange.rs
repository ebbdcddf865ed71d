//! How fast does a node fetch over QUIC, and from several providers with limited lines?

use anyhow::{Result, ensure};
use bytes::BytesMut;
use futures::{StreamExt as _, stream};
use rustle_admin::views::{CatQuery, Profile};
use tokio::time::Instant;

use super::content::pieces;
use super::{PART_DEADLINE, Plan, Report, Unit, setup};
use crate::{Cluster, limited};

/// What the line of each provider carries: 50 MB/s.
const LINE_MEGABITS_PER_SECOND: u32 = 400;

pub(super) async fn measure(plan: &Plan, report: &mut Report) -> Result<()> {
    over_quic(plan, report).await?;
    from_limited_providers(plan, report).await
}

async fn over_quic(plan: &Plan, report: &mut Report) -> Result<()> {
    let cluster = Cluster::start_below(&plan.folder, ["A", "B"], &setup().quic()).await?;
    cluster.connect_to_first().await?;
    let (a, b) = (cluster.client(0).await?, cluster.client(1).await?);
    let content = pieces(plan.file_bytes);
    let added = a.add(Profile::V1, stream::iter(content).map(Ok)).await?;

    let began = Instant::now();
    let mut read = b
        .cat(CatQuery {
            cid: added.cid,
            offset: 0,
            length: None,
            timeout: PART_DEADLINE,
        })
        .await?;
    let mut count = 0;
    while let Some(piece) = read.next().await {
        count += piece?.len();
    }
    ensure!(count == plan.file_bytes, "{count} bytes came");
    report.add(
        "fetch_quic",
        format!("fetch {} MiB from a peer over QUIC", plan.file_bytes >> 20),
        plan.file_bytes as f64 / 1e6 / began.elapsed().as_secs_f64(),
        Unit::MegabytesPerSecond,
    );
    let hashed = report.limits().hashed_bytes_per_second / 1e6;
    report.limit(hashed, "SHA-256 on one core");
    Ok(())
}

async fn from_limited_providers(plan: &Plan, report: &mut Report) -> Result<()> {
    let mut content = BytesMut::with_capacity(plan.file_bytes);
    for piece in pieces(plan.file_bytes) {
        content.extend_from_slice(&piece);
    }
    let content = content.freeze();
    let line = f64::from(LINE_MEGABITS_PER_SECOND) / 8.0;
    for (id, providers, name) in [
        ("fetch_limited_one", 1, "fetch from one provider with 50 MB/s"),
        (
            "fetch_limited_three",
            3,
            "fetch from three providers with 50 MB/s each",
        ),
    ] {
        let took = limited::fetch(&content, providers, LINE_MEGABITS_PER_SECOND).await?;
        let speed = content.len() as f64 / 1e6 / took.as_secs_f64();
        report.add(id, name, speed, Unit::MegabytesPerSecond);
        report.limit(line * providers as f64, "the lines of the providers");
    }
    Ok(())
}
