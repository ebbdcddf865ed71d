//! How long does a fetch take where each provider has only so much of a line?

use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use rustle_admin::CHUNK_BYTES_MAX;
use rustle_admin::views::{CatQuery, Profile};
use tokio::time::Instant;

use crate::lab::{Host, Lab, PORT};
use crate::{Daemon, Setup};

/// Longest time that the fetch may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// A node on a machine of its own.
async fn start(lab: &Lab, name: &str) -> Result<(Daemon, Host)> {
    let host = lab.public()?;
    let listen = format!("/ip4/{}/tcp/{PORT}", host.address());
    let setup = Setup::default().inside(&host).listen(&listen);
    Ok((Daemon::start(name, setup).await?, host))
}

/// Gives `content` to so many providers, each of which can send `megabits_per_second`; gives the time in which another node
/// fetches it from them.
pub async fn fetch(content: &Bytes, providers: usize, megabits_per_second: u32) -> Result<Duration> {
    let lab = Lab::new()?;
    let (reader, _host) = start(&lab, "reader").await?;
    let client = reader.client().await?;
    let mut nodes = Vec::new();
    let mut cid = None;
    for number in 0..providers {
        let (node, host) = start(&lab, &format!("provider {number}")).await?;
        let pieces: Vec<Bytes> = (0..content.len())
            .step_by(CHUNK_BYTES_MAX)
            .map(|start| content.slice(start..content.len().min(start + CHUNK_BYTES_MAX)))
            .collect();
        let added = node.client().await?;
        let added = added.add(Profile::V1, stream::iter(pieces).map(Ok)).await?;
        cid = Some(added.cid);
        client.connect_peer(node.address(), None).await?;
        host.limit(megabits_per_second)?;
        nodes.push((node, host));
    }
    let Some(cid) = cid else {
        return Ok(Duration::ZERO);
    };

    let began = Instant::now();
    let mut pieces = client
        .cat(CatQuery {
            cid,
            offset: 0,
            length: None,
            timeout: DEADLINE,
        })
        .await?;
    let mut count = 0;
    while let Some(piece) = pieces.next().await {
        count += piece?.len();
    }
    ensure!(
        count == content.len(),
        "{count} bytes of {} were read",
        content.len()
    );
    Ok(began.elapsed())
}
