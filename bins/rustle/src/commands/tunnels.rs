//! Commands about tunnels.

use rustle_admin::views::{Tunnel, TunnelAccess, TunnelFilter, TunnelSide};
use rustle_admin::{Fault, parse};

use super::connect;
use crate::arguments::{Daemon, TunnelCommand};
use crate::failure::Failure;
use crate::json;
use crate::output::Output;
use crate::table;

pub(super) async fn run(daemon: &Daemon, out: &mut Output, command: TunnelCommand) -> Result<(), Failure> {
    match command {
        TunnelCommand::Listen { name, target, allow } => {
            let (name, target) = (parse::tunnel_name(&name)?, parse::tcp(&target)?);
            let access = access(&allow)?;
            let client = connect(daemon).await?;
            let tunnel = client.tunnel_listen(&name, target, &access).await?;
            out.show(&json::Tunnel::from(&tunnel), || {
                format!("{}: offered as {}", tunnel.id, table::plain(&tunnel.protocol))
            })?;
        }
        TunnelCommand::Forward { name, listen, peer } => {
            let (name, listen) = (parse::tunnel_name(&name)?, parse::tcp(&listen)?);
            let end = parse::tunnel_end(&peer)?;
            let client = connect(daemon).await?;
            let tunnel = client.tunnel_forward(&name, listen, &end).await?;
            out.show(&json::Tunnel::from(&tunnel), || {
                let place = match &tunnel.side {
                    TunnelSide::Forward { listen, .. } => parse::tcp_text(*listen),
                    TunnelSide::Listen { target, .. } => parse::tcp_text(*target),
                };
                format!("{}: connect to {place}", tunnel.id)
            })?;
        }
        TunnelCommand::Ls => list(daemon, out).await?,
        TunnelCommand::Close { tunnel, .. } => {
            let filter = filter(tunnel.as_deref())?;
            let closed = connect(daemon).await?.close_tunnels(filter).await?;
            out.show(&json::ClosedTunnels { closed }, || format!("closed {closed}"))?;
        }
    }
    Ok(())
}

fn access(allow: &[String]) -> Result<TunnelAccess, Failure> {
    match allow {
        [] => Ok(TunnelAccess::Network),
        [any] if any == "any" => Ok(TunnelAccess::Anybody),
        peers if peers.iter().any(|peer| peer == "any") => Err(Failure::Usage(
            "--allow any lets everybody in; leave out the other --allow".to_owned(),
        )),
        peers => {
            let peers: Result<_, Fault> = peers.iter().map(|peer| parse::peer(peer)).collect();
            Ok(TunnelAccess::Peers(peers?))
        }
    }
}

fn filter(tunnel: Option<&str>) -> Result<TunnelFilter, Failure> {
    let Some(text) = tunnel else {
        return Ok(TunnelFilter::default());
    };
    if let Ok(id) = text.parse::<u64>() {
        // The daemon takes 0 for any of them.
        if id == 0 {
            return Err(Failure::Usage(
                "no tunnel has the number 0; `rustle tunnel ls` shows the numbers".to_owned(),
            ));
        }
        return Ok(TunnelFilter {
            id: Some(id),
            ..TunnelFilter::default()
        });
    }
    Ok(TunnelFilter {
        protocol: Some(parse::tunnel_name(text)?),
        ..TunnelFilter::default()
    })
}

async fn list(daemon: &Daemon, out: &mut Output) -> Result<(), Failure> {
    let tunnels = connect(daemon).await?.tunnels().await?;
    let json = json::Tunnels {
        tunnels: tunnels.iter().map(json::Tunnel::from).collect(),
    };
    out.show(&json, || {
        if tunnels.is_empty() {
            return "no tunnels".to_owned();
        }
        let head = [
            "ID", "NAME", "FROM", "TO", "OPEN", "TOTAL", "REFUSED", "OUT", "IN",
        ];
        table::columns(head, tunnels.iter().map(row))
    })?;
    Ok(())
}

fn row(tunnel: &Tunnel) -> [String; 9] {
    let (from, to) = match &tunnel.side {
        TunnelSide::Listen { target, access } => {
            let who = match access {
                TunnelAccess::Network => "the network".to_owned(),
                TunnelAccess::Anybody => "anybody".to_owned(),
                TunnelAccess::Peers(peers) => match peers.as_slice() {
                    [peer] => peer.to_string(),
                    peers => format!("{} peers", peers.len()),
                },
            };
            (who, parse::tcp_text(*target))
        }
        TunnelSide::Forward { listen, peer } => (parse::tcp_text(*listen), peer.to_string()),
    };
    [
        tunnel.id.to_string(),
        table::plain(&tunnel.protocol),
        from,
        to,
        tunnel.open.to_string(),
        tunnel.total.to_string(),
        tunnel.refused.to_string(),
        tunnel.bytes_out.to_string(),
        tunnel.bytes_in.to_string(),
    ]
}
