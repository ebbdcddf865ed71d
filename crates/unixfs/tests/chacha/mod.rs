//! The key stream that Kubo's own tests draw bytes from: ChaCha20 (RFC 8439) with sha2-256 of a seed as its key.

use multihash_codetable::{Code, MultihashDigest};

/// The key of a seed.
pub(crate) fn key(seed: &str) -> [u32; 8] {
    let digest = Code::Sha2_256.digest(seed.as_bytes());
    let mut key = [0; 8];
    for (word, bytes) in key.iter_mut().zip(digest.digest().chunks(4)) {
        *word = u32::from_le_bytes(bytes.try_into().expect("four bytes"));
    }
    key
}

/// The bytes of a seed.
#[allow(dead_code, reason = "one of two tests draws single bytes")]
pub(crate) fn key_stream(seed: &str) -> impl Iterator<Item = u8> {
    let key = key(seed);
    (0..).flat_map(move |counter| block(&key, counter))
}

/// A block of the key stream, with a nonce of zeros.
pub(crate) fn block(key: &[u32; 8], counter: u32) -> [u8; 64] {
    let mut start = [0u32; 16];
    start[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
    start[4..12].copy_from_slice(key);
    start[12] = counter;
    let mut state = start;
    for _ in 0..10 {
        for [a, b, c, d] in [
            [0, 4, 8, 12],
            [1, 5, 9, 13],
            [2, 6, 10, 14],
            [3, 7, 11, 15],
            [0, 5, 10, 15],
            [1, 6, 11, 12],
            [2, 7, 8, 13],
            [3, 4, 9, 14],
        ] {
            state[a] = state[a].wrapping_add(state[b]);
            state[d] = (state[d] ^ state[a]).rotate_left(16);
            state[c] = state[c].wrapping_add(state[d]);
            state[b] = (state[b] ^ state[c]).rotate_left(12);
            state[a] = state[a].wrapping_add(state[b]);
            state[d] = (state[d] ^ state[a]).rotate_left(8);
            state[c] = state[c].wrapping_add(state[d]);
            state[b] = (state[b] ^ state[c]).rotate_left(7);
        }
    }
    let mut out = [0; 64];
    for (bytes, (end, begin)) in out.chunks_mut(4).zip(state.iter().zip(start)) {
        bytes.copy_from_slice(&end.wrapping_add(begin).to_le_bytes());
    }
    out
}
