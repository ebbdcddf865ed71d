//! How does a gRPC call become a call of the backend?
//!
//! Parse, bound the time, ask, convert. One file per service of the `.proto`.

mod chains;
mod content;
mod node;
mod peers;
mod routing;
mod store;
mod tunnels;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{BoxStream, StreamExt as _};
use tokio::sync::watch;
use tonic::Status;

use super::stopped;
use crate::backend::Flow;
use crate::fault::Fault;

/// Time of a call that has no time limit of its own.
const CALL_TIME: Duration = Duration::from_secs(30);
/// Time that a backend may need to give up after a time limit of the caller's has passed.
const GIVE_UP_TIME: Duration = Duration::from_secs(5);

/// A long answer, as tonic wants it.
pub(super) type Answers<T> = BoxStream<'static, Result<T, Status>>;

/// Implements the generated service traits over a backend.
pub(super) struct Service<B> {
    backend: Arc<B>,
    stopping: watch::Receiver<bool>,
}

// === impl Service ===

impl<B> Service<B> {
    pub(super) fn new(backend: Arc<B>, stopping: watch::Receiver<bool>) -> Self {
        Self { backend, stopping }
    }

    /// Converts a flow, and ends it when the server stops: without that, one follower would hold up every shutdown.
    fn answers<T, U>(&self, flow: Flow<T>, convert: impl Fn(T) -> U + Send + 'static) -> Answers<U>
    where
        T: Send + 'static,
        U: Send + 'static,
    {
        let stopping = self.stopping.clone();
        let goodbye = futures::stream::once(async move {
            if *stopping.borrow() {
                Some(Err(Status::from(Fault::stopping())))
            } else {
                None
            }
        });
        flow.map(move |item| item.map(&convert).map_err(Status::from))
            .take_until(stopped(self.stopping.clone()))
            .map(Some)
            .chain(goodbye)
            .filter_map(futures::future::ready)
            .boxed()
    }
}

impl<B> Clone for Service<B> {
    fn clone(&self) -> Self {
        Self {
            backend: self.backend.clone(),
            stopping: self.stopping.clone(),
        }
    }
}

impl<B> fmt::Debug for Service<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

/// Waits for an answer of the backend, at most for `limit`.
async fn within<T>(limit: Duration, answer: impl Future<Output = Result<T, Fault>>) -> Result<T, Status> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer.map_err(Status::from),
        Err(_) => Err(Fault::timeout(format!("the node did not answer within {} s", limit.as_secs())).into()),
    }
}

/// One line of audit for each call that changes something, appends apart: the chain is their record.
/// Arguments may be secret and stay out.
fn audit<T>(method: &'static str, outcome: Result<T, Status>) -> Result<T, Status> {
    match &outcome {
        Ok(_) => tracing::info!(target: "rustle::audit", method, "done"),
        Err(status) => tracing::info!(target: "rustle::audit", method, code = ?status.code(), "failed"),
    }
    outcome
}

/// A time limit that a caller gave in milliseconds; 0 means `default`.
fn time_limit(timeout_ms: u64, default: Duration, max: Duration) -> Result<Duration, Fault> {
    match Duration::from_millis(timeout_ms) {
        Duration::ZERO => Ok(default),
        given if given <= max => Ok(given),
        given => Err(Fault::bad_argument(format!(
            "a time limit of {} s is more than {} s, the most for this call",
            given.as_secs(),
            max.as_secs()
        ))),
    }
}
