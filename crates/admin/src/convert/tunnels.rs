//! Conversions of tunnels.

use super::{Unreadable, field, fields, texts};
use crate::parse;
use crate::proto;
use crate::proto::tunnel::Side;
use crate::views::{Tunnel, TunnelAccess, TunnelSide};

impl From<Tunnel> for proto::Tunnel {
    fn from(view: Tunnel) -> Self {
        let mut answer = Self {
            id: view.id,
            protocol: view.protocol,
            open: view.open,
            total: view.total,
            refused: view.refused,
            bytes_out: view.bytes_out,
            bytes_in: view.bytes_in,
            ..Self::default()
        };
        match view.side {
            TunnelSide::Listen { target, access } => {
                answer.set_side(Side::Listen);
                answer.target = parse::tcp_text(target);
                (answer.allow, answer.allow_any) = allowed(&access);
            }
            TunnelSide::Forward { listen, peer } => {
                answer.set_side(Side::Forward);
                answer.listen = parse::tcp_text(listen);
                answer.peer_id = peer.to_string();
            }
        }
        answer
    }
}

/// Who may use a tunnel, as the fields `allow` and `allow_any`.
pub(crate) fn allowed(access: &TunnelAccess) -> (Vec<String>, bool) {
    match access {
        TunnelAccess::Network => (Vec::new(), false),
        TunnelAccess::Peers(peers) => (texts(peers), false),
        TunnelAccess::Anybody => (Vec::new(), true),
    }
}

impl TryFrom<proto::Tunnel> for Tunnel {
    type Error = Unreadable;

    fn try_from(answer: proto::Tunnel) -> Result<Self, Unreadable> {
        let tcp = |name: &'static str, text: &str| {
            parse::tcp(text).map_err(|fault| Unreadable {
                field: name,
                cause: fault.message,
            })
        };
        let side = match answer.side() {
            Side::Listen => TunnelSide::Listen {
                target: tcp("target", &answer.target)?,
                access: match (answer.allow_any, answer.allow.is_empty()) {
                    (true, _) => TunnelAccess::Anybody,
                    (false, true) => TunnelAccess::Network,
                    (false, false) => TunnelAccess::Peers(fields("allow", &answer.allow)?),
                },
            },
            Side::Forward => TunnelSide::Forward {
                listen: tcp("listen", &answer.listen)?,
                peer: field("peer_id", &answer.peer_id)?,
            },
            Side::Unspecified => {
                return Err(Unreadable {
                    field: "side",
                    cause: "it is missing".to_owned(),
                });
            }
        };
        Ok(Self {
            id: answer.id,
            protocol: answer.protocol,
            side,
            open: answer.open,
            total: answer.total,
            refused: answer.refused,
            bytes_out: answer.bytes_out,
            bytes_in: answer.bytes_in,
        })
    }
}
