//! May this inbound attempt cost us anything?
//!
//! The question is asked when a socket was accepted and before a byte is read. Who asks is not known yet, only from where,
//! so that all fairness is between places. Three things are scarce:
//!
//! * **Places for handshakes.** An attempt is *pending* until its greeting is complete. When all places are taken, a
//!   newcomer is not turned away: the attempt that stands worst is cut off for it. Attempts from more crowded groups
//!   and hosts stand worse, then those that have not even completed the cipher, then those whose hosts took more
//!   lately, then the oldest. So 2,000 connections that say nothing lose their places one by one to whoever comes, and
//!   an honest handshake, which takes a few round trips, is over before its turn comes.
//! * **Handshakes per second.** A handshake costs a signature and a key exchange. There is one bucket for all, of which
//!   the more must be left over, the more a host took lately: those that come for the first time in a minute may empty
//!   it, those that hammer get what nobody else wants. A plain global rate would let a flood starve everybody; a plain
//!   rate per host would let many hosts pass any global bound.
//! * **Memory and connections in all.** Nobody passes these bounds, not even those whom the operator always welcomes.
//!
//! A relayed attempt counts for its relay ([`Gate::admit`]).

mod heat;
mod place;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use rustle_types::{Multiaddr, Now, Uptime, address};

use crate::Rules;
use heat::Heat;
use place::{Machine, Neighbourhood, Place};

/// An attempt this young is cut off only for one from a less crowded or much less busy place: time for a handshake.
const GRACE: Duration = Duration::from_millis(250);
/// The same towards newcomers from busier places: time for a handshake across the world.
const LONG_GRACE: Duration = Duration::from_millis(1_000);
/// The bucket of the accept rate, in bursts. Each further tier of hosts must leave one burst more.
const BURSTS: f64 = 4.0;
/// What an accepted attempt adds to the heat of its host; a refused one adds 1.
const ACCEPTED_HEAT: u32 = 8;
/// From so much heat on, a host belongs to the second, third and fourth tier.
const TIERS: [u32; 3] = [4, 24, 56];
/// From so much heat on, a group makes its hosts belong to the second tier at least. Not to a higher one: most hosts of a
/// group have nothing to do with each other.
const GROUP_TIER: u32 = 64;

/// Bounds of what strangers can make us hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateLimits {
    /// Attempts whose greeting is not complete.
    pub pending: usize,
    /// Attempts and connections from one host (IPv4 address or IPv6 /64), and through one relay.
    pub per_host: usize,
    /// Attempts and connections from one group (IPv4 /16, IPv6 /32), and through all relays together.
    pub per_group: usize,
    /// Attempts accepted per second, over a longer time.
    pub accept_per_second: u32,
    /// Attempts accepted at once. Hosts that come for the first time in a minute have three times as much beyond.
    pub accept_burst: u32,
    /// From so many bytes of memory on, nobody is accepted; `None` for no bound.
    pub memory_bytes: Option<u64>,
    /// Inbound connections that stand. Attempts that are pending when it is reached may still pass it.
    pub established_inbound: usize,
    /// Connections that stand, in both directions.
    pub established: usize,
}

/// Why an attempt is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Refusal {
    /// A rule bans the address or the relay.
    #[error("the address is banned")]
    Banned,
    /// Too many attempts per second, for a place that took so much lately.
    #[error("too many connections per second")]
    Rate,
    /// All places for handshakes are taken by attempts that stand no worse.
    #[error("too many handshakes at once")]
    Pending,
    /// Too many from one host.
    #[error("too many connections from one host")]
    Host,
    /// Too many from one group.
    #[error("too many connections from one group of addresses")]
    Group,
    /// The process uses as much memory as it may.
    #[error("no memory to spare")]
    Memory,
    /// As many connections as there may be.
    #[error("too many connections")]
    Full,
}

/// What happened at the gate so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GateCounts {
    /// Attempts that were let in.
    pub admitted: u64,
    /// Pending attempts that had to make room.
    pub cut_off: u64,
    refused: [u64; Refusal::ALL.len()],
}

/// Decides about inbound attempts, each known by a token of the caller's choice.
///
/// Holds one entry per attempt and connection (bounded by the limits) and what some thousand places took lately.
#[derive(Debug)]
pub struct Gate {
    limits: GateLimits,
    rules: Rules,
    pending: BTreeMap<u64, Attempt>,
    established: BTreeMap<u64, Place>,
    machines: BTreeMap<Machine, usize>,
    neighbourhoods: BTreeMap<Neighbourhood, usize>,
    hosts_heat: Heat<Machine>,
    groups_heat: Heat<Neighbourhood>,
    bucket: Bucket,
    outbound: usize,
    memory_bytes: u64,
    counts: GateCounts,
}

