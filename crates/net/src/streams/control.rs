//! What is said on the control stream of one connection?
//!
//! Frames of at most 1 KiB in both directions, written in order, read one at a time: a peer that floods is read only as
//! fast as its messages are taken. Before the handshake is complete, a single frame is read and nothing behind it. A peer
//! that does not read is given up once its queue is full, or nothing could be written for a while.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use futures::{AsyncRead, AsyncWrite};
use rustle_types::limits::CONTROL_FRAME_BYTES_MAX;
use rustle_wire::Control;
use rustle_wire::frame::{self, Decoder};
use tokio::time::Sleep;

use super::ControlEvent;
use crate::config::{CONTROL_MESSAGES_QUEUED_MAX, FAREWELL_TIMEOUT};
use crate::{ControlError, Stream};

/// What is read before the handshake is complete: one frame, with its length.
const GREETING_BYTES_MAX: usize = CONTROL_FRAME_BYTES_MAX + 2;

/// The control stream of a connection, from before it is opened until after it is closed.
pub(super) struct ControlStream {
    state: State,
    write_stall: Duration,
    outgoing: VecDeque<Box<Control>>,
    /// Runs from the command to part on; once it is over the connection closes, whatever the peer does.
    parting: Option<Pin<Box<Sleep>>>,
    told: VecDeque<ControlEvent>,
}

enum State {
    /// Not there yet: we are opening it, or the peer is to.
    Awaited,
    Open(Box<Open>),
    /// Broken, refused or closed. It does not come again.
    Ended,
}

struct Open {
    stream: Stream,
    decoder: Decoder,
    unsent: BytesMut,
    flushed: bool,
    closed: bool,
    write_stall: Duration,
    /// Runs while nothing can be written.
    stalled: Option<Pin<Box<Sleep>>>,
    greeting: Greeting,
}

/// What came before the handshake was complete.
#[derive(Default)]
struct Greeting {
    bytes: usize,
    is_whole: bool,
}

// === impl ControlStream ===

impl ControlStream {
    /// One that is given up where nothing could be written for `write_stall`.
    pub(super) fn new(write_stall: Duration) -> Self {
        Self {
            state: State::Awaited,
            write_stall,
            outgoing: VecDeque::new(),
            parting: None,
            told: VecDeque::new(),
        }
    }

    pub(super) fn is_awaited(&self) -> bool {
        matches!(self.state, State::Awaited)
    }

    /// Awaited => Open.
    pub(super) fn on_opened(&mut self, mut stream: Stream) {
        // Whether an otherwise idle connection stays is the decision of the manager of peers, not of this stream.
        stream.ignore_for_keep_alive();
        self.state = State::Open(Box::new(Open {
            stream,
            decoder: Decoder::new(CONTROL_FRAME_BYTES_MAX),
            unsent: BytesMut::new(),
            flushed: true,
            closed: false,
            write_stall: self.write_stall,
            stalled: None,
            greeting: Greeting::default(),
        }));
        self.told.push_back(ControlEvent::Opened);
    }

    /// Awaited => Ended: the peer does not speak the protocol.
    pub(super) fn on_unsupported(&mut self) {
        self.end(ControlEvent::Unsupported);
    }

    /// Any => Ended.
    pub(super) fn on_broken(&mut self, error: ControlError) {
        self.end(ControlEvent::Broken(error));
    }

    pub(super) fn send(&mut self, message: Box<Control>) {
        if matches!(self.state, State::Ended) || self.parting.is_some() {
            return;
        }
        if CONTROL_MESSAGES_QUEUED_MAX <= self.outgoing.len() {
            self.on_broken(ControlError::Stalled(self.outgoing.len()));
            return;
        }
        self.outgoing.push_back(message);
    }

    /// Sends the last message; `Parted` follows within the farewell time.
    pub(super) fn part(&mut self, message: Box<Control>) {
        if self.parting.is_some() {
            return;
        }
        self.send(message);
        if matches!(self.state, State::Ended) {
            self.told.push_back(ControlEvent::Parted);
        }
        self.parting = Some(Box::pin(tokio::time::sleep(FAREWELL_TIMEOUT)));
    }

