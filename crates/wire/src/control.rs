//! What two nodes say on the control stream of their connection.

use std::fmt;

use bytes::Bytes;
use prost::Message as _;
use rustle_types::limits::{ADDRESS_BYTES_MAX, HELLO_ADDRESSES_MAX, USER_AGENT_BYTES_MAX};
use rustle_types::{Multiaddr, NetworkName, Timestamp};

use crate::WireError;
use crate::generated as pb;

/// The protocol version that this build speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// Listening addresses of a Hello together, with two bytes around each. All other fields at their bounds take 315 bytes
/// of the 1,024 that a frame may have.
const LISTEN_ADDRESSES_BYTES_MAX: usize = 700;

/// One message of the control stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// First frame from the dialer.
    Hello(Hello),
    /// First frame from the acceptor, in the same format.
    HelloAck(Hello),
    /// "Are you there?"
    PingRequest {
        /// The answer must carry it.
        nonce: u64,
    },
    /// "I am."
    PingResponse {
        /// The number of the request.
        nonce: u64,
    },
    /// Why the sender is about to close the connection.
    Disconnect(Disconnect),
}

/// Who the sender is and what it can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The protocol versions that the sender speaks.
    pub versions: Versions,
    /// The network it belongs to.
    pub network: NetworkName,
    /// What it offers.
    pub services: Services,
    /// Program and version; informative, at most 64 bytes.
    pub user_agent: String,
    /// Version of the node software; informative, at most 64 bytes.
    pub software_version: String,
    /// Its wall clock; informative.
    pub time: Timestamp,
    /// Random number of its process, to recognise a connection to oneself.
    pub nonce: u64,
    /// Where it can be dialled; at most 8, and of long ones those that fit into a frame.
    pub listen_addresses: Vec<Multiaddr>,
    /// Where it sees the receiver.
    pub observed_address: Option<Multiaddr>,
}

/// A range of protocol versions, `min <= max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    min: u32,
    max: u32,
}

/// What a node offers: a bitmap whose unknown bits are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Services(pub u64);

/// The reason of a closing, with what the other side needs to tell its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect {
    /// Why.
    pub reason: DisconnectReason,
    /// The sender's network; absent where it was not told.
    pub network: Option<NetworkName>,
    /// The sender's versions; absent where they were not told.
    pub versions: Option<Versions>,
}

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisconnectReason {
    /// Not given, or not known to this version.
    Unspecified,
    /// The networks differ.
    Network,
    /// No protocol version in common.
    Version,
    /// Both ends are the same node.
    SelfConnection,
    /// Malformed or unexpected message.
    Protocol,
    /// No room for a further peer.
    Full,
    /// The node is shutting down.
    Shutdown,
    /// No right answer to a ping.
    Timeout,
    /// Another connection between the two serves.
    Duplicate,
    /// The sender has enough peers, or only wanted to know whether the address is good.
    NotNeeded,
    /// The sender does not let the receiver in for now.
    Banned,
}

// === impl Control ===

impl Control {
    /// The message as protobuf, without a length.
    pub fn encode(&self) -> Bytes {
        use pb::control::Message;
        let message = match self {
            Self::Hello(hello) => Message::Hello(hello.to_proto()),
            Self::HelloAck(hello) => Message::HelloAck(hello.to_proto()),
            Self::PingRequest { nonce } => Message::PingRequest(pb::PingRequest { nonce: *nonce }),
            Self::PingResponse { nonce } => Message::PingResponse(pb::PingResponse { nonce: *nonce }),
            Self::Disconnect(disconnect) => Message::Disconnect(disconnect.to_proto()),
        };
        pb::Control {
            message: Some(message),
        }
        .encode_to_vec()
        .into()
    }

    /// Reads a message; the bytes are one whole frame.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        use pb::control::Message;
        let message = pb::Control::decode(bytes)?
            .message
            .ok_or(WireError::Missing("control message"))?;
        Ok(match message {
            Message::Hello(hello) => Self::Hello(Hello::from_proto(hello)?),
            Message::HelloAck(hello) => Self::HelloAck(Hello::from_proto(hello)?),
            Message::PingRequest(ping) => Self::PingRequest { nonce: ping.nonce },
            Message::PingResponse(ping) => Self::PingResponse { nonce: ping.nonce },
            Message::Disconnect(disconnect) => Self::Disconnect(Disconnect::from_proto(&disconnect)),
        })
    }
}

