//! Messages that survive the wire, and bytes that are no message.

use bytes::Bytes;
use multihash_codetable::{Code, Multihash, MultihashDigest};
use proptest::prelude::*;
use prost::Message as _;
use rustle_types::content::{CODEC_DAG_PB, CODEC_RAW};
use rustle_types::limits::{BITSWAP_MESSAGE_BYTES_MAX, CONTENT_BLOCK_BYTES_MAX};

use super::*;
use crate::generated::Message as Wire;

fn cid(seed: u64) -> Cid {
    Cid::new_v1(CODEC_RAW, Code::Sha2_256.digest(&seed.to_be_bytes()))
}

/// The message in a frame, read back.
fn over_the_wire(message: &Message, version: Version) -> Message {
    let bytes = message.frame(version).concat();
    let FrameLength::Known { header, length } = frame_length(&bytes).unwrap() else {
        panic!("a whole frame has a length");
    };
    assert_eq!(header + length, bytes.len());
    Message::decode(Bytes::from(bytes).slice(header..)).unwrap()
}

fn encoded(wire: &Wire) -> Bytes {
    wire.encode_to_vec().into()
}

#[test]
fn older_versions_leave_out_what_they_cannot_say() {
    let message = Message {
        wants: vec![Want::block(cid(1), 5), Want::have(cid(2), 5)],
        blocks: vec![RawBlock::new(&cid(3), Bytes::from_static(b"block"))],
        presences: vec![(cid(4), Presence::Have)],
        pending_bytes: 9,
        ..Message::default()
    };

    assert_eq!(over_the_wire(&message, Version::V1_2), message);
    let middle = over_the_wire(&message, Version::V1_1);
    assert_eq!(
        (middle.wants.len(), middle.presences.len(), middle.pending_bytes),
        (1, 0, 0)
    );
    assert!(!middle.wants[0].send_dont_have);
    assert_eq!(middle.blocks, message.blocks);
    let old = over_the_wire(&message, Version::V1_0);
    assert_eq!(
        old.blocks,
        [RawBlock {
            prefix: None,
            data: Bytes::from_static(b"block")
        }]
    );
}

#[test]
fn a_block_is_named_by_its_own_bytes() {
    let data = Bytes::from_static(b"some bytes");
    for code in [Code::Sha2_256, Code::Sha2_512, Code::Blake3_256] {
        let cid = Cid::new_v1(CODEC_RAW, code.digest(&data));
        assert_eq!(RawBlock::new(&cid, data.clone()).hash(), Ok(cid));
    }
    let v0 = Cid::new_v0(Code::Sha2_256.digest(&data)).unwrap();
    assert_eq!(RawBlock::new(&v0, data.clone()).hash(), Ok(v0));
    assert_eq!(
        RawBlock {
            prefix: None,
            data: data.clone()
        }
        .hash(),
        Ok(v0)
    );

    let named = |prefix: &'static [u8]| {
        RawBlock {
            prefix: Some(Bytes::from_static(prefix)),
            data: data.clone(),
        }
        .hash()
    };
    assert_eq!(named(&[1, 0x55, 0, 10]), Err(HashError::Identity));
    assert_eq!(named(&[1, 0x55, 0x11, 20]), Err(HashError::UnknownHash(0x11)));
    assert_eq!(
        named(&[1, 0x55, 0x12, 20]),
        Err(HashError::DigestLength { found: 20, right: 32 })
    );
    assert_eq!(
        named(&[2, 0x55, 0x12, 32]),
        Err(HashError::Version(2, 0x55, 0x12))
    );
    assert_eq!(
        named(&[0, 0x55, 0x12, 32]),
        Err(HashError::Version(0, 0x55, 0x12))
    );
    assert_eq!(named(&[1, 0x55, 0x12]), Err(HashError::Prefix));
    assert_eq!(named(&[1, 0x55, 0x12, 32, 0]), Err(HashError::Prefix));
    assert_eq!(CODEC_DAG_PB, 0x70);
}

#[test]
fn a_large_block_is_not_copied_in_either_direction() {
    let data = Bytes::from(vec![7; 100_000]);
    let message = Message {
        blocks: vec![RawBlock::new(&cid(1), data.clone())],
        ..Message::default()
    };
    let parts = message.frame(Version::V1_2);
    assert!(
        parts.iter().any(|part| part.as_ptr() == data.as_ptr()),
        "written from where it lies"
    );

    let bytes = Bytes::from(parts.concat());
    let range = bytes.as_ptr_range();
    let FrameLength::Known { header, .. } = frame_length(&bytes).unwrap() else {
        panic!()
    };
    let read = Message::decode(bytes.slice(header..)).unwrap();
    assert!(
        range.contains(&read.blocks[0].data.as_ptr()),
        "read where it lies"
    );
}

#[test]
fn frames_that_are_too_long_are_refused_by_their_first_bytes() {
    assert_eq!(frame_length(&[]), Ok(FrameLength::Incomplete));
    assert_eq!(frame_length(&[0x80, 0x80]), Ok(FrameLength::Incomplete));
    assert_eq!(frame_length(&[0xff, 0xff, 0xff, 0xff]), Err(DecodeError::Length));
    assert_eq!(
        frame_length(&[0x80, 0x80, 0x80, 2]),
        Ok(FrameLength::Known {
            header: 4,
            length: 4 << 20
        })
    );
    assert!(matches!(
        frame_length(&[0x81, 0x80, 0x80, 2]),
        Err(DecodeError::MessageTooLarge(_))
    ));
    let huge = Bytes::from(vec![0; BITSWAP_MESSAGE_BYTES_MAX + 1]);
    assert!(matches!(
        Message::decode(huge),
        Err(DecodeError::MessageTooLarge(_))
    ));
}

