//! Files that are whole, cut, forged and oversized.

use bytes::Bytes;
use proptest::prelude::*;
use rustle_types::Cid;
use rustle_types::content::{CODEC_DAG_CBOR, CODEC_RAW, HashFunction, VerifyError, identity};
use rustle_types::limits::CONTENT_BLOCK_BYTES_MAX;

use super::*;

fn block(bytes: &[u8]) -> Block {
    Block {
        cid: Cid::new_v1(CODEC_RAW, HashFunction::Sha2_256.digest(bytes)),
        bytes: Bytes::copy_from_slice(bytes),
    }
}

fn car(blocks: &[Block]) -> Vec<u8> {
    let roots: Vec<Cid> = blocks.iter().take(1).map(|block| block.cid).collect();
    let mut file = encode_header(&roots).unwrap().to_vec();
    for part in blocks.iter().flat_map(encode_section) {
        file.extend_from_slice(&part);
    }
    file
}

fn read(file: &[u8], portion: usize) -> Result<Vec<Block>, CarError> {
    let (mut reader, mut blocks) = (Reader::new(), Vec::new());
    for bytes in file.chunks(portion) {
        reader.push(bytes);
        while let Some(item) = reader.poll()? {
            match item {
                Item::Roots(_) => assert!(blocks.is_empty(), "roots come first"),
                Item::Block(block) => blocks.push(block),
            }
        }
    }
    reader.finish()?;
    Ok(blocks)
}

/// A section of any CID and bytes, right or wrong.
fn section(cid: &Cid, bytes: &[u8]) -> Vec<u8> {
    let (cid, bytes) = (*cid, Bytes::copy_from_slice(bytes));
    encode_section(&Block { cid, bytes }).concat()
}

fn with_section(section: &[u8]) -> Vec<u8> {
    [&car(&[])[..], section].concat()
}

#[test]
fn reads_the_example_of_the_specification() {
    // The header of carv1-basic.car (ipld.io/specs/transport/car/fixture/carv1-basic): two roots, version 1.
    let hex = "63a265726f6f747382d82a58250001711220f88bc853804cf294fe417e4fa83028689fcdb1b1592c5102e1474dbc200fab8bd82a\
               5825000171122069ea0740f9807a28f4d932c62e7c1c83be055e55072c90266ab3e79df63a365b6776657273696f6e01";
    let header: Vec<u8> = (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let mut reader = Reader::new();
    reader.push(&header);
    let Ok(Some(Item::Roots(roots))) = reader.poll() else {
        panic!("a header")
    };
    assert_eq!(
        roots[0].to_string(),
        "bafyreihyrpefhacm6kkp4ql6j6udakdit7g3dmkzfriqfykhjw6cad5lrm"
    );
    assert_eq!(encode_header(&roots).unwrap(), header);
}

#[test]
fn a_file_that_is_cut_anywhere_is_told() {
    let blocks = [block(b"one"), block(b"two")];
    let file = car(&blocks);
    let header = encode_header(&[blocks[0].cid]).unwrap().len();
    let ends = [header, header + section(&blocks[0].cid, b"one").len()];
    for cut in 0..file.len() {
        let expected = ends.contains(&cut);
        let result = read(&file[..cut], 16);
        assert_eq!(result.is_ok(), expected, "cut at {cut}: {result:?}");
        if let Err(error) = result {
            assert!(matches!(error, CarError::Truncated { .. }));
        }
    }
}

#[test]
fn a_wrong_hash_is_told_with_its_place() {
    let good = block(b"good");
    let mut file = with_section(&section(&good.cid, b"evil"));
    let error = Box::new(VerifyError::Mismatch(good.cid));
    let at = car(&[]).len() as u64;
    assert_eq!(read(&file, 9), Err(CarError::Verify { at, error }));

    let md5 = Cid::new_v1(CODEC_RAW, multihash(0xd5, &[0; 16]));
    file = with_section(&section(&md5, b""));
    let error = Box::new(VerifyError::UnknownHash(0xd5));
    assert_eq!(read(&file, 9), Err(CarError::Verify { at, error }));
}

/// A multihash of any code, by way of the bytes of a CID.
fn multihash(code: u8, digest: &[u8]) -> rustle_types::content::Multihash {
    let mut bytes = vec![1, 0x55, code | 0x80, code >> 7, digest.len() as u8];
    bytes.extend_from_slice(digest);
    *Cid::try_from(&bytes[..]).unwrap().hash()
}

#[test]
fn strange_sections_are_told_apart() {
    let at = car(&[]).len() as u64;
    assert_eq!(read(&with_section(&[0]), 9), Err(CarError::Empty { at }));
    assert_eq!(read(&with_section(&[3, 9, 9, 9]), 9), Err(CarError::Cid { at }));
    assert_eq!(read(&with_section(&[0xff; 11]), 9), Err(CarError::Length { at }));
    assert_eq!(
        read(&with_section(&[0x80, 0]), 9),
        Err(CarError::Length { at }),
        "not in its shortest form"
    );

    let cid = Cid::new_v1(0x78, HashFunction::Sha2_256.digest(b"git"));
    let codec = 0x78;
    assert_eq!(
        read(&with_section(&section(&cid, b"git")), 9),
        Err(CarError::UnknownCodec { cid, codec })
    );
}

#[test]
fn an_oversize_block_is_refused_before_it_comes() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0x7f];
    let at = car(&[]).len() as u64;
    let bytes = (1 << 35) - 1;
    assert_eq!(
        read(&with_section(&huge), 9),
        Err(CarError::TooLong { at, bytes })
    );

    let largest = block(&vec![7; CONTENT_BLOCK_BYTES_MAX]);
    assert_eq!(
        read(&car(std::slice::from_ref(&largest)), 1 << 20).unwrap(),
        [largest]
    );
    let larger = block(&vec![7; CONTENT_BLOCK_BYTES_MAX + 1]);
    assert!(matches!(
        read(&car(&[larger]), 1 << 20),
        Err(CarError::TooLong { .. })
    ));
}