    /// To be polled again as soon as the connection is admitted.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, is_admitted: bool) -> Poll<ControlEvent> {
        if let Some(event) = self.told.pop_front() {
            return Poll::Ready(event);
        }
        if let State::Open(open) = &mut self.state {
            match open.poll(cx, &mut self.outgoing, self.parting.is_some(), is_admitted) {
                Poll::Ready(Ok(message)) => return Poll::Ready(ControlEvent::Message(Box::new(message))),
                Poll::Ready(Err(error)) => self.on_broken(error),
                Poll::Pending => {}
            }
        }
        if let (State::Open(_) | State::Awaited, Some(deadline)) = (&self.state, &mut self.parting)
            && deadline.as_mut().poll(cx).is_ready()
        {
            self.on_broken(ControlError::Closed);
        }
        match self.told.pop_front() {
            Some(event) => Poll::Ready(event),
            None => Poll::Pending,
        }
    }

    fn end(&mut self, event: ControlEvent) {
        if matches!(self.state, State::Ended) {
            return;
        }
        self.state = State::Ended;
        self.outgoing.clear();
        // Whoever parts does not want to hear how the stream ended, only that it did.
        self.told.push_back(if self.parting.is_some() {
            ControlEvent::Parted
        } else {
            event
        });
    }
}

// === impl Open ===

impl Open {
    /// Writes what waits, then reads. While parting, closes our side and waits for the peer to close its own: some
    /// transports (QUIC) discard what is not yet delivered when the connection closes.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: &mut VecDeque<Box<Control>>,
        parting: bool,
        is_admitted: bool,
    ) -> Poll<Result<Control, ControlError>> {
        match self.poll_write(cx, outgoing) {
            Poll::Ready(Ok(())) if parting && !self.closed => {
                if let Poll::Ready(closed) = Pin::new(&mut self.stream).poll_close(cx) {
                    closed.map_err(broken)?;
                    self.closed = true;
                }
            }
            Poll::Ready(Ok(())) | Poll::Pending => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
        }
        loop {
            // Whoever parts waits for the end of the stream, whatever comes before it.
            let message = ready!(self.poll_read(cx, is_admitted || parting))?;
            if !parting {
                return Poll::Ready(Ok(message));
            }
        }
    }

    /// Writes what waits, unless nothing could be written for too long.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: &mut VecDeque<Box<Control>>,
    ) -> Poll<Result<(), ControlError>> {
        let written = self.poll_write_all(cx, outgoing);
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let write_stall = self.write_stall;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(write_stall)));
        stalled
            .as_mut()
            .poll(cx)
            .map(|()| Err(ControlError::Unread(write_stall)))
    }

    fn poll_write_all(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: &mut VecDeque<Box<Control>>,
    ) -> Poll<Result<(), ControlError>> {
        loop {
            while !self.unsent.is_empty() {
                let written =
                    ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unsent)).map_err(broken)?;
                if written == 0 {
                    return Poll::Ready(Err(ControlError::Closed));
                }
                self.unsent.advance(written);
                self.flushed = false;
                self.stalled = None;
            }
            if let Some(message) = outgoing.pop_front() {
                frame::encode(&message.encode(), &mut self.unsent);
                continue;
            }
            if !self.flushed {
                ready!(Pin::new(&mut self.stream).poll_flush(cx)).map_err(broken)?;
                self.flushed = true;
            }
            return Poll::Ready(Ok(()));
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, is_free: bool) -> Poll<Result<Control, ControlError>> {
        loop {
            if self.greeting.is_whole && !is_free {
                return Poll::Pending;
            }
            if let Some(message) = self.decoder.next()? {
                self.greeting.is_whole = true;
                return Poll::Ready(Ok(Control::decode(&message)?));
            }
            let mut piece = [0; GREETING_BYTES_MAX];
            // A whole frame fits, so that there is room as long as there is none.
            let room = if is_free {
                GREETING_BYTES_MAX
            } else {
                GREETING_BYTES_MAX - self.greeting.bytes
            };
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut piece[..room])).map_err(broken)? {
                0 => return Poll::Ready(Err(ControlError::Closed)),
                read => {
                    self.decoder.push(&piece[..read]);
                    if !is_free {
                        self.greeting.bytes += read;
                    }
                }
            }
        }
    }
}

fn broken(error: io::Error) -> ControlError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            ControlError::Closed
        }
        _ => ControlError::Io(error.to_string()),
    }
}
