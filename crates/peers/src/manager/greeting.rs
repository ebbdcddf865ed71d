//! The handshake and what follows on the control stream.

use rustle_types::{ConnectionId, Host, Now, PeerId};
use rustle_wire::{Control, Disconnect, DisconnectReason, Hello, Services, Versions};

use super::Manager;
use super::places::NoPlace;
use crate::connection::Phase;
use crate::{Class, ConnectError, Fault, Output, Why};

impl Manager {
    pub(super) fn on_control_opened(&mut self, now: Now, id: ConnectionId) {
        let Some(connection) = self.links.get(id) else {
            return;
        };
        if !matches!(connection.phase, Phase::Opening) {
            return;
        }
        let message = Control::Hello(self.hello(now, &connection.address));
        self.links.set_phase(id, Phase::AwaitAck);
        self.outbox.push(Output::Send {
            connection: id,
            message,
        });
    }

    pub(super) fn on_unsupported(&mut self, now: Now, id: ConnectionId) {
        let Some(connection) = self.links.get(id) else {
            return;
        };
        if !matches!(connection.phase, Phase::Opening | Phase::AwaitHello) {
            return;
        }
        let (peer, why) = (connection.peer, connection.why);
        if self.is_up(&peer) {
            // It speaks our protocol, only not here.
            self.answer_for(id, |_| Ok(peer));
            self.close(id, None);
            return;
        }
        self.book.on_foreign(now, &peer);
        if !self.place_for_foreign(now, id) {
            self.counters.on_refused("foreign");
            self.answer_for(id, |_| Err(ConnectError::Foreign));
            self.close(id, None);
            return;
        }
        self.counters.on_handshake("foreign");
        self.links.set_phase(id, Phase::Foreign);
        self.arm(id);
        self.outbox.push(Output::Admit {
            connection: id,
            class: Class::Foreign,
        });
        self.outbox.push(Output::Foreign { peer });
        self.answer_for(id, |_| Ok(peer));
        if why == Why::Feeler {
            self.close(id, None);
        }
    }

    pub(super) fn on_control(&mut self, now: Now, id: ConnectionId, message: Control) {
        let Some(connection) = self.links.get_mut(id) else {
            return;
        };
        connection.on_activity(now.uptime);
        match (&connection.phase, message) {
            (Phase::Closing | Phase::Foreign, _) => {}
            (Phase::AwaitHello, Control::Hello(hello)) => self.on_greeting(now, id, hello, true),
            (Phase::AwaitAck, Control::HelloAck(hello)) => self.on_greeting(now, id, hello, false),
            (Phase::Ready(_), Control::PingRequest { nonce }) => {
                if connection.on_ping_heard(now.uptime) {
                    let message = Control::PingResponse { nonce };
                    self.outbox.push(Output::Send {
                        connection: id,
                        message,
                    });
                } else {
                    self.fault(now, id, Fault::PingFlood);
                }
            }
            (Phase::Ready(_), Control::PingResponse { nonce }) => self.on_pong(now, id, nonce),
            (_, Control::Disconnect(goodbye)) => self.on_goodbye(now, id, &goodbye),
            (Phase::Opening | Phase::AwaitAck | Phase::AwaitHello, _) => {
                self.counters.on_handshake("protocol");
                self.fault(now, id, Fault::EarlyMessage);
            }
            (Phase::Ready(_), Control::Hello(_) | Control::HelloAck(_)) => {
                self.fault(now, id, Fault::SecondHello);
            }
        }
    }

    fn on_pong(&mut self, now: Now, id: ConnectionId, nonce: u64) {
        let Some(connection) = self.links.get_mut(id) else {
            return;
        };
        let was_asked = connection.is_pinged();
        let is_right = connection.on_pong(now.uptime, nonce);
        match connection.round_trip.filter(|_| is_right) {
            Some(round_trip) => self.counters.on_pong(round_trip),
            // The document's rule: a wrong answer proves nothing, and the request stays unanswered.
            None if was_asked => self.counters.on_wrong_pong(),
            None => self.counters.on_unasked_pong(),
        }
        let is_borne = is_right
            || self
                .links
                .get_mut(id)
                .is_some_and(|one| one.on_ping_heard(now.uptime));
        if is_borne {
            self.arm(id);
        } else {
            self.fault(now, id, Fault::PingFlood);
        }
    }

