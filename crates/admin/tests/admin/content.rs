//! A node's content: files by their whole bytes, blocks by their CID.

use bytes::{Bytes, BytesMut};
use futures::stream::{self, StreamExt as _};
use rustle_admin::fault::reason;
use rustle_admin::views::*;
use rustle_admin::{ContentBackend, Fault, FaultKind, Flow};
use rustle_types::content::HashFunction;
use rustle_types::{BlockId, Cid};
use rustle_unixfs::{Metadata, ModifiedAt};

use crate::fake::Fake;

fn absent() -> Fault {
    Fault::new(
        FaultKind::DeadlineExceeded,
        reason::CONTENT_NOT_FOUND,
        "nobody has it",
    )
}

impl Fake {
    fn keep(&self, bytes: Bytes) -> Cid {
        let cid = BlockId::of(&bytes).cid();
        self.files
            .lock()
            .expect("no panic while locked")
            .push((cid, bytes));
        cid
    }

    fn kept(&self, cid: Cid) -> Result<Bytes, Fault> {
        let files = self.files.lock().expect("no panic while locked");
        let found = files.iter().find(|(other, _)| *other == cid);
        found.map(|(_, bytes)| bytes.clone()).ok_or_else(absent)
    }
}

impl ContentBackend for Fake {
    async fn add(&self, options: AddOptions, mut parts: Flow<AddPart>) -> Result<Flow<AddNews>, Fault> {
        let (mut whole, mut blocks, mut news) = (BytesMut::new(), 0, Vec::new());
        while let Some(part) = parts.next().await {
            match part {
                Ok(AddPart::Chunk(chunk)) => {
                    whole.extend_from_slice(&chunk);
                    blocks += 1;
                }
                Ok(AddPart::Entry(entry)) => {
                    self.note(&entry);
                    let kind = match entry.body {
                        EntryBody::File => EntryKind::File,
                        EntryBody::Folder => EntryKind::Folder,
                        EntryBody::Symlink(_) => EntryKind::Symlink,
                    };
                    news.push(Ok(AddNews::Entry(AddedEntry {
                        path: entry.path,
                        cid: BlockId::of(b"entry").cid(),
                        bytes: 0,
                        kind,
                    })));
                }
                Err(fault) => {
                    self.note(("broken", fault.reason));
                    return Ok(stream::iter([Err(fault)]).boxed());
                }
            }
        }
        self.note(("add", options, whole.len()));
        let bytes = whole.len() as u64;
        let cid = self.keep(whole.freeze());
        let root = AddedEntry {
            path: Bytes::new(),
            cid,
            bytes,
            kind: EntryKind::File,
        };
        news.push(Ok(AddNews::Roots(AddedRoots {
            roots: vec![root],
            bytes,
            blocks,
        })));
        Ok(stream::iter(news).boxed())
    }

    async fn cat(&self, query: FileQuery) -> Result<Flow<Bytes>, Fault> {
        self.note(("cat", &query));
        let bytes = match self.kept(query.path.root) {
            Ok(bytes) => bytes,
            // Found out only after the answer has begun, as in a real node.
            Err(fault) => return Ok(stream::iter([Err(fault)]).boxed()),
        };
        let start = usize::try_from(query.offset).expect("small").min(bytes.len());
        let length = query.length.map_or(usize::MAX, |length| length as usize);
        let end = start.saturating_add(length).min(bytes.len());
        Ok(stream::iter([Ok(bytes.slice(start..end))]).boxed())
    }

    async fn get(&self, query: PathQuery) -> Result<Flow<GetPart>, Fault> {
        let bytes = self.kept(query.path.root)?;
        let entry = GetEntry {
            path: Bytes::new(),
            kind: EntryKind::File,
            bytes: bytes.len() as u64,
            metadata: Metadata {
                mode: Some(0o640),
                mtime: Some(ModifiedAt {
                    seconds: -1,
                    nanos: Some(7),
                }),
            },
            target: Bytes::new(),
            cid: query.path.root,
        };
        Ok(stream::iter([Ok(GetPart::Entry(entry)), Ok(GetPart::Chunk(bytes))]).boxed())
    }

