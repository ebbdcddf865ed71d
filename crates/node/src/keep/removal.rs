//! May a block be removed by hand?
//!
//! Not while something needs it: a chain cannot do without any of its blocks, and a pin promises that all it keeps is here.
//! What is put or touched while this is looked at stays as well, as in a collection of garbage.

use std::sync::Arc;

use rustle_admin::fault::reason;
use rustle_admin::views::PinView;
use rustle_admin::{Fault, FaultKind};
use rustle_chain::reader;
use rustle_store::{Batch, Collect as _, Durability, Store};
use rustle_types::Cid;

use super::{Keep, pins};
use crate::faults;
use crate::shared::Shared;

/// Drops a block; see [`rustle_admin::ContentBackend::block_remove`].
pub(crate) async fn remove(shared: &Shared, cid: Cid) -> Result<(), Fault> {
    let _one = shared.keep.pinning.lock().await;
    let keep = Arc::clone(&shared.keep);
    let removed = tokio::task::spawn_blocking(move || remove_unkept(&keep, &cid)).await;
    removed.map_err(|error| faults::internal(&error))??;
    let synced = shared.storage.commit(Batch::new(), Durability::Synced).await;
    synced.map_err(faults::store)
}

fn remove_unkept(keep: &Keep, cid: &Cid) -> Result<(), Fault> {
    let store: &dyn Store = &*keep.rocks;
    if !store.has(cid).map_err(faults::store)? {
        let message = format!("block {cid} is not on this node");
        return Err(Fault::new(FaultKind::NotFound, reason::BLOCK_NOT_FOUND, message));
    }
    // Before the look, so that what comes to be needed meanwhile has a later epoch.
    let epoch = keep.rocks.begin_epoch(false).map_err(faults::store)?;
    let before = keep.guards.earliest().map_or(epoch, |guard| guard.min(epoch));
    if let Some(chain) = reader::holder(store, cid).map_err(faults::chain)? {
        return Err(kept(format!(
            "block {cid} belongs to chain {chain} and stays as long as the chain does"
        )));
    }
    match pins::kept_by(store, cid, None)? {
        Some(PinView::Own(pin)) => {
            return Err(kept(format!(
                "block {cid} is pinned; remove the pin first with `rustle pin rm {}`",
                pin.cid
            )));
        }
        Some(PinView::Indirect { through, .. }) => {
            return Err(kept(format!(
                "block {cid} is kept by the pin of {through}; remove that pin first with `rustle pin rm {through}`"
            )));
        }
        None => {}
    }
    let swept = keep.rocks.sweep(before, &[*cid.hash()]).map_err(faults::store)?;
    if swept.blocks == 0 {
        return Err(kept(format!(
            "block {cid} is in use by something that is being added, fetched or pinned; try again when that has ended"
        )));
    }
    Ok(())
}

fn kept(message: String) -> Fault {
    Fault::new(FaultKind::FailedPrecondition, reason::PINNED, message)
}
