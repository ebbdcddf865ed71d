//! What can be typed?

mod content;
mod peers;
mod routing;
mod store;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use rustle_admin::views::FollowFrom;

pub(crate) use self::content::{
    AddArguments, BlockCommand, CarCommand, CatArguments, DagCommand, FormName, GetArguments, ListArguments,
    PathArguments,
};
pub(crate) use self::peers::PeerCommand;
pub(crate) use self::routing::TunnelCommand;
pub(crate) use self::store::{PinCommand, StoreCommand};
use crate::duration::{self, Expiry};

const AFTER_HELP: &str = "\
The daemon is found by its socket `admin.sock` in the data directory: --data-dir, else $RUSTLE_DATA_DIR, \
else $XDG_DATA_HOME/rustle, else ~/.local/share/rustle.

With --json each command prints one JSON object; `ls`, `chain log` and `chain follow` print one per line. \
The long help of a command (`rustle chain log --help`) names the fields. \
Fields are never renamed or removed; new ones may come.

Exit codes: 0 done, 1 failed, 2 wrong usage.";

/// Talks to a running Rustle node.
#[derive(Debug, Parser)]
#[command(name = "rustle", version, after_long_help = AFTER_HELP, arg_required_else_help = false)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) daemon: Daemon,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which daemon to talk to.
#[derive(Debug, Args)]
pub(crate) struct Daemon {
    /// Data directory of the daemon.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Where the daemon listens: unix:/path/admin.sock or http://127.0.0.1:PORT.
    #[arg(long, global = true, value_name = "E")]
    pub(crate) endpoint: Option<String>,
    /// File with the token for an http endpoint [default: admin.token in the data directory].
    #[arg(long, global = true, value_name = "FILE", requires = "endpoint")]
    pub(crate) token_file: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show who the node is.
    #[command(after_long_help = "JSON: peer_id, addresses[], network, agent, version.")]
    Id,
    /// Show how the node is doing.
    #[command(
        after_long_help = "JSON: ready, health, uptime_ms, network, version, listen_addresses[], \
        peers {rustle, foreign, pending}, chains, store_bytes (null where unknown)."
    )]
    Status,
    /// Work with peers.
    #[command(subcommand, arg_required_else_help = false)]
    Peer(PeerCommand),
    /// List the connected peers: the same as `peer ls`.
    #[command(after_long_help = peers::LIST_HELP)]
    Peers,
    /// Connect to a node: the same as `peer connect`.
    #[command(after_long_help = "JSON: peer_id.")]
    Connect {
        /// Multiaddr, with or without /p2p/PEER.
        address: String,
        /// How long to try: seconds, or as in 30s, 2m.
        #[arg(long, value_name = "TIME", value_parser = duration::parse)]
        timeout: Option<Duration>,
    },
    /// Add files and folders, and print their CIDs.
    #[command(after_long_help = content::ADD_HELP)]
    Add(Box<AddArguments>),
    /// Write files to standard output, from here or from peers.
    #[command(after_long_help = content::CAT_HELP)]
    Cat(CatArguments),
    /// Write a file or folder to disk, from here or from peers.
    #[command(after_long_help = content::GET_HELP)]
    Get(GetArguments),
    /// List a folder.
    #[command(after_long_help = content::LS_HELP)]
    Ls(ListArguments),
    /// Show what the root block of a file or folder says.
    #[command(after_long_help = content::STAT_HELP)]
    Stat(PathArguments),
    /// Write and read CARs: files of blocks.
    #[command(subcommand, arg_required_else_help = false)]
    Car(CarCommand),
    /// Work with values: dag-json and dag-cbor.
    #[command(subcommand, arg_required_else_help = false)]
    Dag(DagCommand),
    /// Work with single blocks.
    #[command(subcommand, arg_required_else_help = false)]
    Block(BlockCommand),
    /// Tell the DHTs that this node has some content.
    #[command(after_long_help = routing::PROVIDE_HELP)]
    Provide {
        /// CID of the content.
        cid: String,
        /// Also of each block below it.
        #[arg(short, long)]
        recursive: bool,
    },
    /// Ask the DHTs who has some content.
    #[command(after_long_help = routing::FIND_HELP)]
    FindProviders {
        /// CID of the content.
        cid: String,
        /// End after so many peers.
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// How long to search: seconds, or as in 30s, 2m.
        #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration::parse)]
        timeout: Duration,
    },
    /// Pass TCP connections through streams between peers.
    #[command(subcommand, arg_required_else_help = false)]
    Tunnel(TunnelCommand),
    /// Work with what the node keeps on its disk.
    #[command(subcommand, arg_required_else_help = false)]
    Store(StoreCommand),
    /// Keep content.
    #[command(subcommand, arg_required_else_help = false)]
    Pin(PinCommand),
    /// Work with chains.
    #[command(subcommand, arg_required_else_help = false)]
    Chain(ChainCommand),
}

