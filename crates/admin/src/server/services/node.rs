//! Service `Node`.

use tonic::{Request, Response, Status};

use super::{CALL_TIME, Service, within};
use crate::backend::Backend;
use crate::proto::node_server::Node;
use crate::proto::{NodeIdRequest, NodeIdResponse, NodeStatusRequest, NodeStatusResponse};

#[tonic::async_trait]
impl<B: Backend> Node for Service<B> {
    async fn id(&self, _: Request<NodeIdRequest>) -> Result<Response<NodeIdResponse>, Status> {
        let view = within(CALL_TIME, self.backend.id()).await?;
        Ok(Response::new(view.into()))
    }

    async fn status(&self, _: Request<NodeStatusRequest>) -> Result<Response<NodeStatusResponse>, Status> {
        let view = within(CALL_TIME, self.backend.status()).await?;
        Ok(Response::new(view.into()))
    }
}
