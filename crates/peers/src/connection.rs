//! One connection: greeted in time, pinged when silent, closed when it does not answer.
//!
//! The ping follows the source document to the letter: a request goes out only when nothing went over the connection, in
//! either direction, for a minute; the answer must carry its 64-bit nonce. A wrong nonce proves nothing. The peer's own
//! requests are answered, but not without end.

use std::time::Duration;

use rustle_types::{Direction, Multiaddr, PeerId, Uptime};
use rustle_wire::Hello;

use crate::{Class, Config, Why};

/// Requests, and answers that nobody waits for, that a peer may send at once; one more every [`PING_REFILL`].
const PINGS_BURST: u32 = 10;
/// A peer that keeps to the document asks once a minute, and three times in half a minute where it hears nothing. One that
/// is told to ask as often as its settings allow does so once a second.
const PING_REFILL: Duration = Duration::from_millis(500);

/// A foreign connection over which nothing went for so long has no use, and is closed unless somebody wanted it.
pub const FOREIGN_SILENCE_MAX: Duration = Duration::from_secs(300);

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
    /// Only one connection of several to the same peer may stay, and the peer did not choose.
    Settle,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) peer: PeerId,
    pub(crate) direction: Direction,
    pub(crate) address: Multiaddr,
    /// Why it was made.
    pub(crate) why: Why,
    /// Who waits for it.
    pub(crate) request: Option<u64>,
    /// When the timer table looks at it again; kept by the manager.
    pub(crate) armed: Option<Uptime>,
    /// When it is the only one to its peer or not, if the dialer leaves that to us.
    pub(crate) settles: Option<Uptime>,
    /// Changed by [`crate::links::Links::set_phase`] only.
    pub(crate) phase: Phase,
    /// When its socket was accepted, or its dial began.
    pub(crate) since: Uptime,
    /// The last measured round trip.
    pub(crate) round_trip: Option<Duration>,
    /// The shortest measured round trip.
    pub(crate) round_trip_min: Option<Duration>,
    /// The mean of the measured round trips.
    pub(crate) round_trip_mean: Option<Duration>,
    /// When it last brought a block or file content that we wanted, and a message of a topic.
    pub(crate) useful: Useful,
    round_trips: u32,
    /// When something went over the connection, as far as we know.
    pub(crate) active: Uptime,
    /// When it was last spared although nothing goes over it.
    spared: Uptime,
    /// Whether the network has been asked, and has not answered yet.
    probing: bool,
    ping: Option<Ping>,
    /// Requests of the peer that may still be answered, at the time when that was counted.
    pings_left: (u32, Uptime),
}

/// When a connection was of use.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Useful {
    pub(crate) content: Option<Uptime>,
    pub(crate) gossip: Option<Uptime>,
}

#[derive(Debug)]
struct Ping {
    nonce: u64,
    sent: Uptime,
    tries: u32,
}

// === impl Connection ===

