//! How often did what happen, since the start?
//!
//! Plain numbers that only grow. The manager counts, whoever likes reads a copy; nothing is decided by them.

use std::collections::BTreeMap;
use std::time::Duration;

use rustle_types::Direction;

use crate::Why;

/// Upper bounds of the buckets of round trips, in milliseconds; what is longer falls into one more.
pub const ROUND_TRIP_BOUNDS_MS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000];

/// Counts of a few cases, each under a fixed name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<&'static str, u64>);

/// How long answers took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoundTrips {
    /// How many fell between the bound before (or zero) and each of [`ROUND_TRIP_BOUNDS_MS`], and beyond the last.
    buckets: [u64; ROUND_TRIP_BOUNDS_MS.len() + 1],
    sum: Duration,
}

/// What the peer manager has done and met since the start. Peers choose none of the names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that were made, by direction.
    pub connected: Tally,
    /// Dials that were started, by why.
    pub dials: Tally,
    /// Dials that led to a connection, by why.
    pub dials_connected: Tally,
    /// Dials that came to nothing, by the kind of failure.
    pub dials_failed: Tally,
    /// Ends of handshakes, by outcome; `complete` is the good one.
    pub handshakes: Tally,
    /// Peers that found no place here, by reason.
    pub refusals: Tally,
    /// Peers that were dropped to make room.
    pub evictions: u64,
    /// Ping requests that were sent.
    pub pings_sent: u64,
    /// Answers to pings, by what they were: `right`, `wrong` nonce, `unasked`.
    pub pongs: Tally,
    /// Ping requests that were not answered in time.
    pub pings_unanswered: u64,
    /// Connections that were closed because no ping was answered.
    pub pings_dead: u64,
    /// Round trips of answered pings.
    pub round_trips: RoundTrips,
    /// Addresses that were only heard of and proved good when they were tested.
    pub feelers_good: u64,
    /// Lists of peers on the peer exchange, by what happened: `asked`, `heard`, `unheard`, `answered`, `declined`.
    pub lists: Tally,
    /// Addresses that peers sent in such lists.
    pub addresses_heard: u64,
    /// Those of them that were new to the book.
    pub addresses_learned: u64,
    /// Addresses that were sent in such lists.
    pub addresses_told: u64,
    /// Breaches of the rules, by kind.
    pub faults: Tally,
    /// Bans, by who made them: `score` or `operator`.
    pub bans: Tally,
}

// === impl Tally ===

impl Tally {
    /// Counts one case.
    pub fn add(&mut self, name: &'static str) {
        *self.0.entry(name).or_default() += 1;
    }

    /// How often it was counted.
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// All cases that were counted, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(name, count)| (*name, *count))
    }

    /// All cases together.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

// === impl RoundTrips ===

impl RoundTrips {
    /// Counts one.
    pub fn add(&mut self, round_trip: Duration) {
        let bounds = ROUND_TRIP_BOUNDS_MS.iter();
        let bucket = bounds.take_while(|bound| Duration::from_millis(**bound) < round_trip);
        self.buckets[bucket.count()] += 1;
        self.sum += round_trip;
    }

    /// How many fell between the bound before (or zero) and each of [`ROUND_TRIP_BOUNDS_MS`], and beyond the last.
    pub fn buckets(&self) -> &[u64] {
        &self.buckets
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All of them, one after the other.
    pub fn sum(&self) -> Duration {
        self.sum
    }
}

// === impl Counters ===

impl Counters {
    /// A connection stands.
    pub fn on_connected(&mut self, direction: Direction, why: Why) {
        match direction {
            Direction::Inbound => self.connected.add("inbound"),
            Direction::Outbound => {
                self.connected.add("outbound");
                self.dials_connected.add(why.name());
            }
        }
    }

    /// A dial was started.
    pub fn on_dial(&mut self, why: Why) {
        self.dials.add(why.name());
    }

