//! What does one block of a folder hold?

use std::collections::HashSet;

use bytes::Bytes;
use rustle_types::Cid;
use rustle_types::content::{CODEC_DAG_PB, CODEC_RAW, HASH_IDENTITY};

use super::ListError;
use crate::dagpb::{Link, Node};
use crate::folder::{FolderError, check_name};
use crate::hamt::{Place, Slot, read_shard};
use crate::unixfs::{Data, Kind};

/// The block that stands in the CID itself, where one does.
pub(super) fn inline(cid: &Cid) -> Option<Bytes> {
    let hash = cid.hash();
    (hash.code() == HASH_IDENTITY).then(|| Bytes::copy_from_slice(hash.digest()))
}

/// Decodes a dag-pb node with UnixFS data.
pub(super) fn read_node(cid: Cid, bytes: Bytes) -> Result<(Node, Data), ListError> {
    let what = match cid.codec() {
        CODEC_DAG_PB => None,
        CODEC_RAW => Some("a file"),
        _ => Some("a block whose codec is neither raw nor dag-pb"),
    };
    if let Some(what) = what {
        return Err(ListError::NotAFolder { cid, what });
    }
    let malformed = |error| ListError::Malformed {
        cid,
        error: Box::new(error),
    };
    let mut node = Node::decode(bytes).map_err(malformed)?;
    let Some(data) = node.data.take() else {
        return Err(ListError::NotAFolder {
            cid,
            what: "a dag-pb node without UnixFS data",
        });
    };
    let data = Data::decode(data).map_err(malformed)?;
    Ok((node, data))
}

/// Reads a folder's root, or the shard at `place`.
pub(super) fn read_level(cid: Cid, place: Option<Place>, bytes: Bytes) -> Result<Vec<Slot>, ListError> {
    let (node, data) = read_node(cid, bytes)?;
    let not_a_folder = |what| ListError::NotAFolder { cid, what };
    match (data.kind, place) {
        (Kind::HamtShard, place) => {
            read_shard(place.unwrap_or_default(), node, &data).map_err(|why| ListError::BadShard { cid, why })
        }
        (_, Some(_)) => Err(ListError::BadShard {
            cid,
            why: "a shard leads to something else than a shard",
        }),
        (Kind::Directory, None) => read_plain(cid, node.links),
        (Kind::File | Kind::Raw, None) => Err(not_a_folder("a file")),
        (Kind::Symlink, None) => Err(not_a_folder("a symbolic link")),
        (Kind::Metadata, None) => Err(not_a_folder("UnixFS metadata")),
    }
}

fn read_plain(cid: Cid, links: Vec<Link>) -> Result<Vec<Slot>, ListError> {
    let mut seen = HashSet::with_capacity(links.len());
    links
        .into_iter()
        .map(|link| {
            let name = link.name.clone();
            let error = match check_name(&name) {
                Err(why) => FolderError::Name { name, why },
                Ok(()) if !seen.insert(name.clone()) => FolderError::Twice(name),
                Ok(()) => return Ok(Slot::Entry { name, link }),
            };
            let error = Box::new(error);
            Err(ListError::BadEntry { cid, error })
        })
        .collect()
}
