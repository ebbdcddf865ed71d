//! How is a message read from a peer that may send anything?

use bytes::Bytes;
use prost::Message as _;
use rustle_types::Cid;
use rustle_types::content::HASH_IDENTITY;
use rustle_types::limits::{BITSWAP_MESSAGE_BYTES_MAX, CID_BYTES_MAX, CONTENT_BLOCK_BYTES_MAX};
use unsigned_varint::decode;

use super::{MESSAGE_PARTS_MAX, MESSAGE_WANTS_MAX, Message, Presence, RawBlock, Want, WantKind};
use crate::generated::Message as Wire;
use crate::generated::message::BlockPresenceType;
use crate::generated::message::wantlist::{Entry, WantType};

/// Why a message is refused. The stream that it came on cannot be read further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than 4 MiB.
    #[error("a message of {0} bytes, more than {BITSWAP_MESSAGE_BYTES_MAX}")]
    MessageTooLarge(u64),
    /// The length in front is no varint.
    #[error("the length of a message is no varint")]
    Length,
    /// A block is larger than 2 MiB.
    #[error("a block of {0} bytes, more than {CONTENT_BLOCK_BYTES_MAX}")]
    BlockTooLarge(usize),
    /// More wants, blocks and presences than [`MESSAGE_PARTS_MAX`].
    #[error("a message of more than {MESSAGE_PARTS_MAX} parts")]
    TooManyParts,
    /// Not a message.
    #[error("not a bitswap message: {0}")]
    Protobuf(String),
}

/// What the first bytes of a stream say of the next message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameLength {
    /// More bytes are needed to tell.
    Incomplete,
    /// The message has `length` bytes and begins behind `header` bytes.
    Known {
        /// Bytes of the length itself.
        header: usize,
        /// Bytes of the message, at most 4 MiB.
        length: usize,
    },
}

/// Reads the length in front of a message. Never asks for more than four bytes.
pub fn frame_length(bytes: &[u8]) -> Result<FrameLength, DecodeError> {
    match decode::u64(bytes) {
        Ok((length, rest)) => match usize::try_from(length) {
            Ok(known) if known <= BITSWAP_MESSAGE_BYTES_MAX => Ok(FrameLength::Known {
                header: bytes.len() - rest.len(),
                length: known,
            }),
            _ => Err(DecodeError::MessageTooLarge(length)),
        },
        // 4 MiB is a varint of four bytes: a longer one is too large, whatever follows.
        Err(decode::Error::Insufficient) if bytes.len() < 4 => Ok(FrameLength::Incomplete),
        Err(_) => Err(DecodeError::Length),
    }
}

pub(super) fn decode(bytes: Bytes) -> Result<Message, DecodeError> {
    if BITSWAP_MESSAGE_BYTES_MAX < bytes.len() {
        return Err(DecodeError::MessageTooLarge(bytes.len() as u64));
    }
    if MESSAGE_PARTS_MAX < count_parts(&bytes) {
        return Err(DecodeError::TooManyParts);
    }
    let wire = Wire::decode(bytes).map_err(|error| DecodeError::Protobuf(error.to_string()))?;
    let with_prefix = wire
        .payload
        .into_iter()
        .map(|block| (Some(block.prefix), block.data));
    let mut blocks = Vec::new();
    for (prefix, data) in with_prefix.chain(wire.blocks.into_iter().map(|data| (None, data))) {
        if CONTENT_BLOCK_BYTES_MAX < data.len() {
            return Err(DecodeError::BlockTooLarge(data.len()));
        }
        blocks.push(RawBlock { prefix, data });
    }
    let wantlist = wire.wantlist.unwrap_or_default();
    let asked = wantlist.entries.len() + wire.block_presences.len();
    let wants: Vec<Want> = wantlist
        .entries
        .iter()
        .filter_map(want_of)
        .take(MESSAGE_WANTS_MAX)
        .collect();
    let presences: Vec<_> = wire
        .block_presences
        .iter()
        .filter_map(|presence| {
            let known = match presence.r#type() {
                BlockPresenceType::Have => Presence::Have,
                BlockPresenceType::DontHave => Presence::DontHave,
            };
            Some((cid_of(&presence.cid)?, known))
        })
        .collect();
    Ok(Message {
        dropped: asked - wants.len() - presences.len(),
        wants,
        full: wantlist.full,
        blocks,
        presences,
        pending_bytes: u32::try_from(wire.pending_bytes).unwrap_or(0),
    })
}

fn want_of(entry: &Entry) -> Option<Want> {
    let kind = match entry.want_type() {
        WantType::Block => WantKind::Block,
        WantType::Have => WantKind::Have,
    };
    Some(Want {
        cid: cid_of(&entry.block)?,
        priority: entry.priority,
        kind,
        cancel: entry.cancel,
        send_dont_have: entry.send_dont_have,
    })
}

/// A CID that can be exchanged. Identity CIDs hold their content, so a want for one is senseless.
fn cid_of(bytes: &[u8]) -> Option<Cid> {
    let short = Some(bytes).filter(|bytes| bytes.len() <= CID_BYTES_MAX)?;
    Cid::try_from(short)
        .ok()
        .filter(|cid| cid.hash().code() != HASH_IDENTITY)
}

/// Counts wants, blocks and presences without unpacking them: an empty one is two bytes on the wire, but fifty in
/// memory. Stops counting where the bytes make no sense; the real decoder then says why.
fn count_parts(bytes: &[u8]) -> usize {
    let mut count = 0;
    walk(bytes, &mut |field, body| match field {
        1 => walk(body, &mut |_, _| count += 1),
        _ => count += 1,
    });
    count
}

/// Calls `each` with the number and bytes of every field of a protobuf message that has bytes.
fn walk(mut bytes: &[u8], each: &mut dyn FnMut(u64, &[u8])) {
    while let Ok((key, rest)) = decode::u64(bytes) {
        match key & 7 {
            0 => match decode::u64(rest) {
                Ok((_, rest)) => bytes = rest,
                Err(_) => return,
            },
            2 => {
                let Ok((length, rest)) = decode::u64(rest) else {
                    return;
                };
                let Some((body, rest)) = usize::try_from(length)
                    .ok()
                    .and_then(|at| rest.split_at_checked(at))
                else {
                    return;
                };
                each(key >> 3, body);
                bytes = rest;
            }
            _ => return,
        }
    }
}
