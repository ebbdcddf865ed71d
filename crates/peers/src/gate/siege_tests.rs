//! 2,000 connections that say nothing, and honest dialers among them.
//!
//! Virtual time in steps of a millisecond. An honest dialer needs some time for its handshake and, where it is refused or
//! cut off, dials again after its back-off; it must be through within two seconds.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustle_types::Timestamp;

use super::*;

/// What all pending attempts have from accept to greeting.
const DEADLINE_MILLIS: u64 = 5_000;
const PATIENCE_MILLIS: u64 = 2_000;
const SIEGE_MILLIS: u64 = 4_000;
const SEEDS: u64 = 3;
const ATTACKERS: u64 = 2_000;

/// How the attackers behave.
#[derive(Debug, Clone, Copy)]
struct Attack {
    name: &'static str,
    hosts: u64,
    /// All hosts in the group of the honest ones, or each in one of its own.
    one_group: bool,
    /// Each attempt from a new /64.
    fresh_hosts: bool,
    /// How long an attacker waits before it comes again.
    again_millis: u64,
    proves: bool,
}

#[derive(Debug)]
enum Who {
    Attacker(u64),
    Honest(usize),
}

struct Dialer {
    from: Multiaddr,
    came: u64,
    tries: u32,
    done: Option<u64>,
}

struct Siege {
    attack: Attack,
    handshake_millis: u64,
    gate: Gate,
    rng: StdRng,
    /// What happens when; the order within a millisecond is random.
    agenda: BTreeMap<(u64, u32), Event>,
    open: BTreeMap<u64, Who>,
    attackers: Vec<Multiaddr>,
    dialers: Vec<Dialer>,
    tokens: u64,
}

enum Event {
    Dial(Who),
    Proved(u64),
    Finished(u64),
}

impl Attack {
    fn host(&self, number: u64) -> Multiaddr {
        let text = if self.one_group {
            format!("/ip4/10.0.{}.{}/tcp/1", number / 200, number % 200)
        } else {
            format!("/ip4/{}.{}.0.1/tcp/1", 11 + number / 250, number % 250)
        };
        text.parse().unwrap()
    }
}

impl Siege {
    fn new(seed: u64, attack: Attack, handshake_millis: u64) -> Self {
        Self {
            attack,
            handshake_millis,
            gate: Gate::new(GateLimits::default()),
            rng: StdRng::seed_from_u64(seed),
            agenda: BTreeMap::new(),
            open: BTreeMap::new(),
            attackers: (0..attack.hosts).map(|host| attack.host(host)).collect(),
            dialers: Vec::new(),
            tokens: 0,
        }
    }

    fn at(&mut self, millis: u64, event: Event) {
        let order = self.rng.random();
        self.agenda.insert((millis, order), event);
    }

    /// The share of honest dialers that were through in time, the share that was at its first try, and the 99th percentile
    /// of what they needed.
    fn run(mut self) -> (f64, f64, u64) {
        for attacker in 0..ATTACKERS {
            let first = self.rng.random_range(0..100);
            self.at(first, Event::Dial(Who::Attacker(attacker)));
        }
        // About two honest handshakes at any time.
        let every = self.handshake_millis.clamp(50, 400) / 2;
        for number in 0..SIEGE_MILLIS / every {
            let came = number * every + self.rng.random_range(0..every);
            let (b, c) = if self.attack.one_group {
                (0, 200 + number % 50)
            } else {
                (number % 200, 200)
            };
            self.dialers.push(Dialer {
                from: format!("/ip4/10.{b}.{c}.{}/tcp/1", 1 + number / 50)
                    .parse()
                    .unwrap(),
                came,
                tries: 0,
                done: None,
            });
            self.at(came, Event::Dial(Who::Honest(number as usize)));
        }
        while let Some(((millis, _), event)) = self.agenda.pop_first() {
            if SIEGE_MILLIS + PATIENCE_MILLIS < millis {
                break;
            }
            match event {
                Event::Dial(who) => self.dial(millis, who),
                Event::Proved(token) => self.gate.proved(token),
                Event::Finished(token) => self.finish(millis, token),
            }
        }
        let mut times: Vec<u64> = self
            .dialers
            .iter()
            .map(|dialer| dialer.done.map_or(u64::MAX, |done| done - dialer.came))
            .collect();
        times.sort_unstable();
        let in_time = times.iter().filter(|time| **time <= PATIENCE_MILLIS).count();
        let at_once = self.dialers.iter().filter(|dialer| dialer.tries == 0).count();
        let share = |count: usize| count as f64 / times.len() as f64;
        (share(in_time), share(at_once), times[times.len() * 99 / 100])
    }

