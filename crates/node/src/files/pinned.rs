//! Who is told of what is here?

use rustle_types::Cid;

use crate::routing::{self, Announced};
use crate::shared::Shared;

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
