//! Does the same file get the same CID?

use rustle_admin::views::Profile;
use rustle_tests::kubo::Kubo;

use crate::{random, rustle};

/// Bytes of a chunk, and links of a node, as both have them by default.
const CHUNK: usize = 256 * 1024;
const LINKS: usize = 174;

#[tokio::test]
async fn thirty_files_around_every_boundary_have_the_same_cid() {
    let node = rustle("r").await;
    let client = node.client().await.unwrap();
    let mut kubo = Kubo::start(&[]).await.unwrap();
    let sizes = [
        0,
        1,
        2,
        31,
        32,
        33,
        127,
        128,
        255,
        256,
        4095,
        4096,
        16_383,
        16_384,
        65_535,
        65_536,
        CHUNK - 1,
        CHUNK,
        CHUNK + 1,
        2 * CHUNK - 1,
        2 * CHUNK,
        2 * CHUNK + 1,
        3 * CHUNK + 7,
        10 * CHUNK,
        (LINKS - 1) * CHUNK,
        LINKS * CHUNK - 1,
        LINKS * CHUNK,
        LINKS * CHUNK + 1,
        2 * LINKS * CHUNK,
        2 * LINKS * CHUNK + 1,
    ];
    assert_eq!(sizes.len(), 30);
    for size in sizes {
        let bytes = random(size, 1);
        let theirs = kubo.add_bytes(&bytes, true).await.unwrap();
        let ours = client.add_bytes(Profile::V0, bytes.into()).await.unwrap();
        assert_eq!(ours.cid.to_string(), theirs, "{size} bytes");
    }
    // The same chunk again and again.
    let zeros = vec![0; 300 * CHUNK + 3];
    let theirs = kubo.add_bytes(&zeros, true).await.unwrap();
    let ours = client.add_bytes(Profile::V0, zeros.into()).await.unwrap();
    assert_eq!(ours.cid.to_string(), theirs);
}
