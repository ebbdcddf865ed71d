//! The JSON of the store.

use rustle_admin::views::{BlockFault, Collected, GarbageProgress, Pin, PinKind, PinView, Pinned, StoreStat};
use rustle_types::Cid;
use serde::Serialize;

use super::millis;

#[derive(Serialize)]
pub(crate) struct StoreState {
    blocks: u64,
    bytes: u64,
    recursive_pins: u64,
    direct_pins: u64,
    disk_bytes: Option<u64>,
    free_bytes: Option<u64>,
    quota_bytes: Option<u64>,
    high_water_bytes: Option<u64>,
    low_water_bytes: Option<u64>,
    last_collection: Option<Collection>,
    healthy: bool,
    health: String,
}

#[derive(Serialize)]
struct Collection {
    ended_ms: u64,
    duration_ms: u64,
    blocks: u64,
    bytes: u64,
}

#[derive(Serialize)]
pub(crate) struct Verified {
    pub(crate) blocks: u64,
    pub(crate) bytes: u64,
    pub(crate) faults: Vec<DamagedBlock>,
}

#[derive(Serialize)]
pub(crate) struct DamagedBlock {
    pub(crate) cid: String,
    pub(crate) kind: &'static str,
    pub(crate) repaired: bool,
}

#[derive(Serialize)]
pub(crate) struct Garbage {
    removed_blocks: u64,
    removed_bytes: u64,
    marked: u64,
    seen: u64,
}

#[derive(Serialize)]
pub(crate) struct Pins {
    pub(crate) pins: Vec<PinEntry>,
}

#[derive(Serialize)]
pub(crate) struct PinEntry {
    #[serde(flatten)]
    pin: PinText,
    through: Option<String>,
}

/// A pin that was set or removed.
#[derive(Serialize)]
pub(crate) struct PinText {
    cid: String,
    kind: &'static str,
    name: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct PinnedText {
    #[serde(flatten)]
    pin: PinText,
    fetched: u64,
}

pub(crate) fn pin_kind(kind: PinKind) -> &'static str {
    match kind {
        PinKind::Recursive => "recursive",
        PinKind::Direct => "direct",
    }
}

impl From<&StoreStat> for StoreState {
    fn from(stat: &StoreStat) -> Self {
        Self {
            blocks: stat.blocks,
            bytes: stat.bytes,
            recursive_pins: stat.recursive_pins,
            direct_pins: stat.direct_pins,
            disk_bytes: stat.disk_bytes,
            free_bytes: stat.free_bytes,
            quota_bytes: stat.quota.map(|quota| quota.bytes),
            high_water_bytes: stat.quota.map(|quota| quota.high),
            low_water_bytes: stat.quota.map(|quota| quota.low),
            last_collection: stat.last_collection.as_ref().map(Collection::from),
            healthy: stat.healthy,
            health: stat.health.clone(),
        }
    }
}

impl From<&Collected> for Collection {
    fn from(last: &Collected) -> Self {
        Self {
            ended_ms: last.ended.as_millis(),
            duration_ms: millis(last.duration),
            blocks: last.blocks,
            bytes: last.bytes,
        }
    }
}

impl From<(Cid, BlockFault, bool)> for DamagedBlock {
    fn from((cid, fault, repaired): (Cid, BlockFault, bool)) -> Self {
        let kind = match fault {
            BlockFault::Damaged => "damaged",
            BlockFault::NoBytes => "no_bytes",
            BlockFault::NoEntry => "no_entry",
        };
        Self {
            cid: cid.to_string(),
            kind,
            repaired,
        }
    }
}

impl From<GarbageProgress> for Garbage {
    fn from(last: GarbageProgress) -> Self {
        Self {
            removed_blocks: last.removed_blocks,
            removed_bytes: last.removed_bytes,
            marked: last.marked,
            seen: last.seen,
        }
    }
}

impl From<&Pin> for PinText {
    fn from(pin: &Pin) -> Self {
        Self {
            cid: pin.cid.to_string(),
            kind: pin_kind(pin.kind),
            name: (!pin.name.is_empty()).then(|| pin.name.clone()),
        }
    }
}

impl From<&Pinned> for PinnedText {
    fn from(pinned: &Pinned) -> Self {
        Self {
            pin: (&pinned.pin).into(),
            fetched: pinned.fetched,
        }
    }
}

impl From<&PinView> for PinEntry {
    fn from(view: &PinView) -> Self {
        match view {
            PinView::Own(pin) => Self {
                pin: pin.into(),
                through: None,
            },
            PinView::Indirect { cid, through } => Self {
                pin: PinText {
                    cid: cid.to_string(),
                    kind: "indirect",
                    name: None,
                },
                through: Some(through.to_string()),
            },
        }
    }
}
