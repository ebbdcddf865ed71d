//! What can be typed behind `rustle store` and `rustle pin`.

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use rustle_admin::views::PinKind;

use crate::duration;

const STAT_HELP: &str = "\
Reads the whole index: a second for a million blocks.\n\
JSON: blocks, bytes, recursive_pins, direct_pins, disk_bytes, free_bytes, quota_bytes, high_water_bytes, \
low_water_bytes (null where there is no quota), last_collection (null, or {ended_ms, duration_ms, blocks, bytes}), \
healthy, health.";

const VERIFY_HELP: &str = "\
Exit code 1 where something is wrong and was not repaired.\n\
JSON: blocks, bytes, faults[] of {cid, kind (damaged, no_bytes, no_entry), repaired}. CIDs are of version 1 with codec \
raw: the store knows blocks by their hash alone.";

const GC_HELP: &str = "\
Kept is what is pinned, belongs to a chain, or is on its way in. Ending the command ends the collection.\n\
JSON: removed_blocks, removed_bytes, marked, seen.";

const PIN_HELP: &str = "\
Blocks that are missing are fetched from peers first: when the command ends, all of it is here, and durable.\n\
JSON: cid, kind (recursive, direct), name (null for none), fetched (blocks).";

const PINS_HELP: &str = "\
With a CID, how that one is kept; exit code 1 where it is not.\n\
JSON: pins[] of {cid, kind (recursive, direct, indirect), name (null for none), through (of an indirect one the pin that \
it lies below, else null)}.";

/// The commands about the store.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Show what is kept and what room there is.
    #[command(after_long_help = STAT_HELP)]
    Stat,
    /// Hash every block, and tell of those that are damaged or not whole.
    #[command(after_long_help = VERIFY_HELP)]
    Verify {
        /// Drop what is damaged, so that it is fetched again when it is wanted.
        #[arg(long)]
        repair: bool,
    },
    /// Remove what nothing keeps, and give its room back.
    #[command(after_long_help = GC_HELP)]
    Gc,
}

/// The commands about pins.
#[derive(Debug, Subcommand)]
pub(crate) enum PinCommand {
    /// Keep content until it is unpinned.
    #[command(after_long_help = PIN_HELP)]
    Add {
        /// CID of its root.
        cid: String,
        /// Keep the block alone, not what is below it.
        #[arg(long)]
        direct: bool,
        /// A name for people: at most 255 bytes.
        #[arg(long, value_name = "TEXT", default_value = "")]
        name: String,
        /// How long to wait for a missing block: seconds, or as in 30s, 2m.
        #[arg(long, value_name = "TIME", value_parser = duration::parse)]
        timeout: Option<Duration>,
    },
    /// Do not keep content any more; it goes with the next `store gc`.
    #[command(after_long_help = "JSON: cid, kind, name.")]
    Rm {
        /// CID of its root.
        cid: String,
        /// Only a direct pin.
        #[arg(long)]
        direct: bool,
    },
    /// List what is pinned.
    #[command(visible_alias = "list", after_long_help = PINS_HELP)]
    Ls {
        /// Only how this one is kept.
        cid: Option<String>,
        /// Only pins of this kind.
        #[arg(long = "type", value_enum, value_name = "KIND")]
        kind: Option<PinKindName>,
    },
}

/// How much of a DAG is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PinKindName {
    /// A block and all below it.
    Recursive,
    /// A block alone.
    Direct,
}

impl From<PinKindName> for PinKind {
    fn from(name: PinKindName) -> Self {
        match name {
            PinKindName::Recursive => Self::Recursive,
            PinKindName::Direct => Self::Direct,
        }
    }
}
