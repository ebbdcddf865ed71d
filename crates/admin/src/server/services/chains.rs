//! Service `Chains`.

use std::time::Duration;

use futures::stream::StreamExt as _;
use tonic::{Request, Response, Status};

use super::{Answers, CALL_TIME, GIVE_UP_TIME, Service, audit, time_limit, within};
use crate::backend::Backend;
use crate::fault::Fault;
use crate::parse;
use crate::proto::chains_log_request::Order as ProtoOrder;
use crate::proto::chains_server::Chains;
use crate::proto::{
    ChainsAppendRequest, ChainsAppendResponse, ChainsCreateRequest, ChainsCreateResponse,
    ChainsDigestRequest, ChainsDigestResponse, ChainsFollowRequest, ChainsFollowResponse,
    ChainsInviteRequest, ChainsInviteResponse, ChainsJoinRequest, ChainsJoinResponse, ChainsLeavesRequest,
    ChainsLeavesResponse, ChainsListRequest, ChainsListResponse, ChainsLogRequest, ChainsLogResponse,
};
use crate::views::{FollowFrom, InviteTerms, LogQuery, Order};

const JOIN_TIME: Duration = Duration::from_secs(30);
const JOIN_TIME_MAX: Duration = Duration::from_secs(600);

#[tonic::async_trait]
impl<B: Backend> Chains for Service<B> {
    type LogStream = Answers<ChainsLogResponse>;
    type FollowStream = Answers<ChainsFollowResponse>;

    async fn create(
        &self,
        request: Request<ChainsCreateRequest>,
    ) -> Result<Response<ChainsCreateResponse>, Status> {
        let name = parse::chain_name(&request.into_inner().name)?;
        let done = within(CALL_TIME, self.backend.create_chain(name)).await;
        let chain = audit("Chains.Create", done)?;
        Ok(Response::new(ChainsCreateResponse {
            chain: chain.to_string(),
        }))
    }

    async fn list(&self, _: Request<ChainsListRequest>) -> Result<Response<ChainsListResponse>, Status> {
        let views = within(CALL_TIME, self.backend.chains()).await?;
        Ok(Response::new(ChainsListResponse {
            chains: views.into_iter().map(Into::into).collect(),
        }))
    }

    async fn invite(
        &self,
        request: Request<ChainsInviteRequest>,
    ) -> Result<Response<ChainsInviteResponse>, Status> {
        let request = request.into_inner();
        let chain = parse::chain(&request.chain)?;
        let seconds = request.expires_in_seconds;
        let terms = InviteTerms {
            expires_in: (seconds != 0).then(|| Duration::from_secs(seconds)),
            uses: request.uses,
        };
        let done = within(CALL_TIME, self.backend.invite(chain, terms)).await;
        let invitation = audit("Chains.Invite", done)?;
        Ok(Response::new(ChainsInviteResponse { invitation }))
    }

    async fn join(
        &self,
        request: Request<ChainsJoinRequest>,
    ) -> Result<Response<ChainsJoinResponse>, Status> {
        let request = request.into_inner();
        let invitation = parse::invitation(&request.invitation)?;
        let limit = time_limit(request.timeout_ms, JOIN_TIME, JOIN_TIME_MAX)?;
        let done = within(limit + GIVE_UP_TIME, self.backend.join(invitation, limit)).await;
        let joined = audit("Chains.Join", done)?;
        Ok(Response::new(joined.into()))
    }

    async fn append(
        &self,
        request: Request<ChainsAppendRequest>,
    ) -> Result<Response<ChainsAppendResponse>, Status> {
        let request = request.into_inner();
        let chain = parse::chain(&request.chain)?;
        let entry = parse::entry(request.topics, request.body)?;
        let appended = within(CALL_TIME, self.backend.append(chain, entry)).await?;
        Ok(Response::new(appended.into()))
    }

    async fn log(&self, request: Request<ChainsLogRequest>) -> Result<Response<Self::LogStream>, Status> {
        let request = request.into_inner();
        let chain = parse::chain(&request.chain)?;
        let after = match request.after.as_str() {
            "" => None,
            text => Some(parse::block(text)?),
        };
        let limit = (request.limit != 0).then_some(request.limit);
        let query = LogQuery {
            limit,
            order: order(request.order)?,
            after,
        };
        let flow = within(CALL_TIME, self.backend.log(chain, query)).await?;
        // The backend may read ahead; the caller still gets no more than it asked for.
        let most = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let answers = self.answers(flow.take(most).boxed(), |view| ChainsLogResponse {
            block: Some(view.into()),
        });
        Ok(Response::new(answers))
    }

    async fn leaves(
        &self,
        request: Request<ChainsLeavesRequest>,
    ) -> Result<Response<ChainsLeavesResponse>, Status> {
        let chain = parse::chain(&request.into_inner().chain)?;
        let leaves = within(CALL_TIME, self.backend.leaves(chain)).await?;
        Ok(Response::new(ChainsLeavesResponse {
            blocks: leaves.iter().map(ToString::to_string).collect(),
        }))
    }

    async fn follow(
        &self,
        request: Request<ChainsFollowRequest>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let request = request.into_inner();
        let chain = parse::chain(&request.chain)?;
        let from = request.from.map_or(FollowFrom::Now, Into::into);
        let flow = within(CALL_TIME, self.backend.follow(chain, from)).await?;
        Ok(Response::new(self.answers(flow, Into::into)))
    }

    async fn digest(
        &self,
        request: Request<ChainsDigestRequest>,
    ) -> Result<Response<ChainsDigestResponse>, Status> {
        let chain = parse::chain(&request.into_inner().chain)?;
        let digest = within(CALL_TIME, self.backend.digest(chain)).await?;
        Ok(Response::new(digest.into()))
    }
}

fn order(number: i32) -> Result<Order, Fault> {
    match ProtoOrder::try_from(number) {
        Ok(ProtoOrder::Unspecified | ProtoOrder::NewestFirst) => Ok(Order::NewestFirst),
        Ok(ProtoOrder::OldestFirst) => Ok(Order::OldestFirst),
        Err(_) => Err(Fault::bad_argument(format!(
            "order {number} is not known to this daemon"
        ))),
    }
}
