//! Service `Content`.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

use super::{Answers, CALL_TIME, Service, audit, time_limit, within};
use crate::CHUNK_BYTES_MAX;
use crate::backend::{Backend, Flow};
use crate::fault::{Fault, FaultKind, reason};
use crate::parse;
use crate::proto::add_options;
use crate::proto::content_add_request::Request as Part;
use crate::proto::content_server::Content;
use crate::proto::{ContentAddRequest, ContentAddResponse, ContentCatRequest, ContentCatResponse};
use crate::views::{CatQuery, Profile};

/// Longest silence of an uploading client.
const UPLOAD_SILENCE_MAX: Duration = Duration::from_secs(60);
/// Wait for a missing block where the caller says nothing.
const CAT_TIME: Duration = Duration::from_secs(60);
/// Longest wait for a missing block that a caller may ask for.
const CAT_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

#[tonic::async_trait]
impl<B: Backend> Content for Service<B> {
    type CatStream = Answers<ContentCatResponse>;

    async fn add(
        &self,
        request: Request<Streaming<ContentAddRequest>>,
    ) -> Result<Response<ContentAddResponse>, Status> {
        let mut parts = request.into_inner();
        let profile = match next_part(&mut parts).await? {
            Some(Part::Options(options)) => profile(options.profile)?,
            Some(Part::Chunk(_) | Part::End(_)) | None => {
                return Err(Fault::bad_argument("the first message must carry `options`").into());
            }
        };
        let done = self
            .backend
            .add(profile, chunks(parts))
            .await
            .map_err(Status::from);
        let added = audit("Content.Add", done)?;
        Ok(Response::new(added.into()))
    }

    async fn cat(&self, request: Request<ContentCatRequest>) -> Result<Response<Self::CatStream>, Status> {
        let request = request.into_inner();
        let timeout = time_limit(request.timeout_ms, CAT_TIME, CAT_TIME_MAX)?;
        let query = CatQuery {
            cid: parse::cid(&request.cid)?,
            offset: request.offset,
            length: request.length,
            timeout,
        };
        let flow = within(CALL_TIME + timeout, self.backend.cat(query)).await?;
        let small = flow.flat_map(|item| match item {
            Ok(bytes) => stream::iter(split(bytes).map(Ok)).boxed(),
            Err(fault) => stream::iter([Err(fault)]).boxed(),
        });
        Ok(Response::new(
            self.answers(small.boxed(), |chunk| ContentCatResponse { chunk }),
        ))
    }
}

fn profile(number: i32) -> Result<Profile, Fault> {
    match add_options::Profile::try_from(number) {
        Ok(add_options::Profile::Unspecified | add_options::Profile::V0) => Ok(Profile::V0),
        Ok(add_options::Profile::V1) => Ok(Profile::V1),
        Err(_) => Err(Fault::bad_argument(format!(
            "profile {number} is not known to this daemon"
        ))),
    }
}

/// The bytes of an upload. A client that breaks off gives an error, never an early end.
///
/// The end of the HTTP/2 stream proves nothing: hyper reports a stream that was reset with CANCEL as finished.
fn chunks(parts: Streaming<ContentAddRequest>) -> Flow<Bytes> {
    stream::try_unfold((parts, 0_u64), |(mut parts, sent)| async move {
        let chunk = match next_part(&mut parts).await? {
            Some(Part::Chunk(chunk)) => chunk,
            Some(Part::End(end)) if end.bytes == sent => return Ok(None),
            Some(Part::End(end)) => {
                return Err(broken(format!(
                    "`end` counts {} bytes, but {sent} came",
                    end.bytes
                )));
            }
            Some(Part::Options(_)) => {
                return Err(Fault::bad_argument("only the first message may carry `options`"));
            }
            None => return Err(broken(format!("no `end` came after {sent} bytes"))),
        };
        if CHUNK_BYTES_MAX < chunk.len() {
            return Err(Fault::bad_argument(format!(
                "a chunk has {} bytes, at most {CHUNK_BYTES_MAX} are allowed",
                chunk.len()
            )));
        }
        let sent = sent + chunk.len() as u64;
        Ok(Some((chunk, (parts, sent))))
    })
    .boxed()
}

fn broken(why: String) -> Fault {
    let message = format!("the upload broke off: {why}");
    Fault::new(FaultKind::InvalidArgument, reason::UPLOAD_BROKEN, message)
}

async fn next_part(parts: &mut Streaming<ContentAddRequest>) -> Result<Option<Part>, Fault> {
    match tokio::time::timeout(UPLOAD_SILENCE_MAX, parts.message()).await {
        Err(_) => {
            let message = format!(
                "the upload broke off: nothing came for {} s",
                UPLOAD_SILENCE_MAX.as_secs()
            );
            Err(Fault::new(
                FaultKind::DeadlineExceeded,
                reason::UPLOAD_BROKEN,
                message,
            ))
        }
        Ok(Err(status)) => Err(broken(status.message().to_owned())),
        Ok(Ok(None)) => Ok(None),
        Ok(Ok(Some(ContentAddRequest { request: Some(part) }))) => Ok(Some(part)),
        Ok(Ok(Some(ContentAddRequest { request: None }))) => Err(Fault::bad_argument(
            "a message carries none of `options`, `chunk` and `end`",
        )),
    }
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
