//! Does every target keep its promises on all that a search has found so far, and near it?
//!
//! The corpus in `fuzz/corpus` has one file for each way through the code that libFuzzer met. Here each is run once, and
//! then mutated from a fixed seed: a look of a second, where `cargo xtask fuzz` searches for as long as one likes.

use std::panic::catch_unwind;
use std::path::Path;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rustle_targets::{TARGETS, Target};

/// Mutated inputs of each target.
const MUTATIONS: usize = 2_000;

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target.name)
        .with_extension("hex");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let inputs = text.lines().filter(|line| !line.starts_with('#'));
    inputs
        .map(|line| {
            let pairs = (0..line.len()).step_by(2).map(|start| &line[start..start + 2]);
            pairs
                .map(|pair| u8::from_str_radix(pair, 16).expect("an input in hexadecimal"))
                .collect()
        })
        .collect()
}

/// Runs one input, and names it where it breaks a promise.
fn run(target: &Target, name: &str, bytes: &[u8]) {
    let run = target.run;
    if catch_unwind(|| run(bytes)).is_err() {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("target {}, input {name}: {hex}", target.name);
    }
}

#[test]
fn the_corpus_breaks_no_promise() {
    for target in TARGETS {
        let mut inputs = (target.seeds)();
        inputs.extend(corpus(target));
        assert!(
            !inputs.is_empty(),
            "{} has neither seeds nor a corpus",
            target.name
        );
        for (number, bytes) in inputs.iter().enumerate() {
            assert!(bytes.len() <= target.bytes_max, "input {number} is too long");
            run(target, &number.to_string(), bytes);
        }
    }
}

#[test]
fn seeds_and_what_is_near_them_break_no_promise() {
    for target in TARGETS {
        let mut rng = StdRng::seed_from_u64(7);
        let mut inputs: Vec<Vec<u8>> = (target.seeds)();
        inputs.extend(corpus(target));
        for (number, seed) in (target.seeds)().iter().enumerate() {
            run(target, &format!("seed {number}"), seed);
        }
        for number in 0..MUTATIONS {
            let one = inputs.choose(&mut rng).expect("seeds are not empty").clone();
            let other = inputs.choose(&mut rng).expect("seeds are not empty");
            let bytes = mutate(one, other, target.bytes_max, &mut rng);
            run(target, &format!("mutation {number}"), &bytes);
        }
    }
}

/// A few of the changes that libFuzzer makes, too.
fn mutate(mut bytes: Vec<u8>, other: &[u8], bytes_max: usize, rng: &mut StdRng) -> Vec<u8> {
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..=bytes.len());
        match rng.random_range(0..5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, rng.random()),
            2 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = rng.random();
                }
            }
            3 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << rng.random_range(0..8);
                }
            }
            _ => {
                let from = rng.random_range(0..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes.truncate(bytes_max);
    bytes
}
