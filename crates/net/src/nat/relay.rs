//! What does a node do for others that nobody can dial, and how much of it?
//!
//! Enough for two nodes to get to know each other and to punch a hole; nobody's traffic.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use libp2p::relay::{Behaviour, Config, RateLimiter, Status};
use rustle_types::{Host, Multiaddr, PeerId};

use super::bucket::Bucket;
use crate::Scope;
use crate::admission::Connections;
use crate::gated::Gated;

/// Places. As many as there are connections at most: libp2p refuses to renew any while all are taken.
const RESERVATIONS_MAX: usize = 256;
/// Places of one peer. libp2p allows one more.
const RESERVATIONS_PER_PEER_MAX: usize = 1;
/// How long a place is kept; clients renew it when three quarters are over.
const RESERVATION_TIME: Duration = Duration::from_secs(60 * 60);
/// Requests for places from one machine (an IPv4 address, an IPv6 /64): so many at once, and one more in such a time.
/// With [`RESERVATION_TIME`] it holds at most 46 places.
const RESERVATIONS_PER_HOST_MAX: u32 = 16;
const RESERVATION_PER_HOST_EVERY: Duration = Duration::from_secs(2 * 60);

/// Connections that are passed on at the same time.
const CIRCUITS_MAX: usize = 64;
/// Those that one peer asked for. libp2p allows one more.
const CIRCUITS_PER_PEER_MAX: usize = 3;
/// How long each may last, and what it may carry in each direction, as in other implementations: it is for punching holes.
const CIRCUIT_TIME: Duration = Duration::from_secs(2 * 60);
const CIRCUIT_BYTES_MAX: u64 = 128 * 1024;
/// Circuits that one machine may ask for: so many at once, and one more in such a time.
const CIRCUITS_PER_HOST_MAX: u32 = 32;
const CIRCUIT_PER_HOST_EVERY: Duration = Duration::from_secs(30);

/// Machines whose requests are remembered. Beyond, the others wait.
const HOSTS_MAX: usize = 4096;

/// Passes on connections for our own nodes.
pub(super) fn server(local: PeerId, gate: &Connections) -> Gated<Behaviour> {
    let config = Config {
        max_reservations: RESERVATIONS_MAX,
        max_reservations_per_peer: RESERVATIONS_PER_PEER_MAX,
        reservation_duration: RESERVATION_TIME,
        reservation_rate_limiters: vec![per_host(RESERVATIONS_PER_HOST_MAX, RESERVATION_PER_HOST_EVERY)],
        max_circuits: CIRCUITS_MAX,
        max_circuits_per_peer: CIRCUITS_PER_PEER_MAX,
        max_circuit_duration: CIRCUIT_TIME,
        max_circuit_bytes: CIRCUIT_BYTES_MAX,
        circuit_src_rate_limiters: vec![per_host(CIRCUITS_PER_HOST_MAX, CIRCUIT_PER_HOST_EVERY)],
    };
    let mut server = Behaviour::new(local, config);
    // Left alone, it serves only once an external address is confirmed, which never happens in a private network.
    server.set_status(Some(Status::Enable));
    Gated::new(server, Scope::Own, gate)
}

fn per_host(capacity: u32, every: Duration) -> Box<dyn RateLimiter> {
    let mut hosts = PerHost::new(capacity, every);
    Box::new(move |_: PeerId, from: &Multiaddr, now: Instant| hosts.take(from, now))
}

/// A bucket for each machine. libp2p has one for each IP address, of which an IPv6 machine has 2⁶⁴.
#[derive(Debug)]
struct PerHost {
    capacity: u32,
    every: Duration,
    buckets: HashMap<Host, Bucket>,
}

// === impl PerHost ===

impl PerHost {
    fn new(capacity: u32, every: Duration) -> Self {
        Self {
            capacity,
            every,
            buckets: HashMap::new(),
        }
    }

    fn take(&mut self, from: &Multiaddr, now: Instant) -> bool {
        // A name is one that we dialled, so the choice was ours.
        let Some(host) = Host::of(from) else {
            return true;
        };
        if HOSTS_MAX <= self.buckets.len() && !self.buckets.contains_key(&host) {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
            if HOSTS_MAX <= self.buckets.len() {
                return false;
            }
        }
        let new = || Bucket::new(self.capacity, self.every);
        self.buckets.entry(host).or_insert_with(new).take(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn from(number: u32) -> Multiaddr {
        let ip = std::net::Ipv4Addr::from(0x0808_0000 + number);
        format!("/ip4/{ip}/tcp/1").parse().unwrap()
    }

    #[test]
    fn one_machine_gets_its_share_and_not_that_of_others() {
        let second = Duration::from_secs(1);
        let now = clock::now();
        let mut hosts = PerHost::new(2, second);
        let v6 = |last: u16| format!("/ip6/2001:db8::{last}/tcp/{last}").parse().unwrap();

        assert!(hosts.take(&v6(1), now) && hosts.take(&v6(2), now));
        assert!(!hosts.take(&v6(3), now));
        assert!(hosts.take(&from(1), now));
        assert!(hosts.take(&v6(4), now + second));
    }

    #[test]
    fn machines_are_forgotten_when_their_share_is_whole_again() {
        let second = Duration::from_secs(1);
        let now = clock::now();
        let mut hosts = PerHost::new(1, second);
        for number in 0..HOSTS_MAX {
            assert!(hosts.take(&from(u32::try_from(number).unwrap()), now));
        }
        let another = "/ip4/9.9.9.9/tcp/1".parse().unwrap();
        assert!(!hosts.take(&another, now));
        assert!(hosts.take(&another, now + second));
        assert_eq!(hosts.buckets.len(), 1);
    }
}
