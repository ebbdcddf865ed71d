//! How is content kept that has no pin yet?
//!
//! By a guard: whoever takes one before the first block that he puts or touches keeps all of them until he drops it, which
//! he does once they have a pin, or need none. A guard is an epoch of the store and costs nothing while it is held.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustle_admin::Fault;
use rustle_store::{Collect, Epoch, StoreError};
use tokio::time::Instant;

use crate::faults;
use crate::shared::Shared;

/// Guards that are taken within this time share an epoch. A guard keeps what was put since then.
const EPOCH_AGE_MAX: Duration = Duration::from_secs(10);

/// The guards that are held.
#[derive(Debug, Default)]
pub(crate) struct Guards(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    /// How many of each epoch.
    counts: BTreeMap<Epoch, usize>,
    last: Option<(Instant, Epoch)>,
}

/// Keeps what is put or touched as long as it lives.
#[derive(Debug)]
pub(crate) struct Guard {
    guards: Arc<Guards>,
    epoch: Epoch,
}

// === impl Guards ===

impl Guards {
    /// Takes a guard. May wait for the disk.
    pub(crate) fn take(self: &Arc<Self>, store: &impl Collect) -> Result<Guard, StoreError> {
        let mut held = self.0.lock();
        let epoch = match held.last {
            Some((at, epoch)) if at.elapsed() < EPOCH_AGE_MAX => epoch,
            _ => {
                let epoch = store.begin_epoch(false)?;
                held.last = Some((Instant::now(), epoch));
                epoch
            }
        };
        *held.counts.entry(epoch).or_default() += 1;
        Ok(Guard {
            guards: Arc::clone(self),
            epoch,
        })
    }

    /// The earliest epoch of a guard that is held.
    pub(crate) fn earliest(&self) -> Option<Epoch> {
        self.0.lock().counts.keys().next().copied()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut held = self.guards.0.lock();
        if let Some(count) = held.counts.get_mut(&self.epoch) {
            *count -= 1;
            if *count == 0 {
                held.counts.remove(&self.epoch);
            }
        }
    }
}

// === impl Shared ===

impl Shared {
    /// Keeps what is put or touched from now on, until the guard is dropped.
    pub(crate) async fn guard(&self) -> Result<Guard, Fault> {
        let keep = Arc::clone(&self.keep);
        let taken = tokio::task::spawn_blocking(move || keep.guards.take(&*keep.rocks)).await;
        taken
            .map_err(|error| faults::internal(&error))?
            .map_err(faults::store)
    }
}

#[cfg(test)]
mod tests {
    use rustle_store::MemoryStore;

    use super::*;

    #[test]
    fn the_earliest_guard_counts_until_all_of_its_epoch_are_dropped() {
        let (guards, store) = (Arc::new(Guards::default()), MemoryStore::new());
        assert_eq!(guards.earliest(), None);
        let one = guards.take(&store).unwrap();
        let other = guards.take(&store).unwrap();
        assert_eq!((one.epoch, guards.earliest()), (other.epoch, Some(one.epoch)));
        drop(one);
        assert_eq!(guards.earliest(), Some(other.epoch));
        drop(other);
        assert_eq!(guards.earliest(), None);
    }
}
