//! Service `Routing`.

use tonic::{Request, Response, Status};

use super::{Answers, CALL_TIME, Service, audit, time_limit, within};
use crate::backend::Backend;
use crate::fault::Fault;
use crate::parse;
use crate::proto::routing_server::Routing;
use crate::proto::{
    RoutingFindProvidersRequest, RoutingFindProvidersResponse, RoutingProvideRequest, RoutingProvideResponse,
};
use crate::views::ProviderQuery;

#[tonic::async_trait]
impl<B: Backend> Routing for Service<B> {
    type ProvideStream = Answers<RoutingProvideResponse>;
    type FindProvidersStream = Answers<RoutingFindProvidersResponse>;

    async fn provide(
        &self,
        request: Request<RoutingProvideRequest>,
    ) -> Result<Response<Self::ProvideStream>, Status> {
        let request = request.into_inner();
        let cid = parse::cid(&request.cid)?;
        let flow = within(CALL_TIME, self.backend.provide(cid, request.recursive)).await;
        let flow = audit("Routing.Provide", flow)?;
        Ok(Response::new(self.answers(flow, Into::into)))
    }

    async fn find_providers(
        &self,
        request: Request<RoutingFindProvidersRequest>,
    ) -> Result<Response<Self::FindProvidersStream>, Status> {
        let request = request.into_inner();
        let query = ProviderQuery {
            cid: parse::cid(&request.cid)?,
            limit: limit(request.limit)?,
            timeout: time_limit(request.timeout_ms, ProviderQuery::TIME, ProviderQuery::TIME_MAX)?,
        };
        let flow = within(CALL_TIME, self.backend.find_providers(query)).await?;
        Ok(Response::new(self.answers(flow, Into::into)))
    }
}

fn limit(number: u32) -> Result<usize, Fault> {
    match usize::try_from(number) {
        Ok(0) => Ok(ProviderQuery::LIMIT),
        Ok(limit) if limit <= ProviderQuery::LIMIT_MAX => Ok(limit),
        _ => Err(Fault::bad_argument(format!(
            "{number} peers are too many; ask for at most {}",
            ProviderQuery::LIMIT_MAX
        ))),
    }
}