#[derive(Debug, Clone, Copy)]
struct Attempt {
    place: Place,
    since: Uptime,
    is_proved: bool,
}

/// Attempts that may be accepted at once, refilled by the rate.
#[derive(Debug)]
struct Bucket {
    level: f64,
    refilled: Uptime,
}

// === impl GateLimits ===

impl GateLimits {
    fn bucket(&self) -> f64 {
        f64::from(self.accept_burst) * BURSTS
    }
}

impl Default for GateLimits {
    fn default() -> Self {
        Self {
            pending: 32,
            per_host: 8,
            per_group: 64,
            accept_per_second: 64,
            accept_burst: 128,
            memory_bytes: None,
            established_inbound: 192,
            established: 256,
        }
    }
}

// === impl Refusal ===

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Banned,
        Self::Rate,
        Self::Pending,
        Self::Host,
        Self::Group,
        Self::Memory,
        Self::Full,
    ];

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Banned => "banned",
            Self::Rate => "rate",
            Self::Pending => "pending",
            Self::Host => "host",
            Self::Group => "group",
            Self::Memory => "memory",
            Self::Full => "full",
        }
    }
}

// === impl GateCounts ===

impl GateCounts {
    /// How many attempts were turned away for this reason.
    pub const fn refused(&self, refusal: Refusal) -> u64 {
        self.refused[refusal as usize]
    }
}

// === impl Gate ===

impl Gate {
    /// A gate with nobody in it.
    pub fn new(limits: GateLimits) -> Self {
        Self {
            limits,
            rules: Rules::default(),
            pending: BTreeMap::new(),
            established: BTreeMap::new(),
            machines: BTreeMap::new(),
            neighbourhoods: BTreeMap::new(),
            hosts_heat: Heat::default(),
            groups_heat: Heat::default(),
            bucket: Bucket {
                level: limits.bucket(),
                refilled: Uptime::ZERO,
            },
            outbound: 0,
            memory_bytes: 0,
            counts: GateCounts::default(),
        }
    }

    /// Decides about the attempt `token`, which came from `from`. It is pending from now on, unless it is refused.
    ///
    /// Gives the token of another pending attempt that must be cut off at once to make room; the gate has forgotten it.
    ///
    /// For a relayed attempt `from` is the address at which it came to us, `…/p2p/<relay>/p2p-circuit`: it counts for the
    /// relay, as if that were its host. One bad relay can so take no more places than one bad host.
    pub fn admit(&mut self, now: Now, token: u64, from: &Multiaddr) -> Result<Option<u64>, Refusal> {
        self.ended(token);
        let decision = self.decide(now, from);
        match decision {
            Ok((place, victim)) => {
                if let Some(victim) = victim {
                    self.ended(victim);
                    self.counts.cut_off += 1;
                }
                self.seat(now.uptime, token, place);
                Ok(victim)
            }
            Err(refusal) => {
                self.counts.refused[refusal as usize] += 1;
                Err(refusal)
            }
        }
    }

    /// Notes that the cipher of a pending attempt is complete: whoever is there did some work, and is cut off after those
    /// who did not.
    pub fn proved(&mut self, token: u64) {
        if let Some(attempt) = self.pending.get_mut(&token) {
            attempt.is_proved = true;
        }
    }

    /// Notes that a pending attempt became a connection that stands: its greeting is complete, or it is known to be
    /// foreign. Not before: who completes the cipher and then says nothing would otherwise hold a place that nobody can
    /// take.
    pub fn established(&mut self, token: u64) {
        if let Some(attempt) = self.pending.remove(&token) {
            self.established.insert(token, attempt.place);
        }
    }

    /// Notes that an attempt or a connection is gone. Unknown tokens are no harm.
    pub fn ended(&mut self, token: u64) {
        let pending = self.pending.remove(&token).map(|attempt| attempt.place);
        let Some(place) = pending.or_else(|| self.established.remove(&token)) else {
            return;
        };
        self.discount(&place);
    }

    /// From now on these rules hold. Who is in already stays in, and is counted as if they came now.
    pub fn set_rules(&mut self, now: Now, rules: Rules) {
        self.rules = rules;
        self.machines.clear();
        self.neighbourhoods.clear();
        let pending = self.pending.values_mut().map(|attempt| &mut attempt.place);
        for place in pending.chain(self.established.values_mut()) {
            place.is_allowed = place.ip.is_some_and(|ip| self.rules.is_allowed(now.wall, ip));
            count(&mut self.machines, &mut self.neighbourhoods, place);
        }
    }