// === impl Hello ===

impl Hello {
    fn to_proto(&self) -> pb::Hello {
        let mut room = LISTEN_ADDRESSES_BYTES_MAX;
        let short = |text: &str| text.chars().take(USER_AGENT_BYTES_MAX / 4).collect::<String>();
        pb::Hello {
            version_min: self.versions.min,
            version_max: self.versions.max,
            network: self.network.as_str().to_owned(),
            services: self.services.0,
            user_agent: clip(&self.user_agent).unwrap_or_else(|| short(&self.user_agent)),
            software_version: clip(&self.software_version).unwrap_or_else(|| short(&self.software_version)),
            time_ms: self.time.as_millis(),
            nonce: self.nonce,
            listen_addresses: self
                .listen_addresses
                .iter()
                .filter(|address| address.len() <= ADDRESS_BYTES_MAX)
                .take(HELLO_ADDRESSES_MAX)
                .take_while(|address| {
                    let left = room.checked_sub(address.len() + 2);
                    room = left.unwrap_or(0);
                    left.is_some()
                })
                .map(|address| address.to_vec().into())
                .collect(),
            observed_address: self
                .observed_address
                .as_ref()
                .filter(|address| address.len() <= ADDRESS_BYTES_MAX)
                .map(|address| address.to_vec().into())
                .unwrap_or_default(),
        }
    }

    fn from_proto(hello: pb::Hello) -> Result<Self, WireError> {
        if hello.listen_addresses.len() > HELLO_ADDRESSES_MAX {
            return Err(WireError::invalid("listen_addresses", "more than 8"));
        }
        let observed = Some(&hello.observed_address).filter(|bytes| !bytes.is_empty());
        Ok(Self {
            versions: Versions::new(hello.version_min, hello.version_max)
                .ok_or(WireError::invalid("version_min", "must be from 1 to version_max"))?,
            network: hello
                .network
                .parse()
                .map_err(|_| WireError::invalid("network", "must be 1 to 32 of a-z, 0-9 and -"))?,
            services: Services(hello.services),
            user_agent: informative(hello.user_agent, "user_agent")?,
            software_version: informative(hello.software_version, "software_version")?,
            time: Timestamp::from_millis(hello.time_ms),
            nonce: hello.nonce,
            listen_addresses: hello
                .listen_addresses
                .iter()
                .map(|bytes| address(bytes, "listen_addresses"))
                .collect::<Result<_, _>>()?,
            observed_address: observed
                .map(|bytes| address(bytes, "observed_address"))
                .transpose()?,
        })
    }
}

fn clip(text: &str) -> Option<String> {
    (text.len() <= USER_AGENT_BYTES_MAX).then(|| text.to_owned())
}

/// Text that ends up in logs and on terminals: bounded, and without characters that control them or change how what stands
/// beside them is read.
fn informative(text: String, field: &'static str) -> Result<String, WireError> {
    if text.len() > USER_AGENT_BYTES_MAX {
        return Err(WireError::invalid(field, "longer than 64 bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err(WireError::invalid(field, "has control characters"));
    }
    if text.chars().any(is_invisible) {
        return Err(WireError::invalid(field, "has invisible characters"));
    }
    Ok(text)
}

/// Whether a character is a format character, a separator of lines or one of paragraphs (Cf, Zl and Zp in Unicode 16): the
/// marks of writing direction among them can make one text look like another.
const fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}' | '\u{891}' | '\u{8e2}'
        | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}')
}

/// A binary multiaddr within its bound.
pub(crate) fn address(bytes: &Bytes, field: &'static str) -> Result<Multiaddr, WireError> {
    if bytes.len() > ADDRESS_BYTES_MAX {
        return Err(WireError::invalid(field, "longer than 96 bytes"));
    }
    Multiaddr::try_from(bytes.to_vec()).map_err(|_| WireError::invalid(field, "not a multiaddr"))
}

// === impl Versions ===

impl Versions {
    /// The versions from `min` to `max`, both included; `None` where `min` is 0 or above `max`.
    pub const fn new(min: u32, max: u32) -> Option<Self> {
        if min == 0 || max < min {
            None
        } else {
            Some(Self { min, max })
        }
    }

