//! What text shows, what it cannot, and what costs too much.

use proptest::prelude::*;
use rustle_types::content::{CODEC_DAG_CBOR, CODEC_DAG_PB, CODEC_RAW, HashFunction};
use rustle_unixfs::dagpb::{Link, Node};

use super::*;
use crate::{DEPTH_MAX, VALUES_MAX};

fn cid(codec: u64) -> Cid {
    Cid::new_v1(codec, HashFunction::Sha2_256.digest(b"any"))
}

fn shown(codec: u64, bytes: impl Into<Bytes>) -> Result<String, IpldError> {
    to_dag_json(&cid(codec), bytes.into())
}

#[test]
fn a_node_is_shown_as_kubo_does() {
    // `ipfs dag get` of the empty folder, and of a folder with one empty file.
    let empty = Node {
        links: vec![],
        data: Some(Bytes::from_static(&[8, 1])),
    };
    assert_eq!(
        shown(CODEC_DAG_PB, empty.encode()).unwrap(),
        r#"{"Data":{"/":{"bytes":"CAE"}},"Links":[]}"#
    );
    let one = Node {
        links: vec![Link {
            cid: "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH".parse().unwrap(),
            name: "a".into(),
            tsize: 6,
        }],
        data: None,
    };
    assert_eq!(
        shown(CODEC_DAG_PB, one.encode()).unwrap(),
        r#"{"Links":[{"Hash":{"/":"QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"},"Name":"a","Tsize":6}]}"#
    );
    assert_eq!(shown(CODEC_RAW, "hi").unwrap(), r#"{"/":{"bytes":"aGk"}}"#);
    let latin = Node {
        links: vec![Link {
            cid: cid(CODEC_RAW),
            name: Bytes::from_static(b"\xe4"),
            tsize: 0,
        }],
        data: None,
    };
    assert!(matches!(
        shown(CODEC_DAG_PB, latin.encode()),
        Err(IpldError::Malformed { .. })
    ));
}

#[test]
fn keys_are_sorted_by_bytes_in_text_and_by_length_in_blocks() {
    let block = to_dag_cbor(r#"{ "b": 1, "aa": [null, true, -1, 1.5, "ä"] }"#).unwrap();
    assert_eq!(block[..4], [0xa2, 0x61, b'b', 1]);
    assert_eq!(
        shown(CODEC_DAG_CBOR, block).unwrap(),
        r#"{"aa":[null,true,-1,1.5,"ä"],"b":1}"#
    );
}

#[test]
fn what_has_no_text_is_told() {
    // {"/": "text"}, which dag-json would read as a link.
    let reserved = b"\xa1\x61/\x64text";
    assert!(matches!(
        shown(CODEC_DAG_CBOR, &reserved[..]),
        Err(IpldError::Unshowable { .. })
    ));
    // NaN, an undefined value, a tag that is no CID, a float of 16 bits, keys out of order, a number in two bytes.
    for strange in [
        &b"\xfb\x7f\xf8\0\0\0\0\0\0"[..],
        b"\xf7",
        b"\xc1\0",
        b"\xf9\x3c\0",
        b"\xa2\x61b\x01\x61a\x01",
        b"\x18\x01",
        b"\x82\x01",
        b"\x01\x01",
        b"",
    ] {
        let result = shown(CODEC_DAG_CBOR, strange);
        assert!(
            matches!(result, Err(IpldError::Malformed { .. })),
            "{strange:x?}: {result:?}"
        );
    }
    assert!(matches!(
        shown(0x78, ""),
        Err(IpldError::UnknownCodec { codec: 0x78, .. })
    ));
}

#[test]
fn texts_that_are_no_dag_json_are_refused() {
    for text in [
        "",
        "{",
        "[1,]",
        "{\"a\":1} x",
        r#"{"/":"no cid"}"#,
        r#"{"/":{"bytes":"!"}}"#,
        r#"{"/":{"bytes":"aGk"},"b":1}"#,
        "1e999",
        "99999999999999999999999999",
    ] {
        let result = to_dag_cbor(text);
        assert!(matches!(result, Err(IpldError::Text(_))), "{text}: {result:?}");
    }
    assert!(matches!(
        to_dag_cbor(&" ".repeat(TEXT_BYTES_MAX + 1)),
        Err(IpldError::TextTooLong(_))
    ));
    let long = format!("\"{}\"", "a".repeat(CONTENT_BLOCK_BYTES_MAX));
    assert!(matches!(to_dag_cbor(&long), Err(IpldError::BlockTooLong(_))));
}

#[test]
fn depth_and_number_of_values_are_bounded() {
    let deep = Bytes::from([vec![0x81; DEPTH_MAX - 1], vec![0x80]].concat());
    let text = shown(CODEC_DAG_CBOR, deep.clone()).unwrap();
    assert_eq!(to_dag_cbor(&text), Ok(deep), "what is shown can be read again");
    assert_eq!(to_dag_cbor(&format!("[{text}]")), Err(IpldError::TooDeep));
    assert_eq!(
        shown(CODEC_DAG_CBOR, vec![0x81; 1 << 20]),
        Err(IpldError::TooDeep)
    );
    assert_eq!(to_dag_cbor(&"[".repeat(1 << 20)), Err(IpldError::TooDeep));
    let wide = [&[0x9a, 0, 0x0f, 0xff, 0xff][..], &vec![0xf6; 0x000f_ffff]].concat();
    assert!(wide.len() > VALUES_MAX);
    assert_eq!(shown(CODEC_DAG_CBOR, wide), Err(IpldError::TooManyValues));
    // A list that claims 2^63 values has none.
    let claim = b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff";
    assert!(matches!(
        shown(CODEC_DAG_CBOR, &claim[..]),
        Err(IpldError::Malformed { .. })
    ));
}

fn any_value() -> impl Strategy<Value = Ipld> {
    let leaf = prop_oneof![
        Just(Ipld::Null),
        any::<bool>().prop_map(Ipld::Bool),
        any::<i64>().prop_map(|number| Ipld::Integer(number.into())),
        any::<u64>().prop_map(|number| Ipld::Integer(number.into())),
        (-1e300f64..1e300).prop_map(Ipld::Float),
        ".{0,20}".prop_map(Ipld::String),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Ipld::Bytes),
        any::<u64>().prop_map(|seed| Ipld::Link(Cid::new_v1(
            CODEC_RAW,
            HashFunction::Sha2_256.digest(&seed.to_le_bytes())
        ))),
    ];
    leaf.prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Ipld::List),
            prop::collection::btree_map("[a-zA-Zäö]{0,8}", inner, 0..8).prop_map(Ipld::Map),
        ]
    })
}

proptest! {
    #[test]
    fn a_block_survives_text(value in any_value()) {
        let block = Bytes::from(serde_ipld_dagcbor::to_vec(&value).unwrap());
        let text = shown(CODEC_DAG_CBOR, block.clone()).unwrap();
        prop_assert_eq!(to_dag_cbor(&text).unwrap(), block, "{}", text);
    }

    #[test]
    fn any_bytes_are_shown_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        for codec in [CODEC_DAG_CBOR, CODEC_DAG_PB, 0x0129] {
            let _ = shown(codec, bytes.clone());
            let _ = crate::links(&cid(codec), bytes.clone().into());
        }
    }

    #[test]
    fn a_block_that_is_shown_is_canonical(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
        if let Ok(text) = shown(CODEC_DAG_CBOR, bytes.clone()) {
            // Negative integers of 65 bits can be shown, but no text gives them.
            prop_assert!(to_dag_cbor(&text).is_ok_and(|again| again == bytes) || bytes.contains(&0x3b));
        }
    }
}