impl Connection {
    pub(crate) fn new(now: Uptime, peer: PeerId, direction: Direction, address: Multiaddr) -> Self {
        let phase = match direction {
            Direction::Outbound => Phase::Opening,
            Direction::Inbound => Phase::AwaitHello,
        };
        Self {
            peer,
            direction,
            address,
            why: match direction {
                Direction::Inbound => Why::Inbound,
                Direction::Outbound => Why::Other,
            },
            request: None,
            settles: None,
            armed: None,
            phase,
            since: now,
            round_trip: None,
            round_trip_min: None,
            round_trip_mean: None,
            round_trips: 0,
            useful: Useful::default(),
            active: now,
            spared: now,
            probing: false,
            ping: None,
            pings_left: (PINGS_BURST, now),
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

    /// Whether nothing went for too long over a connection that is good for nothing else.
    pub(crate) fn is_idle_foreign(&self, now: Uptime) -> bool {
        matches!(self.phase, Phase::Foreign) && self.active + FOREIGN_SILENCE_MAX <= now
    }

    /// Notes that it stays all the same.
    pub(crate) fn spare(&mut self, now: Uptime) {
        self.spared = now;
    }

    /// Takes the answer to a ping; whether it was the right one.
    pub(crate) fn on_pong(&mut self, now: Uptime, nonce: u64) -> bool {
        match self.ping.take_if(|ping| ping.nonce == nonce) {
            Some(ping) => {
                let measured = now - ping.sent;
                self.round_trip = Some(measured);
                self.round_trips = self.round_trips.saturating_add(1);
                let mean = self.round_trip_mean.unwrap_or_default();
                // Each measurement moves the mean by its share: no sum that could overflow in a year.
                let share = |time: Duration| time / self.round_trips;
                self.round_trip_mean = Some(mean - share(mean) + share(measured));
                self.round_trip_min = Some(self.round_trip_min.map_or(measured, |min| min.min(measured)));
                true
            }
            None => false,
        }
    }

    /// Takes a request of the peer, or an answer that is none; whether it may go on like this.
    pub(crate) fn on_ping_heard(&mut self, now: Uptime) -> bool {
        let (left, counted) = self.pings_left;
        let periods = (now - counted).as_millis() / PING_REFILL.as_millis();
        let periods = u32::try_from(periods).unwrap_or(u32::MAX);
        let counted = if periods == 0 {
            counted
        } else {
            counted + PING_REFILL.saturating_mul(periods)
        };
        let left = left.saturating_add(periods).min(PINGS_BURST);
        self.pings_left = (left.saturating_sub(1), counted);
        0 < left
    }

    /// Whether a ping waits for its answer.
    pub(crate) const fn is_pinged(&self) -> bool {
        self.ping.is_some()
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
        if self.settles.is_some_and(|settles| settles <= now) && self.is_ready() {
            return Due::Settle;
        }
        match self.deadline(config) {
            Some(deadline) if deadline <= now => {}
            _ => return Due::Nothing,
        }
        match (&self.phase, &self.ping) {
            (Phase::Ready(_), Some(ping)) if config.ping_tries <= ping.tries => Due::Dead,
            (Phase::Ready(_), Some(_)) => Due::Ping,
            (Phase::Ready(_), None) | (Phase::Foreign, _) => Due::Probe,
            (Phase::Opening | Phase::AwaitAck | Phase::AwaitHello, _) => Due::Late,
            (Phase::Closing, _) => Due::Nothing,
        }
    }

    /// When something becomes due, if nothing happens before.
    pub(crate) fn deadline(&self, config: &Config) -> Option<Uptime> {
        let settles = self.settles.filter(|_| self.is_ready());
        let silence = self.silence_deadline(config);
        settles.into_iter().chain(silence).min()
    }

    fn silence_deadline(&self, config: &Config) -> Option<Uptime> {
        match (&self.phase, &self.ping) {
            (Phase::Opening | Phase::AwaitAck | Phase::AwaitHello, _) => {
                Some(self.since + config.handshake_timeout)
            }
            (Phase::Ready(_), Some(ping)) => Some(ping.sent + config.ping_timeout),
            (Phase::Ready(_), None) | (Phase::Foreign, _) if self.probing => None,
            (Phase::Ready(_), None) => Some(self.active + config.ping_idle),
            (Phase::Foreign, _) => Some(self.active.max(self.spared) + FOREIGN_SILENCE_MAX),
            (Phase::Closing, _) => None,
        }
    }

    pub(crate) const fn is_outbound(&self) -> bool {
        matches!(self.direction, Direction::Outbound)
    }

    /// Whether this manager wanted it: it fills a place that peers that dial in never take. Whatever another part of the
    /// node dials (the DHT, a rendezvous point) was told of by strangers, and has the standing of one that dialled in.
    pub(crate) const fn is_chosen(&self) -> bool {
        self.why.is_chosen()
    }

    /// Whether it stands because a part of the node wants this very peer. Who that is, strangers have a say in: so it takes
    /// no place that the manager fills by its own choice.
    pub(crate) const fn is_needed(&self) -> bool {
        matches!(self.why, Why::Needed)
    }

    pub(crate) fn is_relayed(&self) -> bool {
        rustle_types::address::is_relayed(&self.address)
    }

    /// What the peer said in the handshake.
    pub(crate) fn hello(&self) -> Option<&Hello> {
        match &self.phase {
            Phase::Ready(hello) => Some(hello),
            _ => None,
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
