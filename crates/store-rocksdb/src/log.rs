//! Is the write-ahead log whole, but for a tail that a crash tore?
//!
//! RocksDB cannot be asked. Its strictest mode refuses every torn tail. Point in time ends the replay at any damage and
//! opens without a word about the sound records behind it. To tolerate a corrupted tail is to refuse a last record with
//! a wrong checksum, which a loss of power leaves, and still to lose all that follows a damaged length, or zeros, in the
//! last 32 KiB of a log. So the log is read once before RocksDB reads it, and damage that the record of a synced batch
//! follows is refused: the sync had put all before it onto the disk. What else is left is a tail, in which a loss of power
//! may leave gaps as the system writes its pages in any order, and `DBRecoveryMode::PointInTime` cuts it whatever it
//! looks like.
//!
//! The layout is that of `db/log_format.h`: blocks of 32 KiB, in them fragments of a checksum (masked CRC-32C of type
//! and payload), a length (u16 LE), a type and the payload. A record begins with the sequence number of its first
//! operation (u64 LE) and their count (u32 LE).
//!
//! Operations that are not logged (bulk commits) take numbers as well. A mark tells how many have, and less these the
//! numbers in the log follow upon each other; only such numbers are compared here.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustle_store::StoreError;

use crate::commit::{LOGGED_KEY, SYNCED_KEY};
use crate::failure;

const BLOCK_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 7;
/// Sequence number and count.
const BATCH_HEADER_BYTES: usize = 12;

/// Where the key of a mark ends at the latest: type, column family and length before it.
const MARK_KEY_BYTES_MAX: usize = 1 + 5 + 5 + SYNCED_KEY.len();
/// Where a mark ends at the latest: its value with its length.
const MARK_BYTES_MAX: usize = MARK_KEY_BYTES_MAX + 1 + size_of::<u64>();

const HEAD_BYTES_MAX: usize = BATCH_HEADER_BYTES + MARK_BYTES_MAX;

const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// Refuses a directory whose log has lost what is not its tail: [`StoreError::Io`] that says where. Gives the number that
/// the next record would carry, less those that were not logged, where there was a record.
///
/// A tail that is torn is left for RocksDB to cut, and told in the log of the node.
pub(crate) fn check(directory: &Path) -> Result<Option<u64>, StoreError> {
    let unread = |error: io::Error| failure::unreadable(directory, &error.to_string());
    let mut logs = Vec::new();
    let mut has_tables = false;
    for entry in std::fs::read_dir(directory).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        match path.extension().and_then(|end| end.to_str()) {
            Some("log") => logs.push(path),
            Some("sst") => has_tables = true,
            _ => {}
        }
    }
    // RocksDB begins a log before it removes the one before, and takes a directory without any as one that lost nothing.
    if logs.is_empty() && has_tables {
        return Err(failure::damaged(directory, "its log (the file *.log) is missing"));
    }
    // The names are numbers of six digits or more.
    logs.sort_by_key(|path| (path.as_os_str().len(), path.clone()));

    let mut replay = Replay::default();
    for path in logs {
        match replay.file(&path) {
            Ok(()) => {}
            // A process that holds the directory has removed it meanwhile; the lock is asked for later.
            Err(Fault::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(Fault::Io(error)) => {
                return Err(failure::unreadable(
                    directory,
                    &format!("{}: {error}", path.display()),
                ));
            }
            Err(Fault::Hole(torn)) => return Err(failure::damaged(directory, &torn.hole())),
            Err(Fault::Foreign(offset)) => {
                let reason = format!("{} holds no record of this program at byte {offset}", name(&path));
                return Err(failure::damaged(directory, &reason));
            }
        }
    }
    if let Some(torn) = replay.torn {
        tracing::warn!(
            directory = %directory.display(),
            log = name(&torn.log),
            at = torn.offset,
            bytes = torn.bytes,
            "the log ends in a record that was not written whole; it is cut there"
        );
    }
    Ok(replay.next)
}

/// A log that does not end with a whole record.
#[derive(Debug, Clone)]
struct Torn {
    log: PathBuf,
    /// Where the first record begins that cannot be read.
    offset: u64,
    /// From there to the end of the file.
    bytes: u64,
}

enum Fault {
    Io(io::Error),
    /// The sound record of a synced batch follows the damage.
    Hole(Torn),
    /// A fragment of a recycled log at this byte. Such logs are not written here, and RocksDB does not come to an end
    /// over one.
    Foreign(u64),
}

/// What a replay has seen so far, over all logs.
#[derive(Default)]
struct Replay {
    /// The number that the next record carries, once one was read.
    next: Option<u64>,
    /// How many numbers were not logged before it.
    skipped: u64,
    /// The last log that is torn, unless the one behind it goes on where it was cut.
    torn: Option<Torn>,
}

/// A record of which some fragments were read.
struct Unfinished {
    offset: u64,
    /// Its first bytes, [`HEAD_BYTES_MAX`] at most.
    head: Vec<u8>,
}

