//! What is there, and is it whole?

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use rustle_admin::views::{StoreStat, VerifyProgress};
use rustle_admin::{Fault, Flow};
use rustle_store::collect::{Fault as BlockFault, PAGE_ENTRIES};
use rustle_store::pins::{self, PinKind};
use rustle_store::{Collect, Store, StoreError};
use rustle_types::Cid;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Keep;
use crate::faults;
use crate::shared::Shared;

/// Bytes that are hashed between two looks at whether anybody still waits.
const STEP_BYTES: u64 = 16 * 1024 * 1024;
/// Time between two words about progress without a find.
const TELL_PACE: Duration = Duration::from_millis(250);
/// Words about progress that wait for a slow caller, who slows the check down.
const PROGRESS_MAX: usize = 4;

/// Counts what is kept; see [`rustle_admin::StoreBackend::store_stat`].
pub(crate) async fn stat(shared: &Shared) -> Result<StoreStat, Fault> {
    let keep = Arc::clone(&shared.keep);
    let health = shared.storage.health();
    let counted = tokio::task::spawn_blocking(move || count(&keep, health)).await;
    counted
        .map_err(|error| faults::internal(&error))?
        .map_err(faults::store)
}

fn count(keep: &Keep, health: Option<String>) -> Result<StoreStat, StoreError> {
    let store = &*keep.rocks;
    let (mut blocks, mut bytes, mut from) = (0, 0, Vec::new());
    loop {
        let page = store.entries(&from, PAGE_ENTRIES)?;
        blocks += page.len() as u64;
        bytes += page.iter().map(|(_, entry)| entry.size).sum::<u64>();
        match page.last() {
            Some((last, _)) if page.len() == PAGE_ENTRIES => {
                from = last.to_bytes();
                from.push(0);
            }
            _ => break,
        }
    }
    Ok(StoreStat {
        blocks,
        bytes,
        recursive_pins: count_pins(store, PinKind::Recursive)?,
        direct_pins: count_pins(store, PinKind::Direct)?,
        disk_bytes: store.disk_bytes().ok(),
        free_bytes: store.free_bytes(),
        quota: keep.quota.view(),
        last_collection: keep.last_collection(),
        healthy: health.is_none(),
        health: health.unwrap_or_else(|| "ok".to_owned()),
    })
}

fn count_pins(store: &dyn Store, kind: PinKind) -> Result<u64, StoreError> {
    let (mut count, mut after) = (0, None);
    loop {
        let page = pins::page(store, Some(kind), after.as_deref(), PAGE_ENTRIES)?;
        count += page.len() as u64;
        match page.last() {
            Some(last) if page.len() == PAGE_ENTRIES => after = Some(last.key()),
            _ => return Ok(count),
        }
    }
}

/// Hashes all blocks; see [`rustle_admin::StoreBackend::verify_store`].
pub(crate) fn verify(shared: &Shared, repair: bool) -> Flow<VerifyProgress> {
    let (progress, told) = mpsc::channel(PROGRESS_MAX);
    let keep = Arc::clone(&shared.keep);
    let shutdown = shared.shutdown.clone();
    tokio::task::spawn_blocking(move || {
        let tell = |word| !shutdown.is_cancelled() && progress.blocking_send(Ok(word)).is_ok();
        if let Err(error) = check_all(&keep, repair, &tell) {
            // An error means that the caller has gone.
            let _ = progress.blocking_send(Err(faults::store(error)));
        }
    });
    tokio_stream::wrappers::ReceiverStream::new(told).boxed()
}

/// Whether a repair is the right thing. A block of a chain is not dropped: the chain would end with it, while a damaged one
/// is fetched again by whoever reads it.
fn may_mend(store: &dyn Store, cid: &Cid, fault: BlockFault) -> bool {
    if fault == BlockFault::NoEntry {
        return true;
    }
    match rustle_chain::reader::holder(store, cid) {
        Ok(None) => true,
        Ok(Some(chain)) => {
            tracing::error!(%cid, %chain, "a block of a chain is damaged; fetch it again with `rustle block get`");
            false
        }
        // What cannot be told is not dropped.
        Err(_) => false,
    }
}

fn check_all(keep: &Keep, repair: bool, tell: &dyn Fn(VerifyProgress) -> bool) -> Result<(), StoreError> {
    let store = &*keep.rocks;
    let mut word = VerifyProgress::default();
    let mut told = Instant::now();
    let mut from = Vec::new();
    loop {
        let checked = store.check(&from, STEP_BYTES)?;
        word.blocks += checked.blocks;
        word.bytes += checked.bytes;
        for (cid, fault) in checked.faults {
            tracing::error!(%cid, ?fault, repair, "a block is damaged or not whole");
            let repaired = repair && may_mend(store, &cid, fault) && store.mend(&cid)?;
            word.faults.push((cid, fault, repaired));
        }
        word.done = checked.next.is_none();
        if word.done || !word.faults.is_empty() || TELL_PACE <= told.elapsed() {
            told = Instant::now();
            let faults = std::mem::take(&mut word.faults);
            if !tell(VerifyProgress {
                faults,
                ..word.clone()
            }) {
                return Ok(());
            }
        }
        match checked.next {
            Some(next) => from = next,
            None => return Ok(()),
        }
    }
}
