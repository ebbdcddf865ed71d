//! Reads one inbound stream: while the blocks of one message are hashed and kept, the next is read.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{AsyncRead, AsyncReadExt as _};
use rustle_bitswap::message::{FrameLength, HashError, Message, RawBlock, frame_length};
use rustle_net::Stream;
use rustle_store::{Batch, Durability};
use rustle_types::{Cid, PeerId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;

use super::told::{Arrived, Said, Told};
use crate::guests::Guest;
use crate::shared::Shared;

/// How long the rest of a message may take once it has begun.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// Messages of one stream whose blocks are hashed and kept while it is read on. More would only wait for a core.
const KEEPING_MAX: usize = 4;

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
    #[error("the peer is gone, or the node is shutting down")]
    Stopping,
}

/// Reads until the peer ends the stream or breaks the rules.
///
/// `room` has a permit for each byte that messages of this peer may take, over all its streams.
pub(super) async fn read(
    shared: Shared,
    peer: PeerId,
    _place: Guest,
    room: Arc<Semaphore>,
    mut stream: Stream,
) {
    if let Err(error) = read_all(&shared, peer, &room, &mut stream).await {
        tracing::debug!(%error, "bitswap stream ended");
        let counts = &shared.exchange.counts;
        match error {
            ReadError::Io(_) | ReadError::Late => counts.streams_broken.one(),
            ReadError::Message(_) | ReadError::Block(_) => counts.streams_malformed.one(),
            ReadError::Stopping => {}
        }
    }
}

async fn read_all(
    shared: &Shared,
    peer: PeerId,
    room: &Arc<Semaphore>,
    stream: &mut Stream,
) -> Result<(), ReadError> {
    let mut keeping = JoinSet::new();
    while let Some((mut message, taken)) = read_message(stream, room).await? {
        shared.exchange.counts.wants_dropped.add(message.dropped as u64);
        let blocks = std::mem::take(&mut message.blocks);
        // In the order in which it was said: a want and its end must not change places.
        if !message.is_empty() {
            let said = Box::new(Said { peer, message });
            tell(shared, Told::Said(said)).await?;
        }
        if blocks.is_empty() {
            continue;
        }
        if KEEPING_MAX <= keeping.len()
            && let Some(kept) = keeping.join_next().await
        {
            kept.map_err(|_| ReadError::Stopping)??;
        }
        let shared = shared.clone();
        keeping.spawn(async move {
            let _taken = taken;
            keep(&shared, peer, blocks).await
        });
    }
    while let Some(kept) = keeping.join_next().await {
        kept.map_err(|_| ReadError::Stopping)??;
    }
    Ok(())
}

/// Reads one message into one buffer, so that its blocks are slices of it. `None` at the end of the stream.
///
/// A message that is announced waits until there is room for it; the room is free again when the permit is dropped.
async fn read_message(
    stream: &mut (impl AsyncRead + Unpin),
    room: &Arc<Semaphore>,
) -> Result<Option<(Message, OwnedSemaphorePermit)>, ReadError> {
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
    // Messages have at most 4 MiB, so that the number always fits.
    let bytes = u32::try_from(length).unwrap_or(u32::MAX);
    let taken = Arc::clone(room)
        .acquire_many_owned(bytes)
        .await
        .map_err(|_| ReadError::Stopping)?;
    let mut body = BytesMut::zeroed(length);
    let read = tokio::time::timeout(MESSAGE_TIMEOUT, stream.read_exact(&mut body)).await;
    read.map_err(|_| ReadError::Late)??;
    Ok(Some((Message::decode(body.freeze())?, taken)))
}

/// Hashes blocks, has them judged, and stores those that are wanted.
async fn keep(shared: &Shared, peer: PeerId, blocks: Vec<RawBlock>) -> Result<(), ReadError> {
    let blocks = hash(blocks).await?;
    let (keep, kept) = oneshot::channel();
    let arrived = Box::new(Arrived { peer, blocks, keep });
    tell(shared, Told::Arrived(arrived)).await?;
    // Nothing is kept where the peer has gone meanwhile.
    let kept = kept.await.unwrap_or_default();
    if kept.is_empty() {
        return Ok(());
    }
    let cids = kept.iter().map(|(cid, _)| *cid).collect();
    let mut batch = Batch::new();
    for (cid, block) in kept {
        batch.put_block(cid, block);
    }
    // What is fetched can be fetched again: whoever needs it to last pins it, and then it is flushed.
    if let Err(error) = shared.storage.commit(batch, Durability::Bulk).await {
        // The caller has the bytes; only the copy for others is lost.
        tracing::warn!(%error, "a fetched block could not be kept");
        return Ok(());
    }
    tell(shared, Told::Stored { cids }).await
}

async fn tell(shared: &Shared, told: Told) -> Result<(), ReadError> {
    let sent = shared.exchange.told.send(told).await;
    sent.map_err(|_| ReadError::Stopping)
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

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use futures::io::Cursor;
    use rustle_bitswap::message::Version;
    use rustle_types::content::CODEC_RAW;

    use super::*;

    fn frame(bytes: usize) -> Vec<u8> {
        let hash = multihash::Multihash::wrap(0x12, &[7; 32]).unwrap();
        let block = RawBlock::new(&Cid::new_v1(CODEC_RAW, hash), vec![0; bytes].into());
        let message = Message {
            blocks: vec![block],
            ..Message::default()
        };
        message.frame(Version::V1_2).concat()
    }

    #[test]
    fn a_message_waits_until_the_peer_has_room_for_it() {
        let room = Arc::new(Semaphore::new(1500));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let _entered = runtime.enter();
        let (mut one, mut other) = (Cursor::new(frame(1000)), Cursor::new(frame(1000)));

        let first = read_message(&mut one, &room)
            .now_or_never()
            .expect("there is room")
            .unwrap();
        let mut second = Box::pin(read_message(&mut other, &room));
        assert!((&mut second).now_or_never().is_none(), "two do not fit");

        drop(first);
        let second = second.now_or_never().expect("there is room again").unwrap();
        assert_eq!(second.map(|(message, _)| message.blocks.len()), Some(1));
        assert_eq!(room.available_permits(), 1500, "all room is given back");
    }
}
