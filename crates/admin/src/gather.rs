//! How do many small messages not become many small frames?
//!
//! HTTP/2 peers close a connection on which thousands of frames of a few bytes wait ("too_many_data_frames"), and each
//! frame costs more than what is in it. tonic puts all messages that are ready into one frame, so here small ones wait a
//! moment for others.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use futures::FutureExt as _;
use futures::stream::{self, Stream, StreamExt as _};

/// Bytes that need no company.
const ENOUGH_BYTES: usize = 4096;
/// Bytes that a message has around what is in it, roughly.
const FRAME_BYTES: usize = 16;
/// Longest time that a message waits for others.
const MOMENT: Duration = Duration::from_millis(2);

/// The same items, small ones many at once.
pub(crate) fn gather<T: Send + 'static>(
    items: impl Stream<Item = T> + Send + 'static,
    bytes: fn(&T) -> usize,
) -> impl Stream<Item = T> + Send + 'static {
    let gathering = Gathering {
        items: Box::pin(items.fuse()),
        bytes,
        ready: VecDeque::new(),
    };
    stream::unfold(gathering, |mut gathering| async {
        if gathering.ready.is_empty() {
            gathering.fill().await;
        }
        let item = gathering.ready.pop_front()?;
        Some((item, gathering))
    })
}

struct Gathering<S, T> {
    items: Pin<Box<S>>,
    bytes: fn(&T) -> usize,
    ready: VecDeque<T>,
}

// === impl Gathering ===

impl<S: Stream<Item = T>, T> Gathering<S, T> {
    /// Waits for the first item, and then a moment for others.
    async fn fill(&mut self) {
        let Some(first) = self.items.next().await else {
            return;
        };
        let mut sum = self.take(first);
        let deadline = tokio::time::Instant::now() + MOMENT;
        while sum < ENOUGH_BYTES {
            let next = match self.items.next().now_or_never() {
                Some(next) => next,
                None => match tokio::time::timeout_at(deadline, self.items.next()).await {
                    Ok(next) => next,
                    Err(_) => return,
                },
            };
            match next {
                Some(item) => sum += self.take(item),
                None => return,
            }
        }
    }

    fn take(&mut self, item: T) -> usize {
        let bytes = FRAME_BYTES + (self.bytes)(&item);
        self.ready.push_back(item);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::ReceiverStream;

    use super::*;

    #[tokio::test]
    async fn small_items_come_together_and_large_ones_at_once() {
        let (sender, items) = mpsc::channel(1);
        let mut items = Box::pin(gather(ReceiverStream::new(items), |item: &usize| *item));
        let sending = tokio::spawn(async move {
            for _ in 0..100 {
                sender.send(1).await.unwrap();
            }
            sender.send(ENOUGH_BYTES).await.unwrap();
            std::future::pending::<()>().await;
        });
        assert_eq!(items.next().await, Some(1));
        let together = (0..90)
            .filter(|_| items.next().now_or_never() == Some(Some(1)))
            .count();
        assert_eq!(together, 90, "what came in the moment is ready");
        let rest: Vec<usize> = items.by_ref().take(10).collect().await;
        assert_eq!(rest.last(), Some(&ENOUGH_BYTES), "it waits for nothing more");
        sending.abort();
        assert_eq!(items.next().await, None);
    }
}
