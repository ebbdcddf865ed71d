//! What does an event of the swarm mean for the node?

use bytes::Bytes;
use libp2p::core::ConnectedPoint;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{self, ConnectionError, SwarmEvent};
use libp2p::{gossipsub, identify};
use rustle_types::{PeerId, TopicName, address};

use crate::behaviour::{BehaviourEvent, protocol};
use crate::config::PEER_ADDRESSES_MAX;
use crate::streams::{ControlEvent, Spoken, StreamsEvent};
use crate::task::Task;
use crate::{Dht, Event, MessageRef};

// === impl Task ===

impl Task {
    pub(crate) fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                self.on_connected(peer_id, connection_id, endpoint);
            }
            SwarmEvent::ConnectionClosed {
                peer_id: peer,
                connection_id,
                cause,
                ..
            } => {
                if let Some(connection) = self.swarm.behaviour_mut().streams.forget(connection_id) {
                    self.discovery.on_disconnected(peer, connection);
                    let reason = match cause {
                        None => "closed by this node".to_owned(),
                        Some(ConnectionError::KeepAliveTimeout) => "idle".to_owned(),
                        Some(ConnectionError::IO(error)) => error.to_string(),
                    };
                    self.outbox.push_back(Event::Disconnected {
                        connection,
                        peer,
                        reason,
                    });
                }
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                peer_id: peer,
                error,
            } => {
                // Dials of the DHT fail silently: nobody waits for them.
                if let Some(request) = self.dials.remove(&connection_id) {
                    self.outbox.push_back(Event::DialFailed {
                        request,
                        peer,
                        error: error.into(),
                    });
                }
            }
            SwarmEvent::IncomingConnectionError {
                send_back_addr,
                error,
                ..
            } => {
                tracing::debug!(from = %send_back_addr, %error, "an inbound connection failed");
            }
            event @ (SwarmEvent::NewListenAddr { .. }
            | SwarmEvent::ExpiredListenAddr { .. }
            | SwarmEvent::ListenerClosed { .. }
            | SwarmEvent::ListenerError { .. }) => self.on_listener_event(event),
            SwarmEvent::ExternalAddrConfirmed { address } => {
                self.standing.on_confirmed(&address);
                self.on_external_address(address);
                self.on_moved();
            }
            SwarmEvent::ExternalAddrExpired { address } => {
                self.standing.on_expired(&address);
                self.on_external_expired(address);
                self.on_moved();
            }
            // The rest is told again by an event above.
            _ => {}
        }
    }

    fn on_listener_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            // A place at a relay, which is told of in other words.
            SwarmEvent::NewListenAddr { listener_id, .. }
            | SwarmEvent::ExpiredListenAddr { listener_id, .. }
                if self.nat.is_reservation(listener_id) => {}
            SwarmEvent::ListenerClosed {
                listener_id, reason, ..
            } if self.nat.is_reservation(listener_id) => {
                self.on_reservation_ended(listener_id, &closing(reason));
            }
            SwarmEvent::NewListenAddr { listener_id, address } => {
                if !self.listeners.contains(&listener_id) {
                    self.listeners.push(listener_id);
                }
                self.standing.on_listening(&address);
                self.on_own_address(&address);
                self.outbox.push_back(Event::Listening { address });
                self.on_moved();
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.on_listen_ended([address], "the network interface is gone");
                self.forget_reach();
                self.on_moved();
            }
            SwarmEvent::ListenerClosed {
                addresses, reason, ..
            } => {
                self.on_listen_ended(addresses, &closing(reason));
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "a listener has trouble accepting connections");
            }
            _ => {}
        }
    }

    fn on_connected(&mut self, peer: PeerId, id: swarm::ConnectionId, endpoint: ConnectedPoint) {
        let request = self.dials.remove(&id);
        let Some(connection) = self.swarm.behaviour().streams.id(id) else {
            return;
        };
        let Some(direction) = self.swarm.behaviour().streams.direction(connection) else {
            return;
        };
        let address = match endpoint {
            ConnectedPoint::Dialer { address, .. } => address,
            ConnectedPoint::Listener { local_addr, .. } if address::is_relayed(&local_addr) => {
                // All that is known of the remote end is its id.
                local_addr.with(Protocol::P2p(peer))
            }
            ConnectedPoint::Listener { send_back_addr, .. } => send_back_addr,
        };
        if self.standing.on_connected(&address) {
            self.on_moved();
        }
        self.outbox.push_back(Event::Connected {
            connection,
            peer,
            direction,
            address,
            request,
            age: self.swarm.behaviour().streams.age(connection).unwrap_or_default(),
        });
    }

    fn on_listen_ended(&mut self, addresses: impl IntoIterator<Item = libp2p::Multiaddr>, reason: &str) {
        for address in addresses {
            self.standing.on_listen_ended(&address);
            self.swarm.remove_external_address(&address);
            self.on_moved();
            self.outbox.push_back(Event::ListenFailed {
                address,
                reason: reason.to_owned(),
            });
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Streams(event) => self.on_streams_event(event),
            BehaviourEvent::Identify(event) => self.on_identify_event(event),
            BehaviourEvent::Kad(event) => self.on_dht_event(Dht::Own, event),
            BehaviourEvent::IpfsLan(event) => self.on_dht_event(Dht::IpfsLan, event),
            BehaviourEvent::Ipfs(event) => self.on_dht_event(Dht::Ipfs, event),
            BehaviourEvent::Gossipsub(event) => self.on_gossip_event(event),
            BehaviourEvent::Mdns(sighted) => self.on_neighbours(sighted),
            BehaviourEvent::Nat(event) => self.on_nat_event(event),
            BehaviourEvent::Limits(never) => match never {},
        }
    }

    fn on_streams_event(&mut self, (connection, event): StreamsEvent) {
        self.outbox.push_back(match event {
            ControlEvent::Opened => Event::ControlOpened { connection },
            ControlEvent::Message(message) => Event::Control {
                connection,
                message: *message,
            },
            ControlEvent::Unsupported => Event::ControlUnsupported { connection },
            ControlEvent::Broken(error) => Event::ControlBroken { connection, error },
            // Consumed by the behaviour, which closes the connection.
            ControlEvent::Parted => return,
        });
    }

    fn on_identify_event(&mut self, event: identify::Event) {
        let (id, peer, info) = match event {
            identify::Event::Received {
                connection_id,
                peer_id,
                info,
            } => (connection_id, peer_id, info),
            identify::Event::Error { peer_id, error, .. } => {
                tracing::debug!(peer = %peer_id, %error, "a peer did not identify itself");
                return;
            }
            identify::Event::Sent { .. } | identify::Event::Pushed { .. } => return,
        };
        let Some(connection) = self.swarm.behaviour().streams.id(id) else {
            return;
        };
        if let Some(place) = self.swarm.behaviour().streams.dialled(connection).cloned() {
            self.on_observed(peer, &place, &info.observed_addr);
        }
        let mut listen_addresses = info.listen_addrs;
        listen_addresses.truncate(PEER_ADDRESSES_MAX);
        let remote = self.swarm.behaviour().streams.remote(connection);
        let remote = remote.map(|(_, remote)| remote.clone());
        let is_taken = |dht: &Dht| remote.as_ref().is_some_and(|remote| dht.takes_from(remote));
        let speaks = |dht: &Dht| info.protocols.contains(&protocol(*dht, &self.discovery.network));
        let spoken = Spoken {
            dhts: Dht::ALL.into_iter().filter(is_taken).filter(speaks).collect(),
            addresses: listen_addresses.clone(),
        };
        let behaviour = self.swarm.behaviour_mut();
        let spoken = behaviour.streams.learn(connection, spoken);
        behaviour.add_to_dhts(&peer, &spoken);
        self.outbox.push_back(Event::Identified {
            connection,
            peer,
            agent: info.agent_version,
            protocols: info.protocols.iter().map(ToString::to_string).collect(),
            listen_addresses,
            observed: info.observed_addr,
        });
    }

    fn on_gossip_event(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            } => {
                // Strict validation and our own subscriptions see to both.
                let (Some(author), Some(topic)) = (message.source, name(&message.topic)) else {
                    return;
                };
                self.outbox.push_back(Event::Message {
                    message: MessageRef {
                        id: message_id,
                        from: propagation_source,
                    },
                    from: propagation_source,
                    author,
                    topic,
                    data: Bytes::from(message.data),
                });
            }
            gossipsub::Event::Subscribed { peer_id, topic } => {
                if let Some(topic) = name(&topic) {
                    self.outbox.push_back(Event::Subscribed { peer: peer_id, topic });
                }
            }
            gossipsub::Event::Unsubscribed { peer_id, topic } => {
                if let Some(topic) = name(&topic) {
                    self.outbox
                        .push_back(Event::Unsubscribed { peer: peer_id, topic });
                }
            }
            gossipsub::Event::SlowPeer { peer_id, .. } => {
                tracing::debug!(peer = %peer_id, "a peer is too slow for gossip; messages to it were dropped");
                self.outbox.push_back(Event::Slow { peer: peer_id });
            }
            gossipsub::Event::GossipsubNotSupported { .. } => {}
        }
    }
}

fn name(topic: &gossipsub::TopicHash) -> Option<TopicName> {
    topic.as_str().parse().ok()
}

fn closing(reason: Result<(), std::io::Error>) -> String {
    reason.map_or_else(|error| error.to_string(), |()| "closed".to_owned())
}
