//! Failures of the node in words of the administration interface.

use std::fmt::Display;

use rustle_admin::fault::reason;
use rustle_admin::{Fault, FaultKind};
use rustle_car::CarError;
use rustle_engine::AskError;
use rustle_ipld::{IpldError, WalkError};
use rustle_peers::{ConnectError, RulesError};
use rustle_store::StoreError;
use rustle_unixfs::{FolderError, ListError, ReadError};

/// Something that should not fail.
pub(crate) fn internal(error: &dyn Display) -> Fault {
    Fault::new(FaultKind::Internal, reason::INTERNAL, error.to_string())
}

/// The node is shutting down.
pub(crate) fn stopping() -> Fault {
    Fault::new(
        FaultKind::Unavailable,
        reason::STOPPING,
        "the node is shutting down",
    )
}

/// A light client was asked for what it does not do.
pub(crate) fn light(what: &str) -> Fault {
    let message = format!("a light client {what}; run the node without `light`");
    Fault::new(FaultKind::FailedPrecondition, reason::LIGHT_NODE, message)
}

/// A failure of the store.
pub(crate) fn store(error: StoreError) -> Fault {
    let kind = match error {
        StoreError::Full(_) => {
            return Fault::new(FaultKind::ResourceExhausted, reason::DISK_FULL, error.to_string());
        }
        StoreError::Quota { .. } => {
            return Fault::new(
                FaultKind::ResourceExhausted,
                reason::QUOTA_REACHED,
                error.to_string(),
            );
        }
        StoreError::Halted(_) | StoreError::Busy(_) => FaultKind::Unavailable,
        StoreError::Corrupt(_) | StoreError::Format { .. } | StoreError::Io(_) => FaultKind::Internal,
    };
    Fault::new(kind, reason::INTERNAL, error.to_string())
}

/// A chain cannot be read from the store.
pub(crate) fn chain(error: rustle_chain::ReadError) -> Fault {
    internal(&error)
}

/// Content is no readable file.
pub(crate) fn read(error: ReadError) -> Fault {
    Fault::bad_content(error.to_string())
}

/// Content is no readable folder, or has no such entry.
pub(crate) fn list(error: ListError) -> Fault {
    match error {
        ListError::NoEntry { .. } => {
            Fault::new(FaultKind::NotFound, reason::CONTENT_NOT_FOUND, error.to_string())
        }
        error => Fault::bad_content(error.to_string()),
    }
}

/// A folder cannot be built of what was sent.
pub(crate) fn folder(error: FolderError) -> Fault {
    Fault::bad_path(error.to_string())
}

/// A block has no readable values.
pub(crate) fn ipld(error: IpldError) -> Fault {
    match error {
        IpldError::NoValue(_) => {
            Fault::new(FaultKind::NotFound, reason::CONTENT_NOT_FOUND, error.to_string())
        }
        error => Fault::bad_content(error.to_string()),
    }
}

/// The blocks below a root cannot all be visited.
pub(crate) fn walk(error: WalkError) -> Fault {
    Fault::bad_content(error.to_string())
}

/// A CAR that is cut off or damaged.
pub(crate) fn car(error: CarError) -> Fault {
    Fault::new(FaultKind::InvalidArgument, reason::BAD_CAR, error.to_string())
}

/// The engine did not do it.
pub(crate) fn ask(error: AskError) -> Fault {
    let message = error.to_string();
    let (kind, reason) = match error {
        AskError::UnknownChain(_) => (FaultKind::NotFound, reason::CHAIN_NOT_FOUND),
        AskError::KnownChain(_) => (FaultKind::AlreadyExists, reason::BAD_ARGUMENT),
        AskError::TooManyChains(_) | AskError::Busy(_) => (FaultKind::ResourceExhausted, reason::INTERNAL),
        AskError::Invalid(_) => (FaultKind::InvalidArgument, reason::BAD_ARGUMENT),
        AskError::NoAddress | AskError::Light => (FaultKind::FailedPrecondition, reason::UNREACHABLE),
        AskError::Stopped(_) => (FaultKind::Unavailable, reason::INTERNAL),
        AskError::Damaged(_) => (FaultKind::Internal, reason::INTERNAL),
        AskError::UnknownPeer(peer) => return Fault::peer_not_found(&peer),
        AskError::NotConnected(peer) => return Fault::peer_not_connected(&peer),
        AskError::NoRule { kind, target } => return Fault::rule_not_found(kind, &target),
        AskError::Rules(RulesError::Full) => (FaultKind::ResourceExhausted, reason::TOO_MANY_RULES),
        AskError::Rules(RulesError::Allowed) => (FaultKind::FailedPrecondition, reason::TOO_MANY_RULES),
        AskError::Store(error) => return store(error),
        AskError::Connect(error) => return connect(&error),
    };
    Fault::new(kind, reason, message)
}

/// No connection came about.
fn connect(error: &ConnectError) -> Fault {
    let message = error.to_string();
    match error {
        ConnectError::Unreachable { .. } | ConnectError::Refused(_) | ConnectError::HungUp => {
            Fault::new(FaultKind::Unavailable, reason::UNREACHABLE, message)
        }
        ConnectError::OtherNetwork { theirs, ours } => Fault::new(
            FaultKind::FailedPrecondition,
            reason::INCOMPATIBLE_NETWORK,
            message,
        )
        .with("theirs", theirs.to_string())
        .with("ours", ours.to_string()),
        ConnectError::OtherVersion { theirs, ours } => Fault::new(
            FaultKind::FailedPrecondition,
            reason::INCOMPATIBLE_VERSION,
            message,
        )
        .with("theirs", theirs.to_string())
        .with("ours", ours.to_string()),
        ConnectError::SelfConnection { .. } => {
            Fault::new(FaultKind::FailedPrecondition, reason::BAD_ARGUMENT, message)
        }
        ConnectError::Banned(_) => Fault::new(FaultKind::FailedPrecondition, reason::BANNED, message),
        ConnectError::Foreign | ConnectError::NoPlace => {
            Fault::new(FaultKind::FailedPrecondition, reason::NO_PLACE, message)
        }
        ConnectError::Timeout => Fault::new(FaultKind::DeadlineExceeded, reason::TIMEOUT, message),
        ConnectError::Busy => Fault::new(FaultKind::ResourceExhausted, reason::INTERNAL, message),
    }
}
