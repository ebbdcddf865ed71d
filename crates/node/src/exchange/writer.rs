//! Writes to one peer: its wants and ours, in the order they were decided.

use std::time::Duration;

use bytes::Bytes;
use futures::AsyncWriteExt as _;
use rustle_bitswap::message::{Message, PROTOCOLS, Presence, RawBlock, Version, Want};
use rustle_bitswap::server::Task;
use rustle_net::{OpenError, Stream};
use rustle_types::{Cid, PeerId};
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::Told;
use crate::shared::Shared;

/// Messages that may wait for one peer; one that lets more queue up does not read.
const PARCELS_MAX: usize = 1024;
/// How long a message may take to be written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Attempts to have a message written on a fresh stream.
const TRIES_MAX: u32 = 3;

/// Something to send.
#[derive(Debug)]
pub(super) enum Parcel {
    /// What we want.
    Wants(Vec<Want>),
    /// What the peer wants: blocks are loaded when their turn comes.
    Task(Task),
}

/// The queue to the writer of one peer; the writer ends with it.
#[derive(Debug)]
pub(super) struct Writer {
    parcels: mpsc::Sender<Parcel>,
}

// === impl Writer ===

impl Writer {
    /// Starts the writer: it opens a stream and tells whether the peer speaks bitswap.
    pub(super) fn spawn(shared: Shared, peer: PeerId, visit: u64) -> Self {
        let (parcels, queue) = mpsc::channel(PARCELS_MAX);
        let span = tracing::info_span!("bitswap", %peer);
        let spawner = shared.clone();
        let work = async move {
            if let Err(error) = write(&shared, peer, visit, queue).await {
                tracing::debug!(%error, "no bitswap with the peer");
                // Without the exchange nobody is served.
                let mute = Told::Mute {
                    peer,
                    visit,
                    is_blameless: error.is_blameless(),
                };
                let _ = shared.exchange.told.send(mute).await;
            }
        };
        spawner.spawn(work.instrument(span));
        Self { parcels }
    }

    /// Queues something; `false` where the queue is full.
    pub(super) fn post(&self, parcel: Parcel) -> bool {
        !matches!(
            self.parcels.try_send(parcel),
            Err(mpsc::error::TrySendError::Full(_))
        )
    }
}

/// Why a peer is given up.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("{0}")]
    Open(#[from] OpenError),
    #[error("the stream broke: {0}")]
    Io(#[from] std::io::Error),
    #[error("the peer does not read")]
    Late,
}

// === impl WriteError ===

impl WriteError {
    /// Whether the peer may stay connected: it takes no content, or none can reach it, but nothing that it asked for is
    /// left lying.
    fn is_blameless(&self) -> bool {
        matches!(
            self,
            Self::Open(OpenError::Unsupported | OpenError::NotConnected | OpenError::Relayed)
        )
    }
}

async fn open(shared: &Shared, peer: PeerId) -> Result<(Stream, Version), WriteError> {
    let names: Vec<String> = PROTOCOLS.iter().map(|name| (*name).to_owned()).collect();
    let (stream, protocol) = shared.net.open(peer, &names).await?;
    // Only names of the list are agreed upon.
    Ok((stream, Version::of_protocol(&protocol).unwrap_or(Version::V1_0)))
}

async fn write(
    shared: &Shared,
    peer: PeerId,
    visit: u64,
    mut queue: mpsc::Receiver<Parcel>,
) -> Result<(), WriteError> {
    let (mut stream, mut version) = open(shared, peer).await?;
    // Without the exchange the queue is closed, and the loop ends at once.
    let _ = shared
        .exchange
        .told
        .send(Told::Speaks { peer, visit, version })
        .await;
    let mut packed = match queue.recv().await {
        Some(parcel) => Some(pack(shared, parcel).await),
        None => None,
    };
    while let Some(parcel) = packed {
        // While one is written, the next is loaded.
        let next = async {
            Ok(match queue.recv().await {
                Some(parcel) => Some(pack(shared, parcel).await),
                None => None,
            })
        };
        let write = write_again(shared, peer, &mut stream, &mut version, &parcel);
        ((), packed) = tokio::try_join!(write, next)?;
    }
    // The peer may be gone, which is then no loss.
    let _ = stream.close().await;
    Ok(())
}

/// Writes a message, where the stream breaks on another one, and tells of it.
async fn write_again(
    shared: &Shared,
    peer: PeerId,
    stream: &mut Stream,
    version: &mut Version,
    Packed { message, bytes }: &Packed,
) -> Result<(), WriteError> {
    let mut tries = 1;
    while let Err(error) = write_frame(stream, &message.frame(*version)).await {
        if TRIES_MAX <= tries {
            return Err(error);
        }
        tracing::debug!(%error, "writing again, on another stream");
        shared.exchange.counts.writes_failed.one();
        tries += 1;
        (*stream, *version) = open(shared, peer).await?;
    }
    let counts = &shared.exchange.counts;
    counts.blocks_sent.add(message.blocks.len() as u64);
    let sizes = message.blocks.iter().map(|block| block.data.len() as u64);
    counts.bytes_sent.add(sizes.sum());
    if 0 < *bytes {
        let bytes = *bytes;
        // Without the exchange nobody counts.
        let _ = shared.exchange.told.send(Told::Sent { peer, bytes }).await;
    }
    Ok(())
}

async fn write_frame(stream: &mut Stream, frame: &[Bytes]) -> Result<(), WriteError> {
    let write = async {
        for part in frame {
            stream.write_all(part).await?;
        }
        stream.flush().await
    };
    tokio::time::timeout(WRITE_TIMEOUT, write)
        .await
        .map_err(|_| WriteError::Late)??;
    Ok(())
}

/// A message that is ready to be written.
struct Packed {
    message: Message,
    /// To report as sent.
    bytes: u64,
}

/// Makes the message: loads its blocks.
async fn pack(shared: &Shared, parcel: Parcel) -> Packed {
    let task = match parcel {
        Parcel::Wants(wants) => {
            return Packed {
                message: Message::of_wants(wants),
                bytes: 0,
            };
        }
        Parcel::Task(task) => task,
    };
    let Task {
        blocks,
        mut presences,
        bytes,
        pending_bytes,
        ..
    } = task;
    let loaded = shared.read(move |store| {
        let load = |cid: Cid| (cid, store.get_verified(&cid));
        blocks.into_iter().map(load).collect::<Vec<_>>()
    });
    let mut message = Message {
        pending_bytes: u32::try_from(pending_bytes).unwrap_or(u32::MAX),
        ..Message::default()
    };
    for (cid, block) in loaded.await.unwrap_or_default() {
        match block {
            Ok(Some(block)) => message.blocks.push(RawBlock::new(&cid, block)),
            // Gone meanwhile, or damaged: what cannot be served is not here.
            Ok(None) => presences.push((cid, Presence::DontHave)),
            Err(error) => {
                tracing::error!(%cid, %error, "a block cannot be served");
                presences.push((cid, Presence::DontHave));
            }
        }
    }
    message.presences = presences;
    Packed { message, bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_behind_a_relay_or_speaks_something_else_has_done_no_wrong() {
        for error in [
            OpenError::Relayed,
            OpenError::Unsupported,
            OpenError::NotConnected,
        ] {
            assert!(WriteError::from(error.clone()).is_blameless(), "{error}");
        }
        assert!(!WriteError::Late.is_blameless());
        assert!(!WriteError::from(OpenError::Timeout).is_blameless());
        assert!(!WriteError::from(std::io::Error::other("reset")).is_blameless());
    }
}
