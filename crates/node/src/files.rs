//! A file in, a CID out; a CID in, a file out.
//!
//! Importing: bytes are cut into chunks, each is hashed on whichever core is free, and the blocks are written in groups
//! while the next ones are hashed. Memory is bounded by the chunks in flight and one group. What is acknowledged is
//! durable: all groups are flushed before the last one is synced, with the pin of the root.
//!
//! Reading: a window of blocks is asked for ahead of what the caller has taken.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use rustle_admin::fault::reason;
use rustle_admin::views::{Added, CatQuery, Profile};
use rustle_admin::{Fault, FaultKind, Flow};
use rustle_store::{Batch, Durability, Table};
use rustle_types::Cid;
use rustle_unixfs::{Block, ImportProfile, Leaf, Progress, Reader, Tree, make_leaf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::exchange::{Asked, Session};
use crate::faults;
use crate::routing::{Announced, announce};
use crate::shared::Shared;

/// Chunks that are hashed at the same time.
const HASHING_MAX: usize = 4;
/// Bytes of blocks that are written together.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// Bytes asked for ahead of the reader.
const WINDOW_BYTES: u64 = 16 * 1024 * 1024;
/// First byte of the key of a recursive pin.
const PIN_RECURSIVE: u8 = b'r';
/// Pieces that wait for a slow caller.
const PIECES_MAX: usize = 8;

/// An import under way.
struct Import<'a> {
    shared: &'a Shared,
    profile: ImportProfile,
    tree: Tree,
    hashing: VecDeque<JoinHandle<(Leaf, Block)>>,
    group: Batch,
    blocks: u64,
    bytes: u64,
}

/// Imports a file; see [`rustle_admin::Backend::add`].
pub(crate) async fn add(shared: &Shared, profile: Profile, mut input: Flow<Bytes>) -> Result<Added, Fault> {
    let profile = match profile {
        Profile::V0 => ImportProfile::KUBO_2015,
        Profile::V1 => ImportProfile::V1_RAW_2025,
    };
    let mut import = Import {
        shared,
        profile,
        tree: Tree::new(profile),
        hashing: VecDeque::new(),
        group: Batch::new(),
        blocks: 0,
        bytes: 0,
    };
    let chunk_bytes = profile.chunk_bytes();
    let mut rest = BytesMut::new();
    while let Some(piece) = input.next().await {
        rest.extend_from_slice(&piece?);
        while chunk_bytes <= rest.len() {
            import.chunk(rest.split_to(chunk_bytes).freeze()).await?;
        }
    }
    if !rest.is_empty() || import.bytes == 0 {
        import.chunk(rest.freeze()).await?;
    }
    import.finish().await
}

// === impl Import ===

impl Import<'_> {
    async fn chunk(&mut self, chunk: Bytes) -> Result<(), Fault> {
        if HASHING_MAX <= self.hashing.len() {
            self.hashed().await?;
        }
        self.bytes += chunk.len() as u64;
        let profile = self.profile;
        self.hashing
            .push_back(tokio::task::spawn_blocking(move || make_leaf(&profile, chunk)));
        Ok(())
    }

    /// Takes the oldest chunk that is being hashed.
    async fn hashed(&mut self) -> Result<(), Fault> {
        if let Some(task) = self.hashing.pop_front() {
            let (leaf, block) = task.await.map_err(|error| faults::internal(&error))?;
            self.tree.push(leaf);
            self.keep(block);
            self.keep_nodes();
            if GROUP_BYTES <= self.group.weight() {
                let group = std::mem::take(&mut self.group);
                self.shared
                    .storage
                    .commit(group, Durability::Bulk)
                    .await
                    .map_err(faults::store)?;
            }
        }
        Ok(())
    }

    fn keep(&mut self, block: Block) {
        self.group.put_block(block.cid, block.bytes);
        self.blocks += 1;
    }

    fn keep_nodes(&mut self) {
        while let Some(block) = self.tree.poll_block() {
            self.keep(block);
        }
    }

    async fn finish(mut self) -> Result<Added, Fault> {
        while !self.hashing.is_empty() {
            self.hashed().await?;
        }
        let (root, _) = self
            .tree
            .finish()
            .ok_or_else(|| faults::internal(&"a file without chunks"))?;
        self.keep_nodes();
        self.shared.storage.flush().await.map_err(faults::store)?;
        self.group.put(Table::Pins, pin_key(&root), Vec::new());
        self.shared
            .storage
            .commit(self.group, Durability::Synced)
            .await
            .map_err(faults::store)?;
        self.shared.exchange.stored(root).await;
        announce(self.shared, root, Announced::Root);
        Ok(Added {
            cid: root,
            bytes: self.bytes,
            blocks: self.blocks,
        })
    }
}

