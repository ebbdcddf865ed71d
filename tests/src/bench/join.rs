//! How long does a new node take to have a long chain?

use anyhow::{Result, ensure};
use rustle_admin::views::{ChainRef, InviteTerms};
use tokio::time::Instant;

use super::append::appended;
use super::{PART_DEADLINE, Plan, Report, Unit, setup};
use crate::Cluster;
use crate::waiting::data_blocks;

/// Appends under way while the chain is made; so many leaves are never reached, because each block takes up those there are.
const WRITERS: usize = 64;
/// The chain.
const NAME: &str = "long";

pub(super) async fn measure(plan: &Plan, report: &mut Report) -> Result<()> {
    let cluster = Cluster::start_below(&plan.folder, ["A", "B"], &setup()).await?;
    let (a, b) = (cluster.client(0).await?, cluster.client(1).await?);
    appended(&a, NAME, plan.chain_blocks, WRITERS).await?;
    let terms = InviteTerms {
        expires_in: None,
        uses: 1,
    };
    let invitation = a.invite(&ChainRef::Name(NAME.to_owned()), terms).await?;

    let began = Instant::now();
    let chain = ChainRef::Id(b.join(&invitation, None).await?.chain);
    data_blocks(&b, &chain, plan.chain_blocks, PART_DEADLINE).await?;
    let took = began.elapsed().as_secs_f64();
    ensure!(
        a.digest(&chain).await? == b.digest(&chain).await?,
        "B has another chain than A"
    );

    let blocks = plan.chain_blocks as f64;
    let verified = report.limits().verified_per_second;
    report.add(
        "join",
        format!("join and sync of {blocks} blocks"),
        took,
        Unit::Seconds,
    );
    report.limit(blocks / verified, "Ed25519 on one core");
    report.add("join_rate", "  blocks", blocks / took, Unit::PerSecond);
    report.limit(verified, "Ed25519 on one core");
    Ok(())
}
