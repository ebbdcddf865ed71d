//! Bitswap: its messages, and both its machines under whatever peers say and when.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use rustle_bitswap::client::{Client, Input as Fact, MESSAGE_WANTS_MAX, Output, RequestId};
use rustle_bitswap::message::{FrameLength, Message, RawBlock, Version, Want, frame_length};
use rustle_bitswap::server::{PEER_WANTS_MAX, Server};
use rustle_store::{Batch, ContentStore as _, Durability, MemoryStore, Store as _};
use rustle_types::content::{CODEC_RAW, HashFunction};
use rustle_types::{Cid, Machine as _, Now, PeerId};

use crate::Target;
use crate::input::Input;

/// The first byte says what the rest is.
pub(crate) const TARGET: Target = Target {
    name: "bitswap",
    run,
    seeds,
    bytes_max: 8 * 1024,
};

const VERSIONS: [Version; 3] = [Version::V1_0, Version::V1_1, Version::V1_2];
const PEERS: usize = 5;
const BLOCKS: usize = 40;

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(3) {
        0 => message(Bytes::copy_from_slice(input.rest())),
        1 => client(input),
        _ => server(input),
    }
}

fn message(bytes: Bytes) {
    let _ = frame_length(&bytes);
    let Ok(read) = Message::decode(bytes) else {
        return;
    };
    let _ = read.blocks.iter().map(RawBlock::hash).collect::<Vec<_>>();
    for version in VERSIONS {
        let frame: Bytes = read.frame(version).concat().into();
        let Ok(FrameLength::Known { header, length }) = frame_length(&frame) else {
            panic!("what was read fits a frame");
        };
        assert_eq!(header + length, frame.len());
        let again = Message::decode(frame.slice(header..)).expect("what we write, we read");
        if version == Version::V1_2 {
            assert_eq!((&again.wants, &again.presences), (&read.wants, &read.presences));
        }
        assert_eq!(again.blocks.len(), read.blocks.len());
    }
}

fn block(number: usize) -> (Cid, Bytes) {
    let bytes = Bytes::from(vec![number as u8; 8 + 300 * number]);
    (
        Cid::new_v1(CODEC_RAW, HashFunction::Sha2_256.digest(&bytes)),
        bytes,
    )
}

fn peer(number: usize) -> PeerId {
    PeerId::from_bytes(&[0, 1, number as u8]).expect("an identity multihash is a peer id")
}

fn some(input: &mut Input<'_>, cids: &[Cid]) -> Vec<Cid> {
    (0..input.below(8))
        .map(|_| cids[input.below(cids.len())])
        .collect()
}

/// Each block that is wanted comes at most once to whoever wants it, and messages keep their bounds.
fn client(mut input: Input<'_>) {
    let cids: Vec<Cid> = (0..BLOCKS).map(|number| block(number).0).collect();
    let (mut client, mut now) = (Client::new(), Now::default());
    let mut wanted: HashMap<(RequestId, Cid), usize> = HashMap::new();
    while !input.is_empty() {
        let from = peer(input.below(PEERS));
        let request = RequestId(input.below(3) as u64);
        let fact = match input.below(8) {
            0 | 1 => {
                let cids = some(&mut input, &cids);
                for cid in &cids {
                    *wanted.entry((request, *cid)).or_default() += 1;
                }
                Fact::Want { request, cids }
            }
            2 => Fact::Cancel(request),
            3 => Fact::PeerConnected(from, VERSIONS[input.below(3)]),
            4 => Fact::PeerDisconnected(from),
            5 => {
                now.uptime = now.uptime + Duration::from_millis(u64::from(input.short()));
                client.on_deadline(now);
                continue;
            }
            _ => Fact::Received {
                peer: from,
                blocks: some(&mut input, &cids)
                    .into_iter()
                    .map(|cid| (cid, 1000))
                    .collect(),
                haves: some(&mut input, &cids),
                dont_haves: some(&mut input, &cids),
            },
        };
        client.handle(now, fact);
        while let Some(output) = client.poll_output() {
            match output {
                Output::Send { wants, .. } => {
                    assert!(wants.len() <= MESSAGE_WANTS_MAX);
                    assert_eq!(
                        Message::of_wants(wants.clone()).wants,
                        wants,
                        "one word of each block"
                    );
                }
                Output::Got { request, cid, .. } => {
                    let times = wanted.get_mut(&(request, cid)).expect("only what was wanted");
                    *times = times.checked_sub(1).expect("not more often than it was wanted");
                }
                Output::Unwanted { .. } | Output::FindProviders { .. } | Output::Refused { .. } => {}
            }
        }
    }
}

/// Only what is here is promised, in tasks of a bounded size, and nothing stays of a peer that has gone.
fn server(mut input: Input<'_>) {
    let cids: Vec<Cid> = (0..BLOCKS).map(|number| block(number).0).collect();
    let store = MemoryStore::new();
    let mut server = Server::new(|to: &PeerId, _: &Cid| *to != peer(0));
    while !input.is_empty() {
        let number = input.below(PEERS);
        let from = peer(number);
        match input.below(6) {
            0 | 1 => {
                let full = input.below(4) == 0;
                let wants = some(&mut input, &cids)
                    .into_iter()
                    .map(|cid| match input.below(4) {
                        0 => Want::cancel(cid),
                        1 => Want::have(cid, 1),
                        _ => Want::block(cid, 1),
                    });
                let wants: Vec<Want> = wants.collect();
                server.on_wants(&store, from, &wants, full);
                assert!(server.wants_of(&from) <= PEER_WANTS_MAX);
            }
            2 => {
                let (cid, bytes) = block(input.below(BLOCKS));
                let mut batch = Batch::new();
                batch.put_block(cid, bytes);
                store
                    .commit(batch, Durability::Buffered)
                    .expect("memory takes all");
                server.on_stored(&store, &[cid]);
            }
            3 => server.on_sent(&from, u64::from(input.short())),
            4 => {
                server.on_disconnected(&from);
                assert_eq!(server.wants_of(&from), 0);
            }
            _ => {
                if let Some(task) = server.next_task() {
                    assert!(task.peer != peer(0) || task.blocks.is_empty(), "forbidden");
                    for cid in &task.blocks {
                        let is_here = store.has(cid).expect("memory reads all");
                        assert!(is_here, "only what is here is promised");
                    }
                }
            }
        }
    }
    for number in 0..PEERS {
        server.on_disconnected(&peer(number));
    }
    assert_eq!((server.peers(), server.next_task()), (0, None));
}

fn seeds() -> Vec<Vec<u8>> {
    let (cid, bytes) = block(3);
    let whole = Message {
        wants: vec![Want::block(cid, 1), Want::have(block(4).0, 1)],
        blocks: vec![RawBlock::new(&cid, bytes)],
        ..Message::default()
    };
    let mut seed = vec![0];
    seed.extend_from_slice(&whole.frame(Version::V1_2).concat()[2..]);
    vec![
        seed,
        [
            &[1, 0, 0, 3, 2][..],
            &[0, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 6, 2, 1, 2],
        ]
        .concat(),
        vec![2, 1, 0, 1, 3, 1, 1, 2, 2, 3, 2, 1, 2, 1, 1, 5, 1, 3, 9, 9, 1, 4],
    ]
}
