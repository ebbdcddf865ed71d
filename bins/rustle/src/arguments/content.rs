//! What can be typed about files, folders and blocks?

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use rustle_admin::views::{AddOptions, DagForm, ImportChoices, Profile};
use rustle_admin::{Fault, parse};
use rustle_types::content::HashFunction;

use crate::duration;

pub(super) const ADD_HELP: &str = "\
The CIDs are those that `ipfs add` gives with the same choices. One file: its CID is printed. Folders and several \
paths: a line of CID and path for each entry, the roots last of their own; with --quiet the CIDs alone, with --quieter \
those of the roots. Symbolic links are added as links; hidden files in folders are left out.

JSON: cid (of the last root), bytes, blocks, roots[] of {path, cid, bytes, kind}, pinned.";

pub(super) const CAT_HELP: &str = "\
A path is CID, CID/name/name or /ipfs/CID/name.
With --output, JSON: cid (the path), bytes, file. Without, the bytes of the files are the output.";

pub(super) const GET_HELP: &str = "\
Files, folders and symbolic links are written with the modes and times that were kept. They appear under their name \
when they are complete; when it fails or is interrupted, nothing is left. Nothing is written outside of the target.

JSON: cid (the path), file, entries, bytes.";

pub(super) const LS_HELP: &str = "\
Text: CID, bytes of the file (- for others), name; folders end with /, links with @. Large folders come in the order of \
their shards.

JSON per line: name, cid, kind (file, folder, symlink, other, or unknown where it was not looked at), bytes (null where \
unknown), cumulative_bytes.";

pub(super) const STAT_HELP: &str = "\
JSON: cid, kind (file, folder, symlink, other), bytes, cumulative_bytes, block_bytes, blocks (links of the root block), \
sharded, mode (null where none was kept), mtime {seconds, nanos} or null, target (of a symbolic link, or null), codec.";

/// How long to wait.
#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// How long to wait for a missing block: seconds, or as in 30s, 2m.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration::parse)]
    pub(crate) timeout: Duration,
}

/// What to add, and how.
#[derive(Debug, Args)]
pub(crate) struct AddArguments {
    /// Files, folders (with -r) or symbolic links; - for standard input.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Add folders with all that is in them.
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// Add hidden files in folders, too.
    #[arg(short = 'H', long)]
    pub(crate) hidden: bool,
    /// Add what symbolic links lead to instead of the links.
    #[arg(short = 'L', long)]
    pub(crate) follow: bool,
    /// Keep the permission bits.
    #[arg(long)]
    pub(crate) preserve_mode: bool,
    /// Keep the times of the last changes.
    #[arg(long)]
    pub(crate) preserve_mtime: bool,
    /// Put everything into one folder more.
    #[arg(short, long)]
    pub(crate) wrap: bool,
    /// The name of standard input in that folder.
    #[arg(long, value_name = "NAME")]
    pub(crate) stdin_name: Option<String>,
    /// Only say which CIDs it would have: nothing is written or pinned.
    #[arg(short = 'n', long)]
    pub(crate) only_hash: bool,
    /// Pin the roots; without a pin the next collection of garbage takes them.
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = clap::ArgAction::Set)]
    pub(crate) pin: bool,
    #[command(flatten)]
    pub(crate) choices: Choices,
    /// Print CIDs alone.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Print the CIDs of the roots alone.
    #[arg(short = 'Q', long)]
    pub(crate) quieter: bool,
}

