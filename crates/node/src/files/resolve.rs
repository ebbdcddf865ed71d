//! What does a path name?
//!
//! Names lead through folders, sharded ones too, and through maps, lists and links of other blocks.

use bytes::Bytes;
use rustle_admin::Fault;
use rustle_ipld::{Ipld, Selected};
use rustle_types::Cid;
use rustle_types::content::CODEC_DAG_PB;
use rustle_unixfs::{ContentPath, Resolver, Stat, StatKind};

use super::pull::Pull;
use super::supply::Supply;
use crate::faults;

/// Links that are followed on one path.
const LINKS_MAX: usize = 4096;

/// What a path names: a block, or a value in it.
pub(super) struct Named {
    pub(super) cid: Cid,
    pub(super) value: Option<Ipld>,
}

/// The block or value that a path names.
pub(super) async fn resolve(supply: &mut Supply, path: &ContentPath) -> Result<Named, Fault> {
    let (mut cid, mut names) = (path.root, &path.names[..]);
    for _ in 0..LINKS_MAX {
        if names.is_empty() {
            return Ok(Named { cid, value: None });
        }
        let bytes = supply.block(cid).await?;
        if is_folder(cid, &bytes) {
            let step = ContentPath {
                root: cid,
                names: names[..1].to_vec(),
            };
            let mut pull = Pull::new(Resolver::new(step));
            if let Some(found) = supply.next(&mut pull).await? {
                (cid, names) = (found, &names[1..]);
            }
            continue;
        }
        let value = rustle_ipld::decode(&cid, bytes).map_err(faults::ipld)?;
        match rustle_ipld::select(value, names).map_err(faults::ipld)? {
            Selected::Link { cid: next, used } => (cid, names) = (next, &names[used..]),
            Selected::Value(value) => {
                return Ok(Named {
                    cid,
                    value: Some(value),
                });
            }
        }
    }
    Err(Fault::bad_content(format!(
        "more than {LINKS_MAX} links lie on the path"
    )))
}

/// As [`resolve`], where a value will not do.
pub(super) async fn resolve_block(supply: &mut Supply, path: &ContentPath) -> Result<Cid, Fault> {
    match resolve(supply, path).await? {
        Named { cid, value: None } => Ok(cid),
        Named { cid, .. } => Err(Fault::bad_content(format!(
            "`{path}` is a value inside {cid}, not a block; read it with `rustle dag get`"
        ))),
    }
}

fn is_folder(cid: Cid, bytes: &Bytes) -> bool {
    cid.codec() == CODEC_DAG_PB
        && Stat::of(cid, bytes.clone())
            .is_ok_and(|stat| matches!(stat.kind, StatKind::Folder | StatKind::ShardedFolder))
}
