//! What is kept until somebody says otherwise?
//!
//! A pin is a record of [`Table::Pins`]: key = kind (`r` or `d`) and multihash, value = CID and then the name, in UTF-8. A
//! recursive pin of an early version has no value; its codec is taken as dag-pb, as that of a file's root. A
//! multihash has one pin at most. What is pinned only because it lies below a recursive pin ("indirect") has no record.

use rustle_types::Cid;
use rustle_types::content::{CODEC_DAG_PB, Multihash};

use crate::{Batch, Scan, Store, StoreError, Table};

/// Longest name of a pin, in bytes, as in Kubo.
pub const NAME_BYTES_MAX: usize = 255;

/// What of a DAG is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PinKind {
    /// The block alone.
    Direct,
    /// The block and all below it.
    Recursive,
}

/// Content that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The root.
    pub cid: Cid,
    /// How much.
    pub kind: PinKind,
    /// A name for people; empty for none.
    pub name: String,
}

/// Why a pin was not set or removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// A direct pin of what is pinned with all below it.
    #[error("{0} is pinned recursively already; remove that pin first to keep the block alone")]
    Recursive(Box<Cid>),
    /// The same bytes are pinned, read in another way.
    #[error("the same bytes are pinned as {0}; remove that pin first")]
    OtherCodec(Box<Cid>),
    /// The name is too long.
    #[error("the name has {0} bytes; a pin's name has at most {NAME_BYTES_MAX}")]
    Name(usize),
    /// There is no such pin.
    #[error("{0} is not pinned; `rustle pin ls` lists what is")]
    NotPinned(Box<Cid>),
    /// It is pinned in the other way.
    #[error("{0} is pinned recursively; say so to remove that pin (without --direct)")]
    NotDirect(Box<Cid>),
}

// === impl PinKind ===

impl PinKind {
    const fn letter(self) -> u8 {
        match self {
            Self::Recursive => b'r',
            Self::Direct => b'd',
        }
    }

    fn key(self, hash: &Multihash) -> Vec<u8> {
        let mut key = vec![self.letter()];
        key.extend(hash.to_bytes());
        key
    }
}

// === impl Pin ===

impl Pin {
    /// A pin without a name.
    pub fn new(cid: Cid, kind: PinKind) -> Self {
        Self {
            cid,
            kind,
            name: String::new(),
        }
    }

    /// Key of its record. Pins are listed in the order of their keys, the direct ones first.
    pub fn key(&self) -> Vec<u8> {
        self.kind.key(self.cid.hash())
    }

    /// Sets the pin, in the place of the one that [`check`] has allowed to replace.
    pub fn put(&self, batch: &mut Batch) {
        let other = match self.kind {
            PinKind::Recursive => PinKind::Direct,
            PinKind::Direct => PinKind::Recursive,
        };
        batch.delete(Table::Pins, other.key(self.cid.hash()));
        let mut value = self.cid.to_bytes();
        value.extend_from_slice(self.name.as_bytes());
        batch.put(Table::Pins, self.key(), value);
    }

    /// Removes the pin.
    pub fn remove(&self, batch: &mut Batch) {
        batch.delete(Table::Pins, self.key());
    }

    fn read(key: &[u8], value: &[u8]) -> Option<Self> {
        let (letter, hash) = key.split_first()?;
        let kind = [PinKind::Recursive, PinKind::Direct]
            .into_iter()
            .find(|kind| kind.letter() == *letter)?;
        let hash = Multihash::from_bytes(hash).ok()?;
        if value.is_empty() {
            return Some(Self::new(Cid::new_v1(CODEC_DAG_PB, hash), kind));
        }
        let mut rest = value;
        let cid = Cid::read_bytes(&mut rest).ok()?;
        let name = String::from_utf8(rest.to_vec()).ok()?;
        (cid.hash() == &hash).then_some(Self { cid, kind, name })
    }
}

/// The pin of this content, under whatever CID.
pub fn find(store: &dyn Store, cid: &Cid) -> Result<Option<Pin>, StoreError> {
    for kind in [PinKind::Recursive, PinKind::Direct] {
        let key = kind.key(cid.hash());
        if let Some(value) = store.record(Table::Pins, &key)? {
            return read(&key, &value).map(Some);
        }
    }
    Ok(None)
}

/// Whether `wanted` may be set where `found` is: a recursive pin takes the place of a direct one, and the same pin may be
/// given another name.
pub fn check(found: Option<&Pin>, wanted: &Pin) -> Result<(), PinError> {
    if NAME_BYTES_MAX < wanted.name.len() {
        return Err(PinError::Name(wanted.name.len()));
    }
    match found {
        Some(found) if found.cid.codec() != wanted.cid.codec() => {
            Err(PinError::OtherCodec(Box::new(found.cid)))
        }
        Some(found) if found.kind == PinKind::Recursive && wanted.kind == PinKind::Direct => {
            Err(PinError::Recursive(Box::new(found.cid)))
        }
        _ => Ok(()),
    }
}

/// The pin that is to be removed: one of `kind`, or of any where that is not given.
pub fn removed(found: Option<Pin>, cid: &Cid, kind: Option<PinKind>) -> Result<Pin, PinError> {
    match found {
        Some(found) if kind.is_none_or(|kind| kind == found.kind) => Ok(found),
        Some(found) if found.kind == PinKind::Recursive => Err(PinError::NotDirect(Box::new(*cid))),
        _ => Err(PinError::NotPinned(Box::new(*cid))),
    }
}

