//! Who is registered under which name, and what is told to whoever asks?
//!
//! The memory of a rendezvous point. rust-libp2p's own keeps the record that a registration replaces and one timer for
//! each registration that was ever made, so that one peer in a loop fills its memory; here a registration replaces the one
//! before it, and everything is counted: registrations in all, of a peer, of a network group, and requests in time.

mod rate;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use rustle_types::address::Group;
use rustle_types::{PeerId, Uptime};
use rustle_wire::rendezvous::{NAMESPACE_BYTES_MAX, Namespace, PAGE_MAX, Page, Refusal, Registration};

use rate::Rates;
pub use rate::{REQUESTS_BURST_MAX, REQUESTS_PER_SECOND, VISITORS_MAX};

/// Registrations in all.
pub const REGISTRATIONS_MAX: usize = 10_000;
/// Registrations of one peer.
pub const REGISTRATIONS_PER_PEER_MAX: usize = 32;
/// Registrations from one network group: names of peers cost nothing, networks do.
pub const REGISTRATIONS_PER_GROUP_MAX: usize = REGISTRATIONS_MAX / 8;
/// How long a registration holds where its peer does not say, as the specification has it.
pub const TTL_DEFAULT: Duration = Duration::from_secs(2 * 60 * 60);
/// The longest that a registration may hold, as the specification has it.
pub const TTL_MAX: Duration = Duration::from_secs(72 * 60 * 60);
/// The shortest. The specification's two hours would list dead peers for two hours.
pub const TTL_MIN: Duration = Duration::from_secs(60);

/// In a cookie: bits for the number of a registration; the bits above tell one life of a directory from another.
const NUMBER_BITS: u32 = 48;

/// The registrations of a rendezvous point.
#[derive(Debug)]
pub struct Directory {
    ttl_min: Duration,
    /// Tells this life of the directory from others.
    life: u64,
    last: u64,
    /// By number, so in the order they were made.
    entries: BTreeMap<u64, Entry>,
    peers: BTreeMap<PeerId, BTreeMap<Namespace, u64>>,
    namespaces: BTreeMap<Namespace, BTreeSet<u64>>,
    groups: BTreeMap<Group, usize>,
    ends: BTreeSet<(Uptime, u64)>,
    rates: Rates,
}

/// A peer that wants to be told to others, its record proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applicant {
    /// Who.
    pub peer: PeerId,
    /// From where.
    pub group: Group,
    /// The signed record, as it came.
    pub record: Bytes,
    /// Whether it is signed in the way that only rust-libp2p knows.
    pub is_legacy: bool,
}

#[derive(Debug)]
struct Entry {
    applicant: Applicant,
    namespace: Namespace,
    end: Uptime,
}

// === impl Directory ===

impl Directory {
    /// An empty directory. `seed` tells its cookies from those of an earlier one.
    pub fn new(seed: u64) -> Self {
        Self {
            ttl_min: TTL_MIN,
            life: seed << NUMBER_BITS,
            last: 0,
            entries: BTreeMap::new(),
            peers: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            groups: BTreeMap::new(),
            ends: BTreeSet::new(),
            rates: Rates::default(),
        }
    }

    /// The same directory with another bound for the shortest registration.
    #[must_use]
    pub fn with_ttl_min(self, ttl_min: Duration) -> Self {
        Self { ttl_min, ..self }
    }

    /// How many registrations hold.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none holds.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether a peer may make one more request now.
    pub fn admits(&mut self, now: Uptime, peer: PeerId) -> bool {
        self.rates.admit(now, peer)
    }

    /// Registers a peer; an earlier registration under the same namespace is replaced. Gives how long it holds.
    pub fn register(
        &mut self,
        now: Uptime,
        applicant: Applicant,
        namespace: Namespace,
        ttl: Option<Duration>,
    ) -> Result<Duration, Refusal> {
        self.expire(now);
        let ttl = ttl.unwrap_or(TTL_DEFAULT);
        if ttl < self.ttl_min || TTL_MAX < ttl {
            return Err(Refusal::Ttl);
        }
        let own = self.peers.get(&applicant.peer);
        if let Some(earlier) = own.and_then(|own| own.get(&namespace)) {
            self.remove(*earlier);
        } else if REGISTRATIONS_PER_PEER_MAX <= own.map_or(0, BTreeMap::len) {
            return Err(Refusal::Unavailable);
        }
        let of_group = self.groups.get(&applicant.group).copied().unwrap_or(0);
        if REGISTRATIONS_MAX <= self.entries.len() || REGISTRATIONS_PER_GROUP_MAX <= of_group {
            return Err(Refusal::Unavailable);
        }
        self.last += 1;
        let (number, end) = (self.last, now + ttl);
        let own = self.peers.entry(applicant.peer).or_default();
        own.insert(namespace.clone(), number);
        self.namespaces
            .entry(namespace.clone())
            .or_default()
            .insert(number);
        *self.groups.entry(applicant.group).or_default() += 1;
        self.ends.insert((end, number));
        let entry = Entry {
            applicant,
            namespace,
            end,
        };
        self.entries.insert(number, entry);
        Ok(ttl)
    }

