//! Service `Store`.

use std::time::Duration;

use tonic::{Request, Response, Status};

use super::{Answers, CALL_TIME, Service, audit, time_limit, within};
use crate::backend::Backend;
use crate::convert::page_token;
use crate::fault::Fault;
use crate::parse;
use crate::proto::store_server::Store;
use crate::proto::{
    PinKind as ProtoKind, StoreCollectGarbageRequest, StoreCollectGarbageResponse, StorePinRequest,
    StorePinResponse, StorePinsRequest, StorePinsResponse, StoreStatRequest, StoreStatResponse,
    StoreUnpinRequest, StoreUnpinResponse, StoreVerifyRequest, StoreVerifyResponse,
};
use crate::views::{PINS_MAX, Pin, PinKind, PinQuery};

/// Time for what reads the whole index, or walks below all pins.
const WALK_TIME: Duration = Duration::from_secs(600);
/// Wait for a missing block where the caller says nothing.
const BLOCK_TIME: Duration = Duration::from_secs(60);
/// Longest wait for a missing block that a caller may ask for.
const BLOCK_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

#[tonic::async_trait]
impl<B: Backend> Store for Service<B> {
    type VerifyStream = Answers<StoreVerifyResponse>;
    type CollectGarbageStream = Answers<StoreCollectGarbageResponse>;

    async fn stat(&self, _: Request<StoreStatRequest>) -> Result<Response<StoreStatResponse>, Status> {
        let stat = within(WALK_TIME, self.backend.store_stat()).await?;
        Ok(Response::new(stat.into()))
    }

    async fn verify(
        &self,
        request: Request<StoreVerifyRequest>,
    ) -> Result<Response<Self::VerifyStream>, Status> {
        let repair = request.into_inner().repair;
        let flow = within(CALL_TIME, self.backend.verify_store(repair)).await;
        let flow = if repair {
            audit("Store.Verify", flow)?
        } else {
            flow?
        };
        Ok(Response::new(self.answers(flow, Into::into)))
    }

    async fn collect_garbage(
        &self,
        _: Request<StoreCollectGarbageRequest>,
    ) -> Result<Response<Self::CollectGarbageStream>, Status> {
        let flow = within(CALL_TIME, self.backend.collect_garbage()).await;
        let flow = audit("Store.CollectGarbage", flow)?;
        Ok(Response::new(self.answers(flow, Into::into)))
    }

    /// Without a limit of its own for the whole: the DAG may have any size, and each block has one.
    async fn pin(&self, request: Request<StorePinRequest>) -> Result<Response<StorePinResponse>, Status> {
        let request = request.into_inner();
        let timeout = time_limit(request.timeout_ms, BLOCK_TIME, BLOCK_TIME_MAX)?;
        let pin = Pin {
            cid: parse::cid(&request.cid)?,
            kind: kind(request.kind)?.unwrap_or(PinKind::Recursive),
            name: parse::pin_name(&request.name)?,
        };
        let done = self.backend.pin(pin, timeout).await.map_err(Status::from);
        Ok(Response::new(audit("Store.Pin", done)?.into()))
    }

    async fn unpin(
        &self,
        request: Request<StoreUnpinRequest>,
    ) -> Result<Response<StoreUnpinResponse>, Status> {
        let request = request.into_inner();
        let (cid, kind) = (parse::cid(&request.cid)?, kind(request.kind)?);
        let done = within(CALL_TIME, self.backend.unpin(cid, kind)).await;
        let pin = audit("Store.Unpin", done)?;
        Ok(Response::new(StoreUnpinResponse {
            pin: Some(pin.into()),
        }))
    }

    async fn pins(&self, request: Request<StorePinsRequest>) -> Result<Response<StorePinsResponse>, Status> {
        let request = request.into_inner();
        let some = |text: String| (!text.is_empty()).then_some(text);
        let after = some(request.after).map(|token| {
            page_token(&token).map_err(|why| Fault::bad_argument(format!("page token `{token}`: {why}")))
        });
        let query = PinQuery {
            cid: some(request.cid).map(|cid| parse::cid(&cid)).transpose()?,
            kind: kind(request.kind)?,
            after: after.transpose()?,
            limit: match request.limit as usize {
                0 => PINS_MAX,
                limit => limit.min(PINS_MAX),
            },
        };
        let page = within(WALK_TIME, self.backend.pins(query)).await?;
        Ok(Response::new(page.into()))
    }
}

fn kind(number: i32) -> Result<Option<PinKind>, Fault> {
    match ProtoKind::try_from(number) {
        Ok(ProtoKind::Unspecified) => Ok(None),
        Ok(ProtoKind::Recursive) => Ok(Some(PinKind::Recursive)),
        Ok(ProtoKind::Direct) => Ok(Some(PinKind::Direct)),
        Ok(ProtoKind::Indirect) => Err(Fault::bad_argument(
            "an indirect pin has no record of its own; name the CID to see what it is kept by",
        )),
        Err(_) => Err(Fault::bad_argument(format!(
            "kind of pin {number} is not known to this daemon"
        ))),
    }
}
