//! Why did a dial come to nothing?
//!
//! libp2p hides the cause in boxes of boxes, one per layer of the transport; the kind of failure decides whether the
//! address is forgotten or tried again, so it is dug out here.

use std::error::Error;
use std::io;

use libp2p::core::transport::TransportError;
use libp2p::swarm;
use rustle_types::{Multiaddr, PeerId};

use crate::proxy::ProxyError;

/// Errors shown of a dial to many addresses.
const SHOWN_MAX: usize = 4;
/// Depth to which causes are followed.
const CAUSES_MAX: usize = 16;

/// Why a dial came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// No address is known.
    #[error("no address of the peer is known; give one, or connect to peers that know it")]
    NoAddress,
    /// Another peer answered.
    #[error("{address} is peer {found}, not the expected one; the id or the address is outdated")]
    WrongPeer {
        /// Who answered.
        found: PeerId,
        /// Where.
        address: Multiaddr,
    },
    /// This node itself answered.
    #[error("{0} is this node itself")]
    Myself(Multiaddr),
    /// Nobody listens there.
    #[error("nobody listens there: {0}")]
    Refused(String),
    /// No answer in time.
    #[error("no answer in time: {0}")]
    Timeout(String),
    /// No transport for any of the addresses.
    #[error("unsupported address: {0}; use /ip4, /ip6 or /dns with /tcp/PORT or /udp/PORT/quic-v1")]
    Unsupported(String),
    /// The proxy is not there, or is none.
    #[error("the proxy cannot be reached: {0}; start it, or choose another with --proxy")]
    ProxyUnreachable(String),
    /// The proxy does not do what it was asked for.
    #[error("the proxy refuses: {0}")]
    ProxyRefused(String),
    /// No way there, or the handshake of the transport failed.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// This node has no room for a further connection.
    #[error("no room for the connection: {0}")]
    Denied(String),
    /// Given up, as the node stops.
    #[error("given up, as the node is stopping")]
    Aborted,
}

/// What one address came to; a later variant says more than an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Unsupported,
    Unreachable,
    Refused,
    Timeout,
    ProxyRefused,
    ProxyUnreachable,
}

// === impl DialError ===

impl From<swarm::DialError> for DialError {
    fn from(error: swarm::DialError) -> Self {
        match error {
            swarm::DialError::NoAddresses => Self::NoAddress,
            swarm::DialError::LocalPeerId { address } => Self::Myself(address),
            swarm::DialError::WrongPeerId { obtained, address } => Self::WrongPeer {
                found: obtained,
                address,
            },
            swarm::DialError::Denied { cause } => Self::Denied(innermost(&cause).to_string()),
            swarm::DialError::Aborted | swarm::DialError::DialPeerConditionFalse(_) => Self::Aborted,
            swarm::DialError::Transport(attempts) => Self::of_attempts(&attempts),
        }
    }
}

impl DialError {
    fn of_attempts(attempts: &[(Multiaddr, TransportError<io::Error>)]) -> Self {
        let mut texts = Vec::new();
        let mut worst = Kind::Unsupported;
        for (address, error) in attempts {
            let (kind, text) = classify(error);
            worst = worst.max(kind);
            texts.push(format!("{address}: {text}"));
        }
        let hidden = texts.len().saturating_sub(SHOWN_MAX);
        texts.truncate(SHOWN_MAX);
        let mut text = texts.join("; ");
        if 0 < hidden {
            text.push_str(&format!("; and {hidden} more"));
        }
        match worst {
            Kind::Unsupported => Self::Unsupported(text),
            Kind::Unreachable => Self::Unreachable(text),
            Kind::Refused => Self::Refused(text),
            Kind::Timeout => Self::Timeout(text),
            Kind::ProxyRefused => Self::ProxyRefused(text),
            Kind::ProxyUnreachable => Self::ProxyUnreachable(text),
        }
    }
}

fn classify(error: &TransportError<io::Error>) -> (Kind, String) {
    let error = match error {
        TransportError::MultiaddrNotSupported(_) => {
            return (Kind::Unsupported, "no such transport".to_owned());
        }
        TransportError::Other(error) => error,
    };
    let cause = innermost(error);
    let text = cause.to_string();
    if let Some(error) = cause.downcast_ref::<ProxyError>() {
        return (of_proxy(error), text);
    }
    // The wrappers forward the text of what they wrap but not always the error itself, and the timeouts of the transports
    // have private types: the texts (the system's, in English whatever the locale) are all that is left.
    let kind = if text.contains("onnection refused") {
        Kind::Refused
    } else if text.contains("imeout") || text.contains("timed out") {
        Kind::Timeout
    } else if text.contains("Unsupported resolved address") {
        Kind::Unsupported
    } else {
        Kind::Unreachable
    };
    // One line, as it ends up in logs and on terminals.
    (kind, text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn of_proxy(error: &ProxyError) -> Kind {
    match error {
        ProxyError::Unreachable { .. } => Kind::ProxyUnreachable,
        ProxyError::Refused { .. } => Kind::ProxyRefused,
        ProxyError::NobodyListens => Kind::Refused,
        ProxyError::NoWay(_) => Kind::Unreachable,
        ProxyError::Timeout => Kind::Timeout,
    }
}

/// The deepest cause, which is the one that says something.
fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut deepest = error;
    for _ in 0..CAUSES_MAX {
        // `io::Error::source` skips the error that it wraps, so it must be asked for that itself.
        let cause = match deepest.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => deepest.source(),
        };
        let Some(cause) = cause else { break };
        deepest = cause;
    }
    deepest
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()
    }

    #[test]
    fn finds_the_kind_under_wrappers() {
        let refused = io::Error::other(io::Error::other(io::Error::from(ErrorKind::ConnectionRefused)));
        let error = DialError::of_attempts(&[(address(1), TransportError::Other(refused))]);
        assert!(matches!(error, DialError::Refused(_)), "{error}");

        let timeout = io::Error::other("Timeout has been reached");
        let error = DialError::of_attempts(&[(address(1), TransportError::Other(timeout))]);
        assert!(matches!(error, DialError::Timeout(_)), "{error}");
    }

    #[test]
    fn one_refusal_among_unsupported_addresses_is_a_refusal_and_long_lists_are_cut() {
        let attempts: Vec<_> = (1..=6)
            .map(|port| {
                (
                    address(port),
                    TransportError::MultiaddrNotSupported(address(port)),
                )
            })
            .chain([(
                address(7),
                TransportError::Other(ErrorKind::ConnectionRefused.into()),
            )])
            .collect();

        let error = DialError::of_attempts(&attempts);

        assert!(matches!(error, DialError::Refused(_)), "{error}");
        assert!(error.to_string().ends_with("and 3 more"), "{error}");
    }
}
