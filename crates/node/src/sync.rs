//! The sync stream, from both ends: what one node lacks flows from the other, parents first.

use std::sync::Arc;
use std::time::Duration;

use rustle_chain::sync::{Plan, Step, locator};
use rustle_chain::{Block, SyncOutcome};
use rustle_net::{Inbound, OpenError};
use rustle_types::limits::SYNC_FRAME_BYTES_MAX;
use rustle_types::{ChainId, PeerId};
use rustle_wire::{SyncRefusal, SyncReply, SyncRequest};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tracing::Instrument as _;

use crate::facts::SyncFact;
use crate::framed::{Framed, FramedError};
use crate::guests::Guests;
use crate::shared::Shared;

/// Name of the protocol below `/rustle/<network>/`.
pub(crate) const PROTOCOL: &str = "sync";
/// Its version.
pub(crate) const VERSION: u32 = 1;
/// Pulls that may wait to be started.
pub(crate) const PULLS_QUEUED_MAX: usize = 256;
/// Pulls at the same time, over all chains.
const PULLS_MAX: usize = 16;
/// Streams that are answered at the same time; others are reset, and the peer asks again.
const SERVED_MAX: usize = 16;
/// Streams of one peer among them.
const SERVED_PER_PEER_MAX: usize = 4;
/// How long a whole answer may take. A peer that needs longer asks again for the rest; one that dawdles gives up its
/// place.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
/// Bytes of blocks in one frame.
const BATCH_BYTES: usize = 512 * 1024;
/// Blocks in one frame.
const BATCH_BLOCKS_MAX: usize = 1024;
/// How long a frame may take.
const FRAME_TIMEOUT: Duration = Duration::from_secs(30);

/// Somebody may have more of a chain than we.
#[derive(Debug)]
pub(crate) struct Pull {
    pub(crate) chain: ChainId,
    pub(crate) peer: PeerId,
}

