//! Why did a call not give what was asked for?

use std::collections::BTreeMap;
use std::io;

use tonic::Status;
use tonic_types::StatusExt as _;

use super::Endpoint;
use crate::convert::Unreadable;
use crate::fault::{ERROR_DOMAIN, FaultKind, is_usage};
use crate::token::TokenError;

/// A failure as a client sees it. Each message is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The text names no daemon.
    #[error("`{0}` is not an endpoint; use `unix:/path/admin.sock` or `http://127.0.0.1:PORT`")]
    BadEndpoint(String),
    /// The path cannot be a unix socket's.
    #[error(transparent)]
    Location(#[from] crate::location::LocationError),
    /// The token cannot be read.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Nobody listens.
    #[error("no rustled is listening at {endpoint}; start it with {}", .endpoint.start_hint())]
    NoDaemon {
        /// Where.
        endpoint: Endpoint,
    },
    /// The connection cannot be made or broke.
    #[error(
        "the connection to rustled at {endpoint} failed: {cause}; see whether it still runs, and its log"
    )]
    Connection {
        /// Where.
        endpoint: Endpoint,
        /// Why, in one line.
        cause: String,
    },
    /// The daemon said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The data to send cannot be read.
    #[error("cannot read the data to send: {0}")]
    Input(#[source] io::Error),
    /// The answer cannot be understood.
    #[error(
        "cannot understand the daemon's answer ({0}); use a `rustle` and a `rustled` of the same version"
    )]
    Unreadable(String),
}

/// A failure that the daemon gave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What to do about it.
    pub kind: FaultKind,
    /// One of `fault::reason`, or one that a newer daemon knows; empty where none was given.
    pub reason: String,
    /// What was wrong, for people.
    pub message: String,
    /// Further facts, by name.
    pub metadata: BTreeMap<String, String>,
}

// === impl ClientError ===

impl ClientError {
    /// What the daemon said, where it is the daemon who refused.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether the request itself was wrong, so that trying again is useless.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::BadEndpoint(_) | Self::Location(_))
            || self
                .refusal()
                .is_some_and(|refusal| is_usage(refusal.kind, &refusal.reason))
    }

    pub(super) fn of_status(endpoint: &Endpoint, status: &Status) -> Self {
        let info = status
            .get_details_error_info()
            .filter(|info| info.domain == ERROR_DOMAIN);
        if info.is_none() && std::error::Error::source(status).is_some() {
            return Self::of_connection(endpoint, status);
        }
        let (reason, metadata) = info.map(|info| (info.reason, info.metadata)).unwrap_or_default();
        let message = match status.message() {
            "" => format!("the daemon answered {:?}", status.code()),
            text => one_line(text),
        };
        let kind = FaultKind::of_code(status.code());
        Self::Refused(Refusal {
            kind,
            reason,
            message,
            metadata: metadata.into_iter().collect(),
        })
    }

    pub(super) fn of_connection(endpoint: &Endpoint, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut cause = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        if let Some(io) = cause.downcast_ref::<io::Error>()
            && matches!(
                io.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            )
        {
            return Self::NoDaemon {
                endpoint: endpoint.clone(),
            };
        }
        Self::Connection {
            endpoint: endpoint.clone(),
            cause: one_line(&cause.to_string()),
        }
    }
}

impl From<Unreadable> for ClientError {
    fn from(cause: Unreadable) -> Self {
        Self::Unreadable(one_line(&cause.to_string()))
    }
}

fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Fault, reason};

    #[test]
    fn a_fault_arrives_as_it_was_sent() {
        let endpoint = Endpoint::Unix("/run/admin.sock".into());
        let sent = Fault::incompatible_network("main", "te\nst");

        let error = ClientError::of_status(&endpoint, &Status::from(sent));

        let refusal = error.refusal().unwrap();
        assert_eq!(
            (refusal.kind, refusal.reason.as_str()),
            (FaultKind::FailedPrecondition, reason::INCOMPATIBLE_NETWORK)
        );
        assert_eq!(refusal.metadata["ours"], "main");
        assert!(!error.to_string().contains('\n'), "{error}");
        assert!(!error.is_usage());
    }
}
