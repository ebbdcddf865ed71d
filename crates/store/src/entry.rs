//! What is known of a block without reading it?

use rustle_types::Cid;
use rustle_types::content::{CODEC_DAG_CBOR, CODEC_DAG_JSON, CODEC_DAG_PB, HASH_IDENTITY};

/// A point in the life of a store. What is put carries the epoch of then; see [`crate::Collect`].
pub type Epoch = u32;

/// What the index says of a block.
///
/// On disk: size (u64 BE), ways walked (one byte), epoch and walk (u32 BE each). Nine bytes, as they were written before
/// there was garbage collection, are the size, a zero, and nothing of the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Entry {
    /// Bytes of the block.
    pub size: u64,
    /// When it was last put, touched or marked.
    pub epoch: Epoch,
    /// The collection that last looked at its links; 0 for none.
    pub walk: Epoch,
    /// Which readings of its bytes that collection has followed, one bit a codec.
    pub ways: u8,
}

/// What a mark has met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marked {
    /// The block is not here.
    Missing,
    /// The collection comes here for the first time: its links are to be followed.
    First,
    /// It was here before.
    Again,
}

// === impl Entry ===

impl Entry {
    /// Bytes of an entry.
    pub const BYTES: usize = 17;

    /// The entry of a block that is put now.
    pub const fn new(size: u64, epoch: Epoch) -> Self {
        Self {
            size,
            epoch,
            walk: 0,
            ways: 0,
        }
    }

    /// The entry in its form on disk.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.size.to_be_bytes());
        bytes[8] = self.ways;
        bytes[9..13].copy_from_slice(&self.epoch.to_be_bytes());
        bytes[13..].copy_from_slice(&self.walk.to_be_bytes());
        bytes
    }

    /// Reads the form on disk; `None` where it is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (size, rest) = bytes.split_first_chunk()?;
        let size = u64::from_be_bytes(*size);
        match rest {
            [0] => Some(Self::new(size, 0)),
            [ways, rest @ ..] if rest.len() == 8 => {
                let (epoch, walk) = rest.split_first_chunk()?;
                Some(Self {
                    size,
                    epoch: u32::from_be_bytes(*epoch),
                    walk: u32::from_be_bytes(*walk.first_chunk()?),
                    ways: *ways,
                })
            }
            _ => None,
        }
    }

    /// The entry once the block was touched in `epoch`; `None` where that changes nothing.
    pub fn touched(self, epoch: Epoch) -> Option<Self> {
        (self.epoch < epoch).then_some(Self { epoch, ..self })
    }

    /// The entry once the collection `walk` has come to the block by a link of this codec, and whether it is the first
    /// time. The same bytes may have links under one codec and others under the next.
    pub fn marked(self, walk: Epoch, codec: u64) -> (Self, Marked) {
        let way = way(codec);
        let ways = if self.walk == walk { self.ways } else { 0 };
        let marked = if ways & way == way {
            Marked::Again
        } else {
            Marked::First
        };
        let entry = Self {
            epoch: self.epoch.max(walk),
            walk,
            ways: ways | way,
            ..self
        };
        (entry, marked)
    }
}

// === impl Marked ===

impl Marked {
    /// What a mark meets where the index has no entry: identity CIDs are their own content.
    pub fn of_absent(cid: &Cid) -> Self {
        match is_inline(cid) {
            true if way(cid.codec()) == 0 => Self::Again,
            true => Self::First,
            false => Self::Missing,
        }
    }
}

/// Whether the CID is its own content, which every store has and none keeps.
pub fn is_inline(cid: &Cid) -> bool {
    cid.hash().code() == HASH_IDENTITY
}

/// The bit of a codec; none of those whose blocks have no links.
const fn way(codec: u64) -> u8 {
    match codec {
        CODEC_DAG_PB => 1,
        CODEC_DAG_CBOR => 2,
        CODEC_DAG_JSON => 4,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use rustle_types::content::CODEC_RAW;

    use super::*;

    #[test]
    fn entries_keep_their_form_and_the_old_one_is_read() {
        let entry = Entry {
            size: 0x0102_0304,
            epoch: 7,
            walk: 5,
            ways: 3,
        };
        assert_eq!(Entry::from_bytes(&entry.to_bytes()), Some(entry));
        let mut old = 300_u64.to_be_bytes().to_vec();
        old.push(0);
        assert_eq!(Entry::from_bytes(&old), Some(Entry::new(300, 0)));
        for bytes in [
            &old[..8],
            &[0; 16][..],
            &[0; 18],
            b"",
            &[0, 0, 0, 0, 0, 0, 0, 1, 1],
        ] {
            assert_eq!(Entry::from_bytes(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn each_reading_of_a_block_is_walked_once_in_a_collection() {
        let entry = Entry::new(10, 3);
        let (raw, marked) = entry.marked(5, CODEC_RAW);
        assert_eq!(
            (raw.epoch, marked),
            (5, Marked::Again),
            "a leaf has nothing to follow"
        );
        let (pb, marked) = raw.marked(5, CODEC_DAG_PB);
        assert_eq!(marked, Marked::First);
        assert_eq!(pb.marked(5, CODEC_DAG_PB).1, Marked::Again);
        assert_eq!(pb.marked(5, CODEC_DAG_CBOR).1, Marked::First);
        assert_eq!(pb.marked(6, CODEC_DAG_PB).1, Marked::First);

        let put = Entry::new(10, 9);
        let (put, marked) = put.marked(5, CODEC_DAG_PB);
        assert_eq!(
            (put.epoch, marked),
            (9, Marked::First),
            "a mark takes nothing back"
        );
        assert_eq!(put.touched(9), None);
    }
}