/// How files become blocks.
#[derive(Debug, Args)]
pub(crate) struct Choices {
    /// How files become blocks: v0 as `ipfs add`, v1 as `ipfs add --cid-version=1`, 2025 as the profile
    /// unixfs-v1-2025 (chunks of 1 MiB, 1024 links).
    #[arg(long, value_enum, default_value_t = ProfileName::V0)]
    profile: ProfileName,
    /// Version of the CIDs; 1 also makes leaves raw.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=1))]
    cid_version: Option<u8>,
    /// Make leaves of the bytes alone.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    raw_leaves: Option<bool>,
    /// How files are cut: size-N for chunks of N bytes.
    #[arg(long, value_name = "size-N", value_parser = chunk_bytes)]
    chunker: Option<u64>,
    /// Hash function: sha2-256, sha2-512 or blake3.
    #[arg(long, value_name = "NAME", default_value = "sha2-256", value_parser = hash)]
    hash: HashFunction,
    /// Put blocks of at most 32 bytes into their CID.
    #[arg(long)]
    inline: bool,
    /// With --inline, the most bytes, up to 64.
    #[arg(long, value_name = "N", default_value_t = 32, requires = "inline")]
    inline_limit: u32,
}

/// How a file becomes blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProfileName {
    /// As `ipfs add`.
    V0,
    /// As `ipfs add --cid-version=1`.
    V1,
    /// unixfs-v1-2025.
    #[value(name = "2025", alias = "unixfs-v1-2025")]
    V1Of2025,
}

/// Files to read.
#[derive(Debug, Args)]
pub(crate) struct CatArguments {
    /// The files: CID, CID/name or /ipfs/CID/name.
    #[arg(required = true, value_name = "CID")]
    pub(crate) paths: Vec<String>,
    /// Write to this file instead; it appears when it is complete.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) wait: Wait,
    /// First byte.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) offset: u64,
    /// At most so many bytes.
    #[arg(long, value_name = "N")]
    pub(crate) length: Option<u64>,
}

/// A tree to write.
#[derive(Debug, Args)]
pub(crate) struct GetArguments {
    /// What to get: CID, CID/name or /ipfs/CID/name.
    #[arg(value_name = "CID")]
    pub(crate) path: String,
    /// Where to write it [default: its name in the current folder].
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// Replace what is there.
    #[arg(short, long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// A folder to list.
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// The folder: CID, CID/name or /ipfs/CID/name.
    #[arg(value_name = "CID")]
    pub(crate) path: String,
    /// Look at each entry for its kind and size; with --size=false nothing is fetched for that.
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = clap::ArgAction::Set)]
    pub(crate) size: bool,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// What to look at.
#[derive(Debug, Args)]
pub(crate) struct PathArguments {
    /// What to look at: CID, CID/name or /ipfs/CID/name.
    #[arg(value_name = "CID")]
    pub(crate) path: String,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// The commands about CARs.
#[derive(Debug, Subcommand)]
pub(crate) enum CarCommand {
    /// Write all blocks below a root as a CAR of version 1.
    #[command(
        after_long_help = "Each block is written once, depth first, so the same root gives the same bytes. \
        What is missing is fetched.\nWith --output, JSON: cid, blocks, bytes, file. Without, the CAR is the output."
    )]
    Export {
        /// The root: CID, CID/name or /ipfs/CID/name.
        #[arg(value_name = "CID")]
        path: String,
        /// Write to this file instead; it appears when it is complete.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Keep the blocks of a CAR of version 1 or 2.
    #[command(
        after_long_help = "Each block is checked against its CID. When the CAR is cut off or damaged, nothing \
        is pinned.\nJSON: roots[], blocks, bytes, pinned."
    )]
    Import {
        /// The CAR; - for standard input.
        file: PathBuf,
        /// Pin the roots with all that they link to.
        #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true,
            default_missing_value = "true", action = clap::ArgAction::Set)]
        pin_roots: bool,
    },
}

