//! A path in, the bytes of its file out.

use bytes::Bytes;
use rustle_admin::views::FileQuery;
use rustle_admin::{Fault, Flow};
use rustle_unixfs::Reader;

use super::flow::produce_checked;
use super::pull::Pull;
use super::resolve::resolve_block;
use super::supply::Supply;
use crate::shared::Shared;

/// Reads a file; see [`rustle_admin::ContentBackend::cat`]. Whether it is a file at all is known before this returns.
pub(crate) async fn cat(shared: &Shared, query: FileQuery) -> Result<Flow<Bytes>, Fault> {
    let mut supply = Supply::new(shared, query.timeout);
    produce_checked(shared, move |outlet| async move {
        let cid = resolve_block(&mut supply, &query.path).await?;
        let mut reader = Pull::new(Reader::with_range(cid, query.offset, query.length));
        while let Some(bytes) = supply.next(&mut reader).await? {
            outlet.send(bytes).await?;
        }
        Ok(())
    })
    .await
}
