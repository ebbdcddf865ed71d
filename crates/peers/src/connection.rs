//! One connection: greeted in time, pinged when silent, closed when it does not answer.
//!
//! The ping follows the source document to the letter: a request goes out only when nothing went over the connection, in
//! either direction, for a minute; the answer must carry its 64-bit nonce. A wrong nonce proves nothing.

use std::time::Duration;

use rustle_types::{Direction, Multiaddr, PeerId, Uptime};
use rustle_wire::Hello;

use crate::{Class, Config};

/// How far a connection has come.
#[derive(Debug)]
pub(crate) enum Phase {
    /// We dialled; the control stream is not open yet. Opening => (AwaitAck | Foreign | Closing).
    Opening,
    /// We sent Hello. AwaitAck => (Ready | Closing).
    AwaitAck,
    /// The peer dialled and must speak first. AwaitHello => (Ready | Foreign | Closing).
    AwaitHello,
    /// The handshake is complete.
    Ready(Box<Hello>),
    /// The peer does not speak our protocol.
    Foreign,
    /// We decided to close it and wait for the network to say so.
    Closing,
}

/// What a silent connection is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing yet.
    Nothing,
    /// The question whether really nothing went over the connection.
    Probe,
    /// A ping with a fresh nonce.
    Ping,
    /// The end: no right answer to the last of its pings.
    Dead,
    /// The end: no handshake in time.
    Late,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) peer: PeerId,
    pub(crate) direction: Direction,
    pub(crate) address: Multiaddr,
    pub(crate) request: Option<u64>,
    pub(crate) phase: Phase,
    pub(crate) since: Uptime,
    pub(crate) round_trip: Option<Duration>,
    /// When something went over the connection, as far as we know.
    active: Uptime,
    /// Whether the network has been asked, and has not answered yet.
    probing: bool,
    ping: Option<Ping>,
}

#[derive(Debug)]
struct Ping {
    nonce: u64,
    sent: Uptime,
    tries: u32,
}

// === impl Connection ===

impl Connection {
    pub(crate) fn new(
        now: Uptime,
        peer: PeerId,
        direction: Direction,
        address: Multiaddr,
        request: Option<u64>,
    ) -> Self {
        let phase = match direction {
            Direction::Outbound => Phase::Opening,
            Direction::Inbound => Phase::AwaitHello,
        };
        Self {
            peer,
            direction,
            address,
            request,
            phase,
            since: now,
            round_trip: None,
            active: now,
            probing: false,
            ping: None,
        }
    }

    pub(crate) fn on_activity(&mut self, now: Uptime) {
        self.active = self.active.max(now);
    }

    /// Notes that the network is being asked.
    pub(crate) fn on_probe_sent(&mut self) {
        self.probing = true;
    }

    /// Takes the answer of the network; whether the connection was silent for so long that it must be pinged.
    pub(crate) fn on_idle(&mut self, now: Uptime, idle: Duration, config: &Config) -> bool {
        let was_probing = std::mem::take(&mut self.probing);
        let active = now.since_start().saturating_sub(idle);
        self.on_activity(Uptime::from_duration(active));
        let silent = self.active + config.ping_idle <= now;
        was_probing && silent && self.is_ready() && self.ping.is_none()
    }

    /// Takes the answer to a ping; whether it was the right one.
    pub(crate) fn on_pong(&mut self, now: Uptime, nonce: u64) -> bool {
        match self.ping.take_if(|ping| ping.nonce == nonce) {
            Some(ping) => {
                self.round_trip = Some(now - ping.sent);
                true
            }
            None => false,
        }
    }

    /// Records a ping that is being sent.
    pub(crate) fn on_ping_sent(&mut self, now: Uptime, nonce: u64) {
        let tries = self.ping.as_ref().map_or(0, |ping| ping.tries) + 1;
        self.ping = Some(Ping {
            nonce,
            sent: now,
            tries,
        });
    }

    /// What is due at `now`.
    pub(crate) fn due(&self, now: Uptime, config: &Config) -> Due {
        match self.deadline(config) {
            Some(deadline) if deadline <= now => {}
            _ => return Due::Nothing,
        }
        match (&self.phase, &self.ping) {
            (Phase::Ready(_), Some(ping)) if config.ping_tries <= ping.tries => Due::Dead,
            (Phase::Ready(_), Some(_)) => Due::Ping,
            (Phase::Ready(_), None) => Due::Probe,
            (Phase::Opening | Phase::AwaitAck | Phase::AwaitHello, _) => Due::Late,
            (Phase::Foreign | Phase::Closing, _) => Due::Nothing,
        }
    }

    /// When something becomes due, if nothing happens before.
    pub(crate) fn deadline(&self, config: &Config) -> Option<Uptime> {
        match (&self.phase, &self.ping) {
            (Phase::Opening | Phase::AwaitAck | Phase::AwaitHello, _) => {
                Some(self.since + config.handshake_timeout)
            }
            (Phase::Ready(_), Some(ping)) => Some(ping.sent + config.ping_timeout),
            (Phase::Ready(_), None) if self.probing => None,
            (Phase::Ready(_), None) => Some(self.active + config.ping_idle),
            (Phase::Foreign | Phase::Closing, _) => None,
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready(_))
    }

    pub(crate) const fn class(&self) -> Class {
        match self.phase {
            Phase::Ready(_) => Class::Rustle,
            Phase::Foreign => Class::Foreign,
            Phase::Opening | Phase::AwaitAck | Phase::AwaitHello | Phase::Closing => Class::Pending,
        }
    }
}
