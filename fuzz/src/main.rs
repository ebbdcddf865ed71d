//! One target under libFuzzer; `RUSTLE_TARGET` names it. Run by `cargo xtask fuzz`.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use rustle_targets::Target;

static TARGET: OnceLock<&Target> = OnceLock::new();

fuzz_target!(
    init: {
        let name = std::env::var("RUSTLE_TARGET").unwrap_or_default();
        if name.is_empty() {
            for target in rustle_targets::TARGETS {
                println!("{} {}", target.name, target.bytes_max);
            }
            std::process::exit(0);
        }
        let Some(target) = rustle_targets::named(&name) else {
            eprintln!("fuzz: RUSTLE_TARGET names no target: `{name}`");
            std::process::exit(2);
        };
        let _ = TARGET.set(target);
        if let Some(folder) = std::env::var_os("RUSTLE_SEEDS") {
            write_seeds(target, folder.as_ref());
        }
    },
    |bytes: &[u8]| {
        let target = TARGET.get().expect("set before the first input");
        (target.run)(bytes);
    }
);

/// Where a search begins, beside the corpus.
fn write_seeds(target: &Target, folder: &std::path::Path) {
    for (number, seed) in (target.seeds)().iter().enumerate() {
        let path = folder.join(format!("seed-{number}"));
        if let Err(error) = std::fs::write(&path, seed) {
            eprintln!("fuzz: cannot write {}: {error}", path.display());
            std::process::exit(2);
        }
    }
}
