//! The same things in the words of the network, of the engine and of the log.

use rustle_engine::{Input, Output};
use rustle_net::{Admission, Command, ControlError, DialError, Event, ForeignAccess, Source};
use rustle_peers::book::SourceKind;
use rustle_peers::{Class, DialFailure, Fault, Verdict};
use rustle_types::PeerId;

/// What an event means to the engine, where it is more than a note.
pub(super) fn translate(event: Event) -> Option<Input> {
    use rustle_peers::Input as In;
    Some(Input::Peers(match event {
        Event::Connected {
            connection,
            peer,
            direction,
            address,
            request,
            age,
        } => In::Connected {
            connection,
            peer,
            direction,
            address,
            request,
            age,
        },
        Event::Disconnected { connection, .. } => In::Disconnected { connection },
        Event::DialFailed { request, error, .. } => In::DialFailed {
            request,
            why: failure(&error),
            error: error.to_string(),
        },
        Event::ControlOpened { connection } => In::ControlOpened { connection },
        Event::Control { connection, message } => In::Control { connection, message },
        Event::ControlUnsupported { connection } => In::ControlUnsupported { connection },
        Event::ControlBroken { connection, error } => In::ControlBroken {
            connection,
            is_garbage: matches!(error, ControlError::Frame(_) | ControlError::Message(_)),
        },
        Event::Activity { connection, idle } => In::Activity { connection, idle },
        Event::PeerFound { peer, addresses, .. } => In::Learned {
            peer,
            addresses,
            source: SourceKind::Dht,
        },
        Event::Discovered {
            peer,
            addresses,
            source,
        } => In::Learned {
            peer,
            addresses,
            source: match source {
                Source::Mdns => SourceKind::Mdns,
                Source::Rendezvous => SourceKind::Rendezvous,
                Source::Dht => SourceKind::Dht,
            },
        },
        Event::Slow { peer } => In::Fault {
            peer,
            fault: Fault::SlowGossip,
        },
        Event::Reachability { reachable } => In::Reachability { reachable },
        Event::Reserved { relay, .. } => In::Reserved { relay },
        Event::ReservationLost { relay } => In::ReservationLost { relay },
        Event::Subscribed { peer, topic } => return Some(Input::Subscribed { peer, topic }),
        Event::Unsubscribed { peer, topic } => return Some(Input::Unsubscribed { peer, topic }),
        Event::Listening { .. }
        | Event::ListenFailed { .. }
        | Event::ExternalAddress { .. }
        | Event::ExternalExpired { .. }
        | Event::Identified { .. }
        | Event::Providers { .. }
        | Event::Provided { .. }
        | Event::DhtJoined { .. }
        | Event::DhtLeft { .. }
        | Event::Found { .. }
        | Event::Message { .. } => return None,
    }))
}

/// Writes the log of the network.
pub(super) fn note(event: &Event) {
    match event {
        Event::Listening { address } => tracing::info!(%address, "listening"),
        Event::ListenFailed { address, reason } => tracing::warn!(%address, reason, "no longer listening"),
        Event::Reachability { reachable } => match reachable {
            Some(true) => tracing::info!("others can dial this node"),
            Some(false) => {
                tracing::info!("others cannot dial this node; it asks relays to pass on connections")
            }
            None => tracing::debug!("nobody knows whether others can dial this node"),
        },
        Event::ExternalAddress { address } => tracing::info!(%address, "others can dial this node there"),
        Event::ExternalExpired { address } => {
            tracing::info!(%address, "others cannot dial this node there any more")
        }
        Event::Reserved { address, .. } => tracing::info!(%address, "a relay passes on connections"),
        Event::ReservationLost { relay } => tracing::info!(%relay, "the relay passes on no connections"),
        Event::Connected {
            connection,
            direction,
            address,
            ..
        } => {
            tracing::debug!(%connection, %direction, %address, "connected");
        }
        Event::Disconnected {
            connection, reason, ..
        } => tracing::debug!(%connection, reason, "disconnected"),
        Event::DialFailed { request, error, .. } => tracing::debug!(request, %error, "dial failed"),
        Event::ControlBroken { connection, error } => {
            tracing::debug!(%connection, %error, "control stream broken");
        }
        Event::DhtLeft { dht } => tracing::debug!(%dht, "no node of the DHT is known any more"),
        Event::DhtJoined { dht } => tracing::debug!(%dht, "a node of the DHT is known"),
        Event::Identified { agent, .. } => tracing::trace!(agent, "identified"),
        Event::Discovered { source, .. } => tracing::debug!(?source, "discovered"),
        _ => {}
    }
}

/// Whether an event changes where this node can be reached.
pub(super) fn is_about_addresses(event: &Event) -> bool {
    matches!(
        event,
        Event::Listening { .. }
            | Event::ListenFailed { .. }
            | Event::ExternalAddress { .. }
            | Event::ExternalExpired { .. }
            | Event::Reserved { .. }
            | Event::ReservationLost { .. }
    )
}

