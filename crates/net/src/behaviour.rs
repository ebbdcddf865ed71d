//! Which protocols does the swarm speak, and with which numbers?
//!
//! Several defaults of libp2p do not fit: some break the talk with go-libp2p, others have no bound. The reason stands
//! beside each number.

use std::time::Duration;

use libp2p::gossipsub::{self, MessageAuthenticity, MessageId, TopicHash, TopicSubscriptionFilter};
use libp2p::swarm::NetworkBehaviour;
use libp2p::{StreamProtocol, connection_limits, identify, kad};
use rustle_types::limits::{GOSSIP_MESSAGE_BYTES_MAX, TOPIC_NAME_BYTES_MAX};
use rustle_types::{NetworkName, PeerId};

use crate::config::{GOSSIP_CONTROL_BYTES_MAX, GOSSIP_OVERHEAD_BYTES, GOSSIP_TOPICS_PER_PEER_MAX};
use crate::providers::Providers;
use crate::streams::Streams;
use crate::{ConnectionLimits, Identity};

/// What identify tells as the protocol family.
const IDENTIFY_PROTOCOL_VERSION: &str = "rustle/1";
/// How long a search in the DHT may take.
const DHT_QUERY_TIMEOUT: Duration = Duration::from_secs(30);

/// All that runs on a connection. Those that may refuse it come first, before others spend anything on it.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) streams: Streams,
    pub(crate) identify: identify::Behaviour,
    pub(crate) kad: kad::Behaviour<Providers>,
    pub(crate) gossipsub: Gossipsub,
}

pub(crate) type Gossipsub = gossipsub::Behaviour<gossipsub::IdentityTransform, KnownTopics>;

/// Remembers only so many subscriptions of a peer, and only to topics that we could name ourselves.
pub(crate) type KnownTopics = gossipsub::MaxCountSubscriptionFilter<NamedTopics>;

/// Topics within the bounds of `TopicName`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NamedTopics;

// === impl Behaviour ===

impl Behaviour {
    /// Fails only where the numbers below contradict each other.
    pub(crate) fn new(
        identity: &Identity,
        network: &NetworkName,
        agent: String,
        limits: ConnectionLimits,
        dht_server: bool,
        streams: Streams,
    ) -> Result<Self, String> {
        let limits = connection_limits::ConnectionLimits::default()
            .with_max_pending_incoming(Some(limits.pending_inbound))
            .with_max_established(Some(limits.established))
            .with_max_established_incoming(Some(limits.established_inbound))
            .with_max_established_per_peer(Some(limits.established_per_peer));
        let identify =
            identify::Config::new(IDENTIFY_PROTOCOL_VERSION.to_owned(), identity.keypair().public())
                .with_agent_version(agent);
        Ok(Self {
            limits: connection_limits::Behaviour::new(limits),
            streams,
            identify: identify::Behaviour::new(identify),
            kad: kademlia(identity.peer_id(), network, dht_server),
            gossipsub: gossip(identity)?,
        })
    }
}

/// The name of the DHT of a network. Each has its own: the public one would fill ours with strangers.
pub(crate) fn dht_protocol(network: &NetworkName) -> StreamProtocol {
    StreamProtocol::try_from_owned(format!("/rustle/{network}/kad/1.0.0"))
        .expect("the name begins with a slash")
}

fn kademlia(peer: PeerId, network: &NetworkName, server: bool) -> kad::Behaviour<Providers> {
    let mut config = kad::Config::new(dht_protocol(network));
    // Records of others come to us first: providers are kept within bounds, values not at all (we have no use for them).
    config
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_query_timeout(DHT_QUERY_TIMEOUT);
    let mut kad = kad::Behaviour::with_config(peer, Providers::new(peer), config);
    // Left alone, it stays a client until an external address is confirmed, which never happens on a LAN.
    kad.set_mode(Some(if server {
        kad::Mode::Server
    } else {
        kad::Mode::Client
    }));
    kad
}

fn gossip(identity: &Identity) -> Result<Gossipsub, String> {
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(gossipsub::ValidationMode::Strict)
        .validate_messages()
        .message_id_fn(message_id)
        .max_transmit_size(GOSSIP_MESSAGE_BYTES_MAX + GOSSIP_OVERHEAD_BYTES)
        .max_control_message_size(GOSSIP_CONTROL_BYTES_MAX)
        .build()
        .map_err(|error| error.to_string())?;
    let filter = gossipsub::MaxCountSubscriptionFilter {
        filter: NamedTopics,
        max_subscribed_topics: GOSSIP_TOPICS_PER_PEER_MAX,
        max_subscriptions_per_request: GOSSIP_TOPICS_PER_PEER_MAX,
    };
    // Signed, with sequence numbers that only grow: Kubo drops all others.
    let authenticity = MessageAuthenticity::Signed(identity.keypair().clone());
    gossipsub::Behaviour::new_with_subscription_filter(authenticity, config, filter).map_err(str::to_owned)
}

/// go-libp2p's id: the author's bytes and the sequence number, big endian. With another id, IHAVE and IDONTWANT would
/// never match what Kubo has.
fn message_id(message: &gossipsub::Message) -> MessageId {
    let mut id = message.source.map(PeerId::to_bytes).unwrap_or_default();
    id.extend_from_slice(&message.sequence_number.unwrap_or_default().to_be_bytes());
    MessageId::new(&id)
}

// === impl NamedTopics ===

impl TopicSubscriptionFilter for NamedTopics {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        topic.as_str().len() <= TOPIC_NAME_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_ids_are_those_of_go() {
        let author = Identity::generate().peer_id();
        let message = gossipsub::Message {
            source: Some(author),
            data: b"whatever".to_vec(),
            sequence_number: Some(0x0102),
            topic: TopicHash::from_raw("t"),
        };
        assert_eq!(
            message_id(&message).0,
            [author.to_bytes(), vec![0, 0, 0, 0, 0, 0, 1, 2]].concat()
        );
    }

    #[test]
    fn the_numbers_of_gossip_fit_together() {
        assert!(gossip(&Identity::generate()).is_ok());
    }

    #[test]
    fn each_network_has_its_own_dht() {
        assert_eq!(
            dht_protocol(&NetworkName::default()).as_ref(),
            "/rustle/main/kad/1.0.0"
        );
    }
}
