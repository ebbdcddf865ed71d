//! Blocks by their CID, whatever they are part of.

use bytes::Bytes;
use rustle_admin::fault::reason;
use rustle_admin::views::{BlockQuery, NewBlock, StoredBlock};
use rustle_admin::{Fault, FaultKind};
use rustle_types::Cid;
use rustle_types::content::{CODEC_DAG_PB, HashFunction};
use rustle_types::limits::CONTENT_BLOCK_BYTES_MAX;

use super::intake::Intake;
use super::pinned::announce;
use super::supply::Supply;
use crate::faults;
use crate::shared::Shared;

/// Reads a block; see [`rustle_admin::ContentBackend::block_get`].
pub(crate) async fn block_get(shared: &Shared, query: BlockQuery) -> Result<Bytes, Fault> {
    Supply::new(shared, query.timeout).block(query.cid).await
}

/// Says how long a block is; see [`rustle_admin::ContentBackend::block_stat`].
pub(crate) async fn block_stat(shared: &Shared, query: BlockQuery) -> Result<StoredBlock, Fault> {
    let cid = query.cid;
    let local = shared.read(move |store| store.size(&cid)).await?;
    let bytes = match local.map_err(faults::store)? {
        Some(bytes) => bytes,
        None => block_get(shared, query).await?.len() as u64,
    };
    Ok(StoredBlock { cid, bytes })
}

/// Keeps a block; see [`rustle_admin::ContentBackend::block_put`].
pub(crate) async fn block_put(shared: &Shared, block: NewBlock) -> Result<StoredBlock, Fault> {
    let bad = |message: String| Fault::new(FaultKind::InvalidArgument, reason::BAD_CONTENT, message);
    let NewBlock {
        data,
        codec,
        hash,
        is_v0,
        pin,
    } = block;
    if CONTENT_BLOCK_BYTES_MAX < data.len() {
        return Err(bad(format!(
            "a block of {} bytes is too long, at most {CONTENT_BLOCK_BYTES_MAX} are kept; add it as a file",
            data.len()
        )));
    }
    if is_v0 && (codec != CODEC_DAG_PB || hash != HashFunction::Sha2_256) {
        return Err(bad(
            "CID version 0 has the codec dag-pb and the hash sha2-256".to_owned()
        ));
    }
    let digest = hash.digest(&data);
    let cid = match is_v0 {
        true => Cid::new_v0(digest).map_err(|error| faults::internal(&error))?,
        false => Cid::new_v1(codec, digest),
    };
    // What its codec cannot read could never be followed, shown or walked.
    rustle_ipld::links(&cid, data.clone()).map_err(|error| bad(error.to_string()))?;
    let bytes = data.len() as u64;
    let mut intake = Intake::new(shared, true);
    intake.put(cid, data).await?;
    intake.finish_walked(pin.then_some(cid).as_slice()).await?;
    announce(shared, cid, false).await;
    Ok(StoredBlock { cid, bytes })
}
