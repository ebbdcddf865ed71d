//! The node as its administration interface sees it.

mod content;
mod routing;
mod store;
mod tunnels;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use rustle_admin::views::{
    AddressPage, AddressQuery, Appended, BlockKind, BlockView, ChainDigest, ChainRef, ChainView, Delivery,
    FollowFrom, InviteTerms, Joined, LogQuery, NewEntry, NodeIdentity, NodeStatus, Order, PeerCounts,
    PeerDetails, PeerView, Reason, Rule, RuleKind, Target,
};
use rustle_admin::{Backend, Fault, FaultKind, Flow, fault::reason};
use rustle_chain::reader::{self, Position};
use rustle_chain::{Body, ReadError};
use rustle_engine::{Ask, Reply};
use rustle_peers::Class;
use rustle_store::Store;
use rustle_store_rocksdb::RocksStore;
use rustle_types::{BlockId, ChainId, Multiaddr, PeerId};

use crate::shared::Shared;
use crate::{faults, join, people};

/// Blocks that a long answer reads at once.
const PAGE: usize = 256;
/// Bytes of bodies after which it reads no further.
const PAGE_BYTES: usize = 1024 * 1024;

/// A running node behind its administration interface.
pub(crate) struct Service {
    pub(crate) shared: Shared,
    pub(crate) rocks: Arc<RocksStore>,
    pub(crate) agent: String,
}

// === impl Service ===