    /// Takes the peer's `Hello` or `HelloAck`; the acceptor answers before anything else is said.
    fn on_greeting(&mut self, now: Now, id: ConnectionId, hello: Hello, answer: bool) {
        let Some(connection) = self.links.get(id) else {
            return;
        };
        let (peer, address, why) = (connection.peer, connection.address.clone(), connection.why);
        if hello.nonce == self.nonce {
            self.counters.on_handshake("self");
            self.on_self_connection(now, id);
            return;
        }
        if let Err((reason, error)) = self.compatible(&hello) {
            self.counters.on_handshake(handshake_outcome(reason));
            self.on_incompatible(now, id, peer);
            self.answer_for(id, |_| Err(error));
            let goodbye = Disconnect {
                reason,
                network: Some(self.config.network.clone()),
                versions: Some(Versions::ours()),
            };
            self.close(id, Some(goodbye));
            return;
        }
        // An address that is tested needs no place: it has answered, however full this node is.
        let is_wanted = self.links.counts().outbound < self.config.targets.outbound;
        if why == Why::Feeler && !is_wanted {
            self.counters.on_handshake("complete");
            self.on_felt(now, id, peer, &hello);
            return;
        }
        if let Err(no_place) = self.place_for(now, id)
            && !self.make_room_for_class(now, id)
        {
            self.counters.on_handshake("full");
            self.counters.on_refused(match no_place {
                NoPlace::Full => "full",
                NoPlace::Light => "light",
            });
            // That there is no place here is no failure of whoever answered.
            if self
                .links
                .get(id)
                .is_some_and(|one| one.is_outbound() && !one.is_relayed())
            {
                self.book.on_met(now, &peer, &address);
            }
            self.answer_for(id, |_| Err(ConnectError::NoPlace));
            self.close(id, Some(Disconnect::because(DisconnectReason::Full)));
            return;
        }
        self.counters.on_handshake("complete");
        // Before the answer: the dialer may open streams as soon as it has read it.
        self.outbox.push(Output::Admit {
            connection: id,
            class: Class::Rustle,
        });
        if answer {
            let message = Control::HelloAck(self.hello(now, &address));
            self.outbox.push(Output::Send {
                connection: id,
                message,
            });
        }
        self.on_ready(now, id, hello);
    }

    fn compatible(&self, hello: &Hello) -> Result<(), (DisconnectReason, ConnectError)> {
        if hello.network != self.config.network {
            let (theirs, ours) = (hello.network.clone(), self.config.network.clone());
            return Err((
                DisconnectReason::Network,
                ConnectError::OtherNetwork { theirs, ours },
            ));
        }
        if hello.versions.common(Versions::ours()).is_none() {
            let (theirs, ours) = (hello.versions, Versions::ours());
            return Err((
                DisconnectReason::Version,
                ConnectError::OtherVersion { theirs, ours },
            ));
        }
        Ok(())
    }

