//! A path in, a value out; a value in, its block kept.

use bytes::Bytes;
use rustle_admin::fault::reason;
use rustle_admin::views::{DagCount, DagForm, DagQuery, NewValue, PathQuery, StoredBlock};
use rustle_admin::{Fault, FaultKind, Flow};
use rustle_ipld::{Ipld, IpldError, Walker};
use rustle_types::Cid;
use rustle_types::content::{CODEC_DAG_CBOR, HashFunction};
use rustle_types::limits::CONTENT_BLOCK_BYTES_MAX;

use super::flow::produce_checked;
use super::intake::Intake;
use super::pinned::announce;
use super::pull::Pull;
use super::resolve::{resolve, resolve_block};
use super::supply::Supply;
use crate::faults;
use crate::shared::Shared;

/// Blocks after which a count is told.
const COUNTED_MAX: u64 = 1000;

/// Shows a value; see [`rustle_admin::ContentBackend::dag_get`].
pub(crate) async fn dag_get(shared: &Shared, query: DagQuery) -> Result<Bytes, Fault> {
    let mut supply = Supply::new(shared, query.timeout);
    let named = resolve(&mut supply, &query.path).await?;
    let form = query.form;
    let block = match &named.value {
        None => supply.block(named.cid).await?,
        Some(_) => Bytes::new(),
    };
    let shown = tokio::task::spawn_blocking(move || show(named.cid, named.value, block, form));
    shown.await.map_err(|error| faults::internal(&error))?
}

fn show(cid: Cid, value: Option<Ipld>, block: Bytes, form: DagForm) -> Result<Bytes, Fault> {
    // A value inside a block is shown as the block that it would be alone.
    let (cid, block) = match value {
        None => (cid, block),
        Some(value) => {
            let block = rustle_ipld::encode_dag_cbor(&value).map_err(faults::ipld)?;
            (Cid::new_v1(CODEC_DAG_CBOR, *cid.hash()), block)
        }
    };
    match form {
        DagForm::Json => {
            let text = rustle_ipld::to_dag_json(&cid, block).map_err(faults::ipld)?;
            Ok(text.into())
        }
        DagForm::Cbor => {
            let value = rustle_ipld::decode(&cid, block).map_err(faults::ipld)?;
            rustle_ipld::encode_dag_cbor(&value).map_err(faults::ipld)
        }
    }
}

/// Keeps a value; see [`rustle_admin::ContentBackend::dag_put`].
pub(crate) async fn dag_put(shared: &Shared, new: NewValue) -> Result<StoredBlock, Fault> {
    let NewValue {
        value,
        form,
        hash,
        pin,
    } = new;
    let made = tokio::task::spawn_blocking(move || {
        let block = encode(value, form)?;
        Ok((Cid::new_v1(CODEC_DAG_CBOR, hash.digest(&block)), block))
    });
    let (cid, block) = made.await.map_err(|error| faults::internal(&error))??;
    let bytes = block.len() as u64;
    let mut intake = Intake::new(shared, true);
    intake.put(cid, block).await?;
    intake.finish_walked(pin.then_some(cid).as_slice()).await?;
    announce(shared, cid, pin).await;
    Ok(StoredBlock { cid, bytes })
}

fn encode(value: Bytes, form: DagForm) -> Result<Bytes, Fault> {
    match form {
        DagForm::Json => {
            let no_text = |error: std::str::Utf8Error| bad_value(IpldError::Text(error.to_string()));
            let text = std::str::from_utf8(&value).map_err(no_text)?;
            rustle_ipld::to_dag_cbor(text).map_err(bad_value)
        }
        DagForm::Cbor if CONTENT_BLOCK_BYTES_MAX < value.len() => {
            Err(bad_value(IpldError::BlockTooLong(value.len())))
        }
        DagForm::Cbor => {
            let digest = HashFunction::default().digest(&value);
            let cid = Cid::new_v1(CODEC_DAG_CBOR, digest);
            rustle_ipld::decode(&cid, value.clone()).map_err(bad_value)?;
            Ok(value)
        }
    }
}

fn bad_value(error: IpldError) -> Fault {
    Fault::new(FaultKind::InvalidArgument, reason::BAD_CONTENT, error.to_string())
}

/// Counts the blocks below a root; see [`rustle_admin::ContentBackend::dag_stat`].
pub(crate) async fn dag_stat(shared: &Shared, query: PathQuery) -> Result<Flow<DagCount>, Fault> {
    let mut supply = Supply::new(shared, query.timeout);
    produce_checked(shared, move |outlet| async move {
        let cid = resolve_block(&mut supply, &query.path).await?;
        let mut count = DagCount {
            cid,
            blocks: 0,
            bytes: 0,
            is_done: false,
        };
        let mut walk = Pull::new(Walker::new(&[cid]));
        while let Some((_, bytes)) = supply.next(&mut walk).await? {
            count.blocks += 1;
            count.bytes += bytes.len() as u64;
            if count.blocks.is_multiple_of(COUNTED_MAX) {
                outlet.send(count).await?;
            }
        }
        count.is_done = true;
        outlet.send(count).await
    })
    .await
}