/// The commands about chains. CHAIN is a chain's id, or its name where only one chain of the node has it.
#[derive(Debug, Subcommand)]
pub(crate) enum ChainCommand {
    /// Make a chain.
    #[command(after_long_help = "JSON: chain, name.")]
    Create {
        /// Its name: 1 to 64 bytes.
        name: String,
    },
    /// List the chains of the node.
    #[command(
        visible_alias = "ls",
        after_long_help = "JSON: chains[] of {chain, name, blocks, height, leaves}."
    )]
    List,
    /// Invite others to a chain.
    #[command(after_long_help = "The invitation is a secret: whoever has it can join.\nJSON: invitation.")]
    Invite {
        /// The chain.
        chain: String,
        /// When the invitation ends: as in 15m, 24h, 7d, or never.
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration::parse_expiry)]
        expires: Expiry,
        /// How many nodes may join with it; 0 for any number.
        #[arg(long, value_name = "N", default_value_t = 1)]
        uses: u32,
    },
    /// Join a chain by an invitation.
    #[command(after_long_help = "JSON: chain, name.")]
    Join {
        /// What `rustle chain invite` printed; - to read it from standard input.
        invitation: String,
        /// How long to try: seconds, or as in 30s, 2m.
        #[arg(long, value_name = "TIME", value_parser = duration::parse)]
        timeout: Option<Duration>,
    },
    /// Append a block and wait until it is durable.
    #[command(after_long_help = "JSON: block, height.")]
    Append {
        /// The chain.
        chain: String,
        /// A topic of the block; may be given several times.
        #[arg(long = "topic", value_name = "T")]
        topics: Vec<String>,
        /// Take the body from this file.
        #[arg(long, value_name = "FILE", conflicts_with = "text")]
        file: Option<PathBuf>,
        /// The body; - for standard input.
        #[arg(required_unless_present = "file")]
        text: Option<String>,
    },
    /// Show the blocks, newest first.
    #[command(after_long_help = "JSON per line: block, height, time_ms, author, \
        parents[], topics[], kind (genesis, data, other), text (null where the body is not UTF-8), body_base64.")]
    Log {
        /// The chain.
        chain: String,
        /// At most so many.
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
        /// Oldest first.
        #[arg(long)]
        reverse: bool,
        /// Begin behind this block.
        #[arg(long, value_name = "BLOCK")]
        after: Option<String>,
    },
    /// List the blocks that no other names as parent.
    #[command(after_long_help = "JSON: blocks[].")]
    Leaves {
        /// The chain.
        chain: String,
    },
    /// Show blocks as they come, without end.
    #[command(after_long_help = "JSON per line: sequence, and the fields of `chain log`.")]
    Follow {
        /// The chain.
        chain: String,
        /// Where to begin: start, now, or a sequence number (the last one seen, and 1 more).
        #[arg(long, default_value = "now", value_parser = follow_from)]
        from: FollowFrom,
        /// End after so many.
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
    },
    /// Print one hash over all blocks in their order, to compare nodes by.
    #[command(after_long_help = "JSON: hash, blocks.")]
    Digest {
        /// The chain.
        chain: String,
    },
}

