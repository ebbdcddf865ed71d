//! Which content is here, as far as others are told of it?

use std::sync::Arc;

use futures::Stream;
use multihash::Multihash;
use rustle_ipld::{Step, WalkError, Walker};
use rustle_store::{Scan, Store, StoreError, Table};
use rustle_types::Cid;
use rustle_types::content::CODEC_DAG_PB;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::shared::Shared;

/// Pins that are read at once.
pub(super) const PINS_PAGE: usize = 256;
/// Blocks below one root that are told of one by one; about 200 bytes of memory each.
const BLOCKS_BELOW_MAX: usize = 256 * 1024;
/// Blocks that were found and wait to be told of.
const BLOCKS_AHEAD: usize = 64;
/// First byte of the key of a recursive pin; the multihash follows.
const PIN_RECURSIVE: u8 = b'r';

/// What is pinned with all below it, from a key on, with the key of each.
pub(super) fn pins(store: &dyn Store, after: &[u8]) -> Result<Vec<(Vec<u8>, Cid)>, StoreError> {
    let mut scan = Scan::prefix(&[PIN_RECURSIVE], PINS_PAGE);
    if !after.is_empty() {
        let mut next = after.to_vec();
        next.push(0);
        scan = scan.from_key(next);
    }
    let pin = |(key, _): (bytes::Bytes, bytes::Bytes)| {
        let hash = Multihash::from_bytes(key.get(1..)?).ok()?;
        // The DHTs know content by its multihash, and a file of more than one block begins with a node of DAG-PB.
        Some((key.to_vec(), Cid::new_v1(CODEC_DAG_PB, hash)))
    };
    Ok(store
        .scan(Table::Pins, &scan)?
        .into_iter()
        .filter_map(pin)
        .collect())
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
