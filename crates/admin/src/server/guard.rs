//! May this caller come in?
//!
//! Asked for every call on a door, health and reflection included: what is not allowed here is denied.

use tonic::metadata::MetadataMap;
use tonic::service::Interceptor;
use tonic::transport::server::UdsConnectInfo;
use tonic::{Request, Status};

use crate::fault::{Fault, FaultKind, reason};
use crate::token::Token;

/// The rule of one door.
#[derive(Debug, Clone)]
pub(super) enum Guard {
    /// Unix socket: the user who runs the daemon, and root, who could become that user anyway.
    Owner {
        /// That user.
        uid: u32,
    },
    /// TCP: whoever brings the token.
    Bearer {
        /// The token.
        token: Token,
    },
}

// === impl Guard ===

impl Guard {
    fn check_user(uid: u32, caller: Option<u32>) -> Result<(), Fault> {
        if caller.is_some_and(|caller| caller == uid || caller == 0) {
            return Ok(());
        }
        let message = format!("only the user who runs the daemon (uid {uid}) may administer it");
        Err(Fault::new(
            FaultKind::PermissionDenied,
            reason::OTHER_USER,
            message,
        ))
    }

    fn check_token(token: &Token, metadata: &MetadataMap) -> Result<(), Fault> {
        let refuse = |reason, message| Err(Fault::new(FaultKind::Unauthenticated, reason, message));
        let Some(given) = metadata.get("authorization") else {
            return refuse(
                reason::TOKEN_MISSING,
                "a call over TCP needs `authorization: Bearer <token>`; the token is in the daemon's admin.token",
            );
        };
        match given.as_bytes().strip_prefix(b"Bearer ") {
            Some(given) if token.matches(given) => Ok(()),
            _ => refuse(
                reason::TOKEN_WRONG,
                "the token is not the daemon's; read its admin.token again",
            ),
        }
    }
}

impl Interceptor for Guard {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let checked = match self {
            Self::Owner { uid } => {
                let info = request.extensions().get::<UdsConnectInfo>();
                let caller = info
                    .and_then(|info| info.peer_cred)
                    .map(|credentials| credentials.uid());
                Self::check_user(*uid, caller)
            }
            Self::Bearer { token } => Self::check_token(token, request.metadata()),
        };
        match checked {
            Ok(()) => Ok(request),
            Err(fault) => {
                tracing::warn!(reason = fault.reason, "an administration call was refused");
                Err(fault.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_user_and_a_stranger_stay_outside() {
        assert!(Guard::check_user(1000, Some(1000)).is_ok());
        assert!(Guard::check_user(1000, Some(0)).is_ok());
        assert!(Guard::check_user(1000, Some(1001)).is_err());
        assert!(Guard::check_user(1000, None).is_err());
        assert!(Guard::check_user(0, Some(1000)).is_err());
    }

    #[test]
    fn a_socket_without_credentials_lets_no_one_in() {
        let status = Guard::Owner { uid: 1000 }.call(Request::new(())).unwrap_err();
        assert_eq!(status.code(), tonic::Code::PermissionDenied);
    }
}
