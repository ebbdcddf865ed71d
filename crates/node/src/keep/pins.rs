//! How is content pinned, so that it is here and stays?
//!
//! All that a pin keeps is walked, touched and where needed fetched, under a guard; what was fetched is flushed; only then
//! is the pin written, synced. Whoever is told that content is pinned finds it after any crash.

use std::time::Duration;

use bytes::Bytes;
use rustle_admin::fault::reason;
use rustle_admin::views::{PinPage, PinQuery, PinView, Pinned};
use rustle_admin::{Fault, FaultKind};
use rustle_ipld::{Step, Walker};
use rustle_store::pins::{self, Pin, PinError, PinKind};
use rustle_store::{Batch, Collect, ContentStore, Durability, Store, StoreError, is_inline};
use rustle_types::Cid;

use crate::exchange::Session;
use crate::faults;
use crate::shared::Shared;

/// Bytes of fetched blocks that are written together.
const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// Content on its way to being pinned.
struct Gathering<'a> {
    shared: &'a Shared,
    /// Asks peers for what is missing; without it all has to be here.
    session: Option<Session>,
    timeout: Duration,
    group: Batch,
    fetched: u64,
}

/// Pins content; see [`rustle_admin::StoreBackend::pin`].
pub(crate) async fn pin(shared: &Shared, pin: Pin, timeout: Duration) -> Result<Pinned, Fault> {
    let guard = shared.guard().await?;
    let wanted = pin.clone();
    let found = shared.read(move |store| pins::find(store, &wanted.cid)).await?;
    pins::check(found.map_err(faults::store)?.as_ref(), &pin).map_err(fault)?;
    let mut gathering = Gathering {
        shared,
        session: Some(shared.exchange.session()),
        timeout,
        group: Batch::new(),
        fetched: 0,
    };
    gathering.gather(&pin).await?;
    gathering.write().await?;
    let fetched = gathering.fetched;
    // What was here already may be in memory only.
    shared.storage.flush().await.map_err(faults::store)?;
    let pin = set(shared, vec![pin], Batch::new()).await?.remove(0);
    drop(guard);
    Ok(Pinned { pin, fetched })
}

/// Walks and touches all that recursive pins of these roots will keep, and makes it durable. A block that is not here, or
/// whose links cannot be read, is an error. The caller holds a guard.
pub(crate) async fn require(shared: &Shared, roots: &[Cid]) -> Result<(), Fault> {
    for root in roots {
        let mut gathering = Gathering {
            shared,
            session: None,
            timeout: Duration::ZERO,
            group: Batch::new(),
            fetched: 0,
        };
        gathering.gather(&Pin::new(*root, PinKind::Recursive)).await?;
    }
    shared.storage.flush().await.map_err(faults::store)
}

/// Writes pins with the last blocks of what they keep, synced. All others are flushed before, and the caller holds a guard
/// that was taken before the first of them.
///
/// A name that is there stays where no other is given.
pub(crate) async fn set(shared: &Shared, pins: Vec<Pin>, mut batch: Batch) -> Result<Vec<Pin>, Fault> {
    let _one = shared.keep.pinning.lock().await;
    let mut set = Vec::with_capacity(pins.len());
    for mut pin in pins {
        let cid = pin.cid;
        let found = shared.read(move |store| pins::find(store, &cid)).await?;
        let found = found.map_err(faults::store)?;
        pins::check(found.as_ref(), &pin).map_err(fault)?;
        if let Some(found) = found.filter(|_| pin.name.is_empty()) {
            pin.name = found.name;
        }
        pin.put(&mut batch);
        set.push(pin);
    }
    let written = shared.storage.commit(batch, Durability::Synced).await;
    written.map_err(faults::store)?;
    Ok(set)
}

