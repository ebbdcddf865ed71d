//! Service `Peers`.

use std::time::Duration;

use tonic::{Request, Response, Status};

use super::{CALL_TIME, GIVE_UP_TIME, Service, audit, time_limit, within};
use crate::backend::Backend;
use crate::fault::Fault;
use crate::parse;
use crate::proto::known_peer::Table as ProtoTable;
use crate::proto::peer::{Class as ProtoClass, Direction as ProtoDirection};
use crate::proto::peers_server::Peers;
use crate::proto::{
    PeersAddressesRequest, PeersAddressesResponse, PeersAllowRequest, PeersAllowResponse, PeersBanRequest,
    PeersBanResponse, PeersBansRequest, PeersBansResponse, PeersConnectRequest, PeersConnectResponse,
    PeersDisallowRequest, PeersDisallowResponse, PeersDisconnectRequest, PeersDisconnectResponse,
    PeersInfoRequest, PeersInfoResponse, PeersListRequest, PeersListResponse, PeersUnbanRequest,
    PeersUnbanResponse,
};
use crate::views::{AddressQuery, BookTable, Direction, PeerClass, PeerFilter, RuleKind};

const CONNECT_TIME: Duration = Duration::from_secs(15);
const CONNECT_TIME_MAX: Duration = Duration::from_secs(120);

#[tonic::async_trait]
impl<B: Backend> Peers for Service<B> {
    async fn list(&self, request: Request<PeersListRequest>) -> Result<Response<PeersListResponse>, Status> {
        let request = request.into_inner();
        let filter = PeerFilter {
            class: class(request.class)?,
            direction: direction(request.direction)?,
        };
        let views = within(CALL_TIME, self.backend.peers()).await?;
        let views = views.into_iter().filter(|view| filter.takes(view));
        Ok(Response::new(PeersListResponse {
            peers: views.map(Into::into).collect(),
        }))
    }

    async fn info(&self, request: Request<PeersInfoRequest>) -> Result<Response<PeersInfoResponse>, Status> {
        let peer = parse::peer(&request.into_inner().peer_id)?;
        let details = within(CALL_TIME, self.backend.peer(peer)).await?;
        Ok(Response::new(details.into()))
    }

    async fn connect(
        &self,
        request: Request<PeersConnectRequest>,
    ) -> Result<Response<PeersConnectResponse>, Status> {
        let request = request.into_inner();
        let address = parse::address(&request.address)?;
        let limit = time_limit(request.timeout_ms, CONNECT_TIME, CONNECT_TIME_MAX)?;
        let done = within(limit + GIVE_UP_TIME, self.backend.connect(address, limit)).await;
        let peer = audit("Peers.Connect", done)?;
        Ok(Response::new(PeersConnectResponse {
            peer_id: peer.to_string(),
        }))
    }

    async fn disconnect(
        &self,
        request: Request<PeersDisconnectRequest>,
    ) -> Result<Response<PeersDisconnectResponse>, Status> {
        let peer = parse::peer(&request.into_inner().peer_id)?;
        let done = within(CALL_TIME, self.backend.disconnect(peer)).await;
        audit("Peers.Disconnect", done)?;
        Ok(Response::new(PeersDisconnectResponse {}))
    }

    async fn ban(&self, request: Request<PeersBanRequest>) -> Result<Response<PeersBanResponse>, Status> {
        let request = request.into_inner();
        let target = parse::target(&request.target)?;
        let duration = parse::rule_duration(Duration::from_millis(request.duration_ms))?;
        let reason = parse::rule_reason(&request.reason)?;
        let rule = self.backend.add_rule(RuleKind::Ban, target, duration, reason);
        let rule = audit("Peers.Ban", within(CALL_TIME, rule).await)?;
        Ok(Response::new(PeersBanResponse {
            rule: Some(rule.into()),
        }))
    }

    async fn unban(
        &self,
        request: Request<PeersUnbanRequest>,
    ) -> Result<Response<PeersUnbanResponse>, Status> {
        let target = parse::target(&request.into_inner().target)?;
        let done = within(CALL_TIME, self.backend.remove_rule(RuleKind::Ban, target)).await;
        audit("Peers.Unban", done)?;
        Ok(Response::new(PeersUnbanResponse {}))
    }

