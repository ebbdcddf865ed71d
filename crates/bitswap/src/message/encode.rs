//! How does a message become bytes without copying its blocks?

use bytes::{Bytes, BytesMut};
use prost::Message as _;
use unsigned_varint::encode;

use super::{Message, Presence, Version, WantKind};
use crate::generated::Message as Wire;
use crate::generated::message::wantlist::{Entry, WantType};
use crate::generated::message::{BlockPresence, BlockPresenceType, Wantlist};

/// Below this a block is copied: one more part would cost more than the copy.
const COPIED_BLOCK_BYTES_MAX: usize = 4096;

/// Key of field 2, `blocks`, with wire type 2.
const KEY_BLOCKS: u8 = 2 << 3 | 2;
/// Key of field 3, `payload`, with wire type 2.
const KEY_PAYLOAD: u8 = 3 << 3 | 2;
/// Keys of the fields of a block: prefix and data.
const KEY_PREFIX: u8 = 1 << 3 | 2;
const KEY_DATA: u8 = 2 << 3 | 2;

pub(super) fn frame(message: &Message, version: Version) -> Vec<Bytes> {
    let wire = without_blocks(message, version).encode_to_vec();
    let mut parts = Parts::default();
    for block in &message.blocks {
        match &block.prefix {
            Some(prefix) if Version::V1_1 <= version => {
                let body = field_len(prefix.len()) + field_len(block.data.len());
                parts.header(KEY_PAYLOAD, body);
                parts.header(KEY_PREFIX, prefix.len());
                parts.bytes(prefix);
                parts.header(KEY_DATA, block.data.len());
            }
            Some(_) | None => parts.header(KEY_BLOCKS, block.data.len()),
        }
        parts.bytes(&block.data);
    }
    parts.finish(&wire)
}

/// Everything but the blocks, in the words of `version`.
fn without_blocks(message: &Message, version: Version) -> Wire {
    let modern = version == Version::V1_2;
    let entries: Vec<Entry> = message
        .wants
        .iter()
        .filter(|want| modern || want.cancel || want.kind == WantKind::Block)
        .map(|want| {
            let want_type = match want.kind {
                WantKind::Have => WantType::Have,
                WantKind::Block => WantType::Block,
            };
            Entry {
                block: want.cid.to_bytes().into(),
                priority: want.priority,
                cancel: want.cancel,
                want_type: want_type.into(),
                send_dont_have: modern && want.send_dont_have,
            }
        })
        .collect();
    let presences = message
        .presences
        .iter()
        .filter(|_| modern)
        .map(|(cid, presence)| {
            let known = match presence {
                Presence::Have => BlockPresenceType::Have,
                Presence::DontHave => BlockPresenceType::DontHave,
            };
            BlockPresence {
                cid: cid.to_bytes().into(),
                r#type: known.into(),
            }
        });
    let said = message.full || !entries.is_empty();
    Wire {
        wantlist: said.then_some(Wantlist {
            entries,
            full: message.full,
        }),
        block_presences: presences.collect(),
        pending_bytes: if modern {
            i32::try_from(message.pending_bytes).unwrap_or(i32::MAX)
        } else {
            0
        },
        ..Wire::default()
    }
}

/// Bytes of a field with a key of one byte.
fn field_len(body: usize) -> usize {
    1 + encode::usize(body, &mut encode::usize_buffer()).len() + body
}

/// Bytes under construction: small ones together, large ones as they are.
#[derive(Default)]
struct Parts {
    done: Vec<Bytes>,
    open: BytesMut,
}

// === impl Parts ===

impl Parts {
    fn header(&mut self, key: u8, length: usize) {
        self.open.extend_from_slice(&[key]);
        self.open
            .extend_from_slice(encode::usize(length, &mut encode::usize_buffer()));
    }

    fn bytes(&mut self, bytes: &Bytes) {
        if bytes.len() <= COPIED_BLOCK_BYTES_MAX {
            self.open.extend_from_slice(bytes);
        } else {
            self.done.push(self.open.split().freeze());
            self.done.push(bytes.clone());
        }
    }

    /// Puts the length and `head` in front of all parts.
    fn finish(mut self, head: &[u8]) -> Vec<Bytes> {
        self.done.push(self.open.freeze());
        let length = head.len() + self.done.iter().map(Bytes::len).sum::<usize>();
        let mut front = BytesMut::from(encode::usize(length, &mut encode::usize_buffer()));
        front.extend_from_slice(head);
        self.done.insert(0, front.freeze());
        self.done.retain(|part| !part.is_empty());
        self.done
    }
}