/// Pins in key order behind the key `after`, at most `limit`; of one kind, where it is given.
pub fn page(
    store: &dyn Store,
    kind: Option<PinKind>,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Pin>, StoreError> {
    let prefix = kind.map_or(Vec::new(), |kind| vec![kind.letter()]);
    let mut scan = Scan::prefix(&prefix, limit);
    if let Some(after) = after.filter(|after| **after >= *prefix) {
        let mut from = after.to_vec();
        from.push(0);
        scan = scan.from_key(from);
    }
    let records = store.scan(Table::Pins, &scan)?;
    records.iter().map(|(key, value)| read(key, value)).collect()
}

/// A record that cannot be read is no pin that may be forgotten: whoever collects garbage has to stop.
fn read(key: &[u8], value: &[u8]) -> Result<Pin, StoreError> {
    Pin::read(key, value).ok_or_else(|| StoreError::Io("a pin's record cannot be read".to_owned()))
}

#[cfg(test)]
mod tests {
    use rustle_types::content::{CODEC_RAW, HashFunction};

    use super::*;
    use crate::{Durability, MemoryStore};

    fn pin(content: &str, kind: PinKind, name: &str) -> Pin {
        let hash = HashFunction::Blake3.digest(content.as_bytes());
        Pin {
            name: name.to_owned(),
            ..Pin::new(Cid::new_v1(CODEC_RAW, hash), kind)
        }
    }

    fn set(store: &MemoryStore, pin: &Pin) -> Result<(), PinError> {
        check(find(store, &pin.cid).unwrap().as_ref(), pin)?;
        let mut batch = Batch::new();
        pin.put(&mut batch);
        store.commit(batch, Durability::Synced).unwrap();
        Ok(())
    }

    #[test]
    fn a_pin_is_found_listed_and_renamed() {
        let store = MemoryStore::new();
        let (one, two) = (
            pin("one", PinKind::Recursive, ""),
            pin("two", PinKind::Direct, "täglich"),
        );
        assert_eq!(find(&store, &one.cid), Ok(None));
        set(&store, &one).unwrap();
        set(&store, &two).unwrap();
        assert_eq!(find(&store, &one.cid), Ok(Some(one.clone())));
        assert_eq!(page(&store, None, None, 9), Ok(vec![two.clone(), one.clone()]));
        assert_eq!(page(&store, None, Some(&two.key()), 9), Ok(vec![one.clone()]));
        assert_eq!(
            page(&store, Some(PinKind::Recursive), None, 9),
            Ok(vec![one.clone()])
        );
        assert_eq!(
            page(&store, Some(PinKind::Recursive), Some(&two.key()), 9),
            Ok(vec![one.clone()])
        );
        assert_eq!(
            page(&store, Some(PinKind::Direct), Some(&two.key()), 9),
            Ok(vec![])
        );

        let renamed = pin("one", PinKind::Recursive, "first");
        set(&store, &renamed).unwrap();
        assert_eq!(find(&store, &one.cid), Ok(Some(renamed)));
    }

    #[test]
    fn kinds_replace_each_other_as_in_kubo() {
        let store = MemoryStore::new();
        let (direct, recursive) = (pin("x", PinKind::Direct, ""), pin("x", PinKind::Recursive, ""));
        set(&store, &direct).unwrap();
        set(&store, &recursive).unwrap();
        assert_eq!(page(&store, None, None, 9), Ok(vec![recursive.clone()]));
        assert_eq!(
            set(&store, &direct),
            Err(PinError::Recursive(Box::new(direct.cid)))
        );
        let found = || find(&store, &direct.cid).unwrap();
        let cid = &direct.cid;
        assert!(matches!(
            removed(found(), cid, Some(PinKind::Direct)),
            Err(PinError::NotDirect(_))
        ));
        assert_eq!(removed(found(), cid, None), Ok(recursive));
        assert!(matches!(removed(None, cid, None), Err(PinError::NotPinned(_))));
        let as_folder = Pin::new(Cid::new_v1(CODEC_DAG_PB, *cid.hash()), PinKind::Recursive);
        assert!(matches!(set(&store, &as_folder), Err(PinError::OtherCodec(_))));
        let named = pin("y", PinKind::Direct, &"n".repeat(NAME_BYTES_MAX + 1));
        assert_eq!(set(&store, &named), Err(PinError::Name(NAME_BYTES_MAX + 1)));
    }

    #[test]
    fn a_pin_of_an_early_version_is_read_and_nonsense_is_told() {
        let store = MemoryStore::new();
        let hash = HashFunction::Sha2_256.digest(b"root");
        let mut batch = Batch::new();
        batch.put(Table::Pins, PinKind::Recursive.key(&hash), Vec::new());
        store.commit(batch, Durability::Synced).unwrap();
        let old = Pin::new(Cid::new_v1(CODEC_DAG_PB, hash), PinKind::Recursive);
        assert_eq!(page(&store, None, None, 9), Ok(vec![old]));

        let mut batch = Batch::new();
        batch.put(Table::Pins, b"r\x01".to_vec(), Vec::new());
        store.commit(batch, Durability::Synced).unwrap();
        assert!(matches!(page(&store, None, None, 9), Err(StoreError::Io(_))));
    }
}
