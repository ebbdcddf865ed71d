//! Reads one inbound stream: one message at a time, hashed, and kept before the next is read.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::AsyncReadExt as _;
use rustle_bitswap::message::{FrameLength, HashError, Message, RawBlock, frame_length};
use rustle_net::Stream;
use rustle_store::{Batch, Durability};
use rustle_types::{Cid, PeerId};
use tokio::sync::oneshot;

use super::{Arrived, Told};
use crate::shared::Shared;

/// How long the rest of a message may take once it has begun.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a stream is not read on.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("the stream broke: {0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Message(#[from] rustle_bitswap::message::DecodeError),
    #[error("{0}")]
    Block(#[from] HashError),
    #[error("a message was not completed in time")]
    Late,
    #[error("the node is shutting down")]
    Stopping,
}

/// Reads until the peer ends the stream or breaks the rules.
pub(super) async fn read(shared: Shared, peer: PeerId, visit: u64, mut stream: Stream) {
    loop {
        match read_message(&mut stream).await {
            Ok(Some(message)) => {
                if let Err(error) = take(&shared, peer, message).await {
                    tracing::debug!(%error, "bitswap stream refused");
                    break;
                }
            }
            Ok(None) => break,
            Err(error) => {
                tracing::debug!(%error, "bitswap stream ended");
                break;
            }
        }
    }
    // Without the exchange nobody counts readers.
    let _ = shared.exchange.told.send(Told::ReaderEnded { peer, visit }).await;
}

/// Reads one message into one buffer, so that its blocks are slices of it. `None` at the end of the stream.
async fn read_message(stream: &mut Stream) -> Result<Option<Message>, ReadError> {
    let mut header = [0; 10];
    let mut filled = 0;
    let length = loop {
        // The first byte may take for ever; the stream of a silent peer is not an error.
        let read = stream.read(&mut header[filled..=filled]).await?;
        if read == 0 {
            return if filled == 0 {
                Ok(None)
            } else {
                Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into())
            };
        }
        filled += 1;
        if let FrameLength::Known { length, .. } = frame_length(&header[..filled])? {
            break length;
        }
    };
    let mut body = BytesMut::zeroed(length);
    let read = tokio::time::timeout(MESSAGE_TIMEOUT, stream.read_exact(&mut body)).await;
    read.map_err(|_| ReadError::Late)??;
    Ok(Some(Message::decode(body.freeze())?))
}

async fn take(shared: &Shared, peer: PeerId, message: Message) -> Result<(), ReadError> {
    let blocks = hash(message.blocks).await?;
    let (keep, kept) = oneshot::channel();
    let bytes: Vec<(Cid, Bytes)> = blocks.clone();
    let arrived = Arrived {
        peer,
        wants: message.wants,
        full: message.full,
        presences: message.presences,
        blocks,
        keep,
    };
    shared
        .exchange
        .told
        .send(Told::Arrived(Box::new(arrived)))
        .await
        .map_err(|_| ReadError::Stopping)?;
    let kept = kept.await.map_err(|_| ReadError::Stopping)?;
    if kept.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::new();
    for cid in &kept {
        if let Some((_, block)) = bytes.iter().find(|(other, _)| other.hash() == cid.hash()) {
            batch.put_block(*cid, block.clone());
        }
    }
    if let Err(error) = shared.storage.commit(batch, Durability::Buffered).await {
        // The caller has the bytes; only the copy for others is lost.
        tracing::warn!(%error, "a fetched block could not be kept");
        return Ok(());
    }
    shared
        .exchange
        .told
        .send(Told::Stored { cids: kept })
        .await
        .map_err(|_| ReadError::Stopping)
}

/// Names the blocks, on a thread that may be busy.
async fn hash(blocks: Vec<RawBlock>) -> Result<Vec<(Cid, Bytes)>, ReadError> {
    if blocks.is_empty() {
        return Ok(Vec::new());
    }
    let hashed = tokio::task::spawn_blocking(move || {
        blocks
            .into_iter()
            .map(|block| Ok((block.hash()?, block.data)))
            .collect::<Result<Vec<_>, HashError>>()
    });
    Ok(hashed.await.map_err(|_| ReadError::Stopping)??)
}