    async fn allow(
        &self,
        request: Request<PeersAllowRequest>,
    ) -> Result<Response<PeersAllowResponse>, Status> {
        let request = request.into_inner();
        let target = parse::target(&request.target)?;
        let reason = parse::rule_reason(&request.reason)?;
        let rule = self.backend.add_rule(RuleKind::Allow, target, None, reason);
        let rule = audit("Peers.Allow", within(CALL_TIME, rule).await)?;
        Ok(Response::new(PeersAllowResponse {
            rule: Some(rule.into()),
        }))
    }

    async fn disallow(
        &self,
        request: Request<PeersDisallowRequest>,
    ) -> Result<Response<PeersDisallowResponse>, Status> {
        let target = parse::target(&request.into_inner().target)?;
        let done = within(CALL_TIME, self.backend.remove_rule(RuleKind::Allow, target)).await;
        audit("Peers.Disallow", done)?;
        Ok(Response::new(PeersDisallowResponse {}))
    }

    async fn bans(&self, _: Request<PeersBansRequest>) -> Result<Response<PeersBansResponse>, Status> {
        let rules = within(CALL_TIME, self.backend.rules()).await?;
        Ok(Response::new(PeersBansResponse {
            rules: rules.into_iter().map(Into::into).collect(),
        }))
    }

    async fn addresses(
        &self,
        request: Request<PeersAddressesRequest>,
    ) -> Result<Response<PeersAddressesResponse>, Status> {
        let request = request.into_inner();
        let after = match request.after.as_str() {
            "" => None,
            text => Some(parse::peer(text)?),
        };
        let query = AddressQuery {
            table: table(request.table)?,
            after,
            limit: limit(request.limit)?,
        };
        let page = within(CALL_TIME, self.backend.addresses(query)).await?;
        Ok(Response::new(page.into()))
    }
}

fn class(number: i32) -> Result<Option<PeerClass>, Fault> {
    match ProtoClass::try_from(number) {
        Ok(ProtoClass::Unspecified) => Ok(None),
        Ok(ProtoClass::Rustle) => Ok(Some(PeerClass::Rustle)),
        Ok(ProtoClass::Foreign) => Ok(Some(PeerClass::Foreign)),
        Ok(ProtoClass::Pending) => Ok(Some(PeerClass::Pending)),
        Err(_) => Err(unknown("class", number)),
    }
}

fn direction(number: i32) -> Result<Option<Direction>, Fault> {
    match ProtoDirection::try_from(number) {
        Ok(ProtoDirection::Unspecified) => Ok(None),
        Ok(ProtoDirection::Inbound) => Ok(Some(Direction::Inbound)),
        Ok(ProtoDirection::Outbound) => Ok(Some(Direction::Outbound)),
        Err(_) => Err(unknown("direction", number)),
    }
}

fn table(number: i32) -> Result<Option<BookTable>, Fault> {
    match ProtoTable::try_from(number) {
        Ok(ProtoTable::Unspecified) => Ok(None),
        Ok(ProtoTable::New) => Ok(Some(BookTable::New)),
        Ok(ProtoTable::Tried) => Ok(Some(BookTable::Tried)),
        Ok(ProtoTable::Needed) => Ok(Some(BookTable::Needed)),
        Err(_) => Err(unknown("table", number)),
    }
}

fn limit(number: u32) -> Result<usize, Fault> {
    match usize::try_from(number) {
        Ok(0) => Ok(AddressQuery::first().limit),
        Ok(limit) if limit <= AddressQuery::LIMIT_MAX => Ok(limit),
        _ => Err(Fault::bad_argument(format!(
            "{number} peers are too many for one page; ask for at most {}",
            AddressQuery::LIMIT_MAX
        ))),
    }
}

fn unknown(what: &str, number: i32) -> Fault {
    Fault::bad_argument(format!("{what} {number} is not known to this daemon"))
}
