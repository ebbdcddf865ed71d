//! Calls of the service `Store`.

use std::time::Duration;

use rustle_types::Cid;

use super::{Answers, Client, ClientError, Door};
use crate::convert::{millis, required};
use crate::proto;
use crate::proto::store_client::StoreClient;
use crate::server::ANSWER_BYTES_MAX;
use crate::views::{GarbageProgress, Pin, PinKind, PinPage, PinQuery, Pinned, StoreStat, VerifyProgress};

// === impl Client ===

impl Client {
    /// Counts what is kept.
    pub async fn store_stat(&self) -> Result<StoreStat, ClientError> {
        self.read(self.store().stat(proto::StoreStatRequest {}).await)
    }

    /// Hashes all blocks; the last answer says that it is done.
    pub async fn verify_store(&self, repair: bool) -> Result<Answers<VerifyProgress>, ClientError> {
        self.read_all(self.store().verify(proto::StoreVerifyRequest { repair }).await)
    }

    /// Collects garbage; the last answer says that it is done. Dropping the answers ends it.
    pub async fn collect_garbage(&self) -> Result<Answers<GarbageProgress>, ClientError> {
        let request = proto::StoreCollectGarbageRequest {};
        self.read_all(self.store().collect_garbage(request).await)
    }

    /// Keeps content; `None` leaves the wait for each missing block to the daemon.
    pub async fn pin(&self, pin: &Pin, timeout: Option<Duration>) -> Result<Pinned, ClientError> {
        let request = proto::StorePinRequest {
            cid: pin.cid.to_string(),
            kind: proto::PinKind::from(pin.kind).into(),
            name: pin.name.clone(),
            timeout_ms: timeout.map_or(0, millis),
        };
        self.read(self.store().pin(request).await)
    }

    /// Ends a pin, of this kind if one is given.
    pub async fn unpin(&self, cid: &Cid, kind: Option<PinKind>) -> Result<Pin, ClientError> {
        let request = proto::StoreUnpinRequest {
            cid: cid.to_string(),
            kind: kind.map_or(proto::PinKind::Unspecified, Into::into).into(),
        };
        let answer = self.take(self.store().unpin(request).await)?;
        Ok(required("pin", answer.pin)?.try_into()?)
    }

    /// Lists pins.
    pub async fn pins(&self, query: PinQuery) -> Result<PinPage, ClientError> {
        let page = PinPage {
            pins: Vec::new(),
            next: query.after,
        };
        let request = proto::StorePinsRequest {
            cid: query.cid.map_or_else(String::new, |cid| cid.to_string()),
            kind: query.kind.map_or(proto::PinKind::Unspecified, Into::into).into(),
            after: proto::StorePinsResponse::from(page).next,
            limit: u32::try_from(query.limit).unwrap_or(u32::MAX),
        };
        self.read(self.store().pins(request).await)
    }

    fn store(&self) -> StoreClient<Door> {
        StoreClient::new(self.service.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }
}
