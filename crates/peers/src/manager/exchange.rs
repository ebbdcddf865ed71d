//! Lists of peers: whom to ask, what to believe, what to tell.

use rustle_types::{Host, Multiaddr, Now, PeerId, Reach, Timestamp};
use rustle_wire::{PeerEntry, PeersList, PeersRequest, Services};

use super::Manager;
use crate::Output;
use crate::book::{Learned, SourceKind};
use crate::exchange::{credible, may_tell};

/// Peers of the book that a list is chosen from.
const POOL_MAX: usize = 1_024;

impl Manager {
    /// Asks every peer whose turn it is.
    pub(super) fn ask_for_peers(&mut self, now: Now) {
        while let Some(peer) = self.hearings.take_due(now.uptime) {
            self.counters.on_list_asked();
            let ask = PeersRequest::default();
            self.outbox.push(Output::AskPeers { peer, ask });
        }
    }

    pub(super) fn on_peers_asked(&mut self, now: Now, request: u64, peer: PeerId, asked: &PeersRequest) {
        let refused = if !self.is_up(&peer) || self.config.light {
            Some(None)
        } else {
            let host = self.links.of(&peer).find_map(|(_, one)| Host::of(&one.address));
            self.answers.may_ask(now.uptime, peer, host).err()
        };
        if let Some(fault) = refused {
            self.counters.on_list_declined();
            self.outbox.push(Output::AnswerPeers { request, list: None });
            if let Some(fault) = fault {
                self.on_fault(now, peer, fault);
            }
            return;
        }
        let is_local = self.is_local(&peer);
        let Self {
            answers,
            book,
            links,
            rng,
            ..
        } = self;
        let list = answers.list(now.uptime, &peer, asked.limit, is_local, rng, |rng| {
            let up = links.iter().filter_map(|(_, one)| {
                let services = one.hello()?.services;
                services.contains(Services::INBOUND).then(|| PeerEntry {
                    peer: one.peer,
                    addresses: book.addresses(&one.peer),
                    services,
                    days_ago: 0,
                })
            });
            let mut pool: Vec<PeerEntry> = up.collect();
            for entry in &mut pool {
                entry.addresses.retain(|address| may_tell(address, is_local));
            }
            let known = book.sample(
                now.wall,
                POOL_MAX,
                &|reach| is_local || reach != Reach::Local,
                rng,
            );
            let known = known.into_iter().filter(|(peer, _)| !links.is_up(peer));
            pool.extend(known.map(|(peer, addresses)| PeerEntry {
                peer,
                addresses,
                services: Services::INBOUND,
                days_ago: days_between(book.last_reached(&peer), now.wall),
            }));
            pool
        });
        self.counters.on_list_answered(list.addresses());
        self.outbox.push(Output::AnswerPeers {
            request,
            list: Some(list),
        });
    }

    pub(super) fn on_peers_heard(&mut self, now: Now, peer: PeerId, list: PeersList) {
        let is_local = self.is_local(&peer);
        let heard = match self
            .hearings
            .hear(now.uptime, peer, list, is_local, &mut self.rng)
        {
            Ok(heard) => heard,
            Err(fault) => return self.on_fault(now, peer, fault),
        };
        let told = heard.addresses();
        let mut learned = 0;
        let teller = self.links.of(&peer).next().map(|(_, one)| one.address.clone());
        if let Some(teller) = teller {
            for entry in heard.entries {
                let what = self.learn(now, entry.peer, &entry.addresses, SourceKind::Exchange, &teller);
                if what == Learned::Added {
                    learned += entry.addresses.len();
                }
            }
        }
        self.counters.on_list_heard(told, learned);
        self.persist_book();
    }

    pub(super) fn on_peers_unheard(&mut self, now: Now, peer: PeerId) {
        self.counters.on_list_unheard();
        self.hearings.on_unheard(now.uptime, peer, &mut self.rng);
    }

    /// Whether a peer is in a private network with us. A relay that is says nothing of whoever comes through it.
    fn is_local(&self, peer: &PeerId) -> bool {
        self.links
            .of(peer)
            .any(|(_, one)| !one.is_relayed() && Reach::of(&one.address) == Some(Reach::Local))
    }

    /// Enters where a peer says that it lives, as far as that is believed. All of it counts as heard of from where the
    /// connection comes from; only a dial shows what is true.
    pub(super) fn learn_of_itself(
        &mut self,
        now: Now,
        peer: PeerId,
        named: &[Multiaddr],
        teller: &Multiaddr,
    ) {
        let named = credible(named, &peer, self.is_local(&peer));
        self.learn(now, peer, &named, SourceKind::Hello, teller);
    }
}

/// Whole days; coarse, so that nobody learns who is connected with whom.
fn days_between(then: Timestamp, now: Timestamp) -> u32 {
    const DAY_MILLIS: u64 = 24 * 3600 * 1000;
    let days = now.as_millis().saturating_sub(then.as_millis()) / DAY_MILLIS;
    u32::try_from(days).unwrap_or(u32::MAX)
}