fn follow_from(text: &str) -> Result<FollowFrom, String> {
    match text {
        "now" => Ok(FollowFrom::Now),
        "start" => Ok(FollowFrom::Start),
        number => {
            let sequence = number
                .parse()
                .map_err(|_| "use start, now or a number".to_owned())?;
            Ok(FollowFrom::Sequence(sequence))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::failure::Failure;

    fn parse(line: &str) -> Result<Arguments, Failure> {
        Arguments::try_parse_from(line.split_whitespace()).map_err(|error| Failure::from(&error))
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_lines_of_the_manual_about_the_store_are_understood() {
        for line in [
            "rustle store stat",
            "rustle store verify --repair",
            "rustle store gc --json",
            "rustle pin add Qm --direct --name x --timeout 2m",
            "rustle pin rm Qm",
            "rustle pin ls",
            "rustle pin ls Qm --type direct",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn the_lines_of_the_manual_are_understood() {
        for line in [
            "rustle id",
            "rustle --data-dir /d --json status",
            "rustle peers --json",
            "rustle peer ls",
            "rustle peer list --class foreign --direction inbound",
            "rustle peer info 12D3Koo",
            "rustle peer connect /ip4/127.0.0.1/tcp/1 --timeout 5",
            "rustle peer disconnect 12D3Koo",
            "rustle peer ban 192.0.2.0/24 --expires 30m --reason loud",
            "rustle peer ban 12D3Koo --expires never",
            "rustle peer unban 192.0.2.0/24",
            "rustle peer bans --json",
            "rustle peer allow 192.0.2.7 --reason friend",
            "rustle peer disallow 192.0.2.7",
            "rustle peer addresses --table tried --limit 10",
            "rustle --endpoint http://127.0.0.1:7070 --token-file t connect /ip4/127.0.0.1/tcp/1 --timeout 5",
            "rustle add - --profile v1",
            "rustle add a b -rHLw --preserve-mode --preserve-mtime -n --pin=false -Q",
            "rustle add - --stdin-name x -w --cid-version 1 --raw-leaves=false --chunker size-1000 --hash blake3",
            "rustle add a --profile 2025 --inline --inline-limit 8",
            "rustle get Qm/a/b -o out --force --timeout 5",
            "rustle ls /ipfs/Qm --size=false",
            "rustle stat Qm/a",
            "rustle car export Qm -o f.car",
            "rustle car import - --pin-roots=false",
            "rustle dag get Qm/a/0 --form dag-cbor",
            "rustle dag put - --hash sha2-512 --pin",
            "rustle dag stat Qm",
            "rustle block get Qm",
            "rustle block put f --codec dag-pb --cid-version 0",
            "rustle block stat Qm",
            "rustle block rm Qm Qm",
            "rustle cat Qm/a Qm/b",
            "rustle cat Qm -o out --timeout 2m --offset 1 --length 2",
            "rustle provide Qm --recursive",
            "rustle find-providers Qm --limit 3 --timeout 5",
            "rustle tunnel listen /x/web /ip4/127.0.0.1/tcp/80 --allow 12D3Koo --allow any",
            "rustle tunnel forward /x/web /ip4/127.0.0.1/tcp/0 12D3Koo",
            "rustle tunnel list",
            "rustle tunnel close 3",
            "rustle tunnel close --all",
            "rustle chain create chat",
            "rustle chain ls",
            "rustle chain invite chat --expires never --uses 0",
            "rustle chain join rustle1x",
            "rustle chain append chat --topic a --topic b hello",
            "rustle chain append chat -",
            "rustle chain append chat --file f",
            "rustle chain log chat --limit 3 --reverse --json",
            "rustle chain leaves chat",
            "rustle chain follow chat --from 17 --limit 1",
            "rustle chain digest chat",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
        let invite = parse("rustle chain invite chat").unwrap().command;
        let Command::Chain(ChainCommand::Invite { expires, uses, .. }) = invite else {
            panic!("{invite:?}")
        };
        assert_eq!(
            (expires, uses),
            (Expiry(Some(Duration::from_secs(86400))), 1),
            "for one node and one day"
        );
    }

    #[test]
    fn wrong_lines_are_usage_errors_of_one_line() {
        for (line, hint) in [
            ("rustle", "add, cat"),
            ("rustle chain", "create, list"),
            ("rustle --json chain", "create, list"),
            ("rustle peer", "ls, list, info"),
            ("rustle store", "stat, verify, gc"),
            ("rustle pin ls --type indirect", "recursive, direct"),
            ("rustle peer ls --class best", "rustle, foreign, pending"),
            ("rustle peer ban", "<TARGET>"),
            ("rustle peer ban 192.0.2.7 --expires soon", "s, m, h, d"),
            ("rustle peer addresses --limit 0", "0"),
            ("rustle id --jsn", "'--jsn'"),
            ("rustle sing", "'sing'"),
            ("rustle cat", "<CID>"),
            ("rustle find-providers Qm --limit 0", "0"),
            ("rustle tunnel", "listen, forward"),
            ("rustle tunnel close", "TUNNEL"),
            ("rustle tunnel close 3 --all", "--all"),
            ("rustle add a --chunker rabin", "size-262144"),
            ("rustle add a --hash md5", "sha2-512"),
            ("rustle add a --cid-version 2", "0..=1"),
            ("rustle dag get Qm --form xml", "dag-json, dag-cbor"),
            ("rustle chain invite chat --expires soon", "s, m, h, d"),
            (
                "rustle chain follow chat --from yesterday",
                "start, now or a number",
            ),
            ("rustle chain append chat", "TEXT"),
            ("rustle chain append chat --file f text", "--file"),
            ("rustle id --token-file t", "--endpoint"),
        ] {
            let Err(Failure::Usage(message)) = parse(line) else {
                panic!("{line} is no usage error")
            };
            assert!(
                message.contains(hint) && !message.contains('\n'),
                "{line}: {message}"
            );
            assert!(!message.starts_with("error"), "{message}");
        }
    }
}
