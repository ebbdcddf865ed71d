//! The calls of service `Content` beside the plain file.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rustle_admin::fault::reason;
use rustle_admin::views::*;
use rustle_admin::{CHUNK_BYTES_MAX, ClientError, FaultKind, parse};
use rustle_types::BlockId;
use rustle_types::content::{CODEC_DAG_CBOR, HashFunction};
use rustle_unixfs::{Metadata, ModifiedAt};

use crate::{Running, SOON};

fn query(cid: rustle_types::Cid) -> PathQuery {
    PathQuery {
        path: parse::path(&cid.to_string()).expect("a CID is a path"),
        timeout: SOON,
    }
}

#[tokio::test]
async fn a_tree_keeps_paths_kinds_and_metadata() {
    let running = Running::start().await;
    let client = running.client().await;
    let entry = |path: &'static str, body| {
        Ok(AddPart::Entry(AddEntry {
            path: path.into(),
            body,
            metadata: Metadata {
                mode: Some(0o750),
                mtime: Some(ModifiedAt {
                    seconds: -5,
                    nanos: Some(9),
                }),
            },
        }))
    };
    let parts = [
        entry("folder", EntryBody::Folder),
        entry("folder/file", EntryBody::File),
        Ok(AddPart::Chunk(vec![7; CHUNK_BYTES_MAX + 1].into())),
        entry("folder/link", EntryBody::Symlink("../there".into())),
    ];
    let options = AddOptions {
        choices: ImportChoices {
            profile: Profile::V1Of2025,
            cid_version: Some(1),
            raw_leaves: Some(false),
            chunk_bytes: Some(1000),
            hash: HashFunction::Blake3,
            inline_bytes: 16,
        },
        wrap: true,
        only_hash: true,
        pin: false,
        each_entry: true,
    };

    let news = client.add_parts(options, stream::iter(parts)).await.unwrap();
    let news: Vec<AddNews> = news.try_collect().await.unwrap();

    let paths: Vec<_> = news
        .iter()
        .filter_map(|news| match news {
            AddNews::Entry(entry) => Some((&entry.path[..], entry.kind)),
            AddNews::Roots(_) => None,
        })
        .collect();
    assert_eq!(
        paths,
        [
            (&b"folder"[..], EntryKind::Folder),
            (b"folder/file", EntryKind::File),
            (b"folder/link", EntryKind::Symlink)
        ]
    );
    let Some(AddNews::Roots(roots)) = news.last() else {
        panic!("the roots come last")
    };
    assert_eq!(roots.bytes, CHUNK_BYTES_MAX as u64 + 1);
    let asked = running.fake.asked();
    assert!(asked.contains(&format!("{options:?}")), "{asked}");
    assert!(
        asked.contains("../there") && asked.contains("-5") && asked.contains("488"),
        "{asked}"
    );
}

