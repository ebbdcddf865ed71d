//! Is every wrong block refused with its reason, and does every right one keep its bytes?

use data_encoding::HEXLOWER;
use ipld_core::cid::Cid as AnyCid;
use proptest::prelude::*;

use super::*;
use crate::encoding::write;
use crate::testing::{block_on, no_chain, signer};

/// A map with every field right, to be made wrong in one place and then signed.
fn right<'a>(by: &'a [u8; 32], parents: Vec<AnyCid>) -> Encoded<'a> {
    Encoded {
        v: BLOCK_VERSION,
        at: 1,
        by: Raw(by),
        cid: None,
        sig: None,
        body: Some(Raw(b"body")),
        size: None,
        chain: Some(no_chain().cid()),
        height: 1,
        topics: vec!["a"],
        parents,
    }
}

fn parents(count: usize) -> Vec<AnyCid> {
    let mut ids: Vec<BlockId> = (0..count).map(|n| BlockId::of(&n.to_be_bytes())).collect();
    ids.sort_unstable();
    ids.iter().map(BlockId::cid).collect()
}

fn signed(change: impl FnOnce(&mut Encoded<'_>)) -> Bytes {
    let author = signer(1).author();
    let mut encoded = right(author.as_bytes(), parents(2));
    change(&mut encoded);
    let signature = signer(1).sign(DOMAIN, &[&write(&encoded, Vec::new())]);
    write(
        &Encoded {
            sig: Some(Raw(&signature)),
            ..encoded
        },
        Vec::new(),
    )
    .into()
}

fn refused(change: impl FnOnce(&mut Encoded<'_>)) -> BlockError {
    Block::decode(signed(change)).expect_err("one field is wrong")
}

fn draft(topics: &[&str], body: Body) -> Draft {
    Draft {
        chain: Some(no_chain()),
        parents: vec![BlockId::of(b"p"), BlockId::of(b"q")],
        height: 5,
        time: Timestamp::from_millis(1_700_000_000_000),
        topics: topics.iter().map(|&topic| topic.to_owned()).collect(),
        body,
    }
}

#[test]
fn a_signed_draft_comes_back_field_by_field() {
    let body = Body::Inline(Bytes::from_static(b"hello"));
    let made = draft(&["b", "a"], body.clone()).sign(&signer(1)).unwrap();

    let read = Block::decode(made.bytes().clone()).unwrap();

    assert_eq!(read, made);
    assert_eq!((read.chain(), read.height(), read.body()), (no_chain(), 5, &body));
    assert_eq!(read.topics(), ["b", "a"]);
    assert_eq!(read.author(), signer(1).author());
    assert_eq!(read.id(), BlockId::of(read.bytes()));
    assert!(read.parents().is_sorted() && read.parents().len() == 2 && !read.is_genesis());
}

#[test]
fn a_linked_body_comes_back() {
    let body = Body::Linked {
        cid: BlockId::of(b"file").cid(),
        size: 1 << 40,
    };
    let made = draft(&[], body.clone()).sign(&signer(1)).unwrap();

    assert_eq!(Block::decode(made.bytes().clone()).unwrap().body(), &body);
}

/// These bytes are on disks: a change of the format makes every chain unreadable.
#[test]
fn golden_blocks_have_their_bytes_and_ids() {
    let genesis = crate::Genesis {
        name: "golden".to_owned(),
        policy: crate::Policy::Open,
        nonce: *b"0123456789abcdef",
        created: Timestamp::from_millis(1_700_000_000_000),
    };
    let genesis = genesis.sign(&signer(1)).unwrap();
    let child = |parents: &[BlockId], height, topics: &[&str], body| Draft {
        chain: Some(genesis.chain()),
        parents: parents.to_vec(),
        height,
        time: Timestamp::from_millis(1_700_000_000_000 + height),
        topics: topics.iter().map(|&topic| topic.to_owned()).collect(),
        body,
    };
    let inline = Body::Inline(Bytes::from_static(b"hello, rustle"));
    let left = child(&[genesis.id()], 1, &["greeting"], inline)
        .sign(&signer(2))
        .unwrap();
    let linked = Body::Linked {
        cid: BlockId::of(b"content elsewhere").cid(),
        size: 17,
    };
    let right = child(&[genesis.id()], 1, &[], linked).sign(&signer(3)).unwrap();
    let empty = Body::Inline(Bytes::new());
    let merge = child(&[left.id(), right.id()], 2, &["a", "ä"], empty)
        .sign(&signer(1))
        .unwrap();

    let golden = [
        (
            include_str!("../../../../tests/fixtures/chain-genesis.hex"),
            genesis,
        ),
        (include_str!("../../../../tests/fixtures/chain-inline.hex"), left),
        (include_str!("../../../../tests/fixtures/chain-linked.hex"), right),
        (include_str!("../../../../tests/fixtures/chain-merge.hex"), merge),
    ];
    for (fixture, block) in golden {
        let (id, hex) = fixture.trim().split_once('\n').unwrap_or_default();
        let expected = (id, hex);
        let made = (block.id().to_string(), HEXLOWER.encode(block.bytes()));
        assert_eq!((made.0.as_str(), made.1.as_str()), expected);
        assert_eq!(
            Block::decode(HEXLOWER.decode(hex.as_bytes()).unwrap().into()),
            Ok(block)
        );
    }
}

#[test]
fn a_right_map_is_a_block_and_each_wrong_field_is_named() {
    assert!(Block::decode(signed(|_| {})).is_ok());

    assert_eq!(refused(|map| map.v = 2), BlockError::Version(2));
    assert_eq!(
        refused(|map| map.parents = parents(17)),
        BlockError::TooManyParents(17)
    );
    assert_eq!(refused(|map| map.parents.reverse()), BlockError::UnsortedParents);
    assert_eq!(
        refused(|map| map.parents[1] = map.parents[0]),
        BlockError::UnsortedParents
    );
    assert_eq!(
        refused(|map| map.topics = vec!["t"; 17]),
        BlockError::TooManyTopics(17)
    );
    for topic in ["", "a\u{7}", "a\u{85}", &"x".repeat(65)] {
        let bytes = signed(|map| map.topics = vec![leak(topic)]);
        assert_eq!(Block::decode(bytes), Err(BlockError::BadTopic), "{topic:?}");
    }
    assert_eq!(refused(|map| map.body = None), BlockError::BadBody);
    assert_eq!(refused(|map| map.size = Some(1)), BlockError::BadBody);
    assert_eq!(
        refused(|map| map.cid = Some(no_chain().cid())),
        BlockError::BadBody
    );
    assert_eq!(refused(|map| map.by = Raw(b"short")), BlockError::BadSignature);
}

fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

#[test]
fn chain_parents_and_height_must_fit_together() {
    assert_eq!(refused(|map| map.height = 0), BlockError::Lineage);
    assert_eq!(refused(|map| map.chain = None), BlockError::Lineage);
    assert_eq!(refused(|map| map.parents.clear()), BlockError::Lineage);
    assert_eq!(
        refused(|map| (map.chain, map.height) = (None, 0)),
        BlockError::Lineage
    );

    let file = AnyCid::new_v1(rustle_types::content::CODEC_RAW, *no_chain().cid().hash());
    assert_eq!(
        refused(|map| map.chain = Some(file)),
        BlockError::NotABlock("chain")
    );
    assert_eq!(
        refused(|map| map.parents[1] = file),
        BlockError::NotABlock("parents")
    );
}

#[test]
fn a_body_beyond_its_bound_is_refused_on_both_sides() {
    let largest = vec![7; BLOCK_BODY_BYTES_MAX];
    let body = Body::Inline(largest.clone().into());
    let topics: Vec<String> = (0..BLOCK_TOPICS_MAX)
        .map(|_| "x".repeat(BLOCK_TOPIC_BYTES_MAX))
        .collect();
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    let mut full = draft(&topics, body);
    full.parents = (0..PARENTS_MAX).map(|n| BlockId::of(&[n as u8])).collect();
    let made = full
        .sign(&signer(1))
        .expect("everything at its bound fits a block");
    assert!(Block::decode(made.bytes().clone()).is_ok());

    let longer = [&largest[..], b"x"].concat();
    let refused = draft(&[], Body::Inline(longer.clone().into())).sign(&signer(1));
    assert_eq!(refused, Err(DraftError::Invalid(BlockError::BadBody)));
    let author = signer(1).author();
    let mut map = right(author.as_bytes(), parents(1));
    map.body = Some(Raw(&longer));
    map.sig = Some(Raw(&[0; 64]));
    assert_eq!(
        Block::decode(write(&map, Vec::new()).into()),
        Err(BlockError::BadBody)
    );

    let huge = Bytes::from(vec![0; BLOCK_BYTES_MAX + 1]);
    assert_eq!(Block::decode(huge), Err(BlockError::TooLong(BLOCK_BYTES_MAX + 1)));
}

#[test]
fn reserved_topics_are_for_the_protocol() {
    let refused = draft(&["rustle/grant"], Body::Inline(Bytes::new())).sign(&signer(1));
    assert_eq!(refused, Err(DraftError::ReservedTopic("rustle/grant".to_owned())));

    assert!(
        draft(&["rustle"], Body::Inline(Bytes::new()))
            .sign(&signer(1))
            .is_ok()
    );
    assert!(
        Block::decode(signed(|map| map.topics = vec!["rustle/grant"])).is_ok(),
        "others may have them"
    );
}

#[test]
fn a_signature_is_good_for_one_author_and_one_purpose() {
    let author = signer(2).author();
    let forged = signed(|map| map.by = Raw(Box::leak(Box::new(*author.as_bytes()))));
    assert_eq!(Block::decode(forged), Err(BlockError::BadSignature));

    let own = signer(1).author();
    let map = right(own.as_bytes(), parents(1));
    let elsewhere = signer(1).sign("rustle/join/1", &[&write(&map, Vec::new())]);
    let reused = write(
        &Encoded {
            sig: Some(Raw(&elsewhere)),
            ..map.clone()
        },
        Vec::new(),
    );
    assert_eq!(Block::decode(reused.into()), Err(BlockError::BadSignature));
    assert_eq!(
        Block::decode(write(&map, Vec::new()).into()),
        Err(BlockError::BadSignature),
        "none at all"
    );
}

/// A small-order key verifies everything under the loose rule, so anybody could write in its name.
#[test]
fn a_weak_key_is_no_author() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let map = right(&identity, parents(1));
    let mut signature = [0; 64];
    signature[0] = 1;
    let bytes = write(
        &Encoded {
            sig: Some(Raw(&signature)),
            ..map
        },
        Vec::new(),
    );
    assert_eq!(Block::decode(bytes.into()), Err(BlockError::BadSignature));
}

#[test]
fn other_encodings_of_a_block_are_refused() {
    let block = block_on(&[BlockId::of(b"p")], 1, b"body");
    let bytes = block.bytes();

    let trailing = [&bytes[..], b"\x00"].concat();
    assert!(matches!(
        Block::decode(trailing.into()),
        Err(BlockError::Malformed(_))
    ));

    // "v": 1 as a two-byte integer.
    let at = bytes
        .windows(3)
        .position(|window| window == b"\x61v\x01")
        .unwrap();
    let wide = [&bytes[..at + 2], b"\x18\x01", &bytes[at + 3..]].concat();
    assert!(matches!(
        Block::decode(wide.into()),
        Err(BlockError::Malformed(_) | BlockError::NotCanonical)
    ));

    // "cid": null, which reads as absent, behind "by".
    let at = bytes.windows(4).position(|window| window == b"\x63sig").unwrap();
    let mut null = [&bytes[..at], b"\x63cid\xf6", &bytes[at..]].concat();
    null[0] += 1;
    assert_eq!(Block::decode(null.into()), Err(BlockError::NotCanonical));

    // An unknown key, in its right place.
    let mut unknown = [&bytes[..], b"\x68whatever\x00"].concat();
    unknown[0] += 1;
    assert!(matches!(
        Block::decode(unknown.into()),
        Err(BlockError::Malformed(_))
    ));

    // A newer version may have other fields.
    assert_eq!(
        Block::decode(Bytes::from_static(b"\xa2\x61v\x02\x63new\x00")),
        Err(BlockError::Version(2))
    );
}

#[test]
fn the_first_bad_one_of_many_is_named() {
    let good = block_on(&[BlockId::of(b"p")], 1, b"body").bytes().clone();
    let many = vec![good.clone(), Bytes::from_static(b"bad"), good.clone()];

    assert_eq!(Block::decode_many([good.clone(), good]).unwrap().len(), 2);
    assert_eq!(Block::decode_many(many).unwrap_err().0, 1);
}

proptest! {
    #[test]
    fn garbage_never_panics(garbage in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Block::decode(garbage.into()).is_err());
    }

    #[test]
    fn a_mutated_block_is_never_another_block(
        body in prop::collection::vec(any::<u8>(), 0..40),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 1..4),
    ) {
        let block = block_on(&[BlockId::of(b"p"), BlockId::of(b"q")], 3, &body);
        let mut bytes = block.bytes().to_vec();
        for (at, byte, kind) in edits {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        let bytes = Bytes::from(bytes);
        match Block::decode(bytes.clone()) {
            Ok(read) => prop_assert_eq!(read, block, "only the same bytes are valid"),
            Err(_) => prop_assert_ne!(&bytes, block.bytes()),
        }
    }
}