/// Whom an event is about.
pub(super) fn peer_of(event: &Event) -> Option<PeerId> {
    match event {
        Event::Connected { peer, .. }
        | Event::Disconnected { peer, .. }
        | Event::Identified { peer, .. }
        | Event::Subscribed { peer, .. }
        | Event::Unsubscribed { peer, .. }
        | Event::Slow { peer }
        | Event::Message { from: peer, .. }
        | Event::PeerFound { peer, .. }
        | Event::Discovered { peer, .. } => Some(*peer),
        Event::DialFailed { peer, .. } => *peer,
        Event::Listening { .. }
        | Event::ListenFailed { .. }
        | Event::Reachability { .. }
        | Event::ExternalAddress { .. }
        | Event::ExternalExpired { .. }
        | Event::Reserved { .. }
        | Event::ReservationLost { .. }
        | Event::ControlOpened { .. }
        | Event::Control { .. }
        | Event::ControlUnsupported { .. }
        | Event::ControlBroken { .. }
        | Event::Activity { .. }
        | Event::Found { .. }
        | Event::Provided { .. }
        | Event::DhtJoined { .. }
        | Event::DhtLeft { .. }
        | Event::Providers { .. } => None,
    }
}

/// What the peer manager decided, in words of the network.
pub(super) fn peer_command(output: rustle_peers::Output, foreign: ForeignAccess) -> Option<Command> {
    use rustle_peers::Output as Out;
    match output {
        Out::Dial {
            request,
            peer,
            addresses,
        } => Some(Command::Dial {
            request,
            peer,
            addresses,
        }),
        Out::Send { connection, message } => Some(Command::SendControl { connection, message }),
        Out::Close {
            connection,
            goodbye: None,
        } => Some(Command::Close { connection }),
        Out::Close {
            connection,
            goodbye: Some(goodbye),
        } => {
            let message = rustle_wire::Control::Disconnect(goodbye);
            Some(Command::CloseAfter { connection, message })
        }
        Out::Probe { connection } => Some(Command::Probe { connection }),
        Out::Admit { connection, class } => Some(Command::Admit {
            connection,
            admission: match class {
                Class::Rustle => Admission::Rustle,
                Class::Foreign | Class::Pending => Admission::Foreign(foreign),
            },
        }),
        Out::Rules(rules) => Some(Command::Rules(rules)),
        Out::Reserve { relay, address } => Some(Command::Reserve { relay, address }),
        Out::Unreserve { relay } => Some(Command::Unreserve { relay }),
        Out::Up { .. }
        | Out::Down { .. }
        | Out::Foreign { .. }
        | Out::Connect { .. }
        | Out::Persist(_)
        | Out::Fault { .. }
        | Out::AskPeers { .. }
        | Out::AnswerPeers { .. }
        | Out::Seek => None,
    }
}

/// Looks for more peers: in the DHT, and at rendezvous points for whoever is new in the network.
pub(super) fn search() -> [Command; 2] {
    let name = String::new();
    [Command::Crawl, Command::Discover { name }]
}

/// What kind of failure ended a dial, as far as the address book cares.
fn failure(error: &DialError) -> DialFailure {
    match error {
        DialError::WrongPeer { .. } => DialFailure::WrongPeer,
        DialError::Myself(_) => DialFailure::Myself,
        DialError::Unsupported(_) | DialError::NoAddress => DialFailure::Unsupported,
        _ => DialFailure::Unreachable,
    }
}

/// Tells the operator who came, went or misbehaved. That a peer was only noted is no news.
pub(super) fn tell(output: &Output) {
    match output {
        Output::PeerUp(peer) => tracing::info!(%peer, "peer is up"),
        Output::PeerDown(peer) => tracing::info!(%peer, "peer is down"),
        Output::PeerForeign(peer) => tracing::info!(%peer, "foreign peer connected"),
        Output::Fault { peer, fault } => tracing::debug!(%peer, fault, "a peer sent something wrong"),
        Output::Judged { peer, fault, verdict } => tell_judged(peer, *fault, *verdict),
        _ => {}
    }
}

fn tell_judged(peer: &PeerId, fault: Fault, verdict: Verdict) {
    let fault = fault.name();
    match verdict {
        Verdict::Tolerate => tracing::debug!(%peer, fault, "a peer broke the rules"),
        Verdict::Disconnect => tracing::info!(%peer, fault, "a peer broke the rules too often; disconnected"),
        Verdict::Ban(time) => tracing::info!(%peer, fault, ?time, "a peer broke the rules too often; banned"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_goes_to_the_dht_and_to_rendezvous_points() {
        let name = |command: &Command| matches!(command, Command::Discover { name } if name.is_empty());
        let commands = search();
        assert!(commands.iter().any(|command| matches!(command, Command::Crawl)));
        assert!(commands.iter().any(name), "{commands:?}");
    }

    #[test]
    fn a_peer_that_takes_no_gossip_has_a_fault() {
        let peer = PeerId::random();
        let Some(Input::Peers(rustle_peers::Input::Fault { peer: of, fault })) =
            translate(Event::Slow { peer })
        else {
            panic!("no fault")
        };
        assert_eq!((of, fault), (peer, Fault::SlowGossip));
    }
}
