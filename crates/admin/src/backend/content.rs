//! What must a node be able to do with files, folders and blocks?

use bytes::Bytes;

use super::Flow;
use crate::fault::Fault;
use crate::views::{
    AddNews, AddOptions, AddPart, BlockQuery, CarImported, CarPart, ContentStat, DagCount, DagQuery,
    FileQuery, GetPart, ListEntry, ListQuery, NewBlock, NewValue, PathQuery, StoredBlock,
};
use rustle_types::Cid;

/// The calls of service `Content`. Pieces of bytes may have any size, both ways.
pub trait ContentBackend: Send + Sync + 'static {
    /// Imports files and folders; paths and targets were checked. An error in `parts` means that the caller broke off:
    /// keep nothing. Nothing was kept before the roots are told.
    fn add(
        &self,
        options: AddOptions,
        parts: Flow<AddPart>,
    ) -> impl Future<Output = Result<Flow<AddNews>, Fault>> + Send;

    /// Reads a file.
    fn cat(&self, query: FileQuery) -> impl Future<Output = Result<Flow<Bytes>, Fault>> + Send;

    /// Reads a file, or a folder with all that is in it.
    fn get(&self, query: PathQuery) -> impl Future<Output = Result<Flow<GetPart>, Fault>> + Send;

    /// Lists a folder.
    fn list(&self, query: ListQuery) -> impl Future<Output = Result<Flow<ListEntry>, Fault>> + Send;

    /// Says what a root block says.
    fn stat(&self, query: PathQuery) -> impl Future<Output = Result<ContentStat, Fault>> + Send;

    /// Writes all blocks below a root.
    fn export_car(&self, query: PathQuery) -> impl Future<Output = Result<Flow<CarPart>, Fault>> + Send;

    /// Reads blocks. An error in `bytes` means that the caller broke off: pin nothing.
    fn import_car(
        &self,
        pin: bool,
        bytes: Flow<Bytes>,
    ) -> impl Future<Output = Result<CarImported, Fault>> + Send;

    /// Shows a value.
    fn dag_get(&self, query: DagQuery) -> impl Future<Output = Result<Bytes, Fault>> + Send;

    /// Keeps a value.
    fn dag_put(&self, value: NewValue) -> impl Future<Output = Result<StoredBlock, Fault>> + Send;

    /// Counts the blocks below a root.
    fn dag_stat(&self, query: PathQuery) -> impl Future<Output = Result<Flow<DagCount>, Fault>> + Send;

    /// Reads a block.
    fn block_get(&self, query: BlockQuery) -> impl Future<Output = Result<Bytes, Fault>> + Send;

    /// Keeps a block.
    fn block_put(&self, block: NewBlock) -> impl Future<Output = Result<StoredBlock, Fault>> + Send;

    /// Says how long a block is.
    fn block_stat(&self, query: BlockQuery) -> impl Future<Output = Result<StoredBlock, Fault>> + Send;

    /// Drops a block.
    fn block_remove(&self, cid: Cid) -> impl Future<Output = Result<(), Fault>> + Send;
}
