//! Calls of service `Content`.

mod upload;

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use futures::stream::{self, Stream, StreamExt as _};
use rustle_types::Cid;
use rustle_types::content::codec_name;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use self::upload::{Piece, unbroken};
use super::{Answers, Client, ClientError, Door};
use crate::CHUNK_BYTES_MAX;
use crate::convert::{Unreadable, millis};
use crate::gather::gather;
use crate::proto;
use crate::proto::content_add_request::Request as AddRequest;
use crate::proto::content_client::ContentClient;
use crate::proto::content_dag_get_request::Form;
use crate::proto::content_import_car_request::Request as CarRequest;
use crate::server::{ANSWER_BYTES_MAX, CONTENT_REQUEST_BYTES_MAX};
use crate::views::{
    AddNews, AddOptions, AddPart, Added, BlockQuery, CarImported, CarPart, CatQuery, ContentStat, DagCount,
    DagQuery, FileQuery, GetPart, ImportChoices, ListEntry, ListQuery, NewBlock, NewValue, PathQuery,
    Profile, StoredBlock,
};

impl Client {
    /// Imports files and folders, of which the entries come depth first. Chunks longer than a message may be are cut.
    /// An error in `parts` breaks the import off and is the last answer.
    pub async fn add_parts(
        &self,
        options: AddOptions,
        parts: impl Stream<Item = io::Result<AddPart>> + Send + 'static,
    ) -> Result<Answers<AddNews>, ClientError> {
        let first = stream::iter([AddRequest::Options(options.into())]);
        let (pieces, breaks) = unbroken(parts.map(|part| {
            part.map(|part| match part {
                AddPart::Entry(entry) => Piece::Entry(entry.into()),
                AddPart::Chunk(chunk) => Piece::Chunk(chunk),
            })
        }));
        let pieces = gather(pieces, Piece::weight).map(|piece| match piece {
            Piece::Entry(entry) => AddRequest::Entry(entry),
            Piece::Chunk(chunk) => AddRequest::Chunk(chunk),
            Piece::End(end) => AddRequest::End(end),
        });
        let requests = first
            .chain(pieces)
            .map(|part| proto::ContentAddRequest { request: Some(part) });
        let (mut service, mut breaks) = (self.content(), breaks.fuse());
        // Dropping the call or its answers resets the stream; the daemon, which has not seen `end`, keeps nothing.
        let answers: Answers<AddNews> = tokio::select! {
            answer = service.add(requests) => self.read_all(answer)?,
            Ok(cause) = &mut breaks => return Err(ClientError::Input(cause)),
        };
        let both = Some((answers, breaks));
        Ok(stream::unfold(both, |both| async {
            let (mut answers, mut breaks) = both?;
            tokio::select! {
                item = answers.next() => match item? {
                    Ok(news) => Some((Ok(news), Some((answers, breaks)))),
                    Err(error) => Some((Err(error), None)),
                },
                Ok(cause) = &mut breaks => Some((Err(ClientError::Input(cause)), None)),
            }
        })
        .boxed())
    }