/// Ends a pin; see [`rustle_admin::StoreBackend::unpin`].
pub(crate) async fn unpin(shared: &Shared, cid: Cid, kind: Option<PinKind>) -> Result<Pin, Fault> {
    let _one = shared.keep.pinning.lock().await;
    let found = shared.read(move |store| pins::find(store, &cid)).await?;
    let pin = pins::removed(found.map_err(faults::store)?, &cid, kind).map_err(fault)?;
    let mut batch = Batch::new();
    pin.remove(&mut batch);
    let written = shared.storage.commit(batch, Durability::Synced).await;
    written.map_err(faults::store)?;
    shared.keep.quota.reconsider();
    Ok(pin)
}

/// Lists pins; see [`rustle_admin::StoreBackend::pins`].
pub(crate) async fn list(shared: &Shared, query: PinQuery) -> Result<PinPage, Fault> {
    let Some(cid) = query.cid else {
        let limit = query.limit;
        let page = shared
            .read(move |store| pins::page(store, query.kind, query.after.as_deref(), query.limit))
            .await?
            .map_err(faults::store)?;
        let next = page.last().filter(|_| page.len() == limit).map(Pin::key);
        let pins = page.into_iter().map(PinView::Own).collect();
        return Ok(PinPage { pins, next });
    };
    let how = shared.read(move |store| kept_by(store, &cid, query.kind)).await?;
    let view = how?.ok_or_else(|| fault(PinError::NotPinned(Box::new(cid))))?;
    Ok(PinPage {
        pins: vec![view],
        next: None,
    })
}

/// How one CID is kept: by its own pin, or by the first recursive one whose walk comes upon it.
pub(super) fn kept_by(store: &dyn Store, cid: &Cid, kind: Option<PinKind>) -> Result<Option<PinView>, Fault> {
    let own = pins::find(store, cid).map_err(faults::store)?;
    let own = own.filter(|pin| kind.is_none_or(|kind| kind == pin.kind));
    if own.is_some() || kind.is_some() {
        return Ok(own.map(PinView::Own));
    }
    let mut after = None;
    loop {
        let page = pins::page(
            store,
            Some(PinKind::Recursive),
            after.as_deref(),
            rustle_admin::views::PINS_MAX,
        );
        let page = page.map_err(faults::store)?;
        for pin in &page {
            if is_below(store, &pin.cid, cid)? {
                let (cid, through) = (*cid, pin.cid);
                return Ok(Some(PinView::Indirect { cid, through }));
            }
        }
        match page.last() {
            Some(last) if page.len() == rustle_admin::views::PINS_MAX => after = Some(last.key()),
            _ => return Ok(None),
        }
    }
}

/// Whether a block lies below a root, as far as that is here.
fn is_below(store: &dyn Store, root: &Cid, wanted: &Cid) -> Result<bool, Fault> {
    let mut walker = Walker::new(&[*root]);
    loop {
        for cid in walker.wants() {
            if cid.hash() == wanted.hash() {
                return Ok(true);
            }
            // What is missing or damaged has no links that could be followed: the walk goes around it.
            let bytes = store.get_verified(&cid).ok().flatten().unwrap_or_default();
            walker
                .supply(&cid, bytes)
                .map_err(|error| faults::internal(&error))?;
        }
        match walker.poll() {
            Ok(Step::Block { .. }) => {}
            Ok(Step::Need(_) | Step::Done) | Err(_) => return Ok(false),
        }
    }
}

// === impl Gathering ===

