//! Which of our blocks say the most about what we have?

use std::collections::BTreeSet;

use rustle_store::Store;
use rustle_types::{BlockId, ChainId};
use rustle_wire::SYNC_HAVE_MAX;

use crate::reader::{self, ReadError};

/// Leaves in a locator; the highest. The rest is room for samples, enough for 2^40 blocks.
const LOCATOR_LEAVES_MAX: usize = SYNC_HAVE_MAX - 320;
/// Samples between one distance back and twice that distance.
const SAMPLES_PER_DOUBLING: u64 = 8;

/// What to send as `have`: our leaves, and samples further and further back in the order of arrival.
///
/// Where the peer knows our leaves, they say it all. Where it does not, because we have appended on our own, the newest
/// sample that it knows is at most an eighth further back than where we parted, and it sends that little in vain. At most
/// 1,024 ids; reads O(log n) records, since arrival numbers are dense.
pub fn locator(store: &dyn Store, chain: &ChainId) -> Result<Vec<BlockId>, ReadError> {
    let leaves = reader::leaves(store, chain)?;
    let mut have: Vec<BlockId> = leaves
        .iter()
        .rev()
        .take(LOCATOR_LEAVES_MAX)
        .map(|leaf| leaf.id)
        .collect();
    let mut seen: BTreeSet<BlockId> = have.iter().copied().collect();

    let count = reader::count(store, chain)?;
    let mut back = 1;
    while have.len() < SYNC_HAVE_MAX - 1 && back < count {
        let at = count - 1 - back;
        for (_, id) in reader::sequence(store, chain, at, 1)? {
            if seen.insert(id) {
                have.push(id);
            }
        }
        back += (back / SAMPLES_PER_DOUBLING).max(1);
    }
    if seen.insert(chain.genesis()) {
        have.push(chain.genesis());
    }
    Ok(have)
}
