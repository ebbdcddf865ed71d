//! Service `Content`.

mod upload;

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

use self::upload::{chunks, first_options, parts};
use super::{Answers, CALL_TIME, Service, audit, time_limit, within};
use crate::CHUNK_BYTES_MAX;
use crate::backend::{Backend, Flow};
use crate::convert::dag_form;
use crate::fault::Fault;
use crate::gather::gather;
use crate::parse;
use crate::proto;
use crate::proto::content_server::Content;
use crate::views::{
    AddNews, AddOptions, BlockQuery, CarPart, DagQuery, FileQuery, GetPart, ListQuery, NewBlock, NewValue,
    PathQuery,
};

/// Wait for a missing block where the caller says nothing.
const WAIT: Duration = Duration::from_secs(60);
/// Longest wait for a missing block that a caller may ask for.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Bytes of a message about an entry, roughly.
const ENTRY_BYTES: usize = 64;

type Done<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl<B: Backend> Content for Service<B> {
    type AddStream = Answers<proto::ContentAddResponse>;
    type CatStream = Answers<proto::ContentCatResponse>;
    type GetStream = Answers<proto::ContentGetResponse>;
    type ListStream = Answers<proto::ContentListResponse>;
    type ExportCarStream = Answers<proto::ContentExportCarResponse>;
    type DagGetStream = Answers<proto::ContentDagGetResponse>;
    type DagStatStream = Answers<proto::ContentDagStatResponse>;

    async fn add(&self, request: Request<Streaming<proto::ContentAddRequest>>) -> Done<Self::AddStream> {
        let mut messages = request.into_inner();
        let options = AddOptions::try_from(first_options(&mut messages).await?)?;
        let flow = self.backend.add(options, parts(messages)).await;
        let flow = audited("Content.Add", flow.map_err(Status::from)?, |news| {
            matches!(news, AddNews::Roots(_))
        });
        let flow = gather(flow, |_| ENTRY_BYTES);
        Ok(Response::new(self.answers(flow.boxed(), Into::into)))
    }

    async fn cat(&self, request: Request<proto::ContentCatRequest>) -> Done<Self::CatStream> {
        let request = request.into_inner();
        let timeout = wait(request.timeout_ms)?;
        let query = FileQuery {
            path: parse::path(&request.cid)?,
            offset: request.offset,
            length: request.length,
            timeout,
        };
        let flow = within(CALL_TIME + timeout, self.backend.cat(query)).await?;
        Ok(Response::new(self.answers(small(flow), |chunk| {
            proto::ContentCatResponse { chunk }
        })))
    }

    async fn get(&self, request: Request<proto::ContentGetRequest>) -> Done<Self::GetStream> {
        let request = request.into_inner();
        let query = path_query(&request.path, request.timeout_ms)?;
        let flow = within(CALL_TIME + query.timeout, self.backend.get(query)).await?;
        let flow = flow.flat_map(|item| match item {
            Ok(GetPart::Chunk(bytes)) => stream::iter(split(bytes).map(GetPart::Chunk).map(Ok)).boxed(),
            other => stream::iter([other]).boxed(),
        });
        let flow = gather(flow, |item| match item {
            Ok(GetPart::Chunk(chunk)) => chunk.len(),
            Ok(GetPart::Entry(_)) | Err(_) => ENTRY_BYTES,
        });
        Ok(Response::new(self.answers(flow.boxed(), Into::into)))
    }

    async fn list(&self, request: Request<proto::ContentListRequest>) -> Done<Self::ListStream> {
        let request = request.into_inner();
        let PathQuery { path, timeout } = path_query(&request.path, request.timeout_ms)?;
        let query = ListQuery {
            path,
            timeout,
            names_only: request.names_only,
        };
        let flow = within(CALL_TIME + timeout, self.backend.list(query)).await?;
        let flow = gather(flow, |_| ENTRY_BYTES);
        Ok(Response::new(self.answers(flow.boxed(), Into::into)))
    }

    async fn stat(&self, request: Request<proto::ContentStatRequest>) -> Done<proto::ContentStatResponse> {
        let request = request.into_inner();
        let query = path_query(&request.path, request.timeout_ms)?;
        let stat = within(path_time(&query), self.backend.stat(query)).await?;
        Ok(Response::new(stat.into()))
    }

    async fn export_car(
        &self,
        request: Request<proto::ContentExportCarRequest>,
    ) -> Done<Self::ExportCarStream> {
        let request = request.into_inner();
        let query = path_query(&request.path, request.timeout_ms)?;
        let flow = within(CALL_TIME + query.timeout, self.backend.export_car(query)).await?;
        let flow = flow.flat_map(|item| match item {
            Ok(CarPart::Chunk(bytes)) => stream::iter(split(bytes).map(CarPart::Chunk).map(Ok)).boxed(),
            other => stream::iter([other]).boxed(),
        });
        Ok(Response::new(self.answers(flow.boxed(), Into::into)))
    }

    async fn import_car(
        &self,
        request: Request<Streaming<proto::ContentImportCarRequest>>,
    ) -> Done<proto::ContentImportCarResponse> {
        let mut messages = request.into_inner();
        let options = first_options(&mut messages).await?;
        let done = self.backend.import_car(!options.unpinned, chunks(messages)).await;
        let done = audit("Content.ImportCar", done.map_err(Status::from))?;
        Ok(Response::new(done.into()))
    }

    async fn dag_get(&self, request: Request<proto::ContentDagGetRequest>) -> Done<Self::DagGetStream> {
        let request = request.into_inner();
        let path = path_query(&request.path, request.timeout_ms)?;
        let limit = path_time(&path);
        let query = DagQuery {
            path: path.path,
            timeout: path.timeout,
            form: dag_form(request.form)?,
        };
        let value = within(limit, self.backend.dag_get(query)).await?;
        let flow = stream::iter([Ok(value)]).boxed();
        Ok(Response::new(self.answers(small(flow), |chunk| {
            proto::ContentDagGetResponse { chunk }
        })))
    }

    async fn dag_put(
        &self,
        request: Request<proto::ContentDagPutRequest>,
    ) -> Done<proto::ContentDagPutResponse> {
        let request = request.into_inner();
        let value = NewValue {
            value: request.value,
            form: dag_form(request.form)?,
            hash: parse::hash_function(&request.hash)?,
            pin: request.pin,
        };
        let stored = audit(
            "Content.DagPut",
            within(CALL_TIME, self.backend.dag_put(value)).await,
        )?;
        Ok(Response::new(stored.into()))
    }

    async fn dag_stat(&self, request: Request<proto::ContentDagStatRequest>) -> Done<Self::DagStatStream> {
        let request = request.into_inner();
        let query = path_query(&request.path, request.timeout_ms)?;
        let flow = within(CALL_TIME + query.timeout, self.backend.dag_stat(query)).await?;
        Ok(Response::new(self.answers(flow, Into::into)))
    }

    async fn block_get(
        &self,
        request: Request<proto::ContentBlockGetRequest>,
    ) -> Done<proto::ContentBlockGetResponse> {
        let request = request.into_inner();
        let query = block_query(&request.cid, request.timeout_ms)?;
        let data = within(CALL_TIME + query.timeout, self.backend.block_get(query)).await?;
        Ok(Response::new(proto::ContentBlockGetResponse { data }))
    }

    async fn block_put(
        &self,
        request: Request<proto::ContentBlockPutRequest>,
    ) -> Done<proto::ContentBlockPutResponse> {
        let request = request.into_inner();
        let block = NewBlock {
            data: request.data,
            codec: parse::codec(&request.codec)?,
            hash: parse::hash_function(&request.hash)?,
            is_v0: match request.cid_version {
                None | Some(1) => false,
                Some(0) => true,
                Some(other) => {
                    return Err(Fault::bad_argument(format!("there is no CID version {other}")).into());
                }
            },
            pin: request.pin,
        };
        let stored = audit(
            "Content.BlockPut",
            within(CALL_TIME, self.backend.block_put(block)).await,
        )?;
        Ok(Response::new(stored.into()))
    }

    async fn block_stat(
        &self,
        request: Request<proto::ContentBlockStatRequest>,
    ) -> Done<proto::ContentBlockStatResponse> {
        let request = request.into_inner();
        let query = block_query(&request.cid, request.timeout_ms)?;
        let stat = within(CALL_TIME + query.timeout, self.backend.block_stat(query)).await?;
        Ok(Response::new(stat.into()))
    }

    async fn block_remove(
        &self,
        request: Request<proto::ContentBlockRemoveRequest>,
    ) -> Done<proto::ContentBlockRemoveResponse> {
        let cid = parse::cid(&request.into_inner().cid)?;
        let done = within(CALL_TIME, self.backend.block_remove(cid)).await;
        audit("Content.BlockRemove", done)?;
        Ok(Response::new(proto::ContentBlockRemoveResponse {}))
    }
}

