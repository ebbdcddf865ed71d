//! A root in, a CAR out; a CAR in, its blocks kept.

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use rustle_admin::views::{CarImported, CarPart, PathQuery};
use rustle_admin::{Fault, Flow};
use rustle_car::{Block, CarError, Item, Reader, encode_header, encode_section};
use rustle_ipld::Walker;
use rustle_types::Cid;

use super::flow::{Outlet, produce_checked};
use super::intake::Intake;
use super::pinned::announce;
use super::pull::Pull;
use super::resolve::resolve_block;
use super::supply::Supply;
use crate::faults;
use crate::shared::Shared;

/// Sections that are sent together: many blocks are small.
const PORTION_BYTES: usize = 256 * 1024;

/// Writes all blocks below a root; see [`rustle_admin::ContentBackend::export_car`].
pub(crate) async fn export_car(shared: &Shared, query: PathQuery) -> Result<Flow<CarPart>, Fault> {
    let mut supply = Supply::new(shared, query.timeout);
    produce_checked(shared, move |outlet| async move {
        let root = resolve_block(&mut supply, &query.path).await?;
        let mut export = Export {
            outlet,
            portion: BytesMut::new(),
            bytes: 0,
        };
        export.write(encode_header(&[root]).map_err(faults::car)?).await?;
        let mut walk = Pull::new(Walker::new(&[root]));
        let mut blocks = 0;
        while let Some((cid, bytes)) = supply.next(&mut walk).await? {
            for part in encode_section(&Block { cid, bytes }) {
                export.write(part).await?;
            }
            blocks += 1;
        }
        export.flush().await?;
        let bytes = export.bytes;
        let end = CarPart::End { root, blocks, bytes };
        export.outlet.send(end).await
    })
    .await
}

/// A CAR that is being written.
struct Export {
    outlet: Outlet<CarPart>,
    portion: BytesMut,
    bytes: u64,
}

// === impl Export ===

impl Export {
    async fn write(&mut self, part: Bytes) -> Result<(), Fault> {
        self.bytes += part.len() as u64;
        if PORTION_BYTES <= part.len() {
            self.flush().await?;
            return self.outlet.send(CarPart::Chunk(part)).await;
        }
        self.portion.extend_from_slice(&part);
        if PORTION_BYTES <= self.portion.len() {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Fault> {
        if self.portion.is_empty() {
            return Ok(());
        }
        let portion = self.portion.split().freeze();
        self.outlet.send(CarPart::Chunk(portion)).await
    }
}

/// Reads blocks; see [`rustle_admin::ContentBackend::import_car`].
pub(crate) async fn import_car(
    shared: &Shared,
    pin: bool,
    mut input: Flow<Bytes>,
) -> Result<CarImported, Fault> {
    let mut intake = Intake::new(shared, true);
    let mut reader = Reader::new();
    let (mut roots, mut bytes) = (Vec::new(), 0);
    while let Some(piece) = input.next().await {
        let (back, items) = check(reader, piece?).await?;
        reader = back;
        for item in items? {
            match item {
                Item::Roots(named) => roots = named,
                Item::Block(block) => {
                    bytes += block.bytes.len() as u64;
                    intake.put(block.cid, block.bytes).await?;
                }
            }
        }
    }
    reader.finish().map_err(faults::car)?;
    let blocks = intake.blocks;
    let pins: &[Cid] = if pin { &roots } else { &[] };
    intake.finish_walked(pins).await?;
    for root in &roots {
        announce(shared, *root, pin).await;
    }
    Ok(CarImported {
        roots,
        blocks,
        bytes,
        is_pinned: pin,
    })
}

/// Reads what is whole, on a thread that may be busy with hashing.
async fn check(mut reader: Reader, piece: Bytes) -> Result<(Reader, Result<Vec<Item>, Fault>), Fault> {
    let checked = tokio::task::spawn_blocking(move || {
        reader.push(&piece);
        let items: Result<Vec<Item>, CarError> = std::iter::from_fn(|| reader.poll().transpose()).collect();
        (reader, items.map_err(faults::car))
    });
    checked.await.map_err(|error| faults::internal(&error))
}