    /// Imports one file. An error in `bytes` breaks the import off.
    pub async fn add(
        &self,
        choices: impl Into<ImportChoices>,
        bytes: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<Added, ClientError> {
        let parts = bytes.map(|item| item.map(AddPart::Chunk));
        let mut news = self.add_parts(choices.into().into(), parts).await?;
        while let Some(item) = news.next().await {
            let AddNews::Roots(all) = item? else { continue };
            if let [root] = &all.roots[..] {
                return Ok(Added {
                    cid: root.cid,
                    bytes: all.bytes,
                    blocks: all.blocks,
                });
            }
        }
        let nothing = "an import without one root".to_owned();
        Err(ClientError::Unreadable(nothing))
    }

    /// Imports bytes that are in memory.
    pub async fn add_bytes(&self, profile: Profile, bytes: Bytes) -> Result<Added, ClientError> {
        self.add(profile, stream::iter([Ok(bytes)])).await
    }

    /// Reads a file, piece by piece.
    pub async fn cat(&self, query: impl Into<FileQuery>) -> Result<Answers<Bytes>, ClientError> {
        let query = query.into();
        let request = proto::ContentCatRequest {
            cid: query.path.to_string(),
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

    /// Reads a file, or a folder with all that is in it.
    pub async fn get(&self, query: &PathQuery) -> Result<Answers<GetPart>, ClientError> {
        let request = proto::ContentGetRequest {
            path: query.path.to_string(),
            timeout_ms: millis(query.timeout),
        };
        self.read_all(self.content().get(request).await)
    }

    /// Lists a folder.
    pub async fn list(&self, query: &ListQuery) -> Result<Answers<ListEntry>, ClientError> {
        let request = proto::ContentListRequest {
            path: query.path.to_string(),
            timeout_ms: millis(query.timeout),
            names_only: query.names_only,
        };
        self.read_all(self.content().list(request).await)
    }

    /// Says what the root block of a file or folder says.
    pub async fn stat(&self, query: &PathQuery) -> Result<ContentStat, ClientError> {
        let request = proto::ContentStatRequest {
            path: query.path.to_string(),
            timeout_ms: millis(query.timeout),
        };
        self.read(self.content().stat(request).await)
    }

    /// Writes all blocks below a root as a CAR.
    pub async fn export_car(&self, query: &PathQuery) -> Result<Answers<CarPart>, ClientError> {
        let request = proto::ContentExportCarRequest {
            path: query.path.to_string(),
            timeout_ms: millis(query.timeout),
        };
        self.read_all(self.content().export_car(request).await)
    }

    /// Reads the blocks of a CAR, and pins its roots on request. An error in `bytes` breaks the import off.
    pub async fn import_car(
        &self,
        pin: bool,
        bytes: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<CarImported, ClientError> {
        let options = proto::ImportCarOptions { unpinned: !pin };
        let first = stream::iter([CarRequest::Options(options)]);
        let (pieces, breaks) = unbroken(bytes.map(|item| item.map(Piece::Chunk)));
        let pieces = pieces.filter_map(|piece| async {
            match piece {
                Piece::Chunk(chunk) => Some(CarRequest::Chunk(chunk)),
                Piece::End(end) => Some(CarRequest::End(end)),
                Piece::Entry(_) => None,
            }
        });
        let requests = first
            .chain(pieces)
            .map(|part| proto::ContentImportCarRequest { request: Some(part) });
        let mut service = self.content();
        tokio::select! {
            answer = service.import_car(requests) => self.read(answer),
            // Dropping the call resets its stream; the daemon, which has not seen `end`, pins nothing.
            Ok(cause) = breaks => Err(ClientError::Input(cause)),
        }
    }

    /// Shows a value.
    pub async fn dag_get(&self, query: &DagQuery) -> Result<Bytes, ClientError> {
        let request = proto::ContentDagGetRequest {
            path: query.path.to_string(),
            timeout_ms: millis(query.timeout),
            form: Form::from(query.form).into(),
        };
        let mut pieces: Answers<Bytes> = self.read_all(self.content().dag_get(request).await)?;
        let mut value = BytesMut::new();
        while let Some(piece) = pieces.next().await {
            value.extend_from_slice(&piece?);
        }
        Ok(value.freeze())
    }

    /// Keeps a value.
    pub async fn dag_put(&self, value: NewValue) -> Result<StoredBlock, ClientError> {
        let request = proto::ContentDagPutRequest {
            value: value.value,
            form: Form::from(value.form).into(),
            hash: value.hash.to_string(),
            pin: value.pin,
        };
        self.read(self.content().dag_put(request).await)
    }

    /// Counts the blocks below a root.
    pub async fn dag_stat(&self, query: &PathQuery) -> Result<Answers<DagCount>, ClientError> {
        let request = proto::ContentDagStatRequest {
            path: query.path.to_string(),
            timeout_ms: millis(query.timeout),
        };
        self.read_all(self.content().dag_stat(request).await)
    }

    /// Reads a block.
    pub async fn block_get(&self, query: BlockQuery) -> Result<Bytes, ClientError> {
        let request = proto::ContentBlockGetRequest {
            cid: query.cid.to_string(),
            timeout_ms: millis(query.timeout),
        };
        let answer = self.take(self.content().block_get(request).await)?;
        Ok(answer.data)
    }

    /// Keeps a block.
    pub async fn block_put(&self, block: NewBlock) -> Result<StoredBlock, ClientError> {
        let codec = codec_name(block.codec).map_or_else(|| format!("0x{:x}", block.codec), str::to_owned);
        let request = proto::ContentBlockPutRequest {
            data: block.data,
            codec,
            hash: block.hash.to_string(),
            cid_version: block.is_v0.then_some(0),
            pin: block.pin,
        };
        self.read(self.content().block_put(request).await)
    }

    /// Says how long a block is.
    pub async fn block_stat(&self, query: BlockQuery) -> Result<StoredBlock, ClientError> {
        let request = proto::ContentBlockStatRequest {
            cid: query.cid.to_string(),
            timeout_ms: millis(query.timeout),
        };
        self.read(self.content().block_stat(request).await)
    }

    /// Drops a block.
    pub async fn block_remove(&self, cid: Cid) -> Result<(), ClientError> {
        let request = proto::ContentBlockRemoveRequest { cid: cid.to_string() };
        self.take(self.content().block_remove(request).await)?;
        Ok(())
    }

    fn content(&self) -> ContentClient<Door> {
        ContentClient::new(self.service.clone())
            .max_decoding_message_size(ANSWER_BYTES_MAX)
            .max_encoding_message_size(CONTENT_REQUEST_BYTES_MAX)
    }
}

impl TryFrom<proto::ContentCatResponse> for Bytes {
    type Error = Unreadable;

    fn try_from(answer: proto::ContentCatResponse) -> Result<Self, Unreadable> {
        Ok(answer.chunk)
    }
}

impl TryFrom<proto::ContentDagGetResponse> for Bytes {
    type Error = Unreadable;

    fn try_from(answer: proto::ContentDagGetResponse) -> Result<Self, Unreadable> {
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
