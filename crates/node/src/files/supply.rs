//! Where does a block come from: the store, or a peer?
//!
//! One supply serves one caller: it has one session with the exchange, whatever machines read through it. A block that
//! comes while another machine reads waits aside for a while; beyond that it is read from the store when its turn comes,
//! or asked for again.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use rustle_admin::fault::reason;
use rustle_admin::{Fault, FaultKind};
use rustle_store::StoreError;
use rustle_types::Cid;

use super::pull::{Machine, Pull, Pulled};
use crate::exchange::Session;
use crate::faults;
use crate::shared::Shared;

/// Blocks that are read from the store at once.
const READ_MAX: usize = 16;
/// Bytes of blocks that wait aside.
const ASIDE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Blocks for one caller.
pub(super) struct Supply {
    shared: Shared,
    session: Session,
    /// What peers were asked for and have not sent.
    wanted: HashSet<Cid>,
    /// What came while something else was waited for.
    aside: HashMap<Cid, Bytes>,
    aside_bytes: usize,
    timeout: Duration,
}

// === impl Supply ===

impl Supply {
    /// A supply that waits so long for any missing block.
    pub(super) fn new(shared: &Shared, timeout: Duration) -> Self {
        Self {
            session: shared.exchange.session(),
            shared: shared.clone(),
            wanted: HashSet::new(),
            aside: HashMap::new(),
            aside_bytes: 0,
            timeout,
        }
    }

    /// The next item of a machine; `None` at its end.
    pub(super) async fn next<M: Machine>(&mut self, pull: &mut Pull<M>) -> Result<Option<M::Item>, Fault> {
        self.ask_ahead(pull).await?;
        loop {
            match pull.machine.poll()? {
                Pulled::Item(item) => return Ok(Some(item)),
                Pulled::Done => return Ok(None),
                Pulled::Need(cid) => {
                    // What it has opened meanwhile may lead further; only then is there nothing but to wait.
                    if !self.ask_ahead(pull).await? {
                        self.wait_for(pull, cid).await?;
                    }
                }
            }
        }
    }

    /// One block.
    pub(super) async fn block(&mut self, cid: Cid) -> Result<Bytes, Fault> {
        if let Some(bytes) = self.local(vec![cid]).await?.pop().and_then(|(_, bytes)| bytes) {
            return Ok(bytes);
        }
        if self.wanted.insert(cid) {
            self.session.want(vec![cid]).await;
        }
        loop {
            let (got, bytes) = self.arrival(cid).await?;
            if got == cid {
                return Ok(bytes);
            }
            self.put_aside(got, bytes);
        }
    }

    /// Asks peers for those of the blocks that are not here.
    pub(super) async fn fetch(&mut self, cids: Vec<Cid>) -> Result<(), Fault> {
        let has = move |store: &dyn rustle_store::Store| -> Result<Vec<Cid>, StoreError> {
            let mut missing = Vec::new();
            for cid in cids {
                if !store.has(&cid)? {
                    missing.push(cid);
                }
            }
            Ok(missing)
        };
        let missing = self.shared.read(has).await?.map_err(faults::store)?;
        self.want(missing).await;
        Ok(())
    }

    /// Takes from the store what is there and asks peers for the rest, until nothing more is wanted: a node found here
    /// names children that may be here, too. Says whether anything was wanted.
    async fn ask_ahead<M: Machine>(&mut self, pull: &mut Pull<M>) -> Result<bool, Fault> {
        let mut wanted_more = false;
        loop {
            let wants = pull.machine.wants();
            if wants.is_empty() {
                return Ok(wanted_more);
            }
            wanted_more = true;
            for some in wants.chunks(READ_MAX) {
                let mut missing = Vec::new();
                for (cid, bytes) in self.local(some.to_vec()).await? {
                    match bytes {
                        Some(bytes) => pull.machine.supply(&cid, bytes)?,
                        None => missing.push(cid),
                    }
                }
                pull.asked.extend(&missing);
                self.want(missing).await;
            }
        }
    }

    /// Waits until a block has come that the machine waits for.
    async fn wait_for<M: Machine>(&mut self, pull: &mut Pull<M>, cid: Cid) -> Result<(), Fault> {
        if !self.wanted.contains(&cid) {
            // Nobody was asked yet, or it came while another machine was reading.
            if let Some(bytes) = self.local(vec![cid]).await?.pop().and_then(|(_, bytes)| bytes) {
                pull.asked.remove(&cid);
                return pull.machine.supply(&cid, bytes);
            }
            pull.asked.insert(cid);
            self.want(vec![cid]).await;
        }
        let (got, bytes) = self.arrival(cid).await?;
        if pull.asked.remove(&got) || got == cid {
            return pull.machine.supply(&got, bytes);
        }
        self.put_aside(got, bytes);
        Ok(())
    }

    async fn want(&mut self, cids: Vec<Cid>) {
        let new: Vec<Cid> = cids.into_iter().filter(|cid| self.wanted.insert(*cid)).collect();
        if !new.is_empty() {
            self.session.want(new).await;
        }
    }

    /// The next block that has come while `cid` is waited for.
    async fn arrival(&mut self, cid: Cid) -> Result<(Cid, Bytes), Fault> {
        let next = tokio::time::timeout(self.timeout, self.session.next()).await;
        let Ok(next) = next else {
            return Err(self.not_found(cid).await);
        };
        let (got, bytes) = next.ok_or_else(faults::stopping)?;
        self.wanted.remove(&got);
        Ok((got, bytes))
    }

    fn put_aside(&mut self, cid: Cid, bytes: Bytes) {
        if self.aside_bytes + bytes.len() <= ASIDE_BYTES_MAX {
            self.aside_bytes += bytes.len();
            if let Some(same) = self.aside.insert(cid, bytes) {
                self.aside_bytes -= same.len();
            }
        }
    }

    /// Blocks from the store, hashed again; a damaged one counts as missing, so that it is fetched anew.
    async fn local(&mut self, cids: Vec<Cid>) -> Result<Vec<(Cid, Option<Bytes>)>, Fault> {
        let mut here = Vec::new();
        let mut others = Vec::new();
        for cid in cids {
            match self.aside.remove(&cid) {
                Some(bytes) => {
                    self.aside_bytes -= bytes.len();
                    here.push((cid, Some(bytes)));
                }
                None => others.push(cid),
            }
        }
        if others.is_empty() {
            return Ok(here);
        }
        let read = move |store: &dyn rustle_store::Store| {
            let one = |cid| match store.get_verified(&cid) {
                Err(StoreError::Corrupt(cid)) => {
                    tracing::error!(%cid, "a block is damaged on disk; fetching it again");
                    Ok((cid, None))
                }
                read => read.map(|bytes| (cid, bytes)),
            };
            others.into_iter().map(one).collect::<Result<Vec<_>, _>>()
        };
        here.extend(self.shared.read(read).await?.map_err(faults::store)?);
        Ok(here)
    }

    async fn not_found(&self, cid: Cid) -> Fault {
        let asked = self.session.asked().await;
        let message = format!(
            "block {cid} did not come within {:?} ({asked}); connect to a peer that has it, or allow more time with --timeout",
            self.timeout
        );
        Fault::new(FaultKind::DeadlineExceeded, reason::CONTENT_NOT_FOUND, message)
    }
}
