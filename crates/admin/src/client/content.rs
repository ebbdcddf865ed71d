//! Calls of service `Content`.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, Stream, StreamExt as _};
use rustle_types::Cid;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::oneshot;

use super::{Answers, Client, ClientError, Door};
use crate::CHUNK_BYTES_MAX;
use crate::convert::{Unreadable, millis};
use crate::proto;
use crate::proto::content_add_request::Request as Part;
use crate::proto::content_client::ContentClient;
use crate::server::ANSWER_BYTES_MAX;
use crate::views::{Added, CatQuery, Profile};

impl Client {
    /// Imports a file. Items longer than a message may be are cut. An error in `bytes` breaks the import off.
    pub async fn add(
        &self,
        profile: Profile,
        bytes: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<Added, ClientError> {
        let options = proto::AddOptions {
            profile: proto::add_options::Profile::from(profile).into(),
        };
        let first = stream::iter([Part::Options(options)]);
        let (broken, breaks) = oneshot::channel();
        let parts = first.chain(unbroken(bytes, broken));
        let requests = parts.map(|part| proto::ContentAddRequest { request: Some(part) });

        let mut service = self.content();
        tokio::select! {
            answer = service.add(requests) => self.read(answer),
            // Dropping the call resets its stream; the daemon, which has not seen `end`, keeps nothing.
            Ok(cause) = breaks => Err(ClientError::Input(cause)),
        }
    }

    /// Imports bytes that are in memory.
    pub async fn add_bytes(&self, profile: Profile, bytes: Bytes) -> Result<Added, ClientError> {
        self.add(profile, stream::iter([Ok(bytes)])).await
    }

    /// Reads a file, piece by piece.
    pub async fn cat(&self, query: CatQuery) -> Result<Answers<Bytes>, ClientError> {
        let request = proto::ContentCatRequest {
            cid: query.cid.to_string(),
            offset: query.offset,
            length: query.length,
            timeout_ms: millis(query.timeout),
        };
        self.read_all(self.content().cat(request).await)
    }

    /// Reads a whole file into memory, up to `bytes_max` bytes; `None` where it is longer.
    pub async fn cat_whole(
        &self,
        cid: Cid,
        timeout: Duration,
        bytes_max: usize,
    ) -> Result<Option<Bytes>, ClientError> {
        let mut pieces = self
            .cat(CatQuery {
                cid,
                offset: 0,
                length: None,
                timeout,
            })
            .await?;
        let mut whole = BytesMut::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            if bytes_max < whole.len() + piece.len() {
                return Ok(None);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(Some(whole.freeze()))
    }

    fn content(&self) -> ContentClient<Door> {
        ContentClient::new(self.service.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }
}

impl TryFrom<proto::ContentCatResponse> for Bytes {
    type Error = Unreadable;

    fn try_from(answer: proto::ContentCatResponse) -> Result<Self, Unreadable> {
        Ok(answer.chunk)
    }
}

/// The bytes of a reader, in chunks that fit a message.
pub fn chunks(
    reader: impl AsyncRead + Unpin + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::try_unfold(reader, |mut reader| async move {
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES_MAX);
        while chunk.len() < CHUNK_BYTES_MAX {
            let room = CHUNK_BYTES_MAX - chunk.len();
            if (&mut reader).take(room as u64).read_buf(&mut chunk).await? == 0 {
                break;
            }
        }
        Ok((!chunk.is_empty()).then(|| (chunk.freeze(), reader)))
    })
}

/// The chunks of `bytes` and the end. After an error, which goes to `broken`, nothing comes any more.
fn unbroken(
    bytes: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    broken: oneshot::Sender<io::Error>,
) -> impl Stream<Item = Part> + Send + 'static {
    let upload = Upload {
        bytes: Box::pin(bytes),
        rest: Bytes::new(),
        sent: 0,
        broken: Some(broken),
    };
    stream::unfold(Some(upload), |upload| async {
        let mut upload = upload?;
        while upload.rest.is_empty() {
            match upload.bytes.next().await {
                Some(Ok(more)) => upload.rest = more,
                Some(Err(cause)) => {
                    if let Some(broken) = upload.broken.take() {
                        // Nobody waits only when the call has ended already.
                        let _ = broken.send(cause);
                    }
                    futures::future::pending::<()>().await;
                }
                None => return Some((Part::End(proto::AddEnd { bytes: upload.sent }), None)),
            }
        }
        let chunk = upload.rest.split_to(upload.rest.len().min(CHUNK_BYTES_MAX));
        upload.sent += chunk.len() as u64;
        Some((Part::Chunk(chunk), Some(upload)))
    })
}

/// A file on its way to the daemon.
struct Upload<S> {
    bytes: Pin<Box<S>>,
    rest: Bytes,
    sent: u64,
    broken: Option<oneshot::Sender<io::Error>>,
}
