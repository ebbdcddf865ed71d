//! Is a block a shard, and does everything in it lie where it belongs?
//!
//! Each entry is checked against its place: its hash must begin with the indexes on the way to it. So no name is in a
//! folder twice, no shard can stand at two places, and a small tree that leads to itself a thousand times ends at its
//! second visit.

use bytes::Bytes;
use rustle_types::Cid;

use super::{HASH_BITS, HASH_MURMUR3_X64_64, name_hash};
use crate::dagpb::{Link, Node};
use crate::folder::check_name;
use crate::unixfs::{Data, FANOUT_MAX};

/// Narrowest shard: its bitmap has whole bytes.
const FANOUT_MIN: u64 = 8;

/// Where in a HAMT a shard lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// The bits of the hash that led here, at the lower end.
    bits: u64,
    /// How many they are.
    used: u32,
    /// Width of the root, which all shards below must have; 0 at the root itself.
    fanout: u64,
}

/// What a link of a shard leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Slot {
    Entry { name: Bytes, link: Link },
    Shard(Cid, Place),
}

/// A shard's header, checked.
#[derive(Debug, Clone, Copy)]
struct Header {
    fanout: u64,
    level_bits: u32,
    prefix_len: usize,
}

// === impl Place ===

impl Place {
    /// The place that the hash `bits` lead to from here.
    fn below(self, index: u64, header: Header) -> Self {
        Self {
            bits: self.bits << header.level_bits | index,
            used: self.used + header.level_bits,
            fanout: header.fanout,
        }
    }

    /// Whether an entry of this name lies here or below. The root leads to every name.
    pub(crate) fn leads_to(self, name: &[u8]) -> bool {
        self.used == 0 || name_hash(name) >> (HASH_BITS - self.used) == self.bits
    }
}

/// Reads the links of a shard at `place`, in the order of their indexes. The error says what is wrong.
pub(crate) fn read_shard(place: Place, node: Node, data: &Data) -> Result<Vec<Slot>, &'static str> {
    let header = read_header(place, data)?;
    let bitmap = data.data.as_deref().unwrap_or_default();
    let indexes = indexes(bitmap, header.fanout)?;
    if indexes.len() != node.links.len() {
        return Err("its bitmap has another number of bits than it has links");
    }
    if indexes.is_empty() && 0 < place.used {
        return Err("a shard below another is empty");
    }
    let slots = node.links.into_iter().zip(indexes);
    slots
        .map(|(link, index)| read_slot(place, link, index, header))
        .collect()
}

fn read_header(place: Place, data: &Data) -> Result<Header, &'static str> {
    if data.hash_type != Some(HASH_MURMUR3_X64_64) {
        return Err("its hash function is not murmur3-x64-64");
    }
    let fanout = data.fanout.unwrap_or(0);
    if !fanout.is_power_of_two() || !(FANOUT_MIN..=FANOUT_MAX).contains(&fanout) {
        return Err("its width is no power of two from 8 to 1024");
    }
    if place.fanout != 0 && place.fanout != fanout {
        return Err("its width differs from that of the root");
    }
    let level_bits = fanout.ilog2();
    if HASH_BITS < place.used + level_bits {
        return Err("it lies deeper than the bits of a hash lead");
    }
    Ok(Header {
        fanout,
        level_bits,
        prefix_len: format!("{:X}", fanout - 1).len(),
    })
}

/// The numbers of the bits that are set, ascending. The bitmap is one number, highest byte first, zeros left out.
fn indexes(bitmap: &[u8], fanout: u64) -> Result<Vec<u64>, &'static str> {
    if fanout / 8 < bitmap.len() as u64 {
        return Err("its bitmap is longer than its width");
    }
    let bytes = bitmap.iter().rev().zip((0..).step_by(8));
    Ok(bytes
        .flat_map(|(byte, first)| {
            (0..8)
                .filter(move |bit| byte >> bit & 1 == 1)
                .map(move |bit| first + bit)
        })
        .collect())
}

fn read_slot(place: Place, link: Link, index: u64, header: Header) -> Result<Slot, &'static str> {
    if !begins_with_index(&link.name, index, header.prefix_len) {
        return Err("a link is not named by its index");
    }
    let below = place.below(index, header);
    let name = link.name.slice(header.prefix_len..);
    if name.is_empty() {
        return Ok(Slot::Shard(link.cid, below));
    }
    check_name(&name)?;
    if below.leads_to(&name) {
        Ok(Slot::Entry { name, link })
    } else {
        Err("an entry lies where its hash does not lead")
    }
}

/// Whether a link's name begins with the index in hexadecimal digits, as many as the width needs.
fn begins_with_index(name: &[u8], index: u64, prefix_len: usize) -> bool {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |place: usize| DIGITS[(index >> (4 * place)) as usize % 16];
    name.len() >= prefix_len && (0..prefix_len).all(|at| name[at] == digit(prefix_len - 1 - at))
}