    /// Bytes of memory that the process uses now.
    pub fn set_memory(&mut self, bytes: u64) {
        self.memory_bytes = bytes;
    }

    /// Connections that this node made and that stand now; they count towards [`GateLimits::established`].
    pub fn set_outbound(&mut self, connections: usize) {
        self.outbound = connections;
    }

    /// How many attempts are pending.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// How many inbound connections stand.
    pub fn established_inbound(&self) -> usize {
        self.established.len()
    }

    /// What happened so far.
    pub fn counts(&self) -> GateCounts {
        self.counts
    }

    fn decide(&mut self, now: Now, from: &Multiaddr) -> Result<(Place, Option<u64>), Refusal> {
        let place = self.place(now, from)?;
        if self
            .limits
            .memory_bytes
            .is_some_and(|limit| limit <= self.memory_bytes)
        {
            return Err(Refusal::Memory);
        }
        if self.limits.established_inbound <= self.established.len()
            || self.limits.established <= self.established.len() + self.outbound
        {
            return Err(Refusal::Full);
        }
        self.hosts_heat.cool(now.uptime);
        self.groups_heat.cool(now.uptime);
        let victim = self.fit(now.uptime, &place);
        if victim.is_err() && !place.is_allowed {
            self.heat(&place, 1);
        }
        victim.map(|victim| (place, victim))
    }

    /// Where an attempt comes from, unless that place is banned.
    fn place(&self, now: Now, from: &Multiaddr) -> Result<Place, Refusal> {
        let ip = address::ip(from);
        let relay = address::relay(from);
        let checked = match (relay, ip) {
            (Some(relay), ip) => self.rules.check(now.wall, &relay, ip),
            (None, Some(ip)) => self.rules.check_ip(now.wall, ip),
            (None, None) => Ok(()),
        };
        checked.map_err(|_| Refusal::Banned)?;
        // A welcome relay does not make those welcome who come through it.
        let is_allowed =
            !address::is_relayed(from) && ip.is_some_and(|ip| self.rules.is_allowed(now.wall, ip));
        Ok(Place::of(from, is_allowed))
    }

    /// Whether there is room for a newcomer, and who must go for it.
    fn fit(&mut self, now: Uptime, place: &Place) -> Result<Option<u64>, Refusal> {
        let on_host = self.machines.get(&place.machine).copied().unwrap_or(0);
        let in_group = self
            .neighbourhoods
            .get(&place.neighbourhood)
            .copied()
            .unwrap_or(0);
        let is_host_full = !place.is_allowed && self.limits.per_host <= on_host;
        let is_group_full = !place.is_allowed && self.limits.per_group <= in_group;
        let is_pending_full = self.limits.pending <= self.pending.len();
        let reserve = self.tier(place).saturating_mul(self.limits.accept_burst);
        let has_rate = place.is_allowed || self.bucket.holds(now, &self.limits, reserve);
        // Who goes from the same host makes room in the group too, and in all.
        let victim = if is_host_full {
            let same = |other: &Place| !other.is_allowed && other.machine == place.machine;
            Some(self.victim(now, place, same).ok_or(Refusal::Host)?)
        } else if is_group_full {
            let same = |other: &Place| !other.is_allowed && other.neighbourhood == place.neighbourhood;
            Some(self.victim(now, place, same).ok_or(Refusal::Group)?)
        } else if !has_rate {
            // Asked before a search that a flood would make us repeat.
            return Err(Refusal::Rate);
        } else if is_pending_full {
            Some(self.victim(now, place, |_| true).ok_or(Refusal::Pending)?)
        } else {
            None
        };
        if !has_rate {
            return Err(Refusal::Rate);
        }
        if !place.is_allowed {
            self.bucket.level -= 1.0;
        }
        Ok(victim)
    }