/// What a record's first bytes say.
#[derive(Debug, Clone, Copy)]
struct Head {
    sequence: u64,
    count: u32,
    is_synced: bool,
    /// What its mark tells of numbers that were not logged before it.
    skipped: Option<u64>,
}

enum Block {
    Sound,
    /// The record at `offset` cannot be read, nor can what lies before `resume` in the block.
    Damaged {
        offset: u64,
        resume: usize,
    },
}

// === impl Torn ===

impl Torn {
    fn hole(&self) -> String {
        format!(
            "{} is damaged at byte {}, and what was written after that is still there",
            name(&self.log),
            self.offset
        )
    }
}

// === impl Replay ===

impl Replay {
    fn file(&mut self, path: &Path) -> Result<(), Fault> {
        let mut file = File::open(path).map_err(Fault::Io)?;
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        let mut unfinished = None;
        let mut damage = None;
        let mut base = 0;
        loop {
            block.clear();
            file.by_ref()
                .take(BLOCK_BYTES as u64)
                .read_to_end(&mut block)
                .map_err(Fault::Io)?;
            let mut resume = 0;
            if damage.is_none()
                && let Block::Damaged { offset, resume: at } =
                    self.block(path, &block, base, &mut unfinished)?
            {
                damage = Some(offset);
                resume = at;
            }
            if let Some(offset) = damage
                && any_record(
                    &block[resume..],
                    self.after(unfinished.as_ref()),
                    self.skipped,
                    base + resume as u64 - offset,
                )
            {
                let bytes = base + block.len() as u64 - offset;
                let log = path.to_owned();
                return Err(Fault::Hole(Torn { log, offset, bytes }));
            }
            base += block.len() as u64;
            if block.len() < BLOCK_BYTES {
                break;
            }
        }
        if let Some(offset) = damage.or(unfinished.map(|record| record.offset)) {
            self.torn = Some(Torn {
                log: path.to_owned(),
                offset,
                bytes: base - offset,
            });
        }
        Ok(())
    }

    /// Reads the fragments of a block that begins at the byte `base` of the log.
    fn block(
        &mut self,
        path: &Path,
        block: &[u8],
        base: u64,
        unfinished: &mut Option<Unfinished>,
    ) -> Result<Block, Fault> {
        let mut at = 0;
        while block.len() - at >= HEADER_BYTES {
            let here = base + at as u64;
            let damaged = |unfinished: &Option<Unfinished>, resume| {
                let offset = unfinished.as_ref().map_or(here, |record| record.offset);
                Ok(Block::Damaged { offset, resume })
            };
            if matches!(block[at + 6], 5..=8 | 11 | 131) {
                return Err(Fault::Foreign(here));
            }
            let Some((kind, payload)) = fragment(&block[at..]) else {
                return damaged(unfinished, at + 1);
            };
            let end = at + HEADER_BYTES + payload.len();
            match (kind, &mut *unfinished) {
                (FULL, None) => match Head::read(payload) {
                    Some(head) => self.record(head)?,
                    None => return damaged(unfinished, end),
                },
                (FIRST, None) => {
                    let head = payload[..payload.len().min(HEAD_BYTES_MAX)].to_vec();
                    *unfinished = Some(Unfinished { offset: here, head });
                }
                (MIDDLE | LAST, Some(record)) => {
                    let missing = HEAD_BYTES_MAX - record.head.len();
                    record.head.extend(&payload[..payload.len().min(missing)]);
                    if kind == LAST {
                        let Some(head) = Head::read(&record.head) else {
                            return damaged(unfinished, end);
                        };
                        *unfinished = None;
                        self.record(head)?;
                    }
                }
                // The end of the record before is missing, or the beginning of this one.
                (FULL | FIRST, Some(record)) if Head::read(payload).is_some_and(|head| head.is_synced) => {
                    return Err(Fault::Hole(Torn {
                        log: path.to_owned(),
                        offset: record.offset,
                        bytes: here - record.offset,
                    }));
                }
                (MIDDLE | LAST, None) | (FULL | FIRST, Some(_)) => return damaged(unfinished, end),
                // Notes of RocksDB to itself.
                _ => {}
            }
            at = end;
        }
        // A whole block is padded with up to six bytes; at the end of the log they are a header that was cut.
        if at < block.len() && block.len() < BLOCK_BYTES {
            let offset = unfinished
                .as_ref()
                .map_or(base + at as u64, |record| record.offset);
            return Ok(Block::Damaged {
                offset,
                resume: block.len(),
            });
        }
        Ok(Block::Sound)
    }

    /// Takes note of a whole record. Behind a torn log it should be the one that was written next: the log was cut then,
    /// in an earlier open. Any other is lost with the tail, which a synced one must not be.
    fn record(&mut self, head: Head) -> Result<(), Fault> {
        let number = head.number(self.skipped);
        if self.torn.is_some() && self.next != Some(number) {
            return match self.torn.take_if(|_| head.is_synced) {
                Some(torn) => Err(Fault::Hole(torn)),
                None => Ok(()),
            };
        }
        self.torn = None;
        self.skipped = head.skipped.unwrap_or(self.skipped);
        self.next = Some(number.saturating_add(u64::from(head.count)));
        Ok(())
    }

