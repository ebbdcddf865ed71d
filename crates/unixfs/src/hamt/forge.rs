//! Names with any hash one likes: what a hostile folder is made of.

use super::hash::{C1, C2};

/// Names of 32 bytes, all with this hash, that are names of entries by every other rule.
pub(crate) fn names_with_hash(hash: u64) -> impl Iterator<Item = Vec<u8>> {
    // Each first half leads to some state; from there one second half leads to the state whose last mix gives `hash`.
    (0u64..).filter_map(move |seed| {
        let first = format!("forged {seed:08}!");
        let name = [first.as_bytes(), &second_half(first.as_bytes(), hash)].concat();
        let is_name = name.iter().all(|byte| !matches!(byte, 0 | b'/'));
        is_name.then_some(name)
    })
}

fn second_half(first: &[u8], hash: u64) -> [u8; 16] {
    let mut words = [0; 2];
    for (word, bytes) in words.iter_mut().zip(first.chunks(8)) {
        *word = u64::from_le_bytes(bytes.try_into().expect("16 bytes"));
    }
    let mix = |k: u64, a: u64, turn, b: u64| k.wrapping_mul(a).rotate_left(turn).wrapping_mul(b);
    let h1 = mix(words[0], C1, 31, C2).rotate_left(27);
    let h1 = h1.wrapping_mul(5).wrapping_add(0x52dc_e729);
    let h2 = mix(words[1], C2, 33, C1).rotate_left(31).wrapping_add(h1);
    let h2 = h2.wrapping_mul(5).wrapping_add(0x3849_5ab5);

    // The state behind the second half: the last mix of its two sums shall add up to `hash`.
    let b = 12_345u64;
    let a = unfinish(hash.wrapping_sub(finish(b)));
    let end2 = b.wrapping_sub(a);
    let end1 = a.wrapping_sub(end2);
    let (end1, end2) = (end1 ^ 32, end2 ^ 32);

    let fifth = inverse(5);
    let turned = end1
        .wrapping_sub(0x52dc_e729)
        .wrapping_mul(fifth)
        .wrapping_sub(h2);
    let k1 = unmix(turned.rotate_right(27) ^ h1, C1, 31, C2);
    let turned = end2
        .wrapping_sub(0x3849_5ab5)
        .wrapping_mul(fifth)
        .wrapping_sub(end1);
    let k2 = unmix(turned.rotate_right(31) ^ h2, C2, 33, C1);
    (u128::from(k1) | u128::from(k2) << 64).to_le_bytes()
}

fn unmix(mixed: u64, a: u64, turn: u32, b: u64) -> u64 {
    mixed
        .wrapping_mul(inverse(b))
        .rotate_right(turn)
        .wrapping_mul(inverse(a))
}

fn finish(h: u64) -> u64 {
    let h = (h ^ h >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let h = (h ^ h >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ h >> 33
}

fn unfinish(h: u64) -> u64 {
    // A shift by more than half the bits undoes itself.
    let h = (h ^ h >> 33).wrapping_mul(inverse(0xc4ce_b9fe_1a85_ec53));
    let h = (h ^ h >> 33).wrapping_mul(inverse(0xff51_afd7_ed55_8ccd));
    h ^ h >> 33
}

/// The number that an odd one is multiplied with to give 1 modulo 2^64, by Newton's steps.
fn inverse(odd: u64) -> u64 {
    (0..6).fold(odd, |x, _| x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x))))
}

#[test]
fn forged_names_have_their_hash() {
    for hash in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
        for name in names_with_hash(hash).take(3) {
            assert_eq!(super::name_hash(&name), hash);
        }
    }
}