/// Why a sync stream ended early.
#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error("{0}")]
    Open(#[from] OpenError),
    #[error("{0}")]
    Framed(#[from] FramedError),
    #[error("{0}")]
    Refused(SyncRefusal),
    #[error("block {0} of a batch is invalid: {1}")]
    Block(usize, rustle_chain::BlockError),
    #[error("{0}")]
    Read(#[from] rustle_chain::ReadError),
    #[error("the peer took too long")]
    Long,
    #[error("the node is shutting down")]
    Stopping,
}

// --- the asking end

/// Starts the pulls that the chains decide upon.
pub(crate) async fn pull(shared: Shared, mut pulls: mpsc::Receiver<Pull>) {
    let running = Arc::new(Semaphore::new(PULLS_MAX));
    while let Some(Pull { chain, peer }) = pulls.recv().await {
        let Ok(permit) = Arc::clone(&running).acquire_owned().await else {
            return;
        };
        let (spawner, shared) = (shared.clone(), shared.clone());
        let span = tracing::info_span!("pull", %chain, %peer);
        let work = async move {
            let _permit = permit;
            let pulled = timeout(ANSWER_TIMEOUT, pull_all(&shared, chain, peer)).await;
            let outcome = match pulled.unwrap_or(Err(SyncError::Long)) {
                Ok(blocks) => {
                    tracing::debug!(blocks, "sync complete");
                    SyncOutcome::Complete
                }
                Err(SyncError::Refused(refusal)) => {
                    tracing::debug!(%refusal, "sync refused");
                    SyncOutcome::Refused
                }
                Err(error) => {
                    tracing::debug!(%error, "sync failed");
                    SyncOutcome::Failed
                }
            };
            // Without the core there is no chain to sync.
            let _ = shared.synced.send(SyncFact::Ended { chain, peer, outcome }).await;
        };
        spawner.spawn(work.instrument(span));
    }
}

/// Pulls until the peer has sent all; gives the number of blocks.
async fn pull_all(shared: &Shared, chain: ChainId, peer: PeerId) -> Result<u64, SyncError> {
    let have = shared
        .read(move |store| locator(store, &chain))
        .await
        .map_err(|_| SyncError::Stopping)??;
    let protocol = shared.network.protocol(PROTOCOL, VERSION);
    let (stream, _) = shared.net.open(peer, &[protocol]).await?;
    let mut stream = Framed::new(stream, SYNC_FRAME_BYTES_MAX, FRAME_TIMEOUT);
    stream.write(&SyncRequest { chain, have }.encode()).await?;
    let mut got = 0;
    let mut taken: Option<oneshot::Receiver<()>> = None;
    loop {
        match SyncReply::decode(stream.read().await?).map_err(FramedError::from)? {
            SyncReply::Batch(batch) => {
                got += batch.len() as u64;
                // Verified while the engine takes the batch before; it never holds more than one of a peer.
                let verified = tokio::task::spawn_blocking(move || Block::decode_many(batch)).await;
                let blocks = verified
                    .map_err(|_| SyncError::Stopping)?
                    .map_err(|(index, error)| SyncError::Block(index, error))?;
                if let Some(taken) = taken.take() {
                    taken.await.map_err(|_| SyncError::Stopping)?;
                }
                let (taken_tx, taken_rx) = oneshot::channel();
                let fact = SyncFact::Blocks {
                    chain,
                    from: peer,
                    blocks,
                    taken: taken_tx,
                };
                shared.synced.send(fact).await.map_err(|_| SyncError::Stopping)?;
                taken = Some(taken_rx);
            }
            SyncReply::End { .. } => {
                if let Some(taken) = taken.take() {
                    taken.await.map_err(|_| SyncError::Stopping)?;
                }
                return Ok(got);
            }
            SyncReply::Refused(refusal) => return Err(SyncError::Refused(refusal)),
        }
    }
}

// --- the answering end

/// Answers everyone who opens a sync stream.
pub(crate) async fn serve(shared: Shared, mut inbound: mpsc::Receiver<Inbound>) {
    let guests = Guests::new(SERVED_MAX, SERVED_PER_PEER_MAX);
    while let Some(Inbound { peer, stream, .. }) = inbound.recv().await {
        let shared = shared.clone();
        let stream = Framed::new(stream, SYNC_FRAME_BYTES_MAX, FRAME_TIMEOUT);
        match guests.admit(peer) {
            Some(guest) => {
                let (spawner, span) = (shared.clone(), tracing::info_span!("sync", %peer));
                let work = async move {
                    let _guest = guest;
                    match timeout(ANSWER_TIMEOUT, answer(&shared, stream)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::debug!(%error, "sync stream failed"),
                        Err(_) => tracing::debug!("sync stream took too long"),
                    }
                };
                spawner.spawn(work.instrument(span));
            }
            // Dropping the stream resets it: a peer that is not served costs nothing.
            None => tracing::debug!(%peer, "too many sync streams at once"),
        }
    }
}

async fn answer(shared: &Shared, mut stream: Framed) -> Result<(), SyncError> {
    let request = match SyncRequest::decode(stream.read().await?) {
        Ok(request) => request,
        Err(error) => {
            stream
                .write(&SyncReply::Refused(SyncRefusal::Invalid).encode())
                .await?;
            return Err(FramedError::from(error).into());
        }
    };
    let chain = request.chain;
    let known = shared
        .read(move |store| rustle_chain::reader::record(store, &chain))
        .await;
    if known.map_err(|_| SyncError::Stopping)??.is_none() {
        stream
            .write(&SyncReply::Refused(SyncRefusal::UnknownChain).encode())
            .await?;
        stream.close().await;
        return Ok(());
    }
    let plan = shared
        .read(move |store| Plan::new(store, chain, &request.have))
        .await;
    let mut plan = plan.map_err(|_| SyncError::Stopping)??;
    let mut blocks = 0;
    loop {
        let step = shared.read(move |store| {
            let step = plan.step(store, BATCH_BLOCKS_MAX, BATCH_BYTES);
            step.map(|step| (step, plan))
        });
        let (step, rest) = step.await.map_err(|_| SyncError::Stopping)??;
        plan = rest;
        match step {
            Step::Searching => {}
            Step::Batch(batch) => {
                blocks += batch.len() as u64;
                stream.write(&SyncReply::Batch(batch).encode()).await?;
            }
            Step::Done { .. } => break,
        }
    }
    stream.write(&SyncReply::End { blocks }.encode()).await?;
    stream.close().await;
    Ok(())
}