    /// The number of the record behind the damaged one, or the least that it can be. Of a record whose beginning was
    /// read it is known.
    fn after(&self, damaged: Option<&Unfinished>) -> Option<u64> {
        damaged
            .and_then(|record| Head::read(&record.head))
            .map(|head| head.number(self.skipped).saturating_add(u64::from(head.count)))
            .or(self.next)
    }
}

// === impl Head ===

impl Head {
    /// A mark is the first operation of its record. A record whose first fragment ends before it (one in a thousand, at the
    /// end of a block) has none as long as only that is read.
    fn read(record: &[u8]) -> Option<Self> {
        let (sequence, rest) = record.split_first_chunk()?;
        let (count, operations) = rest.split_first_chunk()?;
        let key = |wanted: &[u8]| {
            let place = &operations[..operations.len().min(MARK_KEY_BYTES_MAX)];
            place
                .windows(wanted.len())
                .position(|bytes| bytes == wanted)
                .map(|at| at + wanted.len())
        };
        let synced = key(SYNCED_KEY);
        // One byte of length; a mark of before there were bulk commits has no value.
        let skipped = synced
            .or_else(|| key(LOGGED_KEY))
            .and_then(|end| operations[end..].split_first())
            .filter(|(length, _)| usize::from(**length) == size_of::<u64>())
            .and_then(|(_, value)| value.first_chunk())
            .map(|value| u64::from_be_bytes(*value));
        Some(Self {
            sequence: u64::from_le_bytes(*sequence),
            count: u32::from_le_bytes(*count),
            is_synced: synced.is_some(),
            skipped,
        })
    }

    /// Its number, less those that were not logged: as many as its mark says, or as before it.
    fn number(&self, skipped_before: u64) -> u64 {
        self.sequence
            .saturating_sub(self.skipped.unwrap_or(skipped_before))
    }
}

/// Whether the record of a synced batch begins anywhere in `bytes`, which lie `distance` bytes behind the damage.
///
/// Content may hold what looks like a record, so that its number must fit as well: `next` or as much more as there can be
/// logged operations between, of which each takes more than one byte in the log.
fn any_record(bytes: &[u8], next: Option<u64>, skipped: u64, distance: u64) -> bool {
    (0..bytes.len().saturating_sub(HEADER_BYTES)).any(|at| {
        let rest = &bytes[at..];
        if !matches!(rest[6], FULL | FIRST) {
            return false;
        }
        let fits = |head: &Head| {
            let number = head.number(skipped);
            next.is_none_or(|next| {
                number
                    .checked_sub(next)
                    .is_some_and(|more| more <= distance + at as u64)
            })
        };
        // The checksum comes last, because it costs most.
        Head::read(&rest[HEADER_BYTES..]).is_some_and(|head| head.is_synced && fits(&head))
            && fragment(rest)
                .and_then(|(_, payload)| Head::read(payload))
                .is_some_and(|head| head.is_synced)
    })
}

/// Type and payload of the fragment that `bytes` begin with, where its checksum holds.
fn fragment(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let [c0, c1, c2, c3, l0, l1, kind] = *header;
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    // Zeros are a file that was made longer before it was written; they never are a record.
    if kind == 0 || length > rest.len() {
        return None;
    }
    let sound = u32::from_le_bytes([c0, c1, c2, c3]) == masked(crc32c(&bytes[6..HEADER_BYTES + length]));
    sound.then_some((kind, &rest[..length]))
}

/// RocksDB masks a checksum that is stored, so that a checksum over stored checksums is not degenerate.
fn masked(checksum: u32) -> u32 {
    checksum.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), reflected, as in RFC 3720 appendix B.4.
fn crc32c(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut state = u32::MAX;
    for word in words {
        let [a, b, c, d, e, f, g, h] = *word;
        let [i, j, k, l] = (u32::from_le_bytes([a, b, c, d]) ^ state).to_le_bytes();
        let bytes = [i, j, k, l, e, f, g, h];
        state = 0;
        for (table, byte) in CRC32C.iter().rev().zip(bytes) {
            state ^= table[usize::from(byte)];
        }
    }
    for byte in rest {
        state = CRC32C[0][usize::from(state.to_le_bytes()[0] ^ byte)] ^ (state >> 8);
    }
    !state
}

/// The remainder of each byte, with 0 to 7 bytes of zeros behind it.
static CRC32C: [[u32; 256]; 8] = crc32c_tables();

const fn crc32c_tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "it is below 256")]
        let mut state = byte as u32;
        let mut table = 0;
        while table < 8 {
            let mut bit = 0;
            while bit < 8 {
                state = if state & 1 == 1 {
                    0x82f6_3b78 ^ (state >> 1)
                } else {
                    state >> 1
                };
                bit += 1;
            }
            tables[table][byte] = state;
            table += 1;
        }
        byte += 1;
    }
    tables
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests;