fn wait(timeout_ms: u64) -> Result<Duration, Fault> {
    time_limit(timeout_ms, WAIT, WAIT_MAX)
}

fn path_query(path: &str, timeout_ms: u64) -> Result<PathQuery, Fault> {
    Ok(PathQuery {
        path: parse::path(path)?,
        timeout: wait(timeout_ms)?,
    })
}

fn block_query(cid: &str, timeout_ms: u64) -> Result<BlockQuery, Fault> {
    Ok(BlockQuery {
        cid: parse::cid(cid)?,
        timeout: wait(timeout_ms)?,
    })
}

/// How long a path may take: each of its blocks may be waited for.
fn path_time(query: &PathQuery) -> Duration {
    let blocks = u32::try_from(query.path.names.len() + 1).unwrap_or(u32::MAX);
    CALL_TIME + query.timeout.saturating_mul(blocks)
}

/// Writes a line of audit at the end of a flow.
fn audited<T: Send + 'static>(method: &'static str, flow: Flow<T>, is_last: fn(&T) -> bool) -> Flow<T> {
    flow.inspect(move |item| {
        let outcome = match item {
            Ok(item) if is_last(item) => Ok(()),
            Ok(_) => return,
            Err(fault) => Err(Status::from(fault.clone())),
        };
        // The outcome itself goes on in the flow.
        let _ = audit(method, outcome);
    })
    .boxed()
}

/// Cuts the pieces of a flow into chunks that fit a message.
fn small(flow: Flow<Bytes>) -> Flow<Bytes> {
    flow.flat_map(|item| match item {
        Ok(bytes) => stream::iter(split(bytes).map(Ok)).boxed(),
        Err(fault) => stream::iter([Err(fault)]).boxed(),
    })
    .boxed()
}

/// Cuts bytes into chunks without copying.
fn split(mut bytes: Bytes) -> impl Iterator<Item = Bytes> + Send {
    std::iter::from_fn(move || {
        let len = bytes.len().min(CHUNK_BYTES_MAX);
        (len != 0).then(|| bytes.split_to(len))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_have_a_megabyte_at_most() {
        let lengths = |len| {
            split(Bytes::from(vec![7; len]))
                .map(|chunk| chunk.len())
                .collect::<Vec<_>>()
        };
        assert_eq!(lengths(0), Vec::<usize>::new());
        assert_eq!(lengths(CHUNK_BYTES_MAX), [CHUNK_BYTES_MAX]);
        assert_eq!(
            lengths(2 * CHUNK_BYTES_MAX + 1),
            [CHUNK_BYTES_MAX, CHUNK_BYTES_MAX, 1]
        );
    }
}
