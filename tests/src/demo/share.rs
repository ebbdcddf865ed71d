//! Step 1: a file added on A is read on C by its CID, byte for byte, over bitswap.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustle_admin::client::chunks;
use rustle_admin::views::{CatQuery, Profile};
use tokio::fs::File;
use tokio::io::BufReader;

use crate::{Cluster, content};

/// Longest time that C waits for any block.
const BLOCK_DEADLINE: Duration = Duration::from_secs(30);

/// Adds the file on the first node, and reads it on the last, which is connected to the first.
pub async fn share_file(cluster: &Cluster, path: &Path) -> Result<String> {
    let open = async || {
        File::open(path)
            .await
            .with_context(|| format!("cannot read {}", path.display()))
    };
    let file = open().await?;
    let size = file.metadata().await?.len();
    let added = cluster.client(0).await?.add(Profile::V0, chunks(file)).await?;
    ensure!(added.bytes == size, "A took {} bytes of {size}", added.bytes);

    let query = CatQuery {
        cid: added.cid,
        offset: 0,
        length: None,
        timeout: BLOCK_DEADLINE,
    };
    let last = cluster.client(cluster.nodes().len() - 1).await?;
    content::same_as(&last, query, BufReader::new(open().await?)).await?;
    Ok(format!("{size} bytes in {} blocks, {}", added.blocks, added.cid))
}