    /// A dial came to nothing.
    pub fn on_dial_failed(&mut self, why: &'static str) {
        self.dials_failed.add(why);
    }

    /// A handshake has come to an end.
    pub fn on_handshake(&mut self, outcome: &'static str) {
        self.handshakes.add(outcome);
    }

    /// A peer found no place.
    pub fn on_refused(&mut self, reason: &'static str) {
        self.refusals.add(reason);
    }

    /// A peer was dropped to make room.
    pub fn on_evicted(&mut self) {
        self.evictions += 1;
    }

    /// A ping was sent.
    pub fn on_ping_sent(&mut self) {
        self.pings_sent += 1;
    }

    /// A ping was answered as it should be.
    pub fn on_pong(&mut self, round_trip: Duration) {
        self.pongs.add("right");
        self.round_trips.add(round_trip);
    }

    /// The answer to a ping had another nonce.
    pub fn on_wrong_pong(&mut self) {
        self.pongs.add("wrong");
    }

    /// An answer came without a ping.
    pub fn on_unasked_pong(&mut self) {
        self.pongs.add("unasked");
    }

    /// A ping was not answered in time.
    pub fn on_ping_unanswered(&mut self) {
        self.pings_unanswered += 1;
    }

    /// A connection is closed because no ping was answered.
    pub fn on_dead(&mut self) {
        self.pings_dead += 1;
    }

    /// An address that was only heard of proved good.
    pub fn on_felt(&mut self) {
        self.feelers_good += 1;
    }

    /// A peer was asked for a list of peers.
    pub fn on_list_asked(&mut self) {
        self.lists.add("asked");
    }

    /// It sent `heard` addresses, of which `learned` were new to the book.
    pub fn on_list_heard(&mut self, heard: usize, learned: usize) {
        self.lists.add("heard");
        self.addresses_heard += heard as u64;
        self.addresses_learned += learned as u64;
    }

    /// It sent none.
    pub fn on_list_unheard(&mut self) {
        self.lists.add("unheard");
    }

    /// A peer asked for a list and got `told` addresses.
    pub fn on_list_answered(&mut self, told: usize) {
        self.lists.add("answered");
        self.addresses_told += told as u64;
    }

    /// A peer asked for a list and got none, because it asked too often.
    pub fn on_list_declined(&mut self) {
        self.lists.add("declined");
    }

    /// A peer broke the rules.
    pub fn on_fault(&mut self, fault: &'static str) {
        self.faults.add(fault);
    }

    /// Somebody was banned by `score` or `operator`.
    pub fn on_banned(&mut self, by: &'static str) {
        self.bans.add(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_fall_into_their_buckets() {
        let mut round_trips = RoundTrips::default();
        for (micros, bucket) in [(0, 0), (1_000, 0), (1_001, 1), (10_000_000, 11), (10_000_001, 12)] {
            let before = round_trips.buckets()[bucket];
            round_trips.add(Duration::from_micros(micros));
            assert_eq!(round_trips.buckets()[bucket], before + 1, "{micros} µs");
        }
        assert_eq!(round_trips.count(), 5);
        assert_eq!(round_trips.sum(), Duration::from_micros(20_002_002));
    }

    #[test]
    fn cases_are_counted_by_name() {
        let mut counters = Counters::default();
        counters.on_dial(Why::Boot);
        counters.on_dial(Why::Boot);
        counters.on_dial(Why::Feeler);
        counters.on_connected(Direction::Outbound, Why::Feeler);
        counters.on_connected(Direction::Inbound, Why::Inbound);
        assert_eq!(
            counters.dials.iter().collect::<Vec<_>>(),
            [("boot", 2), ("feeler", 1)]
        );
        assert_eq!(
            counters.dials_connected.iter().collect::<Vec<_>>(),
            [("feeler", 1)]
        );
        assert_eq!(
            (counters.connected.total(), counters.connected.of("nothing")),
            (2, 0)
        );
    }
}