/// The key of a recursive pin: `r`, then the multihash.
fn pin_key(root: &Cid) -> Vec<u8> {
    let mut key = vec![PIN_RECURSIVE];
    key.extend(root.hash().to_bytes());
    key
}

/// Reads a file; see [`rustle_admin::Backend::cat`]. Whether it is a file at all is known before this returns.
pub(crate) async fn cat(shared: Shared, query: CatQuery) -> Result<Flow<Bytes>, Fault> {
    let (pieces, output) = mpsc::channel(PIECES_MAX);
    let spawner = shared.clone();
    spawner.spawn(async move {
        let outcome = pump(&shared, &query, &pieces).await;
        if let Err(fault) = outcome {
            // An error means that the caller has gone, who then needs no reason.
            let _ = pieces.send(Err(fault)).await;
        }
    });
    let mut output = tokio_stream::wrappers::ReceiverStream::new(output).peekable();
    let first = std::pin::Pin::new(&mut output).next_if(Result::is_err).await;
    match first {
        Some(Err(fault)) => Err(fault),
        _ => Ok(output.boxed()),
    }
}

/// Moves the file from store and peers to the caller, at the caller's pace.
async fn pump(
    shared: &Shared,
    query: &CatQuery,
    pieces: &mpsc::Sender<Result<Bytes, Fault>>,
) -> Result<(), Fault> {
    let mut reader = Reader::with_range(query.cid, query.offset, query.length);
    let mut session = shared.exchange.session();
    loop {
        ask_ahead(shared, &mut reader, &mut session).await?;
        match reader.poll().map_err(faults::read)? {
            Progress::Bytes(bytes) => {
                if pieces.send(Ok(bytes)).await.is_err() {
                    return Ok(());
                }
            }
            Progress::Done => return Ok(()),
            Progress::Need(missing) => {
                let next = tokio::time::timeout(query.timeout, session.next());
                let next = tokio::select! {
                    next = next => next,
                    () = pieces.closed() => return Ok(()),
                };
                let Ok(next) = next else {
                    return Err(not_found(missing, query, &session.asked().await));
                };
                let (cid, bytes) = next.ok_or_else(faults::stopping)?;
                reader.supply(&cid, bytes).map_err(faults::read)?;
            }
        }
    }
}

/// Takes from the store what is there and asks peers for the rest, until nothing more is wanted: a node found here names
/// children that may be here, too.
async fn ask_ahead(shared: &Shared, reader: &mut Reader, session: &mut Session) -> Result<(), Fault> {
    loop {
        let wants = reader.wants(WINDOW_BYTES);
        if wants.is_empty() {
            return Ok(());
        }
        let mut missing = Vec::new();
        for cid in wants {
            match read_local(shared, cid).await? {
                Some(bytes) => reader.supply(&cid, bytes).map_err(faults::read)?,
                None => missing.push(cid),
            }
        }
        if !missing.is_empty() {
            session.want(missing).await;
        }
    }
}

/// A block from the store, hashed again; a damaged one counts as missing, so that it is fetched anew.
async fn read_local(shared: &Shared, cid: Cid) -> Result<Option<Bytes>, Fault> {
    let store = shared.store.clone();
    let read = tokio::task::spawn_blocking(move || store.get_verified(&cid)).await;
    match read.map_err(|error| faults::internal(&error))? {
        Err(rustle_store::StoreError::Corrupt(cid)) => {
            tracing::error!(%cid, "a block is damaged on disk; fetching it again");
            Ok(None)
        }
        read => read.map_err(faults::store),
    }
}

fn not_found(cid: Cid, query: &CatQuery, asked: &Asked) -> Fault {
    let message = format!(
        "block {cid} did not come within {:?} ({asked}); connect to a peer that has it, or allow more time with --timeout",
        query.timeout
    );
    Fault::new(FaultKind::DeadlineExceeded, reason::CONTENT_NOT_FOUND, message)
}