    fn on_ready(&mut self, now: Now, id: ConnectionId, hello: Hello) {
        let Some(connection) = self.links.get(id) else {
            return;
        };
        let (peer, address) = (connection.peer, connection.address.clone());
        let (is_chosen, is_relayed) = (connection.is_chosen(), connection.is_relayed());
        let is_outbound = connection.is_outbound();
        let first = !self.is_up(&peer);
        self.learn_of_itself(now, peer, &hello.listen_addresses, &address);
        if is_chosen && !is_relayed {
            self.book.on_reached(now, &peer, &address);
        } else if is_outbound && !is_relayed {
            self.book.on_met(now, &peer, &address);
        } else {
            self.book.on_seen(now, &peer);
        }
        self.book
            .set_accepts_inbound(&peer, hello.services.contains(Services::INBOUND));
        // Lists are believed more readily of peers that we chose ourselves; whoever has none of these asks all.
        let is_teller = is_chosen || self.links.counts().outbound < self.config.targets.outbound;
        let may_share = is_teller && !hello.services.contains(Services::LIGHT);
        self.links.set_phase(id, Phase::Ready(Box::new(hello.clone())));
        self.arm(id);
        if first {
            self.close_foreign(&peer);
            self.outbox.push(Output::Up {
                peer,
                hello: Box::new(hello),
            });
            if may_share {
                // A new name costs nothing; whom we dial ourselves, we chose.
                let host = Host::of(&address).filter(|_| !is_chosen);
                self.hearings.on_up(now.uptime, peer, host);
                self.ask_for_peers(now);
            }
        } else {
            self.share_reason(&peer);
            self.close_duplicate(now.uptime, peer, id);
        }
        self.answer_for(id, |_| Ok(peer));
        self.persist_book();
        self.seek_relays(now);
    }

    /// The address of a feeler is good; that was all we wanted to know.
    fn on_felt(&mut self, now: Now, id: ConnectionId, peer: PeerId, hello: &Hello) {
        if let Some(address) = self.links.get(id).map(|connection| connection.address.clone()) {
            self.learn_of_itself(now, peer, &hello.listen_addresses, &address);
            self.book.on_reached(now, &peer, &address);
            self.book
                .set_accepts_inbound(&peer, hello.services.contains(Services::INBOUND));
        }
        self.counters.on_felt();
        self.close(id, Some(Disconnect::because(DisconnectReason::NotNeeded)));
        self.persist_book();
    }

    fn on_goodbye(&mut self, now: Now, id: ConnectionId, goodbye: &Disconnect) {
        let Some(connection) = self.links.get(id) else {
            return;
        };
        let (peer, was_ready) = (connection.peer, connection.is_ready());
        let ours = self.config.network.clone();
        let error = match (goodbye.reason, &goodbye.network, goodbye.versions) {
            (DisconnectReason::Network, Some(theirs), _) => Some(ConnectError::OtherNetwork {
                theirs: theirs.clone(),
                ours,
            }),
            (DisconnectReason::Version, _, Some(theirs)) => Some(ConnectError::OtherVersion {
                theirs,
                ours: Versions::ours(),
            }),
            (DisconnectReason::SelfConnection, ..) => None,
            (reason, ..) => Some(ConnectError::Refused(reason)),
        };
        if !was_ready {
            self.counters.on_handshake(handshake_outcome(goodbye.reason));
        }
        match goodbye.reason {
            DisconnectReason::Network | DisconnectReason::Version => self.on_incompatible(now, id, peer),
            DisconnectReason::Full => self.note_refused(now, id),
            _ => {}
        }
        self.answer_for(id, |address| {
            Err(error.unwrap_or(ConnectError::SelfConnection { address }))
        });
        self.close(id, None);
    }

    /// A node of another network or version is no bad peer, and is not asked again for a while.
    fn on_incompatible(&mut self, now: Now, id: ConnectionId, peer: PeerId) {
        self.book.on_incompatible(now.uptime, &peer);
        self.back_off_boot(now, id);
    }

    /// A peer that would not have us, or did not answer, is asked again later and later.
    pub(super) fn note_refused(&mut self, now: Now, id: ConnectionId) {
        if let Some(peer) = self
            .links
            .get(id)
            .filter(|one| one.is_outbound())
            .map(|one| one.peer)
        {
            self.book.on_refused(now, &peer, &mut self.rng);
        }
    }
}

const fn handshake_outcome(reason: DisconnectReason) -> &'static str {
    match reason {
        DisconnectReason::Network => "network",
        DisconnectReason::Version => "version",
        DisconnectReason::SelfConnection => "self",
        DisconnectReason::Protocol => "protocol",
        DisconnectReason::Full => "full",
        DisconnectReason::Timeout => "timeout",
        DisconnectReason::Banned => "banned",
        _ => "refused",
    }
}