impl Gathering<'_> {
    /// Brings here what the pin keeps, and touches what is here already.
    async fn gather(&mut self, pin: &Pin) -> Result<(), Fault> {
        if pin.kind == PinKind::Direct {
            let missing = self.local(vec![pin.cid]).await?.1;
            if !missing.is_empty() {
                self.want(pin, missing).await?;
                self.arrived(pin.cid).await?;
            }
            return Ok(());
        }
        let mut walker = Walker::new(&[pin.cid]);
        loop {
            let (here, missing) = self.local(walker.wants()).await?;
            for (cid, bytes) in here {
                walker.supply(&cid, bytes).map_err(walk)?;
            }
            if !missing.is_empty() {
                self.want(pin, missing).await?;
            }
            match walker.poll().map_err(walk)? {
                Step::Block { .. } => {}
                Step::Need(cid) => {
                    let (cid, bytes) = self.arrived(cid).await?;
                    walker.supply(&cid, bytes).map_err(walk)?;
                }
                Step::Done => return Ok(()),
            }
        }
    }

    /// The blocks that are here and whole, and the names of the others.
    async fn local(&self, wants: Vec<Cid>) -> Result<(Vec<(Cid, Bytes)>, Vec<Cid>), Fault> {
        if wants.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let keep = std::sync::Arc::clone(&self.shared.keep);
        let looked = tokio::task::spawn_blocking(move || {
            let (mut here, mut missing) = (Vec::new(), Vec::new());
            for (cid, is_here) in wants.iter().zip(keep.rocks.touch(&wants)?) {
                match keep.rocks.get_verified(cid) {
                    Ok(Some(bytes)) if is_here || is_inline(cid) => here.push((*cid, bytes)),
                    Ok(_) | Err(StoreError::Corrupt(_)) => missing.push(*cid),
                    Err(error) => return Err(error),
                }
            }
            Ok((here, missing))
        });
        let looked = looked.await.map_err(|error| faults::internal(&error))?;
        looked.map_err(faults::store)
    }

    /// Asks peers for blocks that are missing, where they may be asked.
    async fn want(&mut self, pin: &Pin, missing: Vec<Cid>) -> Result<(), Fault> {
        match (&mut self.session, missing.first()) {
            (Some(session), _) => session.want(missing).await,
            (None, Some(block)) => return Err(incomplete(&pin.cid, block)),
            (None, None) => {}
        }
        Ok(())
    }

    /// Waits for a block from peers, and keeps it. The exchange keeps what it fetches as well, but nobody is told when.
    async fn arrived(&mut self, waiting: Cid) -> Result<(Cid, Bytes), Fault> {
        let session = self.session.as_mut().ok_or_else(faults::stopping)?;
        let next = tokio::time::timeout(self.timeout, session.next()).await;
        let next = next.map_err(|_| not_found(waiting, self.timeout))?;
        let (cid, bytes) = next.ok_or_else(faults::stopping)?;
        self.fetched += 1;
        self.group.put_block(cid, bytes.clone());
        if GROUP_BYTES <= self.group.weight() {
            self.write().await?;
        }
        Ok((cid, bytes))
    }

    async fn write(&mut self) -> Result<(), Fault> {
        let group = std::mem::take(&mut self.group);
        let written = self.shared.storage.commit(group, Durability::Bulk).await;
        written.map_err(faults::store)
    }
}

fn incomplete(root: &Cid, block: &Cid) -> Fault {
    let message = format!(
        "block {block}, to which {root} leads, is not here, so nothing is pinned; fetch it with `rustle pin add {root}`, or keep {root} without a pin"
    );
    Fault::new(FaultKind::FailedPrecondition, reason::PIN_INCOMPLETE, message)
}

fn not_found(cid: Cid, timeout: Duration) -> Fault {
    let message = format!(
        "block {cid} did not come within {timeout:?}, so nothing is pinned; connect to a peer that has it, or allow more time with --timeout"
    );
    Fault::new(FaultKind::DeadlineExceeded, reason::CONTENT_NOT_FOUND, message)
}

fn walk(error: rustle_ipld::WalkError) -> Fault {
    Fault::new(
        FaultKind::FailedPrecondition,
        reason::BAD_ARGUMENT,
        error.to_string(),
    )
}

fn fault(error: PinError) -> Fault {
    let (kind, reason) = match error {
        PinError::Recursive(_) | PinError::OtherCodec(_) | PinError::NotDirect(_) => {
            (FaultKind::FailedPrecondition, reason::PIN_CONFLICT)
        }
        PinError::Name(_) => (FaultKind::InvalidArgument, reason::BAD_ARGUMENT),
        PinError::NotPinned(_) => (FaultKind::NotFound, reason::PIN_NOT_FOUND),
    };
    Fault::new(kind, reason, error.to_string())
}
