//! Bytes with CIDs that are known beforehand.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use futures::StreamExt as _;
use rustle_admin::Client;
use rustle_admin::views::{CatQuery, Profile};
use rustle_types::Cid;
use tokio::io::{AsyncRead, AsyncReadExt as _};

const VECTORS: &str = include_str!("../fixtures/unixfs-kubo-vectors.txt");

/// Byte i is (i * 31 + (i >> 8) * 7) mod 251. It comes again after 64,256 bytes, which is no part of a chunk: the first 251
/// chunks of 256 KiB all differ, so that each must be fetched.
pub fn pattern(bytes: usize) -> Bytes {
    (0..bytes as u64)
        .map(|i| ((i * 31 + (i >> 8) * 7) % 251) as u8)
        .collect()
}

/// The CID that Kubo gives [`pattern`] of this length, where the fixtures hold it.
pub fn kubo_cid(bytes: usize, profile: Profile) -> Option<Cid> {
    let profile = match profile {
        Profile::V0 => "unixfs-v0-2015",
        // Up to one chunk both ways of version 1 are the same.
        Profile::V1 if bytes <= 256 * 1024 => "unixfs-v1-2025",
        Profile::V1 => "unixfs-v1-kubo",
        Profile::V1Of2025 => "unixfs-v1-2025",
    };
    VECTORS.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields[..] {
            [size, of, "pattern", cid] if of == profile && size == bytes.to_string() => {
                Cid::try_from(cid).ok()
            }
            _ => None,
        }
    })
}

/// Reads a file from a node and compares it with `expected`, without holding either in memory; gives the bytes read.
pub async fn same_as(client: &Client, query: CatQuery, mut expected: impl AsyncRead + Unpin) -> Result<u64> {
    let mut pieces = client.cat(query).await?;
    let mut read = 0;
    let mut wanted = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        wanted.resize(piece.len(), 0);
        expected
            .read_exact(&mut wanted)
            .await
            .with_context(|| format!("the node gives more than the file has after {read} bytes"))?;
        ensure!(piece == wanted, "the bytes differ after {read}");
        read += piece.len() as u64;
    }
    let more = expected.read(&mut [0]).await?;
    ensure!(more == 0, "the node ends after {read} bytes, the file goes on");
    Ok(read)
}
