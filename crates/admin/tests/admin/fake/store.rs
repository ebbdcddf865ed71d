//! The store of the fake node.

use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use rustle_admin::views::*;
use rustle_admin::{Fault, Flow, StoreBackend};
use rustle_types::{BlockId, Cid, Timestamp};

use super::Fake;

impl StoreBackend for Fake {
    async fn store_stat(&self) -> Result<StoreStat, Fault> {
        Ok(stat())
    }

    async fn verify_store(&self, repair: bool) -> Result<Flow<VerifyProgress>, Fault> {
        self.note(("verify", repair));
        let word = |faults, done| VerifyProgress {
            blocks: 7,
            bytes: 70,
            faults,
            done,
        };
        let faults = vec![(root(), BlockFault::NoBytes, repair)];
        Ok(stream::iter([Ok(word(faults, false)), Ok(word(Vec::new(), true))]).boxed())
    }

    async fn collect_garbage(&self) -> Result<Flow<GarbageProgress>, Fault> {
        Ok(stream::iter([Ok(garbage())]).boxed())
    }

    async fn pin(&self, pin: Pin, timeout: Duration) -> Result<Pinned, Fault> {
        self.note(("pin", timeout));
        Ok(Pinned { pin, fetched: 3 })
    }

    async fn unpin(&self, cid: Cid, kind: Option<PinKind>) -> Result<Pin, Fault> {
        self.note(("unpin", kind));
        Ok(Pin::new(cid, PinKind::Direct))
    }

    fn is_healthy(&self) -> bool {
        !self.is_ill.load(std::sync::atomic::Ordering::Relaxed)
    }

    async fn pins(&self, query: PinQuery) -> Result<PinPage, Fault> {
        let next = query.after.is_none().then(|| vec![0, 0xff]);
        self.note(query);
        Ok(PinPage { pins: pins(), next })
    }
}

/// What the fake says of its store.
pub(crate) fn stat() -> StoreStat {
    StoreStat {
        blocks: 1,
        bytes: 2,
        recursive_pins: 3,
        direct_pins: 4,
        disk_bytes: Some(5),
        free_bytes: None,
        quota: Some(QuotaView {
            bytes: 100,
            high: 90,
            low: 75,
        }),
        last_collection: Some(Collected {
            ended: Timestamp::from_millis(8),
            duration: Duration::from_millis(9),
            blocks: 10,
            bytes: 11,
        }),
        healthy: false,
        health: "ill".to_owned(),
    }
}

pub(crate) fn garbage() -> GarbageProgress {
    GarbageProgress {
        phase: GarbagePhase::Reclaim,
        marked: 1,
        seen: 2,
        removed_blocks: 3,
        removed_bytes: 4,
        done: true,
    }
}

/// The root of content.
pub(crate) fn root() -> Cid {
    BlockId::of(b"root").cid()
}

pub(crate) fn pins() -> Vec<PinView> {
    let own = Pin {
        name: "mine".to_owned(),
        ..Pin::new(root(), PinKind::Recursive)
    };
    let indirect = PinView::Indirect {
        cid: BlockId::of(b"leaf").cid(),
        through: root(),
    };
    vec![PinView::Own(own), indirect]
}