#[test]
fn what_is_no_car_is_told() {
    assert_eq!(read(&[], 9), Err(CarError::Truncated { at: 0 }));
    assert!(matches!(read(b"PK\x03\x04 a zip file, which is no CAR at all. It goes on for a while, so that its first byte is a length.", 9), Err(CarError::Header(_))));
    let long = [0xff, 0xff, 0x7f];
    assert_eq!(read(&long, 9), Err(CarError::HeaderTooLong(0x1f_ffff)));
    // {"version": 3} and {"version": 1}
    assert_eq!(read(b"\x0a\xa1\x67version\x03", 9), Err(CarError::Version(3)));
    assert!(matches!(
        read(b"\x0a\xa1\x67version\x01", 9),
        Err(CarError::Header(_))
    ));
    let mut reader = Reader::new();
    reader.push(b"\x01\x01");
    let error = reader.poll().unwrap_err();
    reader.push(&car(&[]));
    assert_eq!(reader.poll(), Err(error), "an error stays");
}

#[test]
fn headers_have_a_bound_both_ways() {
    let cid = Cid::new_v1(CODEC_DAG_CBOR, HashFunction::Sha2_512.digest(b""));
    let roots = vec![cid; ROOTS_MAX];
    let header = encode_header(&roots).unwrap();
    assert!(header.len() < HEADER_BYTES_MAX);
    let mut reader = Reader::new();
    reader.push(&header);
    assert_eq!(reader.poll(), Ok(Some(Item::Roots(roots))));
    assert_eq!(
        encode_header(&vec![cid; ROOTS_MAX + 1]),
        Err(CarError::TooManyRoots(ROOTS_MAX + 1))
    );
}

#[test]
fn a_block_inside_its_cid_is_a_block() {
    let cid = Cid::new_v1(CODEC_RAW, identity(b"hi").unwrap());
    let bytes = Bytes::from_static(b"hi");
    let block = Block { cid, bytes };
    assert_eq!(read(&car(std::slice::from_ref(&block)), 3), Ok(vec![block]));
}

/// A CAR of version 2: pragma, header, padding, the CAR of version 1 and an index.
fn version_2(inner: &[u8], padding: u64, size: u64) -> Vec<u8> {
    let mut file = b"\x0a\xa1\x67version\x02".to_vec();
    file.extend_from_slice(&[0; 16]);
    for word in [51 + padding, size, 0] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.resize(file.len() + padding as usize, 0);
    file.extend_from_slice(inner);
    file.extend_from_slice(b"an index of any kind");
    file
}

#[test]
fn version_2_is_read_without_its_index() {
    let blocks = [block(b"one"), block(b"two")];
    let inner = car(&blocks);
    let size = inner.len() as u64;
    for padding in [0, 1, 1000] {
        for portion in [1, 7, 4096] {
            assert_eq!(
                read(&version_2(&inner, padding, size), portion).as_deref(),
                Ok(&blocks[..])
            );
        }
    }
    assert!(matches!(
        read(&version_2(&inner, 0, size - 1), 9),
        Err(CarError::Truncated { .. })
    ));
    assert!(read(&version_2(&inner, 0, size)[..60], 9).is_err());
    let nested = version_2(&inner, 0, size);
    assert_eq!(
        read(&version_2(&nested, 0, nested.len() as u64), 9),
        Err(CarError::Version(2))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read_in_any_portions(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
        portion in 1usize..500,
    ) {
        let blocks: Vec<Block> = contents.iter().map(|bytes| block(bytes)).collect();
        prop_assert_eq!(read(&car(&blocks), portion), Ok(blocks));
    }

    #[test]
    fn a_flipped_bit_is_never_a_block(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let blocks = [block(b"some bytes"), block(b"more bytes")];
        let mut file = car(&blocks);
        let header = car(&[]).len() + blocks[0].cid.encoded_len() + 5;
        let at = header + at.index(file.len() - header);
        file[at] ^= 1 << bit;
        match read(&file, 64) {
            Err(_) => {}
            // A flipped codec names other content with the same hash.
            Ok(read) => for block in read {
                prop_assert_eq!(HashFunction::Sha2_256.digest(&block.bytes), *block.cid.hash());
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), portion in 1usize..50) {
        let _ = read(&bytes, portion);
    }
}