    /// What this build speaks.
    pub const fn ours() -> Self {
        Self {
            min: PROTOCOL_VERSION,
            max: PROTOCOL_VERSION,
        }
    }

    /// The lowest version.
    pub const fn min(self) -> u32 {
        self.min
    }

    /// The highest version.
    pub const fn max(self) -> u32 {
        self.max
    }

    /// The highest version that both speak.
    pub fn common(self, other: Self) -> Option<u32> {
        let version = self.max.min(other.max);
        (version >= self.min.max(other.min)).then_some(version)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(f, "{}", self.min)
        } else {
            write!(f, "{} to {}", self.min, self.max)
        }
    }
}

// === impl Services ===

impl Services {
    /// The node accepts inbound connections.
    pub const INBOUND: Self = Self(1);
    /// The node is a light client: it serves nothing.
    pub const LIGHT: Self = Self(2);
    /// The node relays connections for others.
    pub const RELAY: Self = Self(4);
    /// The node keeps a rendezvous directory.
    pub const RENDEZVOUS: Self = Self(8);
    /// The node serves content.
    pub const CONTENT: Self = Self(16);

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set less the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` is offered.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of the known services that are offered.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        [
            (Self::INBOUND, "inbound"),
            (Self::LIGHT, "light"),
            (Self::RELAY, "relay"),
            (Self::RENDEZVOUS, "rendezvous"),
            (Self::CONTENT, "content"),
        ]
        .into_iter()
        .filter_map(move |(service, name)| self.contains(service).then_some(name))
    }
}

// === impl Disconnect ===

impl Disconnect {
    /// A reason that needs no explanation.
    pub const fn because(reason: DisconnectReason) -> Self {
        Self {
            reason,
            network: None,
            versions: None,
        }
    }

    fn to_proto(&self) -> pb::Disconnect {
        pb::Disconnect {
            reason: self.reason.to_proto().into(),
            network: self.network.as_ref().map(ToString::to_string).unwrap_or_default(),
            version_min: self.versions.map_or(0, Versions::min),
            version_max: self.versions.map_or(0, Versions::max),
        }
    }

    /// A goodbye is a courtesy: what is malformed in it is left out, not refused.
    fn from_proto(disconnect: &pb::Disconnect) -> Self {
        Self {
            reason: DisconnectReason::from_proto(disconnect.reason()),
            network: disconnect.network.parse().ok(),
            versions: Versions::new(disconnect.version_min, disconnect.version_max),
        }
    }
}

// === impl DisconnectReason ===

impl DisconnectReason {
    const fn to_proto(self) -> pb::disconnect::Reason {
        use pb::disconnect::Reason;
        match self {
            Self::Unspecified => Reason::Unspecified,
            Self::Network => Reason::Network,
            Self::Version => Reason::Version,
            Self::SelfConnection => Reason::Self_,
            Self::Protocol => Reason::Protocol,
            Self::Full => Reason::Full,
            Self::Shutdown => Reason::Shutdown,
            Self::Timeout => Reason::Timeout,
            Self::Duplicate => Reason::Duplicate,
            Self::NotNeeded => Reason::NotNeeded,
            Self::Banned => Reason::Banned,
        }
    }

    const fn from_proto(reason: pb::disconnect::Reason) -> Self {
        use pb::disconnect::Reason;
        match reason {
            Reason::Unspecified => Self::Unspecified,
            Reason::Network => Self::Network,
            Reason::Version => Self::Version,
            Reason::Self_ => Self::SelfConnection,
            Reason::Protocol => Self::Protocol,
            Reason::Full => Self::Full,
            Reason::Shutdown => Self::Shutdown,
            Reason::Timeout => Self::Timeout,
            Reason::Duplicate => Self::Duplicate,
            Reason::NotNeeded => Self::NotNeeded,
            Reason::Banned => Self::Banned,
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "no reason given",
            Self::Network => "another network",
            Self::Version => "no protocol version in common",
            Self::SelfConnection => "a connection to itself",
            Self::Protocol => "a protocol violation",
            Self::Full => "no room for a further peer",
            Self::Shutdown => "shutting down",
            Self::Timeout => "no answer to a ping",
            Self::Duplicate => "another connection serves",
            Self::NotNeeded => "not needed any more",
            Self::Banned => "banned there",
        })
    }
}

#[cfg(test)]
#[path = "control_tests.rs"]
mod tests;
