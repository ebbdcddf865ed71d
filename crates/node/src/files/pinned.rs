//! Which roots are to be kept, and who is told of them?

use rustle_types::Cid;

use crate::routing::{self, Announced};
use crate::shared::Shared;

/// First byte of the key of a recursive pin.
const PIN_RECURSIVE: u8 = b'r';

/// The key of a recursive pin: `r`, then the multihash.
pub(super) fn pin_key(root: &Cid) -> Vec<u8> {
    let mut key = vec![PIN_RECURSIVE];
    key.extend(root.hash().to_bytes());
    key
}

/// Tells everybody that something is here: peers that wait for it, and the DHTs as far as the setting says so.
pub(super) async fn announce(shared: &Shared, cid: Cid, is_pinned: bool) {
    shared.exchange.stored(cid).await;
    let what = if is_pinned {
        Announced::Root
    } else {
        Announced::Block
    };
    routing::announce(shared, cid, what);
}