#[tokio::test]
async fn paths_that_leave_their_folder_are_refused() {
    let running = Running::start().await;
    let client = running.client().await;
    for path in ["../a", "/etc/passwd", "a//b", "", "a/..", "a\0"] {
        let entry = AddEntry {
            path: Bytes::copy_from_slice(path.as_bytes()),
            body: EntryBody::File,
            metadata: Metadata::NONE,
        };
        let parts = stream::iter([Ok(AddPart::Entry(entry))]);
        let options = AddOptions::from(ImportChoices::default());
        let news = client.add_parts(options, parts).await.unwrap();
        let error = news.try_collect::<Vec<_>>().await.unwrap_err();
        let refusal = error.refusal().unwrap();
        assert_eq!(
            (refusal.kind, &refusal.reason[..]),
            (FaultKind::InvalidArgument, reason::BAD_PATH),
            "{path}"
        );
        assert!(!error.is_usage(), "the data is wrong, not the command");
    }
    assert!(running.fake.files.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_read_comes_as_it_is() {
    let running = Running::start().await;
    let client = running.client().await;
    let file: Bytes = vec![7; 2 * CHUNK_BYTES_MAX + 5].into();
    let cid = client.add_bytes(Profile::V0, file.clone()).await.unwrap().cid;

    let parts: Vec<GetPart> = client
        .get(&query(cid))
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let GetPart::Entry(entry) = &parts[0] else {
        panic!("{parts:?}")
    };
    assert_eq!(entry.metadata.mode, Some(0o640));
    let mtime = ModifiedAt {
        seconds: -1,
        nanos: Some(7),
    };
    assert_eq!(entry.metadata.mtime, Some(mtime));
    assert_eq!(parts.len(), 4, "three chunks of at most a megabyte");

    let list = ListQuery {
        path: query(cid).path,
        timeout: SOON,
        names_only: true,
    };
    let entries: Vec<ListEntry> = client.list(&list).await.unwrap().try_collect().await.unwrap();
    assert_eq!(entries.len(), 4);
    assert_eq!(entries[0].bytes, Some(7));
    assert_eq!(entries[2].kind, EntryKind::Other);
    assert!(running.fake.asked().contains("names_only: true"));

    let stat = client.stat(&query(cid)).await.unwrap();
    assert_eq!(
        (stat.kind, &stat.target[..]),
        (EntryKind::Symlink, &b"../there"[..])
    );
    assert!(stat.is_sharded);

    let mut counts = client.dag_stat(&query(cid)).await.unwrap();
    let mut last = None;
    while let Some(count) = counts.next().await {
        last = Some(count.unwrap());
    }
    assert!(last.is_some_and(|count| count.is_done && count.blocks == 2));
}

#[tokio::test]
async fn blocks_values_and_cars_go_both_ways() {
    let running = Running::start().await;
    let client = running.client().await;
    let block = |data: &'static [u8]| NewBlock {
        data: data.into(),
        codec: CODEC_DAG_CBOR,
        hash: HashFunction::Blake3,
        is_v0: true,
        pin: true,
    };
    let stored = client.block_put(block(b"block")).await.unwrap();
    let ask = BlockQuery {
        cid: stored.cid,
        timeout: SOON,
    };
    assert_eq!(client.block_get(ask).await.unwrap(), &b"block"[..]);
    assert_eq!(client.block_stat(ask).await.unwrap(), stored);
    client.block_remove(stored.cid).await.unwrap();
    assert!(client.block_get(ask).await.is_err());
    let unknown = NewBlock {
        codec: 0x78,
        ..block(b"git")
    };
    let refused = client.block_put(unknown).await.unwrap_err();
    assert!(
        refused.to_string().contains("dag-cbor"),
        "it names those it knows: {refused}"
    );

    let value = NewValue {
        value: vec![b' '; 4 << 20].into(),
        form: DagForm::Cbor,
        hash: HashFunction::Sha2_512,
        pin: true,
    };
    let stored = client.dag_put(value).await.unwrap();
    let dag = DagQuery {
        path: query(stored.cid).path,
        timeout: SOON,
        form: DagForm::Cbor,
    };
    assert_eq!(client.dag_get(&dag).await.unwrap().len(), 4 << 20);

    let car: Bytes = vec![1; 3 << 20].into();
    let done = client
        .import_car(true, stream::iter([Ok(car.clone())]))
        .await
        .unwrap();
    assert!(done.is_pinned);
    let parts: Vec<CarPart> = client
        .export_car(&query(done.roots[0]))
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(parts.len(), 4, "three chunks and the end");

    let broken = [Ok(car), Err(std::io::Error::other("the disk is gone"))];
    let error = client.import_car(true, stream::iter(broken)).await.unwrap_err();
    assert!(matches!(error, ClientError::Input(_)), "{error}");
    let absent = query(BlockId::of(b"absent").cid());
    assert!(client.export_car(&absent).await.is_err());
}