    fn dial(&mut self, millis: u64, who: Who) {
        self.tokens += 1;
        let token = self.tokens;
        let from = match &who {
            Who::Attacker(number) => self.attacker_address(*number),
            Who::Honest(number) => self.dialers[*number].from.clone(),
        };
        let now = Now {
            uptime: Uptime::from_millis(millis),
            wall: Timestamp::from_millis(millis),
        };
        match self.gate.admit(now, token, &from) {
            Ok(victim) => {
                let (proves, until) = match who {
                    Who::Attacker(_) => (self.attack.proves, DEADLINE_MILLIS),
                    Who::Honest(_) => (true, self.handshake_millis),
                };
                if proves {
                    self.at(millis + self.handshake_millis / 2, Event::Proved(token));
                }
                self.at(millis + until, Event::Finished(token));
                self.open.insert(token, who);
                if let Some(victim) = victim.and_then(|victim| self.open.remove(&victim)) {
                    self.turned_away(millis, victim);
                }
            }
            Err(_) => self.turned_away(millis, who),
        }
    }

    fn attacker_address(&self, number: u64) -> Multiaddr {
        if self.attack.fresh_hosts {
            let (high, low) = (self.tokens >> 16, self.tokens & 0xffff);
            return format!("/ip6/2001:db8:{high:x}:{low:x}::1/tcp/1")
                .parse()
                .unwrap();
        }
        self.attackers[(number % self.attack.hosts) as usize].clone()
    }

    fn turned_away(&mut self, millis: u64, who: Who) {
        let wait = match &who {
            Who::Attacker(_) => 1 + self.rng.random_range(0..=self.attack.again_millis * 2),
            // The back-off of a peer that is wanted.
            Who::Honest(number) => {
                let dialer = &mut self.dialers[*number];
                dialer.tries += 1;
                let whole = 1_000u64 << (dialer.tries - 1).min(6);
                self.rng.random_range(whole / 2..=whole)
            }
        };
        self.at(millis + wait, Event::Dial(who));
    }

    fn finish(&mut self, millis: u64, token: u64) {
        let Some(who) = self.open.remove(&token) else {
            return;
        };
        if let Who::Honest(number) = who {
            self.gate.established(token);
            self.dialers[number].done = Some(millis);
            self.gate.ended(token);
        } else {
            self.gate.ended(token);
            self.turned_away(millis, who);
        }
    }
}

/// A handshake across the world leaves time for one further try only.
fn survives(attack: Attack, handshake_millis: u64) {
    let enough = if handshake_millis < 100 { 0.99 } else { 0.9 };
    let runs = (0..SEEDS).map(|seed| Siege::new(seed, attack, handshake_millis).run());
    let runs: Vec<_> = runs.collect();
    let mean = runs.iter().map(|run| run.0).sum::<f64>() / SEEDS as f64;
    let first = runs.iter().map(|run| run.1).sum::<f64>() / SEEDS as f64;
    let slowest = runs.iter().map(|run| run.2).max();
    println!(
        "{}, handshake {handshake_millis} ms: {:.1} % of honest dials within 2 s, {:.1} % at the first try, p99 {slowest:?} ms",
        attack.name,
        mean * 100.0,
        first * 100.0
    );
    assert!(enough <= mean, "{attack:?}: {mean}");
}

const STATIC: Attack = Attack {
    name: "250 hosts that come and stay",
    hosts: 250,
    one_group: false,
    fresh_hosts: false,
    again_millis: 5_000,
    proves: false,
};

#[test]
fn an_honest_dial_succeeds_among_those_who_stay() {
    survives(STATIC, 30);
    survives(STATIC, 800);
}

#[test]
fn an_honest_dial_succeeds_among_those_who_come_again_at_once() {
    let attack = Attack {
        name: "250 hosts that come again at once",
        again_millis: 200,
        ..STATIC
    };
    survives(attack, 30);
    survives(attack, 800);
}

#[test]
fn an_honest_dial_succeeds_among_those_who_complete_the_cipher() {
    let attack = Attack {
        name: "250 hosts that complete the cipher",
        again_millis: 200,
        proves: true,
        ..STATIC
    };
    survives(attack, 30);
}

#[test]
fn an_honest_dial_succeeds_from_the_group_of_the_attackers() {
    let attack = Attack {
        name: "250 hosts in the group of the honest",
        again_millis: 200,
        one_group: true,
        ..STATIC
    };
    survives(attack, 30);
}

#[test]
fn an_honest_dial_succeeds_among_hosts_that_are_never_seen_twice() {
    let attack = Attack {
        name: "a new IPv6 /64 for each attempt",
        again_millis: 200,
        fresh_hosts: true,
        ..STATIC
    };
    survives(attack, 30);
    survives(attack, 800);
}
