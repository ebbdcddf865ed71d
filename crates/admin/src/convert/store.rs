//! Conversions of what is said of the store.

use std::time::Duration;

use data_encoding::HEXLOWER_PERMISSIVE;
use rustle_types::Timestamp;

use super::{Unreadable, field, millis, required};
use crate::proto;
use crate::proto::store_collect_garbage_response::Phase;
use crate::views::{
    BlockFault, Collected, GarbagePhase, GarbageProgress, Pin, PinKind, PinPage, PinView, Pinned, QuotaView,
    StoreStat, VerifyProgress,
};

impl From<StoreStat> for proto::StoreStatResponse {
    fn from(stat: StoreStat) -> Self {
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
            last_collection: stat.last_collection.map(|last| proto::StoreCollection {
                ended_ms: last.ended.as_millis(),
                duration_ms: millis(last.duration),
                blocks: last.blocks,
                bytes: last.bytes,
            }),
            healthy: stat.healthy,
            health: stat.health,
        }
    }
}

impl TryFrom<proto::StoreStatResponse> for StoreStat {
    type Error = Unreadable;

    fn try_from(answer: proto::StoreStatResponse) -> Result<Self, Unreadable> {
        Ok(Self {
            blocks: answer.blocks,
            bytes: answer.bytes,
            recursive_pins: answer.recursive_pins,
            direct_pins: answer.direct_pins,
            disk_bytes: answer.disk_bytes,
            free_bytes: answer.free_bytes,
            quota: answer.quota_bytes.map(|bytes| QuotaView {
                bytes,
                high: answer.high_water_bytes.unwrap_or(bytes),
                low: answer.low_water_bytes.unwrap_or(bytes),
            }),
            last_collection: answer.last_collection.map(|last| Collected {
                ended: Timestamp::from_millis(last.ended_ms),
                duration: Duration::from_millis(last.duration_ms),
                blocks: last.blocks,
                bytes: last.bytes,
            }),
            healthy: answer.healthy,
            health: answer.health,
        })
    }
}

impl From<VerifyProgress> for proto::StoreVerifyResponse {
    fn from(progress: VerifyProgress) -> Self {
        let faults = progress.faults.into_iter().map(|(cid, kind, repaired)| {
            let kind = match kind {
                BlockFault::Damaged => proto::store_fault::Kind::Damaged,
                BlockFault::NoBytes => proto::store_fault::Kind::NoBytes,
                BlockFault::NoEntry => proto::store_fault::Kind::NoEntry,
            };
            proto::StoreFault {
                cid: cid.to_string(),
                kind: kind.into(),
                repaired,
            }
        });
        Self {
            blocks: progress.blocks,
            bytes: progress.bytes,
            faults: faults.collect(),
            done: progress.done,
        }
    }
}

impl TryFrom<proto::StoreVerifyResponse> for VerifyProgress {
    type Error = Unreadable;

    fn try_from(answer: proto::StoreVerifyResponse) -> Result<Self, Unreadable> {
        let faults = answer.faults.iter().map(|fault| {
            let kind = match fault.kind() {
                proto::store_fault::Kind::NoBytes => BlockFault::NoBytes,
                proto::store_fault::Kind::NoEntry => BlockFault::NoEntry,
                // What a later version finds is damage of some kind.
                proto::store_fault::Kind::Damaged | proto::store_fault::Kind::Unspecified => {
                    BlockFault::Damaged
                }
            };
            Ok((field("cid", &fault.cid)?, kind, fault.repaired))
        });
        Ok(Self {
            blocks: answer.blocks,
            bytes: answer.bytes,
            faults: faults.collect::<Result<_, Unreadable>>()?,
            done: answer.done,
        })
    }
}

impl From<GarbageProgress> for proto::StoreCollectGarbageResponse {
    fn from(progress: GarbageProgress) -> Self {
        let phase = match progress.phase {
            GarbagePhase::Mark => Phase::Mark,
            GarbagePhase::Sweep => Phase::Sweep,
            GarbagePhase::Reclaim => Phase::Reclaim,
        };
        Self {
            phase: phase.into(),
            marked: progress.marked,
            seen: progress.seen,
            removed_blocks: progress.removed_blocks,
            removed_bytes: progress.removed_bytes,
            done: progress.done,
        }
    }
}

