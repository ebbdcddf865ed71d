//! When and how is garbage collected?
//!
//! On a thread of its own, in small steps between which everybody else reads and writes. What is kept is read after the
//! collection has begun: recursive pins first, since what is missing below one of them ends the collection, then direct
//! ones, then the blocks of chains with what their bodies link to, as far as it is here.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use rustle_admin::fault::reason;
use rustle_admin::views::{Collected, GarbagePhase, GarbageProgress};
use rustle_admin::{Fault, FaultKind, Flow};
use rustle_chain::{ReadError, reader};
use rustle_store::collect::{CollectError, Collector, Root, RootKind};
use rustle_store::pins::{self, PinKind};
use rustle_store::{Collect, Store, StoreError};
use rustle_types::Cid;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Keep;
use crate::faults;
use crate::shared::Shared;

/// Roots that are read at once.
const ROOTS_PAGE: usize = 256;
/// Time between two words about progress.
const TELL_PACE: Duration = Duration::from_millis(250);
/// Words about progress that wait for a slow caller.
const PROGRESS_MAX: usize = 8;

/// Why a collection did not come to its end. Nothing that is kept was removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GarbageError {
    /// The node is stopping, or nobody waits for it any more.
    #[error("the collection of garbage was ended")]
    Ended,
    /// What is kept cannot be read, or is not whole.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// A chain cannot be read.
    #[error(transparent)]
    Chain(#[from] ReadError),
}

/// A collection on its thread.
struct Run<'a> {
    keep: &'a Keep,
    collector: Collector<&'a rustle_store_rocksdb::RocksStore>,
    /// Bytes on disk at which enough is removed.
    low: Option<u64>,
    progress: GarbageProgress,
    told: Instant,
    tell: &'a dyn Fn(GarbageProgress) -> bool,
}

/// Collects garbage for a caller; see [`rustle_admin::StoreBackend::collect_garbage`].
pub(crate) fn collect(shared: &Shared) -> Result<Flow<GarbageProgress>, Fault> {
    let (progress, told) = mpsc::channel(PROGRESS_MAX);
    let keep = Arc::clone(&shared.keep);
    let one = Arc::clone(&keep.collecting)
        .try_lock_owned()
        .map_err(|_| running())?;
    let shutdown = shared.shutdown.clone();
    let now = shared.clock;
    tokio::task::spawn_blocking(move || {
        let _one = one;
        let tell = |word: GarbageProgress| {
            // A full queue is a slow caller, who gets a later word.
            let _ = progress.try_send(Ok(word));
            !progress.is_closed() && !shutdown.is_cancelled()
        };
        let last = match run(&keep, None, &tell) {
            Ok(word) => {
                keep.note(&now, &word);
                Ok(word.0)
            }
            Err(GarbageError::Ended) if progress.is_closed() => return,
            Err(error) => Err(fault(error)),
        };
        // An error means that the caller has gone.
        let _ = progress.blocking_send(last);
    });
    Ok(tokio_stream::wrappers::ReceiverStream::new(told).boxed())
}

/// Collects garbage because the store has come near its quota; waits for one that runs already.
pub(crate) async fn collect_down_to(shared: &Shared, low: u64) -> Result<(), GarbageError> {
    let keep = Arc::clone(&shared.keep);
    let one = Arc::clone(&keep.collecting).lock_owned().await;
    let shutdown = shared.shutdown.clone();
    let now = shared.clock;
    let done = tokio::task::spawn_blocking(move || {
        let _one = one;
        let word = run(&keep, Some(low), &|_| !shutdown.is_cancelled())?;
        keep.note(&now, &word);
        Ok(())
    });
    done.await.unwrap_or(Err(GarbageError::Ended))
}

/// One collection. `tell` is told of progress and says whether to go on.
fn run(
    keep: &Keep,
    low: Option<u64>,
    tell: &dyn Fn(GarbageProgress) -> bool,
) -> Result<(GarbageProgress, Duration), GarbageError> {
    let began = Instant::now();
    let store = &*keep.rocks;
    let collector = Collector::begin(store, || keep.guards.earliest()).map_err(CollectError::from)?;
    let mut run = Run {
        keep,
        collector,
        low,
        progress: GarbageProgress::default(),
        told: began,
        tell,
    };
    run.mark_pins(PinKind::Recursive, RootKind::Whole)?;
    run.mark_pins(PinKind::Direct, RootKind::Direct)?;
    run.mark_chains()?;
    run.sweep()?;
    run.phase(GarbagePhase::Reclaim)?;
    if run.progress.removed_blocks != 0 {
        store.reclaim().map_err(CollectError::from)?;
    }
    run.progress.done = true;
    Ok((run.progress, began.elapsed()))
}

