//! Calls of service `Chains`.

use std::time::Duration;

use rustle_types::{BlockId, ChainId};

use super::{Answers, Client, ClientError, Door};
use crate::convert::{field, fields, millis};
use crate::proto;
use crate::proto::chains_client::ChainsClient;
use crate::server::ANSWER_BYTES_MAX;
use crate::views::{
    Appended, BlockView, ChainDigest, ChainRef, ChainView, Delivery, FollowFrom, InviteTerms, Joined,
    LogQuery, NewEntry,
};

impl Client {
    /// Makes a chain.
    pub async fn create_chain(&self, name: &str) -> Result<ChainId, ClientError> {
        let request = proto::ChainsCreateRequest {
            name: name.to_owned(),
        };
        let answer = self.take(self.chains_service().create(request).await)?;
        Ok(field("chain", &answer.chain)?)
    }

    /// The chains on the node.
    pub async fn chains(&self) -> Result<Vec<ChainView>, ClientError> {
        let answer = self.take(self.chains_service().list(proto::ChainsListRequest {}).await)?;
        Ok(answer
            .chains
            .into_iter()
            .map(ChainView::try_from)
            .collect::<Result<_, _>>()?)
    }

    /// Issues an invitation and gives its text, which is a secret.
    pub async fn invite(&self, chain: &ChainRef, terms: InviteTerms) -> Result<String, ClientError> {
        let request = proto::ChainsInviteRequest {
            chain: named(chain),
            // Rounded up: 0 would mean never.
            expires_in_seconds: terms
                .expires_in
                .map_or(0, |time| time.as_millis().div_ceil(1000) as u64),
            uses: terms.uses,
        };
        Ok(self.take(self.chains_service().invite(request).await)?.invitation)
    }

    /// Joins a chain; `None` leaves the time limit to the daemon.
    pub async fn join(&self, invitation: &str, timeout: Option<Duration>) -> Result<Joined, ClientError> {
        let request = proto::ChainsJoinRequest {
            invitation: invitation.to_owned(),
            timeout_ms: timeout.map_or(0, millis),
        };
        self.read(self.chains_service().join(request).await)
    }

    /// Appends a block and waits until it is durable.
    pub async fn append(&self, chain: &ChainRef, entry: NewEntry) -> Result<Appended, ClientError> {
        let request = proto::ChainsAppendRequest {
            chain: named(chain),
            topics: entry.topics,
            body: entry.body,
        };
        self.read(self.chains_service().append(request).await)
    }

    /// The blocks in canonical order.
    pub async fn log(&self, chain: &ChainRef, query: LogQuery) -> Result<Answers<BlockView>, ClientError> {
        let request = proto::ChainsLogRequest {
            chain: named(chain),
            limit: query.limit.unwrap_or(0),
            order: proto::chains_log_request::Order::from(query.order).into(),
            after: query.after.map(|block| block.to_string()).unwrap_or_default(),
        };
        if query.limit == Some(0) {
            return Ok(Box::pin(futures::stream::empty()));
        }
        self.read_all(self.chains_service().log(request).await)
    }

    /// The blocks that no other names as parent.
    pub async fn leaves(&self, chain: &ChainRef) -> Result<Vec<BlockId>, ClientError> {
        let request = proto::ChainsLeavesRequest { chain: named(chain) };
        let answer = self.take(self.chains_service().leaves(request).await)?;
        Ok(fields("blocks", &answer.blocks)?)
    }

    /// Blocks as they come, without end.
    pub async fn follow(&self, chain: &ChainRef, from: FollowFrom) -> Result<Answers<Delivery>, ClientError> {
        let request = proto::ChainsFollowRequest {
            chain: named(chain),
            from: Some(from.into()),
        };
        self.read_all(self.chains_service().follow(request).await)
    }

    /// The hash over the canonical order.
    pub async fn digest(&self, chain: &ChainRef) -> Result<ChainDigest, ClientError> {
        let request = proto::ChainsDigestRequest { chain: named(chain) };
        self.read(self.chains_service().digest(request).await)
    }

    fn chains_service(&self) -> ChainsClient<Door> {
        ChainsClient::new(self.service.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }
}

fn named(chain: &ChainRef) -> String {
    match chain {
        ChainRef::Id(id) => id.to_string(),
        ChainRef::Name(name) => name.clone(),
    }
}