impl Service {
    /// Finds the chain that is meant: one record by its id, all by its name.
    async fn resolve(&self, chain: ChainRef) -> Result<ChainId, Fault> {
        let wanted = chain.clone();
        let chains = self.read(move |store| match wanted {
            ChainRef::Id(id) => Ok(reader::record(store, &id)?.into_iter().collect()),
            ChainRef::Name(_) => reader::chains(store),
        });
        let chains: Vec<rustle_chain::ChainRecord> = chains.await?;
        chain.resolve(chains.iter().map(|record| (record.chain, record.name.as_str())))
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, Fault> {
        self.shared.read(read).await?.map_err(faults::chain)
    }
}

impl Backend for Service {
    async fn id(&self) -> Result<NodeIdentity, Fault> {
        let peer = self.shared.net.peer_id();
        let whole = |address: Multiaddr| format!("{address}/p2p/{peer}").parse().ok();
        Ok(NodeIdentity {
            peer,
            addresses: self
                .shared
                .facts
                .addresses()
                .into_iter()
                .filter_map(whole)
                .collect(),
            network: self.shared.network.clone(),
            agent: self.agent.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    async fn status(&self) -> Result<NodeStatus, Fault> {
        let mut peers = PeerCounts::default();
        for view in people::views(&self.shared).await? {
            match view.class {
                Class::Rustle => peers.rustle += 1,
                Class::Foreign => peers.foreign += 1,
                Class::Pending => peers.pending += 1,
            }
        }
        let health = self.shared.storage.health();
        let rocks = Arc::clone(&self.rocks);
        Ok(NodeStatus {
            uptime: self.shared.clock.now().uptime.since_start(),
            ready: health.is_none(),
            health: health.unwrap_or_else(|| "ok".to_owned()),
            network: self.shared.network.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            listen_addresses: self.shared.facts.addresses(),
            peers,
            chains: self.shared.facts.chains() as u64,
            store_bytes: self.shared.read(move |_| rocks.disk_bytes().ok()).await?,
        })
    }

    async fn peers(&self) -> Result<Vec<PeerView>, Fault> {
        people::list(&self.shared).await
    }

    async fn connect(&self, address: Multiaddr, timeout: Duration) -> Result<PeerId, Fault> {
        people::connect(&self.shared, address, timeout).await
    }

    async fn peer(&self, peer: PeerId) -> Result<PeerDetails, Fault> {
        people::info(&self.shared, peer).await
    }

    async fn disconnect(&self, peer: PeerId) -> Result<(), Fault> {
        people::disconnect(&self.shared, peer).await
    }

    async fn add_rule(
        &self,
        kind: RuleKind,
        target: Target,
        duration: Option<Duration>,
        reason: Reason,
    ) -> Result<Rule, Fault> {
        people::add_rule(&self.shared, kind, target, duration, reason).await
    }

    async fn remove_rule(&self, kind: RuleKind, target: Target) -> Result<(), Fault> {
        people::remove_rule(&self.shared, kind, target).await
    }

    async fn rules(&self) -> Result<Vec<Rule>, Fault> {
        people::rules(&self.shared).await
    }

    async fn addresses(&self, query: AddressQuery) -> Result<AddressPage, Fault> {
        people::addresses(&self.shared, query).await
    }

    async fn create_chain(&self, name: String) -> Result<ChainId, Fault> {
        match self.shared.ask(Ask::CreateChain { name }).await? {
            Reply::Chain(chain) => Ok(chain),
            _ => Err(faults::internal(&"an answer to something else")),
        }
    }

    async fn chains(&self) -> Result<Vec<ChainView>, Fault> {
        self.read(|store| {
            let view = |record: rustle_chain::ChainRecord| {
                let chain = record.chain;
                let leaves = reader::leaves(store, &chain)?;
                Ok(ChainView {
                    chain,
                    name: record.name,
                    blocks: reader::count(store, &chain)?,
                    height: leaves.iter().map(|leaf| leaf.height).max().unwrap_or(0),
                    leaves: leaves.len() as u64,
                })
            };
            reader::chains(store)?.into_iter().map(view).collect()
        })
        .await
    }

    async fn invite(&self, chain: ChainRef, terms: InviteTerms) -> Result<String, Fault> {
        let chain = self.resolve(chain).await?;
        let uses = Some(terms.uses).filter(|uses| *uses != 0);
        let ask = Ask::Invite {
            chain,
            expires_in: terms.expires_in,
            uses,
        };
        match self.shared.ask(ask).await? {
            Reply::Invitation(text) => Ok(text),
            _ => Err(faults::internal(&"an answer to something else")),
        }
    }

    async fn join(&self, invitation: String, timeout: Duration) -> Result<Joined, Fault> {
        join::join(&self.shared, &invitation, timeout).await
    }

    async fn append(&self, chain: ChainRef, entry: NewEntry) -> Result<Appended, Fault> {
        let chain = self.resolve(chain).await?;
        let NewEntry { topics, body } = entry;
        match self
            .shared
            .ask(Ask::Append {
                chain,
                topics,
                body: Body::Inline(body),
            })
            .await?
        {
            Reply::Appended { id, height } => Ok(Appended { block: id, height }),
            _ => Err(faults::internal(&"an answer to something else")),
        }
    }

    async fn log(&self, chain: ChainRef, query: LogQuery) -> Result<Flow<BlockView>, Fault> {
        let chain = self.resolve(chain).await?;
        let after = match query.after {
            None => None,
            Some(id) => Some(self.position(chain, id).await?),
        };
        let direction = match query.order {
            Order::NewestFirst => rustle_store::Direction::Backward,
            Order::OldestFirst => rustle_store::Direction::Forward,
        };
        let walk = Walk {
            chain,
            after,
            direction,
            left: query.limit.unwrap_or(u64::MAX),
            page: VecDeque::new(),
        };
        let shared = self.shared.clone();
        Ok(
            futures::stream::try_unfold((shared, walk), |(shared, mut walk)| async move {
                let next = walk.next(&shared).await?;
                Ok(next.map(|view| (view, (shared, walk))))
            })
            .boxed(),
        )
    }

    async fn leaves(&self, chain: ChainRef) -> Result<Vec<BlockId>, Fault> {
        let chain = self.resolve(chain).await?;
        let leaves = self.read(move |store| reader::leaves(store, &chain)).await?;
        Ok(leaves.into_iter().map(|leaf| leaf.id).collect())
    }

    async fn follow(&self, chain: ChainRef, from: FollowFrom) -> Result<Flow<Delivery>, Fault> {
        let chain = self.resolve(chain).await?;
        // Before the count is read, so that nothing falls between.
        let grown = self.shared.deliveries.subscribe(chain);
        let next = match from {
            FollowFrom::Start => 0,
            FollowFrom::Sequence(next) => next,
            FollowFrom::Now => self.read(move |store| reader::count(store, &chain)).await?,
        };
        let tail = Tail {
            chain,
            next,
            grown,
            page: VecDeque::new(),
        };
        let shared = self.shared.clone();
        Ok(
            futures::stream::try_unfold((shared, tail), |(shared, mut tail)| async move {
                let next = tail.next(&shared).await?;
                Ok(next.map(|delivery| (delivery, (shared, tail))))
            })
            .boxed(),
        )
    }

    async fn digest(&self, chain: ChainRef) -> Result<ChainDigest, Fault> {
        let chain = self.resolve(chain).await?;
        let (hash, blocks) = self.read(move |store| reader::digest(store, &chain)).await?;
        Ok(ChainDigest { hash, blocks })
    }
}

impl Service {
    async fn position(&self, chain: ChainId, id: BlockId) -> Result<Position, Fault> {
        let record = self
            .read(move |store| reader::block_record(store, &chain, &id))
            .await?;
        let height = record.map(|record| record.height).ok_or_else(|| {
            let message = format!("the chain has no block {id} here");
            Fault::new(FaultKind::NotFound, reason::BLOCK_NOT_FOUND, message)
        })?;
        Ok(Position { height, id })
    }
}

/// A walk along the canonical order.
struct Walk {
    chain: ChainId,
    after: Option<Position>,
    direction: rustle_store::Direction,
    left: u64,
    page: VecDeque<(BlockView, u64)>,
}

// === impl Walk ===

impl Walk {
    async fn next(&mut self, shared: &Shared) -> Result<Option<BlockView>, Fault> {
        if self.page.is_empty() && 0 < self.left {
            let (chain, after, direction) = (self.chain, self.after, self.direction);
            let limit = usize::try_from(self.left).map_or(PAGE, |left| left.min(PAGE));
            let page = shared
                .read(move |store| {
                    let positions = reader::log(store, &chain, after, direction, limit)?;
                    let page = load(store, &chain, positions.iter().map(|position| position.id))?;
                    let last = page
                        .len()
                        .checked_sub(1)
                        .and_then(|last| positions.get(last))
                        .copied();
                    Ok((last, page))
                })
                .await?;
            let (last, page) = page.map_err(faults::chain)?;
            self.after = last.or(self.after);
            self.page = page;
        }
        self.left = self.left.saturating_sub(1);
        Ok(self.page.pop_front().map(|(view, _)| view))
    }
}

/// A walk along the order of delivery, without end.
struct Tail {
    chain: ChainId,
    next: u64,
    grown: tokio::sync::watch::Receiver<u64>,
    page: VecDeque<Delivery>,
}

// === impl Tail ===

impl Tail {
    async fn next(&mut self, shared: &Shared) -> Result<Option<Delivery>, Fault> {
        loop {
            if let Some(delivery) = self.page.pop_front() {
                return Ok(Some(delivery));
            }
            // Seen before the read, so that growth during the read wakes us.
            self.grown.borrow_and_update();
            let (chain, next) = (self.chain, self.next);
            let page = shared
                .read(move |store| {
                    let ids = reader::sequence(store, &chain, next, PAGE)?;
                    load(store, &chain, ids.into_iter().map(|(_, id)| id))
                })
                .await?;
            let page = page.map_err(faults::chain)?;
            self.page = page
                .into_iter()
                .map(|(block, sequence)| Delivery { sequence, block })
                .collect();
            self.next = self.page.back().map_or(self.next, |last| last.sequence + 1);
            if !self.page.is_empty() {
                continue;
            }
            tokio::select! {
                grown = self.grown.changed() => if grown.is_err() { return Ok(None) },
                () = shared.shutdown.cancelled() => return Err(faults::stopping()),
            }
        }
    }
}

/// Loads blocks until a page is full; at least one where there is one.
fn load(
    store: &dyn Store,
    chain: &ChainId,
    ids: impl Iterator<Item = BlockId>,
) -> Result<VecDeque<(BlockView, u64)>, ReadError> {
    let mut page = VecDeque::new();
    let mut bytes = 0;
    for id in ids {
        let loaded = view(store, chain, &id)?;
        bytes += loaded.0.body.len();
        page.push_back(loaded);
        if PAGE_BYTES <= bytes {
            break;
        }
    }
    Ok(page)
}

/// A block as people are shown it, and its number in the order of delivery.
fn view(store: &dyn Store, chain: &ChainId, id: &BlockId) -> Result<(BlockView, u64), ReadError> {
    let stored = reader::block(store, chain, id)?.ok_or(ReadError::Damaged {
        table: rustle_store::Table::ChainBlocks,
        what: "a block of the order is not there",
    })?;
    let block = &stored.block;
    let kind = if block.is_genesis() {
        BlockKind::Genesis
    } else {
        BlockKind::Data
    };
    let body = match block.body() {
        Body::Inline(bytes) => bytes.clone(),
        Body::Linked { .. } => Bytes::new(),
    };
    let author = block.author().peer_id().ok_or(ReadError::Damaged {
        table: rustle_store::Table::ChainBlocks,
        what: "an author that is no key",
    })?;
    let view = BlockView {
        block: block.id(),
        height: block.height(),
        time: block.time(),
        author,
        parents: block.parents().to_vec(),
        topics: block.topics().to_vec(),
        body,
        kind,
    };
    Ok((view, stored.sequence))
}