    /// Ends the registration of a peer under a namespace.
    pub fn unregister(&mut self, peer: &PeerId, namespace: &Namespace) {
        let own = self.peers.get(peer);
        if let Some(number) = own.and_then(|own| own.get(namespace)) {
            self.remove(*number);
        }
    }

    /// Who is registered, the longest registered first: at most `limit` and at most 128, from where `cookie` ends. A
    /// cookie of an earlier life counts as none, as nothing is left of that life.
    pub fn discover(
        &mut self,
        now: Uptime,
        asker: &PeerId,
        namespace: Option<&Namespace>,
        limit: Option<u64>,
        cookie: &[u8],
    ) -> Result<Page, Refusal> {
        self.expire(now);
        let after = self.read_cookie(cookie, namespace)?;
        let limit = limit.map_or(PAGE_MAX, |limit| {
            usize::try_from(limit).unwrap_or(PAGE_MAX).min(PAGE_MAX)
        });
        let legacy_only = self.reads_legacy_only(asker);
        let mut last = after;
        let registrations = self
            .numbers(namespace, after)
            .filter(|(_, entry)| !legacy_only || entry.applicant.is_legacy)
            .take(limit)
            .map(|(number, entry)| {
                last = number;
                Registration {
                    namespace: entry.namespace.clone(),
                    record: entry.applicant.record.clone(),
                    ttl: Some((entry.end - now).as_secs()),
                }
            })
            .collect();
        let mut cookie = (self.life | last).to_be_bytes().to_vec();
        // rust-libp2p reads the namespace from what follows the first eight bytes.
        cookie.extend_from_slice(namespace.map_or("", Namespace::as_str).as_bytes());
        Ok(Page {
            registrations,
            cookie: cookie.into(),
        })
    }

    /// The registrations with a number above `after`.
    fn numbers<'a>(
        &'a self,
        namespace: Option<&Namespace>,
        after: u64,
    ) -> Box<dyn Iterator<Item = (u64, &'a Entry)> + 'a> {
        let numbers: Box<dyn Iterator<Item = &u64>> = match namespace {
            Some(namespace) => Box::new(
                self.namespaces
                    .get(namespace)
                    .into_iter()
                    .flat_map(move |numbers| numbers.range(after + 1..)),
            ),
            None => Box::new(self.entries.range(after + 1..).map(|(number, _)| number)),
        };
        Box::new(numbers.filter_map(|number| Some((*number, self.entries.get(number)?))))
    }

    /// rust-libp2p reads no other records than its own, and of a page with another one nothing at all.
    fn reads_legacy_only(&self, peer: &PeerId) -> bool {
        let mut own = self.peers.get(peer).into_iter().flat_map(BTreeMap::values);
        own.any(|number| {
            self.entries
                .get(number)
                .is_some_and(|entry| entry.applicant.is_legacy)
        })
    }

    fn read_cookie(&self, cookie: &[u8], namespace: Option<&Namespace>) -> Result<u64, Refusal> {
        if cookie.is_empty() {
            return Ok(0);
        }
        let (number, rest) = cookie.split_first_chunk::<8>().ok_or(Refusal::Cookie)?;
        if NAMESPACE_BYTES_MAX < rest.len() || rest != namespace.map_or("", Namespace::as_str).as_bytes() {
            return Err(Refusal::Cookie);
        }
        let number = u64::from_be_bytes(*number);
        let is_ours = number >> NUMBER_BITS == self.life >> NUMBER_BITS;
        Ok(if is_ours { number ^ self.life } else { 0 })
    }

    fn expire(&mut self, now: Uptime) {
        while let Some((end, number)) = self.ends.first().copied()
            && end <= now
        {
            self.remove(number);
        }
    }

    fn remove(&mut self, number: u64) {
        let Some(Entry {
            applicant,
            namespace,
            end,
        }) = self.entries.remove(&number)
        else {
            return;
        };
        self.ends.remove(&(end, number));
        if let Some(numbers) = self.namespaces.get_mut(&namespace) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.namespaces.remove(&namespace);
            }
        }
        if let Some(own) = self.peers.get_mut(&applicant.peer) {
            own.remove(&namespace);
            if own.is_empty() {
                self.peers.remove(&applicant.peer);
            }
        }
        if let Some(count) = self.groups.get_mut(&applicant.group) {
            *count -= 1;
            if *count == 0 {
                self.groups.remove(&applicant.group);
            }
        }
    }
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;
