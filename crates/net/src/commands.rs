//! What does the swarm do for each command?

use bytes::Bytes;
use libp2p::gossipsub::{IdentTopic, MessageAcceptance};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use rustle_types::limits::GOSSIP_MESSAGE_BYTES_MAX;
use rustle_types::{ConnectionId, Multiaddr, PeerId, TopicName, Verdict};

use crate::config::{CONTROL_MESSAGES_QUEUED_MAX, PEER_ADDRESSES_MAX};
use crate::streams::{Order, Sent};
use crate::task::Task;
use crate::{Admission, Command, ControlError, Dht, DialError, Event};

// === impl Task ===

impl Task {
    pub(crate) fn on_command(&mut self, command: Command) {
        match command {
            Command::Dial {
                request,
                peer,
                addresses,
            } => self.dial(request, peer, addresses),
            Command::Close { connection } => self.close(connection),
            Command::CloseAfter { connection, message } => {
                // Where the last word cannot be queued, it could not be said either.
                if self.order(connection, Order::Part(Box::new(message))) != Sent::Taken {
                    self.close(connection);
                }
            }
            Command::SendControl { connection, message } => {
                self.order(connection, Order::Send(Box::new(message)));
            }
            Command::Admit {
                connection,
                admission,
            } => self.admit(connection, admission),
            Command::Rules(rules) => self.swarm.behaviour().streams.door().set_rules(rules),
            Command::Keep { connection, keep } => {
                self.order(connection, Order::Keep(keep));
            }
            Command::Probe { connection } => {
                if let Some(idle) = self.swarm.behaviour().streams.idle(connection) {
                    self.outbox.push_back(Event::Activity { connection, idle });
                }
            }
            Command::Reserve { relay, address } => self.reserve(relay, &address),
            Command::Unreserve { relay } => self.unreserve(&relay),
            Command::Subscribe { topic } => self.subscribe(&topic),
            Command::Unsubscribe { topic } => {
                self.swarm
                    .behaviour_mut()
                    .gossipsub
                    .unsubscribe(&IdentTopic::new(topic.as_str()));
            }
            Command::Publish { topic, data } => self.publish(&topic, data),
            Command::Report { message, verdict } => {
                let acceptance = match verdict {
                    Verdict::Accept => MessageAcceptance::Accept,
                    Verdict::Ignore => MessageAcceptance::Ignore,
                    Verdict::Reject => MessageAcceptance::Reject,
                };
                let gossipsub = &mut self.swarm.behaviour_mut().gossipsub;
                if !gossipsub.report_message_validation_result(&message.id, &message.from, acceptance) {
                    tracing::debug!(from = %message.from, "a verdict came after the router forgot the message");
                }
            }
            Command::AddAddresses { peer, addresses } => {
                for address in addresses.into_iter().take(PEER_ADDRESSES_MAX) {
                    self.swarm.behaviour_mut().kad.add_address(&peer, address);
                }
            }
            Command::Provide { request, cid } => self.provide(request, &cid),
            Command::FindProviders { request, cid } => self.find_providers(request, &cid),
            Command::FindPeer { request, peer } => self.find_peer(request, peer),
            Command::Crawl => self.crawl(),
            Command::Advertise { name } => self.advertise(&name),
            Command::Unadvertise { name } => self.unadvertise(&name),
            Command::Discover { name } => self.look_up(&name),
        }
    }

    fn dial(&mut self, request: u64, peer: Option<PeerId>, addresses: Vec<Multiaddr>) {
        let first = addresses.first().cloned();
        let peer = peer.or_else(|| named_peer(first.as_ref()?));
        // Whether a further connection makes sense was decided by whoever sent the command.
        let options = match (peer, first.clone()) {
            (Some(peer), None) => DialOpts::peer_id(peer).condition(PeerCondition::Always).build(),
            (Some(peer), Some(_)) => DialOpts::peer_id(peer)
                .condition(PeerCondition::Always)
                .addresses(addresses)
                .build(),
            (None, Some(address)) => DialOpts::unknown_peer_id().address(address).build(),
            (None, None) => {
                self.outbox.push_back(Event::DialFailed {
                    request,
                    peer,
                    error: DialError::NoAddress,
                });
                return;
            }
        };
        let id = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => {
                self.dials.insert(id, request);
            }
            Err(error) => {
                let error = match (error.into(), first) {
                    // The swarm leaves out what it listens on itself.
                    (DialError::NoAddress, Some(address)) => DialError::Myself(address),
                    (error, _) => error,
                };
                self.outbox.push_back(Event::DialFailed { request, peer, error });
            }
        }
    }

    fn admit(&mut self, connection: ConnectionId, admission: Admission) {
        let behaviour = self.swarm.behaviour_mut();
        if let Some((peer, spoken)) = behaviour.streams.admit(connection, admission) {
            behaviour.add_to_dhts(&peer, &spoken);
        }
        if let Some(id) = behaviour.streams.swarm_id(connection) {
            for dht in Dht::ALL {
                if let Some(table) = behaviour.dht(dht) {
                    table.hand_over(id);
                }
            }
        }
        self.on_admitted(connection);
    }

    fn close(&mut self, connection: ConnectionId) {
        if let Some(id) = self.swarm.behaviour().streams.swarm_id(connection) {
            self.swarm.close_connection(id);
        }
    }

    fn order(&mut self, connection: ConnectionId, order: Order) -> Sent {
        let sent = self.swarm.behaviour_mut().streams.order(connection, order);
        if sent == Sent::Stalled {
            let error = ControlError::Stalled(CONTROL_MESSAGES_QUEUED_MAX);
            self.outbox.push_back(Event::ControlBroken { connection, error });
        }
        sent
    }

    fn subscribe(&mut self, topic: &TopicName) {
        let wanted = IdentTopic::new(topic.as_str());
        let gossipsub = &mut self.swarm.behaviour_mut().gossipsub;
        if let Err(error) = gossipsub.subscribe(&wanted) {
            tracing::warn!(topic = topic.as_str(), %error, "cannot subscribe");
            return;
        }
        // Whoever came to the topic before us was told at a time when nobody here wanted to know.
        let hash = wanted.hash();
        let earlier = gossipsub
            .all_peers()
            .filter(|(_, topics)| topics.contains(&&hash));
        let earlier: Vec<PeerId> = earlier.map(|(peer, _)| *peer).collect();
        for peer in earlier {
            let topic = topic.clone();
            self.outbox.push_back(Event::Subscribed { peer, topic });
        }
    }

    fn publish(&mut self, topic: &TopicName, data: Bytes) {
        if GOSSIP_MESSAGE_BYTES_MAX < data.len() {
            tracing::warn!(
                topic = topic.as_str(),
                bytes = data.len(),
                "a message too large for its topic was not sent"
            );
            return;
        }
        let topic = IdentTopic::new(topic.as_str());
        if let Err(error) = self.swarm.behaviour_mut().gossipsub.publish(topic.clone(), data) {
            tracing::debug!(%topic, %error, "not published");
        }
    }
}

/// The peer that an address says is behind it.
fn named_peer(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last()? {
        Protocol::P2p(peer) => Some(peer),
        _ => None,
    }
}