// === impl Run ===

impl Run<'_> {
    fn mark_pins(&mut self, kind: PinKind, keeps: RootKind) -> Result<(), GarbageError> {
        let store: &dyn Store = &*self.keep.rocks;
        let mut after = None;
        loop {
            let page =
                pins::page(store, Some(kind), after.as_deref(), ROOTS_PAGE).map_err(CollectError::from)?;
            for pin in &page {
                self.collector.keep(Root {
                    cid: pin.cid,
                    kind: keeps,
                });
                self.mark()?;
            }
            match page.last() {
                Some(last) if page.len() == ROOTS_PAGE => after = Some(last.key()),
                _ => return Ok(()),
            }
        }
    }

    fn mark_chains(&mut self) -> Result<(), GarbageError> {
        let store: &dyn Store = &*self.keep.rocks;
        let mut after = None;
        loop {
            let (ids, next) = reader::held(store, after.as_deref(), ROOTS_PAGE)?;
            let mut cids = ids.iter().map(rustle_types::BlockId::cid);
            if let Some(first) = cids.next() {
                let first = Root {
                    cid: first,
                    kind: RootKind::Partial,
                };
                self.collector.keep_all(first, cids);
                self.mark()?;
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    fn mark(&mut self) -> Result<(), GarbageError> {
        let links = |cid: &Cid, bytes| rustle_ipld::links(cid, bytes).ok();
        while self.collector.mark_step(&links)? {
            self.tell()?;
        }
        self.tell()
    }

    fn sweep(&mut self) -> Result<(), GarbageError> {
        self.phase(GarbagePhase::Sweep)?;
        let before = self.keep.rocks.disk_bytes().map_err(CollectError::from)?;
        while self.collector.sweep_step()? {
            self.tell()?;
            let removed = self.collector.progress().swept.bytes;
            if self.low.is_some_and(|low| before.saturating_sub(removed) <= low) {
                break;
            }
        }
        self.tell()
    }

    fn phase(&mut self, phase: GarbagePhase) -> Result<(), GarbageError> {
        self.progress.phase = phase;
        self.told = Instant::now().checked_sub(TELL_PACE).unwrap_or_else(Instant::now);
        self.tell()
    }

    fn tell(&mut self) -> Result<(), GarbageError> {
        let done = self.collector.progress();
        self.progress = GarbageProgress {
            marked: done.marked,
            seen: done.seen,
            removed_blocks: done.swept.blocks,
            removed_bytes: done.swept.bytes,
            ..self.progress
        };
        if self.told.elapsed() < TELL_PACE {
            return Ok(());
        }
        self.told = Instant::now();
        match (self.tell)(self.progress) {
            true => Ok(()),
            false => Err(GarbageError::Ended),
        }
    }
}

// === impl Keep ===

impl Keep {
    /// The last collection.
    pub(crate) fn last_collection(&self) -> Option<Collected> {
        *self.last.lock()
    }

    fn note(&self, clock: &crate::clock::Clock, (word, duration): &(GarbageProgress, Duration)) {
        tracing::info!(
            blocks = word.removed_blocks,
            bytes = word.removed_bytes,
            ?duration,
            "garbage was collected"
        );
        *self.last.lock() = Some(Collected {
            ended: clock.now().wall,
            duration: *duration,
            blocks: word.removed_blocks,
            bytes: word.removed_bytes,
        });
    }
}

fn running() -> Fault {
    let message = "garbage is being collected already; wait for its end";
    Fault::new(FaultKind::FailedPrecondition, reason::GC_RUNNING, message)
}

fn fault(error: GarbageError) -> Fault {
    match error {
        GarbageError::Ended => faults::stopping(),
        GarbageError::Chain(error) => faults::chain(error),
        GarbageError::Collect(CollectError::Store(error)) => faults::store(error),
        GarbageError::Collect(error) => Fault::new(
            FaultKind::FailedPrecondition,
            reason::PIN_INCOMPLETE,
            error.to_string(),
        ),
    }
}

impl From<StoreError> for GarbageError {
    fn from(error: StoreError) -> Self {
        Self::Collect(error.into())
    }
}