#[test]
fn oversize_blocks_and_swarms_of_empty_parts_are_refused() {
    let large = Wire {
        blocks: vec![vec![0; CONTENT_BLOCK_BYTES_MAX + 1].into()],
        ..Wire::default()
    };
    assert!(matches!(
        Message::decode(encoded(&large)),
        Err(DecodeError::BlockTooLarge(_))
    ));

    for part in [[0x12, 0], [0x1a, 0], [0x22, 0]] {
        assert_eq!(
            Message::decode(part.repeat(70_000).into()),
            Err(DecodeError::TooManyParts)
        );
    }
    let mut wants = vec![0x0a, 0xe0, 0xc5, 8];
    wants.extend([0x0a, 0].repeat(70_000));
    assert_eq!(Message::decode(wants.into()), Err(DecodeError::TooManyParts));
}

#[test]
fn wants_beyond_the_bound_and_without_a_cid_are_dropped_and_counted() {
    let mut message = Message::of_wants((0..1030).map(|seed| Want::block(cid(seed), 1)).collect());
    let identity = Cid::new_v1(CODEC_RAW, Multihash::wrap(0, b"inline").unwrap());
    message.wants[0].cid = identity;

    let read = over_the_wire(&message, Version::V1_2);

    assert_eq!((read.wants.len(), read.dropped), (MESSAGE_WANTS_MAX, 6));
    assert_eq!(read.wants[0].cid, cid(1));
}

/// A CID with an identity digest of so many bytes, which Kubo lets pass up to 128.
fn identity_cid(length: usize) -> Vec<u8> {
    let mut bytes = vec![1, CODEC_RAW as u8, 0];
    let mut buffer = unsigned_varint::encode::usize_buffer();
    bytes.extend_from_slice(unsigned_varint::encode::usize(length, &mut buffer));
    bytes.resize(bytes.len() + length, 7);
    bytes
}

#[test]
fn cids_that_are_not_exchanged_do_not_spoil_the_message_around_them() {
    use crate::generated::message::wantlist::Entry;
    use crate::generated::message::{BlockPresence, Wantlist};

    // Legal ones with more bytes than ours hold, the longest that may be, longer ones, and none at all.
    let odd = [65, 100, 128, 163, 164, 1024].map(identity_cid);
    assert_eq!(odd[3].len(), rustle_types::limits::CID_BYTES_MAX);
    let odd = odd.into_iter().chain([vec![], vec![1, 0x55, 0x12, 0x20]]);
    let all: Vec<Vec<u8>> = odd.chain([cid(1).to_bytes()]).collect();
    let entry = |cid: &Vec<u8>| Entry {
        block: cid.clone().into(),
        ..Entry::default()
    };
    let presence = |cid: &Vec<u8>| BlockPresence {
        cid: cid.clone().into(),
        ..BlockPresence::default()
    };
    let wire = Wire {
        wantlist: Some(Wantlist {
            entries: all.iter().map(entry).collect(),
            full: false,
        }),
        block_presences: all.iter().map(presence).collect(),
        ..Wire::default()
    };

    let read = Message::decode(encoded(&wire)).unwrap();

    assert_eq!(
        read.wants.iter().map(|want| want.cid).collect::<Vec<_>>(),
        [cid(1)]
    );
    assert_eq!(read.presences, [(cid(1), Presence::Have)]);
    assert_eq!(read.dropped, 2 * (all.len() - 1));
}

fn any_cid() -> impl Strategy<Value = Cid> {
    (any::<u64>(), any::<bool>()).prop_map(|(seed, v0)| match v0 {
        true => Cid::new_v0(Code::Sha2_256.digest(&seed.to_be_bytes())).unwrap(),
        false => cid(seed),
    })
}

fn any_want() -> impl Strategy<Value = Want> {
    (any_cid(), any::<i32>(), any::<[bool; 3]>()).prop_map(
        |(cid, priority, [have, cancel, send_dont_have])| {
            let kind = if have { WantKind::Have } else { WantKind::Block };
            Want {
                cid,
                priority,
                kind,
                cancel,
                send_dont_have,
            }
        },
    )
}

fn any_presence() -> impl Strategy<Value = Presence> {
    any::<bool>().prop_map(|here| if here { Presence::Have } else { Presence::DontHave })
}

fn any_block() -> impl Strategy<Value = RawBlock> {
    prop::collection::vec(any::<u8>(), 0..9000).prop_map(|data| {
        let cid = Cid::new_v1(CODEC_RAW, Code::Sha2_256.digest(&data));
        RawBlock::new(&cid, data.into())
    })
}

proptest! {
    #[test]
    fn a_message_survives_the_wire(
        wants in prop::collection::vec(any_want(), 0..20),
        full in any::<bool>(),
        blocks in prop::collection::vec(any_block(), 0..4),
        presences in prop::collection::vec((any_cid(), any_presence()), 0..20),
        pending_bytes in 0u32..1 << 31,
    ) {
        let message = Message { wants, full, blocks, presences, pending_bytes, dropped: 0 };
        prop_assert_eq!(over_the_wire(&message, Version::V1_2), message);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = frame_length(&bytes);
        if let Ok(message) = Message::decode(bytes.into()) {
            for block in message.blocks {
                let _ = block.hash();
            }
        }
    }
}
