//! What does a caller learn when a call fails?
//!
//! One kind for its control flow, one reason for its programs, one sentence for people. The kind becomes the gRPC status
//! code, the reason a `google.rpc.ErrorInfo` detail (AIP-193), so that clients in any language find the same.

use std::collections::HashMap;
use std::fmt;

use rustle_types::PeerId;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::views::{RuleKind, Target};

/// `ErrorInfo.domain` of every failure that this crate or a backend gives.
pub const ERROR_DOMAIN: &str = "rustle";

/// Names under which failures are known to programs. They never change their meaning.
pub mod reason {
    /// A text argument could not be parsed.
    pub const BAD_ARGUMENT: &str = "BAD_ARGUMENT";
    /// No chain on this node has this id or name.
    pub const CHAIN_NOT_FOUND: &str = "CHAIN_NOT_FOUND";
    /// Several chains on this node have this name.
    pub const CHAIN_NAME_AMBIGUOUS: &str = "CHAIN_NAME_AMBIGUOUS";
    /// The chain has no such block here.
    pub const BLOCK_NOT_FOUND: &str = "BLOCK_NOT_FOUND";
    /// Nobody had the content in time.
    pub const CONTENT_NOT_FOUND: &str = "CONTENT_NOT_FOUND";
    /// The node is a light one, which does no such thing.
    pub const LIGHT_NODE: &str = "LIGHT_NODE";
    /// Something is offered under this name already.
    pub const TUNNEL_EXISTS: &str = "TUNNEL_EXISTS";
    /// There is no such tunnel.
    pub const TUNNEL_NOT_FOUND: &str = "TUNNEL_NOT_FOUND";
    /// There is no room for a further tunnel.
    pub const TOO_MANY_TUNNELS: &str = "TOO_MANY_TUNNELS";
    /// The content is not what it should be: damaged, of another kind, or too large.
    pub const BAD_CONTENT: &str = "BAD_CONTENT";
    /// A path leaves its folder, has empty parts or comes twice.
    pub const BAD_PATH: &str = "BAD_PATH";
    /// A CAR is cut off or damaged.
    pub const BAD_CAR: &str = "BAD_CAR";
    /// A pin or a chain needs the block.
    pub const PINNED: &str = "PINNED";
    /// Nothing is known of this peer.
    pub const PEER_NOT_FOUND: &str = "PEER_NOT_FOUND";
    /// There is no connection with this peer.
    pub const PEER_NOT_CONNECTED: &str = "PEER_NOT_CONNECTED";
    /// No rule has exactly this target.
    pub const RULE_NOT_FOUND: &str = "RULE_NOT_FOUND";
    /// Content is not kept by a pin.
    pub const PIN_NOT_FOUND: &str = "PIN_NOT_FOUND";
    /// Another pin is in the way.
    pub const PIN_CONFLICT: &str = "PIN_CONFLICT";
    /// A pinned block is missing or damaged.
    pub const PIN_INCOMPLETE: &str = "PIN_INCOMPLETE";
    /// Garbage is being collected already.
    pub const GC_RUNNING: &str = "GC_RUNNING";
    /// The disk is full.
    pub const DISK_FULL: &str = "DISK_FULL";
    /// The store holds as much as it may.
    pub const QUOTA_REACHED: &str = "QUOTA_REACHED";
    /// There is no room for a further rule.
    pub const TOO_MANY_RULES: &str = "TOO_MANY_RULES";
    /// A rule bans the other node.
    pub const BANNED: &str = "BANNED";
    /// There is no place for a further peer of that kind.
    pub const NO_PLACE: &str = "NO_PLACE";
    /// The address cannot be reached.
    pub const UNREACHABLE: &str = "UNREACHABLE";
    /// The other node is of another network; metadata `ours` and `theirs`.
    pub const INCOMPATIBLE_NETWORK: &str = "INCOMPATIBLE_NETWORK";
    /// The other node speaks no common protocol version.
    pub const INCOMPATIBLE_VERSION: &str = "INCOMPATIBLE_VERSION";
    /// The time given has passed.
    pub const TIMEOUT: &str = "TIMEOUT";
    /// The invitation has expired.
    pub const INVITATION_EXPIRED: &str = "INVITATION_EXPIRED";
    /// The invitation has been used as often as it allows.
    pub const INVITATION_USED: &str = "INVITATION_USED";
    /// No member of the chain let this node in.
    pub const JOIN_REFUSED: &str = "JOIN_REFUSED";
    /// The caller broke off its upload.
    pub const UPLOAD_BROKEN: &str = "UPLOAD_BROKEN";
    /// The daemon is stopping.
    pub const STOPPING: &str = "STOPPING";
    /// The call came without a token.
    pub const TOKEN_MISSING: &str = "TOKEN_MISSING";
    /// The token is not the daemon's.
    pub const TOKEN_WRONG: &str = "TOKEN_WRONG";
    /// The caller is another user of the machine.
    pub const OTHER_USER: &str = "OTHER_USER";
    /// Something that should not fail failed; the daemon's log has more.
    pub const INTERNAL: &str = "INTERNAL";
}

