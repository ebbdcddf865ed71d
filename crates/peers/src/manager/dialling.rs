//! Whom to dial, and what to tell whoever asked for it.

use std::collections::BTreeSet;

use rustle_types::{ConnectionId, Multiaddr, Now, PeerId};

use super::{BOOT_BACK_OFF_MAX, CONNECT_TIMEOUT, CONNECTS_MAX, Dial, Manager, Wanted, peer_in};
use crate::book::{BACK_OFF_NEEDED_FIRST, STEADY, Wish, back_off};
use crate::connection::Connection;
use crate::{ConnectError, Output};

impl Manager {
    pub(super) fn dial(&mut self, why: Dial, peer: Option<PeerId>, addresses: Vec<Multiaddr>) {
        let request = self.next_dial;
        self.next_dial += 1;
        self.dials.insert(request, why);
        self.outbox.push(Output::Dial {
            request,
            peer,
            addresses,
        });
    }

    pub(super) fn on_connect(&mut self, now: Now, request: u64, address: Multiaddr) {
        if CONNECTS_MAX <= self.connects.len() {
            self.outbox.push(Output::Connect {
                request,
                result: Err(ConnectError::Busy),
            });
            return;
        }
        let peer = peer_in(&address);
        if let Some(peer) = peer.filter(|peer| self.is_up(peer)) {
            self.outbox.push(Output::Connect {
                request,
                result: Ok(peer),
            });
            return;
        }
        if peer == Some(self.config.local) || self.listening.contains(&address) {
            let result = Err(ConnectError::SelfConnection { address });
            self.outbox.push(Output::Connect { request, result });
            return;
        }
        let deadline = now.uptime + CONNECT_TIMEOUT;
        self.connects.insert(
            request,
            Wanted {
                address: address.clone(),
                deadline,
            },
        );
        self.dial(Dial::Connect(request), peer, vec![address]);
    }

    pub(super) fn on_dial_failed(&mut self, now: Now, request: u64, error: String) {
        match self.dials.remove(&request) {
            Some(Dial::Connect(connect)) => self.answer(connect, |address| {
                Err(ConnectError::Unreachable { address, error })
            }),
            Some(Dial::Boot(index)) => self.on_boot_lost(now, index),
            Some(Dial::Known(peer)) => self.book.on_failed(now, &peer, &mut self.rng),
            None => {}
        }
    }

    pub(super) fn on_boot_lost(&mut self, now: Now, index: usize) {
        if let Some(boot) = self.boot.get_mut(index) {
            boot.busy = false;
            boot.connection = None;
            boot.ready = now.uptime
                + back_off(
                    BACK_OFF_NEEDED_FIRST,
                    boot.failures,
                    BOOT_BACK_OFF_MAX,
                    &mut self.rng,
                );
            boot.failures = boot.failures.saturating_add(1);
        }
    }

    /// A boot address whose connection was the lesser of two is still served by the other; only when the peer is gone
    /// altogether it is dialled again. The waits grow until a connection has lasted.
    pub(super) fn on_boot_disconnected(&mut self, now: Now, id: ConnectionId, connection: &Connection) {
        let is_gone = !self.is_connected(&connection.peer);
        let has_lasted = STEADY <= now.uptime - connection.since;
        for index in 0..self.boot.len() {
            let boot = &mut self.boot[index];
            let is_own = boot.connection == Some(id);
            let was_served = !boot.busy && boot.peer == Some(connection.peer);
            if is_own {
                boot.busy = false;
                boot.connection = None;
            }
            if is_gone && (is_own || was_served) {
                if has_lasted {
                    boot.failures = 0;
                }
                self.on_boot_lost(now, index);
            }
        }
    }

    /// Dials boot addresses that are not connected, peers that the node needs, and while it has few peers any it knows.
    pub(super) fn fill(&mut self, now: Now) {
        for index in 0..self.boot.len() {
            let boot = &self.boot[index];
            let is_served = boot
                .peer
                .is_some_and(|peer| peer == self.config.local || self.is_connected(&peer));
            if boot.busy || now.uptime < boot.ready || is_served {
                continue;
            }
            let address = boot.address.clone();
            self.boot[index].busy = true;
            // Without a name in the address, whoever lives there now is welcome.
            self.dial(Dial::Boot(index), peer_in(&address), vec![address]);
        }
        let dialling = self
            .dials
            .values()
            .filter(|dial| matches!(dial, Dial::Known(_)))
            .count();
        let mut room = self.config.peers_low.saturating_sub(self.peers_up() + dialling);
        let needed: Vec<PeerId> = self.book.needed_ready(now.uptime).collect();
        for peer in needed {
            self.dial_known(now, peer);
        }
        for anchor in self.book.anchors_ready(now.uptime).into_iter().take(room) {
            room -= 1;
            self.dial_known(now, anchor);
        }
        while 0 < room
            && let Some(peer) = self.pick(now)
        {
            room -= 1;
            self.dial_known(now, peer);
        }
        let boot = self
            .boot
            .iter()
            .filter(|boot| !boot.busy && now.uptime < boot.ready);
        let boot = boot.map(|boot| boot.ready).min();
        self.wake = [boot, self.book.next_ready(now.uptime)]
            .into_iter()
            .flatten()
            .min();
    }

    fn pick(&mut self, now: Now) -> Option<PeerId> {
        let wish = Wish {
            reach: None,
            groups: &BTreeSet::new(),
            excluded: &|_| false,
        };
        self.book.pick(now, &wish, &mut self.rng)
    }

    fn dial_known(&mut self, now: Now, peer: PeerId) {
        if let Some(addresses) = self.book.start_dial(now, &peer) {
            self.dial(Dial::Known(peer), Some(peer), addresses);
        }
    }

    /// Answers a request for a connection, if it still waits.
    pub(super) fn answer(
        &mut self,
        request: u64,
        result: impl FnOnce(Multiaddr) -> Result<PeerId, ConnectError>,
    ) {
        if let Some(wanted) = self.connects.remove(&request) {
            self.outbox.push(Output::Connect {
                request,
                result: result(wanted.address),
            });
        }
    }

    /// Answers the request that led to a connection.
    pub(super) fn answer_for(
        &mut self,
        id: ConnectionId,
        result: impl FnOnce(Multiaddr) -> Result<PeerId, ConnectError>,
    ) {
        let request = self
            .connections
            .get_mut(&id)
            .and_then(|connection| connection.request.take());
        if let Some(request) = request {
            self.answer(request, result);
        }
    }
}
