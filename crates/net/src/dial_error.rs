//! Why did a dial come to nothing?
//!
//! libp2p hides the cause in boxes of boxes, one per layer of the transport; the kind of failure decides whether the
//! address is forgotten or tried again, so it is dug out here.

use std::cmp::Reverse;
use std::error::Error;
use std::io;

use libp2p::core::transport::TransportError;
use libp2p::multiaddr::Protocol;
use libp2p::swarm;
use rustle_types::{Multiaddr, PeerId, address};

use crate::proxy::ProxyError;

/// Errors shown of a dial to many addresses.
const SHOWN_MAX: usize = 4;
/// Depth to which causes are followed.
const CAUSES_MAX: usize = 16;
/// What the resolver puts over the errors of several addresses, each in a line that begins with a hyphen.
const SEVERAL: &str = "Multiple dial errors occurred:";
/// What is left of an end that comes while cipher and multiplexer are agreed upon.
const HUNG_UP: [&str; 6] = [
    "end of file",
    "eof",
    "onnection reset",
    "roken pipe",
    "closed by peer",
    "aborted by peer",
];

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
    #[error("nobody listens there: {0}; check the address and that the node runs")]
    Refused(String),
    /// Somebody took the connection and closed it before it was clear who is there.
    #[error("the node there hung up before the handshake, so it may be full, or refuse this node: {0}")]
    HungUp(String),
    /// No answer in time.
    #[error("no answer in time: {0}; check the address and that the node runs")]
    Timeout(String),
    /// No transport for any of the addresses.
    #[error("unsupported address: {0}")]
    Unsupported(String),
    /// The proxy is not there, or is none.
    #[error("the proxy cannot be reached: {0}; start it, or choose another with --proxy")]
    ProxyUnreachable(String),
    /// The proxy does not do what it was asked for.
    #[error("the proxy refuses: {0}")]
    ProxyRefused(String),
    /// No way there, or the handshake of the transport failed.
    #[error("unreachable: {0}; check the address and that the node runs")]
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
    HungUp,
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
        let told = |(address, error): &(Multiaddr, TransportError<io::Error>)| {
            let (kind, text) = classify(address, error);
            (kind, format!("{address}: {text}"))
        };
        let mut told: Vec<(Kind, String)> = attempts.iter().map(told).collect();
        // What says most comes first, and is not cut off.
        told.sort_by_key(|(kind, _)| Reverse(*kind));
        let worst = told.first().map_or(Kind::Unsupported, |(kind, _)| *kind);
        let mut texts: Vec<String> = told.into_iter().map(|(_, text)| text).collect();
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
            Kind::HungUp => Self::HungUp(text),
            Kind::Timeout => Self::Timeout(text),
            Kind::ProxyRefused => Self::ProxyRefused(text),
            Kind::ProxyUnreachable => Self::ProxyUnreachable(text),
        }
    }
}

fn classify(address: &Multiaddr, error: &TransportError<io::Error>) -> (Kind, String) {
    let error = match error {
        TransportError::MultiaddrNotSupported(_) => {
            return (Kind::Unsupported, unsupported(address).to_owned());
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
    let has = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    let kind = if has(&["onnection refused"]) {
        Kind::Refused
    } else if has(&["imeout", "timed out"]) {
        Kind::Timeout
    } else if has(&["Unsupported resolved address"]) {
        return (Kind::Unsupported, unsupported(address).to_owned());
    } else if has(&HUNG_UP) {
        Kind::HungUp
    } else {
        Kind::Unreachable
    };
    (kind, plain(&text))
}

/// Why no transport takes an address. What one without a proxy would take shows that there is one, and the other way
/// round.
fn unsupported(address: &Multiaddr) -> &'static str {
    let is_quic = address.iter().any(|part| matches!(part, Protocol::QuicV1));
    match address.iter().next() {
        Some(Protocol::Onion3(_)) => {
            "only a proxy reaches a Tor onion service; start the node with --proxy socks5://HOST:PORT"
        }
        Some(Protocol::Dnsaddr(_)) => {
            "only TCP goes through a proxy, and /dnsaddr cannot be looked up there; give an address with /tcp/PORT"
        }
        Some(
            Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_),
        ) if is_quic && !address::is_relayed(address) => {
            "only TCP goes through a proxy; give an address with /tcp/PORT, or start the node without --proxy"
        }
        _ => "no such transport; use /ip4, /ip6 or /dns with /tcp/PORT or /udp/PORT/quic-v1",
    }
}

/// One line, as it ends up in logs and on terminals; of several errors each once, without the heading that the resolver
/// puts over them.
fn plain(text: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = line.trim().trim_start_matches("- ").trim_start_matches(SEVERAL);
        let part = line.split_whitespace().collect::<Vec<_>>().join(" ");
        if !part.is_empty() && !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts.join(", ")
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
        let text = error.to_string();
        assert!(
            text.starts_with("nobody listens there: /ip4/127.0.0.1/tcp/7: "),
            "{text}"
        );
        assert!(text.contains("; and 3 more; check"), "{text}");
    }

    fn told(address: &str, error: Option<io::Error>) -> DialError {
        let address: Multiaddr = address.parse().unwrap();
        let error = match error {
            Some(error) => TransportError::Other(error),
            None => TransportError::MultiaddrNotSupported(address.clone()),
        };
        DialError::of_attempts(&[(address, error)])
    }

    #[test]
    fn errors_of_several_addresses_are_one_sentence() {
        let nested = "Multiple dial errors occurred:\n - Multiple dial errors occurred:\n - Network is \
            unreachable\n - Network is unreachable\n - No route to host";
        let error = told("/dns/a.example/tcp/1", Some(io::Error::other(nested)));
        let text = "/dns/a.example/tcp/1: Network is unreachable, No route to host";
        assert_eq!(error, DialError::Unreachable(text.to_owned()));

        let nested = "Multiple dial errors occurred:\n - Unsupported resolved address: /ip4/127.0.0.1/sctp/1";
        let error = told("/ip4/127.0.0.1/sctp/1", Some(io::Error::other(nested)));
        assert!(matches!(error, DialError::Unsupported(_)), "{error}");
        assert!(!error.to_string().contains("Multiple"), "{error}");
    }

    #[test]
    fn an_address_for_another_kind_of_node_says_for_which() {
        let onion = "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1";
        let with_proxy = [onion];
        let without = ["/ip4/8.8.8.8/udp/1/quic-v1", "/dnsaddr/a.example"];
        for (addresses, part) in [(&with_proxy[..], "with --proxy"), (&without[..], "only TCP")] {
            for address in addresses {
                let error = told(address, None);
                assert!(matches!(error, DialError::Unsupported(_)), "{error}");
                assert!(error.to_string().contains(part), "{error}");
            }
        }
        let neither = told("/ip4/8.8.8.8/sctp/1", None).to_string();
        assert!(!neither.contains("proxy"), "{neither}");
    }

    #[test]
    fn an_end_before_the_handshake_is_no_fault_of_the_address() {
        for kind in [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset] {
            let error = told("/ip4/8.8.8.8/tcp/1", Some(io::Error::from(kind)));
            assert!(matches!(error, DialError::HungUp(_)), "{error}");
        }
    }
}