/// The commands about values.
#[derive(Debug, Subcommand)]
pub(crate) enum DagCommand {
    /// Show a block, or a value in it, as dag-json or dag-cbor.
    #[command(
        after_long_help = "Names of the path are followed through folders, maps, lists and links.\n\
        The value is the output, with and without --json."
    )]
    Get {
        /// What to show: CID, or CID/name/0/name.
        #[arg(value_name = "CID")]
        path: String,
        /// How to show it.
        #[arg(long, value_enum, default_value_t = FormName::DagJson)]
        form: FormName,
        #[command(flatten)]
        wait: Wait,
    },
    /// Keep a value as a dag-cbor block and print its CID.
    #[command(after_long_help = "JSON: cid, bytes.")]
    Put {
        /// The value; - for standard input.
        file: PathBuf,
        /// How it is written.
        #[arg(long, value_enum, default_value_t = FormName::DagJson)]
        form: FormName,
        /// Hash function: sha2-256, sha2-512 or blake3.
        #[arg(long, value_name = "NAME", default_value = "sha2-256", value_parser = hash)]
        hash: HashFunction,
        /// Pin it with all that it links to.
        #[arg(long)]
        pin: bool,
    },
    /// Count all blocks below a root, each once.
    #[command(after_long_help = "JSON: cid, blocks, bytes.")]
    Stat(PathArguments),
}

/// The commands about blocks.
#[derive(Debug, Subcommand)]
pub(crate) enum BlockCommand {
    /// Write the bytes of a block to standard output.
    Get {
        /// Its CID.
        cid: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Keep a block and print its CID.
    #[command(after_long_help = "JSON: cid, bytes.")]
    Put {
        /// Its bytes; - for standard input.
        file: PathBuf,
        /// Its codec: raw, dag-pb, dag-cbor or dag-json.
        #[arg(long, value_name = "NAME", default_value = "raw")]
        codec: String,
        /// Hash function: sha2-256, sha2-512 or blake3.
        #[arg(long, value_name = "NAME", default_value = "sha2-256", value_parser = hash)]
        hash: HashFunction,
        /// Version of its CID; 0 takes dag-pb and sha2-256.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=1))]
        cid_version: u8,
        /// Pin it with all that it links to, which must be here.
        #[arg(long)]
        pin: bool,
    },
    /// Say how long a block is.
    #[command(after_long_help = "JSON: cid, bytes.")]
    Stat {
        /// Its CID.
        cid: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Drop blocks from this node.
    #[command(after_long_help = "JSON: removed[].")]
    Rm {
        /// Their CIDs.
        #[arg(required = true, value_name = "CID")]
        cids: Vec<String>,
    },
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormName {
    /// Text.
    DagJson,
    /// Bytes.
    DagCbor,
}

fn chunk_bytes(text: &str) -> Result<u64, String> {
    let number = text.strip_prefix("size-").and_then(|number| number.parse().ok());
    number.ok_or_else(|| "use size-N, as in size-262144; other ways of cutting are not known".to_owned())
}

fn hash(text: &str) -> Result<HashFunction, String> {
    parse::hash_function(text).map_err(|fault| fault.message)
}

// === impl AddArguments ===

impl AddArguments {
    /// The choices in words of the interface, checked.
    pub(crate) fn options(&self, each_entry: bool) -> Result<AddOptions, Fault> {
        let given = &self.choices;
        let profile = match given.profile {
            ProfileName::V0 => Profile::V0,
            ProfileName::V1 => Profile::V1,
            ProfileName::V1Of2025 => Profile::V1Of2025,
        };
        let choices = ImportChoices {
            profile,
            cid_version: given.cid_version,
            raw_leaves: given.raw_leaves,
            chunk_bytes: given.chunker,
            hash: given.hash,
            inline_bytes: if given.inline { given.inline_limit } else { 0 },
        };
        choices.import_profile()?;
        Ok(AddOptions {
            choices,
            wrap: self.wrap,
            only_hash: self.only_hash,
            pin: self.pin && !self.only_hash,
            each_entry,
        })
    }
}

impl From<FormName> for DagForm {
    fn from(name: FormName) -> Self {
        match name {
            FormName::DagJson => Self::Json,
            FormName::DagCbor => Self::Cbor,
        }
    }
}