impl TryFrom<proto::StoreCollectGarbageResponse> for GarbageProgress {
    type Error = Unreadable;

    fn try_from(answer: proto::StoreCollectGarbageResponse) -> Result<Self, Unreadable> {
        Ok(Self {
            phase: match answer.phase() {
                Phase::Mark | Phase::Unspecified => GarbagePhase::Mark,
                Phase::Sweep => GarbagePhase::Sweep,
                Phase::Reclaim => GarbagePhase::Reclaim,
            },
            marked: answer.marked,
            seen: answer.seen,
            removed_blocks: answer.removed_blocks,
            removed_bytes: answer.removed_bytes,
            done: answer.done,
        })
    }
}

impl From<PinKind> for proto::PinKind {
    fn from(kind: PinKind) -> Self {
        match kind {
            PinKind::Recursive => Self::Recursive,
            PinKind::Direct => Self::Direct,
        }
    }
}

impl From<Pin> for proto::StorePin {
    fn from(pin: Pin) -> Self {
        Self {
            cid: pin.cid.to_string(),
            kind: proto::PinKind::from(pin.kind).into(),
            name: pin.name,
            through: String::new(),
        }
    }
}

impl From<PinView> for proto::StorePin {
    fn from(view: PinView) -> Self {
        match view {
            PinView::Own(pin) => pin.into(),
            PinView::Indirect { cid, through } => Self {
                cid: cid.to_string(),
                kind: proto::PinKind::Indirect.into(),
                name: String::new(),
                through: through.to_string(),
            },
        }
    }
}

impl TryFrom<proto::StorePin> for PinView {
    type Error = Unreadable;

    fn try_from(answer: proto::StorePin) -> Result<Self, Unreadable> {
        let cid = field("cid", &answer.cid)?;
        let kind = match answer.kind() {
            proto::PinKind::Indirect => {
                let through = field("through", &answer.through)?;
                return Ok(Self::Indirect { cid, through });
            }
            proto::PinKind::Direct => PinKind::Direct,
            proto::PinKind::Recursive | proto::PinKind::Unspecified => PinKind::Recursive,
        };
        let name = answer.name;
        Ok(Self::Own(Pin { cid, kind, name }))
    }
}

impl TryFrom<proto::StorePin> for Pin {
    type Error = Unreadable;

    fn try_from(answer: proto::StorePin) -> Result<Self, Unreadable> {
        match answer.try_into()? {
            PinView::Own(pin) => Ok(pin),
            PinView::Indirect { .. } => required("pin", None),
        }
    }
}

impl From<Pinned> for proto::StorePinResponse {
    fn from(pinned: Pinned) -> Self {
        Self {
            pin: Some(pinned.pin.into()),
            fetched: pinned.fetched,
        }
    }
}

impl TryFrom<proto::StorePinResponse> for Pinned {
    type Error = Unreadable;

    fn try_from(answer: proto::StorePinResponse) -> Result<Self, Unreadable> {
        Ok(Self {
            pin: required("pin", answer.pin)?.try_into()?,
            fetched: answer.fetched,
        })
    }
}

impl From<PinPage> for proto::StorePinsResponse {
    fn from(page: PinPage) -> Self {
        Self {
            pins: page.pins.into_iter().map(Into::into).collect(),
            next: page
                .next
                .map_or_else(String::new, |key| HEXLOWER_PERMISSIVE.encode(&key)),
        }
    }
}

impl TryFrom<proto::StorePinsResponse> for PinPage {
    type Error = Unreadable;

    fn try_from(answer: proto::StorePinsResponse) -> Result<Self, Unreadable> {
        let next = match answer.next.as_str() {
            "" => None,
            token => Some(page_token(token).map_err(|cause| Unreadable { field: "next", cause })?),
        };
        Ok(Self {
            pins: super::all(answer.pins)?,
            next,
        })
    }
}

/// The key that a page token stands for.
pub(crate) fn page_token(text: &str) -> Result<Vec<u8>, String> {
    let key = HEXLOWER_PERMISSIVE.decode(text.as_bytes());
    key.map_err(|_| "it is none that this daemon gave".to_owned())
}
