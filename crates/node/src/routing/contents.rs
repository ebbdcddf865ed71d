//! Which content is here, as far as others are told of it?

use std::sync::Arc;

use futures::Stream;
use rustle_ipld::{Step, WalkError, Walker};
use rustle_store::pins::{self, PinKind};
use rustle_store::{Collect, Store, StoreError};
use rustle_types::Cid;
use rustle_types::content::CODEC_RAW;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use crate::shared::Shared;

/// Pins or blocks that are read at once.
pub(super) const PAGE: usize = 256;
/// Blocks below one root that are told of one by one; about 200 bytes of memory each.
const BLOCKS_BELOW_MAX: usize = 256 * 1024;
/// Blocks that were found and wait to be told of.
const BLOCKS_AHEAD: usize = 64;

/// What is told of in a round, behind a key, with the key of each: pinned roots, or with `all` every block.
pub(super) fn page(
    store: &dyn Collect,
    is_all: bool,
    after: &[u8],
) -> Result<Vec<(Vec<u8>, Cid)>, StoreError> {
    if is_all {
        // The least key behind it.
        let mut from = after.to_vec();
        from.push(0);
        let from = if after.is_empty() { &[][..] } else { &from[..] };
        let entries = store.entries(from, PAGE)?.into_iter();
        // The DHTs know content by its hash, so that the codec does not matter.
        return Ok(entries
            .map(|(hash, _)| (hash.to_bytes(), Cid::new_v1(CODEC_RAW, hash)))
            .collect());
    }
    let after = (!after.is_empty()).then_some(after);
    let pins = pins::page(store, Some(PinKind::Recursive), after, PAGE)?;
    Ok(pins.into_iter().map(|pin| (pin.key(), pin.cid)).collect())
}

/// The blocks below a root, without the root, as far as they are here. Begins once there is room in `walks`, and ends early
/// once nobody takes them.
pub(super) fn below(shared: &Shared, walks: &Arc<Semaphore>, root: Cid) -> impl Stream<Item = Cid> + use<> {
    let (blocks, found) = mpsc::channel(BLOCKS_AHEAD);
    let (store, walks) = (Arc::clone(&shared.store), Arc::clone(walks));
    shared.spawn(async move {
        let place = tokio::select! {
            place = walks.acquire_owned() => place,
            () = blocks.closed() => return,
        };
        tokio::task::spawn_blocking(move || {
            if let Err(error) = walk(&*store, root, &blocks) {
                tracing::warn!(%root, %error, "not all blocks below a root are told of");
            }
            drop(place);
        });
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
