//! What can be typed about who has which content, and about tunnels?

use clap::Subcommand;

/// The long help of `rustle provide`.
pub(super) const PROVIDE_HELP: &str = "\
The DHT of the network is told, and those of IPFS where the node takes part (see `rustled --help`, --ipfs-dht). Nodes that \
were told forget it after one or two days; what the node tells again by itself is the setting --provide. Where no node was told of some block, the exit code is 1.

JSON per line, one for each block: cid, told[] of {dht (rustle, ipfs-lan, ipfs), nodes}.";

/// The long help of `rustle find-providers`.
pub(super) const FIND_HELP: &str = "\
Each peer is shown as it is found, and again where addresses come that were not known before. Where nobody is found, the \
message says how many nodes of each DHT were asked, and the exit code is 1.

JSON per line: peer_id, addresses[].";

/// The commands about tunnels. A name begins with /x/, as with `ipfs p2p`; addresses are /ip4/IP/tcp/PORT.
#[derive(Debug, Subcommand)]
pub(crate) enum TunnelCommand {
    /// Offer a TCP service to peers.
    #[command(after_long_help = "\
Peers that may use it connect with `rustle tunnel forward`, or with `ipfs p2p forward` of Kubo. Connected peers see the name. \
Tunnels end with the daemon, and a connection through one is cut once nothing has gone over it for 60 to 90 minutes.

JSON: the fields of `tunnel ls`.")]
    Listen {
        /// Name of the service: /x/NAME.
        name: String,
        /// Where the service is: /ip4/127.0.0.1/tcp/8080.
        target: String,
        /// Only this peer may use it, foreign or not; may be repeated. `any` for everybody [default: nodes of the network].
        #[arg(long, value_name = "PEER|any")]
        allow: Vec<String>,
    },
    /// Reach a TCP service that a peer offers.
    #[command(after_long_help = "\
Each connection at LISTEN is passed on. With port 0 a free one is taken, which the answer names. The peer is dialled when a \
connection comes and there is none with it. A connection is cut once nothing has gone over it for 60 to 90 minutes.

JSON: the fields of `tunnel ls`.")]
    Forward {
        /// Name under which the peer offers it: /x/NAME.
        name: String,
        /// Where programs connect: /ip4/127.0.0.1/tcp/PORT.
        listen: String,
        /// Who offers it: its peer id, or a multiaddr that ends with /p2p/ID.
        peer: String,
    },
    /// List the tunnels.
    #[command(
        visible_alias = "list",
        after_long_help = "JSON: tunnels[] of {id, side (listen, forward), name, target (null when forwarding), \
        allow[], allow_any, listen (null when listening), peer_id (null when listening), open, total, refused, bytes_out, \
        bytes_in}."
    )]
    Ls,
    /// End tunnels and break off their connections.
    #[command(after_long_help = "JSON: closed.")]
    Close {
        /// The number that `tunnel ls` shows, or a name.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        tunnel: Option<String>,
        /// All of them.
        #[arg(long)]
        all: bool,
    },
}