/// What a caller should do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// Change the request: it can never succeed.
    InvalidArgument,
    /// Name something that exists.
    NotFound,
    /// Take the existing one, or another name.
    AlreadyExists,
    /// Change the state first.
    FailedPrecondition,
    /// Make room, or ask for less.
    ResourceExhausted,
    /// Try again.
    Unavailable,
    /// Allow more time.
    DeadlineExceeded,
    /// Bring a valid token.
    Unauthenticated,
    /// Ask as another user.
    PermissionDenied,
    /// Report it.
    Internal,
}

/// A failed call, before it becomes a gRPC status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What the caller should do about it.
    pub kind: FaultKind,
    /// One of `reason`, for programs.
    pub reason: &'static str,
    /// What was wrong and what to do: one line, lower-case, no full stop.
    pub message: String,
    /// Further facts for programs, by name.
    pub metadata: Vec<(&'static str, String)>,
}

// === impl FaultKind ===

impl FaultKind {
    pub(crate) const fn code(self) -> Code {
        match self {
            Self::InvalidArgument => Code::InvalidArgument,
            Self::NotFound => Code::NotFound,
            Self::AlreadyExists => Code::AlreadyExists,
            Self::FailedPrecondition => Code::FailedPrecondition,
            Self::ResourceExhausted => Code::ResourceExhausted,
            Self::Unavailable => Code::Unavailable,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::PermissionDenied => Code::PermissionDenied,
            Self::Internal => Code::Internal,
        }
    }

    /// The nearest kind of any status code, also of those that only tonic itself gives.
    pub(crate) const fn of_code(code: Code) -> Self {
        match code {
            Code::InvalidArgument | Code::OutOfRange => Self::InvalidArgument,
            Code::NotFound => Self::NotFound,
            Code::AlreadyExists => Self::AlreadyExists,
            Code::FailedPrecondition | Code::Unimplemented => Self::FailedPrecondition,
            Code::ResourceExhausted => Self::ResourceExhausted,
            Code::Unavailable | Code::Cancelled | Code::Aborted => Self::Unavailable,
            Code::DeadlineExceeded => Self::DeadlineExceeded,
            Code::Unauthenticated => Self::Unauthenticated,
            Code::PermissionDenied => Self::PermissionDenied,
            Code::Internal | Code::Unknown | Code::DataLoss | Code::Ok => Self::Internal,
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Whether the words of a caller were wrong: then trying again with other data is useless, too.
pub(crate) fn is_usage(kind: FaultKind, reason: &str) -> bool {
    let of_data = [reason::BAD_PATH, reason::BAD_CAR, reason::BAD_CONTENT];
    kind == FaultKind::InvalidArgument && !of_data.contains(&reason)
}

// === impl Fault ===

impl Fault {
    /// A failure of this kind.
    pub fn new(kind: FaultKind, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            reason,
            message: message.into(),
            metadata: Vec::new(),
        }
    }

    /// The same with one more fact for programs.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.metadata.push((name, value.into()));
        self
    }

    /// An argument that no state of the node could make right.
    pub fn bad_argument(message: impl Into<String>) -> Self {
        Self::new(FaultKind::InvalidArgument, reason::BAD_ARGUMENT, message)
    }

    /// A path that no folder could hold, or that leads out of one.
    pub fn bad_path(message: impl Into<String>) -> Self {
        Self::new(FaultKind::InvalidArgument, reason::BAD_PATH, message)
    }

    /// Content that is not what it should be.
    pub fn bad_content(message: impl Into<String>) -> Self {
        Self::new(FaultKind::FailedPrecondition, reason::BAD_CONTENT, message)
    }

    /// Whether the words of the caller were wrong, not the data that they were about.
    pub fn is_usage(&self) -> bool {
        is_usage(self.kind, self.reason)
    }

    /// Something broke inside. The message goes to the caller: no secrets.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(FaultKind::Internal, reason::INTERNAL, message)
    }

