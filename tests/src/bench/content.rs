//! How fast is a file added, and how fast does another node fetch it?

use anyhow::{Result, ensure};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use rustle_admin::CHUNK_BYTES_MAX;
use rustle_admin::views::{CatQuery, Profile};
use tokio::time::Instant;

use super::{PART_DEADLINE, Plan, Report, Unit, setup};
use crate::Cluster;

pub(super) async fn measure(plan: &Plan, report: &mut Report) -> Result<()> {
    let cluster = Cluster::start_below(&plan.folder, ["A", "B"], &setup()).await?;
    cluster.connect_to_first().await?;
    let (a, b) = (cluster.client(0).await?, cluster.client(1).await?);
    let pieces: Vec<Bytes> = pieces(plan.file_bytes);
    let megabytes = plan.file_bytes as f64 / 1e6;
    let mebibytes = plan.file_bytes >> 20;
    let hashed = report.limits().hashed_bytes_per_second / 1e6;

    let began = Instant::now();
    let added = a.add(Profile::V0, stream::iter(pieces.clone()).map(Ok)).await?;
    let speed = megabytes / began.elapsed().as_secs_f64();
    report.add(
        "add",
        format!("add {mebibytes} MiB"),
        speed,
        Unit::MegabytesPerSecond,
    );
    report.limit(hashed, "SHA-256 on one core");

    let query = CatQuery {
        cid: added.cid,
        offset: 0,
        length: None,
        timeout: PART_DEADLINE,
    };
    let began = Instant::now();
    let mut read = b.cat(query).await?;
    let mut count = 0;
    while let Some(piece) = read.next().await {
        count += piece?.len();
    }
    let speed = megabytes / began.elapsed().as_secs_f64();
    ensure!(
        count == plan.file_bytes,
        "B read {count} bytes of {}",
        plan.file_bytes
    );
    report.add(
        "fetch",
        format!("fetch {mebibytes} MiB from a peer"),
        speed,
        Unit::MegabytesPerSecond,
    );
    report.limit(hashed, "SHA-256 on one core");

    for (id, node, name) in [
        ("add_memory", cluster.node(0), "most memory of the adding node"),
        (
            "fetch_memory",
            cluster.node(1),
            "most memory of the fetching node",
        ),
    ] {
        report.add(id, name, node.memory("VmHWM")? as f64 / 1e6, Unit::Megabytes);
    }
    Ok(())
}

/// Bytes of which no two chunks are equal, and which do not compress: xorshift64*.
pub(super) fn pieces(bytes: usize) -> Vec<Bytes> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()
    };
    (0..bytes)
        .step_by(CHUNK_BYTES_MAX)
        .map(|start| {
            let length = CHUNK_BYTES_MAX.min(bytes - start);
            let mut piece = Vec::with_capacity(length + 8);
            while piece.len() < length {
                piece.extend_from_slice(&next());
            }
            piece.truncate(length);
            piece.into()
        })
        .collect()
}
