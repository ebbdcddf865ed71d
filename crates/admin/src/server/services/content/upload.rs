//! What does a client send in a stream, and did it send all of it?
//!
//! First the options, then what is uploaded, last the end with a count. The end of the HTTP/2 stream proves nothing:
//! hyper reports a stream that was reset with CANCEL as finished.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use tonic::Streaming;

use crate::CHUNK_BYTES_MAX;
use crate::backend::Flow;
use crate::fault::{Fault, FaultKind, reason};
use crate::proto;
use crate::proto::content_add_request::Request as AddRequest;
use crate::proto::content_import_car_request::Request as CarRequest;
use crate::views::AddPart;

/// Longest silence of an uploading client.
const UPLOAD_SILENCE_MAX: Duration = Duration::from_secs(60);

/// A message of an upload.
pub(super) trait Message: Send + 'static {
    /// What the first message says.
    type Options;

    /// What it carries; nothing is an error.
    fn piece(self) -> Option<Piece<Self::Options>>;
}

/// What a message carries.
pub(super) enum Piece<O> {
    Options(O),
    Entry(proto::AddEntry),
    Chunk(Bytes),
    End(proto::AddEnd),
}

impl Message for proto::ContentAddRequest {
    type Options = proto::AddOptions;

    fn piece(self) -> Option<Piece<proto::AddOptions>> {
        Some(match self.request? {
            AddRequest::Options(options) => Piece::Options(options),
            AddRequest::Entry(entry) => Piece::Entry(entry),
            AddRequest::Chunk(chunk) => Piece::Chunk(chunk),
            AddRequest::End(end) => Piece::End(end),
        })
    }
}

impl Message for proto::ContentImportCarRequest {
    type Options = proto::ImportCarOptions;

    fn piece(self) -> Option<Piece<proto::ImportCarOptions>> {
        Some(match self.request? {
            CarRequest::Options(options) => Piece::Options(options),
            CarRequest::Chunk(chunk) => Piece::Chunk(chunk),
            CarRequest::End(end) => Piece::End(end),
        })
    }
}

/// Takes the first message.
pub(super) async fn first_options<M: Message>(messages: &mut Streaming<M>) -> Result<M::Options, Fault> {
    match next(messages).await? {
        Some(Piece::Options(options)) => Ok(options),
        _ => Err(Fault::bad_argument("the first message must carry `options`")),
    }
}

/// What is uploaded. A client that breaks off gives an error, never an early end.
pub(super) fn parts<M: Message>(messages: Streaming<M>) -> Flow<AddPart> {
    stream::try_unfold((messages, 0_u64), |(mut messages, sent)| async move {
        let part = match next(&mut messages).await? {
            Some(Piece::Chunk(chunk)) => AddPart::Chunk(bounded(chunk)?),
            Some(Piece::Entry(entry)) => AddPart::Entry(entry.try_into()?),
            Some(Piece::End(end)) if end.bytes == sent => return Ok(None),
            Some(Piece::End(end)) => {
                return Err(broken(format!(
                    "`end` counts {} bytes, but {sent} came",
                    end.bytes
                )));
            }
            Some(Piece::Options(_)) => {
                return Err(Fault::bad_argument("only the first message may carry `options`"));
            }
            None => return Err(broken(format!("no `end` came after {sent} bytes"))),
        };
        let bytes = match &part {
            AddPart::Chunk(chunk) => chunk.len() as u64,
            AddPart::Entry(_) => 0,
        };
        Ok(Some((part, (messages, sent + bytes))))
    })
    .boxed()
}

/// The bytes of an upload that has no entries.
pub(super) fn chunks<M: Message>(messages: Streaming<M>) -> Flow<Bytes> {
    parts(messages)
        .map(|part| match part? {
            AddPart::Chunk(chunk) => Ok(chunk),
            AddPart::Entry(_) => Err(Fault::bad_argument("this upload has no entries")),
        })
        .boxed()
}

fn bounded(chunk: Bytes) -> Result<Bytes, Fault> {
    if CHUNK_BYTES_MAX < chunk.len() {
        return Err(Fault::bad_argument(format!(
            "a chunk has {} bytes, at most {CHUNK_BYTES_MAX} are allowed",
            chunk.len()
        )));
    }
    Ok(chunk)
}

fn broken(why: String) -> Fault {
    let message = format!("the upload broke off: {why}");
    Fault::new(FaultKind::InvalidArgument, reason::UPLOAD_BROKEN, message)
}

async fn next<M: Message>(messages: &mut Streaming<M>) -> Result<Option<Piece<M::Options>>, Fault> {
    match tokio::time::timeout(UPLOAD_SILENCE_MAX, messages.message()).await {
        Err(_) => {
            let seconds = UPLOAD_SILENCE_MAX.as_secs();
            let message = format!("the upload broke off: nothing came for {seconds} s");
            Err(Fault::new(
                FaultKind::DeadlineExceeded,
                reason::UPLOAD_BROKEN,
                message,
            ))
        }
        Ok(Err(status)) => Err(broken(status.message().to_owned())),
        Ok(Ok(None)) => Ok(None),
        Ok(Ok(Some(message))) => match message.piece() {
            Some(piece) => Ok(Some(piece)),
            None => Err(Fault::bad_argument("a message of the upload is empty")),
        },
    }
}