    /// The time given has passed.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(FaultKind::DeadlineExceeded, reason::TIMEOUT, message)
    }

    /// The daemon is stopping.
    pub fn stopping() -> Self {
        Self::new(
            FaultKind::Unavailable,
            reason::STOPPING,
            "the daemon is stopping; try again when it is back",
        )
    }

    /// An address at which nobody answers as a node.
    pub fn unreachable(address: &impl fmt::Display, cause: &impl fmt::Display) -> Self {
        let message = format!("cannot reach {address}: {cause}; check the address and that the node runs");
        Self::new(FaultKind::Unavailable, reason::UNREACHABLE, message)
    }

    /// A peer of which nothing is known.
    pub fn peer_not_found(peer: &PeerId) -> Self {
        let message = format!(
            "nothing is known of peer {peer}; `rustle peer ls` shows those that are connected, `rustle peer addresses` those that are known"
        );
        Self::new(FaultKind::NotFound, reason::PEER_NOT_FOUND, message)
    }

    /// A peer without a connection.
    pub fn peer_not_connected(peer: &PeerId) -> Self {
        let message = format!("peer {peer} is not connected; `rustle peer ls` shows those that are");
        Self::new(FaultKind::NotFound, reason::PEER_NOT_CONNECTED, message)
    }

    /// A rule that is not there.
    pub fn rule_not_found(kind: RuleKind, target: &Target) -> Self {
        let what = match kind {
            RuleKind::Ban => "ban",
            RuleKind::Allow => "permission",
        };
        let message = format!("there is no {what} of {target}; `rustle peer bans` shows the rules there are");
        Self::new(FaultKind::NotFound, reason::RULE_NOT_FOUND, message)
    }

    /// A node of another network.
    pub fn incompatible_network(ours: impl Into<String>, theirs: impl Into<String>) -> Self {
        let (ours, theirs) = (ours.into(), theirs.into());
        let message =
            format!("the other node is of network `{theirs}`, this one of `{ours}`; they do not talk");
        Self::new(
            FaultKind::FailedPrecondition,
            reason::INCOMPATIBLE_NETWORK,
            message,
        )
        .with("ours", ours)
        .with("theirs", theirs)
    }
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        let metadata: HashMap<String, String> = fault
            .metadata
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let details = ErrorDetails::with_error_info(fault.reason, ERROR_DOMAIN, metadata);
        Self::with_error_details(fault.kind.code(), fault.message, details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_travels_with_its_reason_and_facts() {
        let status = Status::from(Fault::incompatible_network("main", "test"));

        assert_eq!(status.code(), Code::FailedPrecondition);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(
            (info.domain.as_str(), info.reason.as_str()),
            ("rustle", "INCOMPATIBLE_NETWORK")
        );
        assert_eq!(info.metadata.get("theirs").map(String::as_str), Some("test"));
    }

    #[test]
    fn each_kind_survives_its_code() {
        use FaultKind as K;
        for kind in [
            K::InvalidArgument,
            K::NotFound,
            K::AlreadyExists,
            K::FailedPrecondition,
            K::ResourceExhausted,
            K::Unavailable,
            K::DeadlineExceeded,
            K::Unauthenticated,
            K::PermissionDenied,
            K::Internal,
        ] {
            assert_eq!(FaultKind::of_code(kind.code()), kind);
        }
    }
}
