//! How do streams of our own protocols get in and out of the swarm?
//!
//! The swarm only negotiates. An inbound stream goes raw to the acceptor of its protocol and an outbound one to whoever
//! asked, so bulk bytes never pass the task of the swarm. Nothing is dropped while queues are full: requests wait at the
//! caller, inbound streams wait in negotiation and then in the muxer, where the pressure meets the peer.
//!
//! Each connection also carries one control stream, opened by the dialer.

mod behaviour;
mod control;
mod handler;
mod negotiate;
mod routes;

pub(crate) use behaviour::{Places, Sent, Spoken, Streams};
pub(crate) use handler::{OpenRequest, Order};
pub(crate) use routes::Routes;

use rustle_types::ConnectionId;
use rustle_wire::Control;

use crate::ControlError;

/// What a connection tells about its control stream.
#[derive(Debug)]
pub(crate) enum ControlEvent {
    /// It stands.
    Opened,
    /// A message came.
    Message(Box<Control>),
    /// The peer does not speak the protocol.
    Unsupported,
    /// It is of no use any more.
    Broken(ControlError),
    /// The last message is delivered, or will never be: the connection may close.
    Parted,
}

/// Where to ask a connection for a stream. Of the channels of futures, whose room is not set aside beforehand: there is one
/// for each connection.
pub(crate) type Opener = futures::channel::mpsc::Sender<OpenRequest>;

/// A control event and its connection.
pub(crate) type StreamsEvent = (ConnectionId, ControlEvent);
