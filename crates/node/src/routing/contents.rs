//! Which content is here, as far as others are told of it?

use std::sync::Arc;

use futures::Stream;
use rustle_ipld::{Step, WalkError, Walker};
use rustle_store::pins::{self, Pin, PinKind};
use rustle_store::{Store, StoreError};
use rustle_types::Cid;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::shared::Shared;

/// Pins that are read at once.
pub(super) const PINS_PAGE: usize = 256;
/// Blocks below one root that are told of one by one; about 200 bytes of memory each.
const BLOCKS_BELOW_MAX: usize = 256 * 1024;
/// Blocks that were found and wait to be told of.
const BLOCKS_AHEAD: usize = 64;

/// What is pinned with all below it, behind the key of a pin.
pub(super) fn pins(store: &dyn Store, after: &[u8]) -> Result<Vec<Pin>, StoreError> {
    let after = (!after.is_empty()).then_some(after);
    pins::page(store, Some(PinKind::Recursive), after, PINS_PAGE)
}

/// The blocks below a root, without the root, as far as they are here. Ends early once nobody takes them.
pub(super) fn below(shared: &Shared, root: Cid) -> impl Stream<Item = Cid> + use<> {
    let (blocks, found) = mpsc::channel(BLOCKS_AHEAD);
    let store = Arc::clone(&shared.store);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = walk(&*store, root, &blocks) {
            tracing::debug!(%root, %error, "not all blocks below a root are told of");
        }
    });
    ReceiverStream::new(found)
}

fn walk(store: &dyn Store, root: Cid, blocks: &mpsc::Sender<Cid>) -> Result<(), WalkError> {
    let mut walker = Walker::with_blocks_max(&[root], BLOCKS_BELOW_MAX);
    loop {
        for cid in walker.wants() {
            // What is missing or damaged ends the walk below.
            if let Ok(Some(bytes)) = store.get(&cid) {
                walker.supply(&cid, bytes)?;
            }
        }
        match walker.poll()? {
            Step::Block { cid, .. } if cid == root => {}
            Step::Block { cid, .. } => {
                if blocks.blocking_send(cid).is_err() {
                    return Ok(());
                }
            }
            Step::Need(cid) => {
                tracing::debug!(%root, %cid, "a block below a root is not here");
                return Ok(());
            }
            Step::Done => return Ok(()),
        }
    }
}