    async fn list(&self, query: ListQuery) -> Result<Flow<ListEntry>, Fault> {
        self.note(("list", &query));
        let entry = |name: &'static str, kind, bytes| ListEntry {
            name: name.into(),
            cid: query.path.root,
            tsize: 9,
            kind,
            bytes,
        };
        let entries = [
            entry("file", EntryKind::File, Some(7)),
            entry("folder", EntryKind::Folder, None),
            entry("thing", EntryKind::Other, None),
            entry("unseen", EntryKind::Unknown, None),
        ];
        Ok(stream::iter(entries.map(Ok)).boxed())
    }

    async fn stat(&self, query: PathQuery) -> Result<ContentStat, Fault> {
        Ok(ContentStat {
            cid: query.path.root,
            kind: EntryKind::Symlink,
            bytes: 1,
            tsize: 2,
            block_bytes: 3,
            links: 4,
            is_sharded: true,
            metadata: Metadata::NONE,
            target: "../there".into(),
            codec: "dag-pb".to_owned(),
        })
    }

    async fn export_car(&self, query: PathQuery) -> Result<Flow<CarPart>, Fault> {
        let root = query.path.root;
        let bytes = self.kept(root)?;
        let end = CarPart::End {
            root,
            blocks: 1,
            bytes: bytes.len() as u64,
        };
        Ok(stream::iter([Ok(CarPart::Chunk(bytes)), Ok(end)]).boxed())
    }

    async fn import_car(&self, pin: bool, mut input: Flow<Bytes>) -> Result<CarImported, Fault> {
        let mut whole = BytesMut::new();
        while let Some(piece) = input.next().await {
            whole.extend_from_slice(&piece?);
        }
        let bytes = whole.len() as u64;
        Ok(CarImported {
            roots: vec![self.keep(whole.freeze())],
            blocks: 1,
            bytes,
            is_pinned: pin,
        })
    }

    async fn dag_get(&self, query: DagQuery) -> Result<Bytes, Fault> {
        self.note(("dag", &query));
        self.kept(query.path.root)
    }

    async fn dag_put(&self, value: NewValue) -> Result<StoredBlock, Fault> {
        self.note(("value", value.form, value.hash, value.pin));
        let bytes = value.value.len() as u64;
        let cid = self.keep(value.value);
        Ok(StoredBlock { cid, bytes })
    }

    async fn dag_stat(&self, query: PathQuery) -> Result<Flow<DagCount>, Fault> {
        let count = |blocks, is_done| DagCount {
            cid: query.path.root,
            blocks,
            bytes: 10 * blocks,
            is_done,
        };
        Ok(stream::iter([Ok(count(1, false)), Ok(count(2, true))]).boxed())
    }

    async fn block_get(&self, query: BlockQuery) -> Result<Bytes, Fault> {
        self.kept(query.cid)
    }

    async fn block_put(&self, block: NewBlock) -> Result<StoredBlock, Fault> {
        assert_eq!(block.hash, HashFunction::Blake3, "as it was sent");
        self.note(("block", block.codec, block.is_v0, block.pin));
        let bytes = block.data.len() as u64;
        let cid = self.keep(block.data);
        Ok(StoredBlock { cid, bytes })
    }

    async fn block_stat(&self, query: BlockQuery) -> Result<StoredBlock, Fault> {
        let bytes = self.kept(query.cid)?.len() as u64;
        Ok(StoredBlock {
            cid: query.cid,
            bytes,
        })
    }

    async fn block_remove(&self, cid: Cid) -> Result<(), Fault> {
        self.kept(cid)?;
        self.files
            .lock()
            .expect("no panic while locked")
            .retain(|(other, _)| *other != cid);
        Ok(())
    }
}
