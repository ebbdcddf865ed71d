//! Files, folders and blocks, as the administration interface sees them.

use bytes::Bytes;
use rustle_admin::views::{
    AddNews, AddOptions, AddPart, BlockQuery, CarImported, CarPart, ContentStat, DagCount, DagQuery,
    FileQuery, GetPart, ListEntry, ListQuery, NewBlock, NewValue, PathQuery, StoredBlock,
};
use rustle_admin::{ContentBackend, Fault, Flow};
use rustle_types::Cid;

use super::Service;
use crate::files;

impl ContentBackend for Service {
    async fn add(&self, options: AddOptions, parts: Flow<AddPart>) -> Result<Flow<AddNews>, Fault> {
        files::add(&self.shared, options, parts)
    }

    async fn cat(&self, query: FileQuery) -> Result<Flow<Bytes>, Fault> {
        files::cat(&self.shared, query).await
    }

    async fn get(&self, query: PathQuery) -> Result<Flow<GetPart>, Fault> {
        files::get(&self.shared, query).await
    }

    async fn list(&self, query: ListQuery) -> Result<Flow<ListEntry>, Fault> {
        files::list(&self.shared, query).await
    }

    async fn stat(&self, query: PathQuery) -> Result<ContentStat, Fault> {
        files::stat(&self.shared, query).await
    }

    async fn export_car(&self, query: PathQuery) -> Result<Flow<CarPart>, Fault> {
        files::export_car(&self.shared, query).await
    }

    async fn import_car(&self, pin: bool, bytes: Flow<Bytes>) -> Result<CarImported, Fault> {
        files::import_car(&self.shared, pin, bytes).await
    }

    async fn dag_get(&self, query: DagQuery) -> Result<Bytes, Fault> {
        files::dag_get(&self.shared, query).await
    }

    async fn dag_put(&self, value: NewValue) -> Result<StoredBlock, Fault> {
        files::dag_put(&self.shared, value).await
    }

    async fn dag_stat(&self, query: PathQuery) -> Result<Flow<DagCount>, Fault> {
        files::dag_stat(&self.shared, query).await
    }

    async fn block_get(&self, query: BlockQuery) -> Result<Bytes, Fault> {
        files::block_get(&self.shared, query).await
    }

    async fn block_put(&self, block: NewBlock) -> Result<StoredBlock, Fault> {
        files::block_put(&self.shared, block).await
    }

    async fn block_stat(&self, query: BlockQuery) -> Result<StoredBlock, Fault> {
        files::block_stat(&self.shared, query).await
    }

    async fn block_remove(&self, cid: Cid) -> Result<(), Fault> {
        crate::keep::removal::remove(&self.shared, cid).await
    }
}