    /// The pending attempt among `eligible` that stands worst, if it stands worse than the newcomer.
    fn victim(&self, now: Uptime, newcomer: &Place, eligible: impl Fn(&Place) -> bool) -> Option<u64> {
        let crowds = Crowds::of(
            self.pending
                .values()
                .map(|attempt| &attempt.place)
                .chain([newcomer]),
        );
        let own_crowd = crowds.around(newcomer);
        let own_rank = self.rank(newcomer) + 1;
        let yields = |attempt: &Attempt| {
            if attempt.place.is_allowed || newcomer.is_allowed {
                return newcomer.is_allowed && !attempt.place.is_allowed;
            }
            let crowd = crowds.around(&attempt.place);
            let rank = self.rank(&attempt.place);
            let grace = match rank.checked_sub(own_rank) {
                _ if attempt.place.machine == newcomer.machine => GRACE,
                None => LONG_GRACE,
                Some(0 | 1) => GRACE,
                Some(_) => Duration::ZERO,
            };
            own_crowd < crowd || (own_crowd == crowd && grace <= now - attempt.since)
        };
        self.pending
            .iter()
            .filter(|(_, attempt)| eligible(&attempt.place) && yields(attempt))
            .max_by_key(|(_, attempt)| {
                let (crowd, rank) = (crowds.around(&attempt.place), self.rank(&attempt.place));
                (crowd, !attempt.is_proved, rank, Reverse(attempt.since))
            })
            .map(|(token, _)| *token)
    }

    /// How many accepted attempts a host had lately, or refused ones that weigh as much.
    fn rank(&self, place: &Place) -> u32 {
        self.hosts_heat.of(&place.machine) / ACCEPTED_HEAT
    }

    /// How much of the rate a place must leave to others, in bursts.
    fn tier(&self, place: &Place) -> u32 {
        let heat = self.hosts_heat.of(&place.machine);
        let by_host = TIERS.iter().filter(|from| **from <= heat).count();
        let by_group = usize::from(GROUP_TIER <= self.groups_heat.of(&place.neighbourhood));
        u32::try_from(by_host.max(by_group)).unwrap_or(u32::MAX)
    }

    fn seat(&mut self, now: Uptime, token: u64, place: Place) {
        self.counts.admitted += 1;
        count(&mut self.machines, &mut self.neighbourhoods, &place);
        if !place.is_allowed {
            self.heat(&place, ACCEPTED_HEAT);
        }
        let attempt = Attempt {
            place,
            since: now,
            is_proved: false,
        };
        self.pending.insert(token, attempt);
    }

    fn discount(&mut self, place: &Place) {
        if !place.is_allowed {
            discount(&mut self.machines, place.machine);
            discount(&mut self.neighbourhoods, place.neighbourhood);
        }
    }

    fn heat(&mut self, place: &Place, amount: u32) {
        self.hosts_heat.add(place.machine, amount);
        // Refused attempts cost nothing; only what a group was given may count against its other hosts.
        if amount == ACCEPTED_HEAT {
            self.groups_heat.add(place.neighbourhood, amount);
        }
    }
}

/// Whoever is welcome is not counted.
fn count(
    machines: &mut BTreeMap<Machine, usize>,
    neighbourhoods: &mut BTreeMap<Neighbourhood, usize>,
    place: &Place,
) {
    if !place.is_allowed {
        *machines.entry(place.machine).or_default() += 1;
        *neighbourhoods.entry(place.neighbourhood).or_default() += 1;
    }
}

fn discount<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

/// How many attempts there are from each place.
struct Crowds {
    machines: BTreeMap<Machine, usize>,
    neighbourhoods: BTreeMap<Neighbourhood, usize>,
}

// === impl Crowds ===

impl Crowds {
    fn of<'a>(places: impl Iterator<Item = &'a Place>) -> Self {
        let (mut machines, mut neighbourhoods) = (BTreeMap::new(), BTreeMap::new());
        for place in places {
            *machines.entry(place.machine).or_default() += 1;
            *neighbourhoods.entry(place.neighbourhood).or_default() += 1;
        }
        Self {
            machines,
            neighbourhoods,
        }
    }

    /// How many there are in the group of a place, and on its host.
    fn around(&self, place: &Place) -> (usize, usize) {
        let group = self.neighbourhoods.get(&place.neighbourhood);
        let host = self.machines.get(&place.machine);
        (group.copied().unwrap_or(0), host.copied().unwrap_or(0))
    }
}

// === impl Bucket ===

impl Bucket {
    /// Whether one may be taken so that `reserve` remain.
    fn holds(&mut self, now: Uptime, limits: &GateLimits, reserve: u32) -> bool {
        let refill = (now - self.refilled).as_secs_f64() * f64::from(limits.accept_per_second);
        self.level = (self.level + refill).min(limits.bucket());
        self.refilled = self.refilled.max(now);
        f64::from(reserve) + 1.0 <= self.level
    }
}

#[cfg(test)]
mod siege_tests;
#[cfg(test)]
mod tests;
