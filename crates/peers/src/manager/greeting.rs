//! The handshake and what follows on the control stream.

use rustle_types::{ConnectionId, Direction, Now, PeerId};
use rustle_wire::{Control, Disconnect, DisconnectReason, Hello, Services, Versions};

use super::{BOOT_BACK_OFF_MAX, FOREIGN_MAX, Manager};
use crate::book::{Source, SourceKind};
use crate::connection::Phase;
use crate::{ConnectError, Output};

impl Manager {
    pub(super) fn on_control_opened(&mut self, now: Now, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if !matches!(connection.phase, Phase::Opening) {
            return;
        }
        connection.phase = Phase::AwaitAck;
        let address = connection.address.clone();
        let message = Control::Hello(self.hello(now, &address));
        self.outbox.push(Output::Send {
            connection: id,
            message,
        });
    }

    pub(super) fn on_unsupported(&mut self, now: Now, id: ConnectionId) {
        let is_asked_for = self.boot.iter().any(|boot| boot.connection == Some(id));
        let foreign = self.connections.values();
        let foreign = foreign.filter(|one| matches!(one.phase, Phase::Foreign)).count();
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if !matches!(connection.phase, Phase::Opening | Phase::AwaitHello) {
            return;
        }
        if FOREIGN_MAX <= foreign && !is_asked_for && connection.request.is_none() {
            self.close(id, None);
            return;
        }
        connection.phase = Phase::Foreign;
        let peer = connection.peer;
        self.book.on_seen(now, &peer);
        self.outbox.push(Output::Foreign { peer });
        self.answer_for(id, |_| Ok(peer));
    }

    pub(super) fn on_control(&mut self, now: Now, id: ConnectionId, message: Control) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.on_activity(now.uptime);
        match (&connection.phase, message) {
            (Phase::Closing | Phase::Foreign, _) => {}
            (Phase::AwaitHello, Control::Hello(hello)) => self.on_greeting(now, id, hello, true),
            (Phase::AwaitAck, Control::HelloAck(hello)) => self.on_greeting(now, id, hello, false),
            (Phase::Ready(_), Control::PingRequest { nonce }) => {
                let message = Control::PingResponse { nonce };
                self.outbox.push(Output::Send {
                    connection: id,
                    message,
                });
            }
            (Phase::Ready(_), Control::PingResponse { nonce }) => {
                connection.on_pong(now.uptime, nonce);
                self.arm(id);
            }
            (_, Control::Disconnect(goodbye)) => self.on_goodbye(now, id, &goodbye),
            (Phase::Opening | Phase::AwaitAck | Phase::AwaitHello, _) => {
                self.fault(id, "a message before the handshake was complete");
            }
            (Phase::Ready(_), _) => self.fault(id, "a second hello"),
        }
    }

    /// Takes the peer's `Hello` or `HelloAck`; the acceptor answers before anything else is said.
    pub(super) fn on_greeting(&mut self, now: Now, id: ConnectionId, hello: Hello, answer: bool) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let (peer, address) = (connection.peer, connection.address.clone());
        if hello.nonce == self.nonce {
            if !answer {
                self.book.on_self(now.wall, address);
            }
            self.answer_for(id, |address| Err(ConnectError::SelfConnection { address }));
            self.close(id, Some(Disconnect::because(DisconnectReason::SelfConnection)));
            return;
        }
        if let Err((reason, error)) = self.compatible(&hello) {
            self.book.on_incompatible(now.uptime, &peer);
            self.back_off_boot(now, id);
            self.answer_for(id, |_| Err(error));
            let goodbye = Disconnect {
                reason,
                network: Some(self.config.network.clone()),
                versions: Some(Versions::ours()),
            };
            self.close(id, Some(goodbye));
            return;
        }
        // Before the answer: the dialer may open streams as soon as it has read it.
        self.outbox.push(Output::Admit { connection: id });
        if answer {
            let message = Control::HelloAck(self.hello(now, &address));
            self.outbox.push(Output::Send {
                connection: id,
                message,
            });
        }
        self.on_ready(now, id, hello);
    }

    pub(super) fn compatible(&self, hello: &Hello) -> Result<(), (DisconnectReason, ConnectError)> {
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

    pub(super) fn on_ready(&mut self, now: Now, id: ConnectionId, hello: Hello) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let (peer, direction, address) = (connection.peer, connection.direction, connection.address.clone());
        let first = !self.is_up(&peer);
        if direction == Direction::Outbound {
            self.book.on_reached(now, &peer, &address);
        }
        let source = Source::at(SourceKind::Hello, &address);
        self.book.learn(now, peer, hello.listen_addresses.clone(), source);
        self.book.on_seen(now, &peer);
        let accepts_inbound = hello.services.contains(Services::INBOUND);
        self.book.set_accepts_inbound(&peer, accepts_inbound);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.phase = Phase::Ready(Box::new(hello.clone()));
        }
        self.arm(id);
        if first {
            self.outbox.push(Output::Up {
                peer,
                hello: Box::new(hello),
            });
        } else {
            self.close_duplicate(peer, id);
        }
        self.answer_for(id, |_| Ok(peer));
    }

    /// Both ends dialled at once, or the peer came back before we noticed that it had gone: one connection must stay, and
    /// both ends must choose the same. Of two directions the one dialled by the lower peer id stays, else the newer.
    pub(super) fn close_duplicate(&mut self, peer: PeerId, newest: ConnectionId) {
        let kept_direction = if self.config.local < peer {
            Direction::Outbound
        } else {
            Direction::Inbound
        };
        let ready: Vec<ConnectionId> = self.ready_connections(&peer).collect();
        let of_kept = ready
            .iter()
            .filter(|id| self.connections[*id].direction == kept_direction)
            .max()
            .copied();
        let kept = of_kept.unwrap_or(newest);
        for id in ready.into_iter().filter(|id| *id != kept) {
            self.close(id, Some(Disconnect::because(DisconnectReason::Unspecified)));
        }
    }

    pub(super) fn on_goodbye(&mut self, now: Now, id: ConnectionId, goodbye: &Disconnect) {
        let Some(peer) = self.connections.get(&id).map(|connection| connection.peer) else {
            return;
        };
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
        if matches!(
            goodbye.reason,
            DisconnectReason::Network | DisconnectReason::Version
        ) {
            self.book.on_incompatible(now.uptime, &peer);
            self.back_off_boot(now, id);
        }
        self.answer_for(id, |address| {
            Err(error.unwrap_or(ConnectError::SelfConnection { address }))
        });
        self.close(id, None);
    }

    /// A boot node of another network is not asked again every second.
    pub(super) fn back_off_boot(&mut self, now: Now, id: ConnectionId) {
        if let Some(boot) = self.boot.iter_mut().find(|boot| boot.connection == Some(id)) {
            boot.failures = 10;
            boot.ready = now.uptime + BOOT_BACK_OFF_MAX;
        }
    }
}
