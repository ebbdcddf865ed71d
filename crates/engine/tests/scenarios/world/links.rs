//! Connections between nodes, and the control stream on each.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustle_engine::Input;
use rustle_peers::Output as Decision;
use rustle_types::limits::CONTROL_FRAME_BYTES_MAX;
use rustle_types::{ConnectionId, Direction, Multiaddr, PeerId};
use rustle_wire::frame::{self, Decoder};
use rustle_wire::{Control, Disconnect, PeersList, PeersRequest};

use super::{Event, Index, World, pair};

/// A connection; end 0 has dialled.
pub(crate) struct Link {
    pub(super) nodes: [Index; 2],
    /// Which ends still believe in it.
    pub(super) open: [bool; 2],
    /// Which ends serve our protocols on it.
    pub(super) admitted: [bool; 2],
    decoders: [Decoder; 2],
    /// When each end last saw a byte go by, in either direction.
    moved: [Duration; 2],
    /// When the last frame arrives at each end: a stream keeps its order.
    last: [Duration; 2],
}

pub(crate) enum LinkEvent {
    Dialled {
        node: Index,
        life: u64,
        request: u64,
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
    },
    /// A node asks a peer for a list of peers.
    PeersAsked {
        node: Index,
        life: u64,
        peer: PeerId,
        ask: PeersRequest,
    },
    /// A node answers such a question.
    PeersAnswered {
        node: Index,
        request: u64,
        list: Option<PeersList>,
    },
    ControlOpened {
        link: ConnectionId,
    },
    Frame {
        link: ConnectionId,
        to: usize,
        bytes: Bytes,
    },
    /// A node wants to know how long nothing has gone over a connection.
    Probed {
        node: Index,
        link: ConnectionId,
    },
    /// One end sees that the connection is gone; `by_wire` where the other end's network has to tell it.
    Gone {
        link: ConnectionId,
        end: usize,
        by_wire: bool,
    },
}

// === impl World ===

impl World {
    pub(super) fn on_peers_output(&mut self, node: Index, output: Decision) {
        match output {
            Decision::Dial {
                request,
                peer,
                addresses,
            } => {
                self.dials += 1;
                let life = self.nodes[node].life;
                let latency = self.weather.latency;
                let dialled = LinkEvent::Dialled {
                    node,
                    life,
                    request,
                    peer,
                    addresses,
                };
                self.later(latency, Event::Link(dialled));
            }
            Decision::Send { connection, message } => self.send(node, connection, &message),
            Decision::Close { connection, goodbye } => self.close(node, connection, goodbye),
            Decision::Admit { connection, .. } => {
                if let Some((link, end)) = self.end_of(node, connection) {
                    link.admitted[end] = true;
                }
            }
            Decision::Probe { connection } => {
                let probed = LinkEvent::Probed {
                    node,
                    link: connection,
                };
                self.later(Duration::ZERO, Event::Link(probed));
            }
            Decision::AskPeers { peer, ask } => {
                let life = self.nodes[node].life;
                let asked = LinkEvent::PeersAsked {
                    node,
                    life,
                    peer,
                    ask,
                };
                self.later(self.weather.latency, Event::Link(asked));
            }
            Decision::AnswerPeers { request, list } => {
                let answered = LinkEvent::PeersAnswered { node, request, list };
                self.later(self.weather.latency, Event::Link(answered));
            }
            Decision::Rules(_) | Decision::Seek => {}
            other => panic!("not for the network: {other:?}"),
        }
    }

    pub(super) fn on_link(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Dialled {
                node,
                life,
                request,
                peer,
                addresses,
            } => {
                if self.nodes[node].life == life {
                    self.on_dialled(node, request, peer, &addresses);
                }
            }
            LinkEvent::PeersAsked {
                node,
                life,
                peer,
                ask,
            } => {
                if self.nodes[node].life == life {
                    self.on_peers_asked(node, peer, ask);
                }
            }
            LinkEvent::PeersAnswered { node, request, list } => self.on_peers_answered(node, request, list),
            LinkEvent::ControlOpened { link } => {
                if let Some(node) = self
                    .links
                    .get(&link)
                    .filter(|link| link.open[0])
                    .map(|link| link.nodes[0])
                {
                    self.feed(
                        node,
                        Input::Peers(rustle_peers::Input::ControlOpened { connection: link }),
                    );
                }
            }
            LinkEvent::Probed { node, link } => self.on_probed(node, link),
            LinkEvent::Frame { link, to, bytes } => self.on_frame(link, to, &bytes),
            LinkEvent::Gone { link, end, by_wire } => self.on_gone(link, end, by_wire),
        }
    }

    fn on_dialled(&mut self, node: Index, request: u64, peer: Option<PeerId>, addresses: &[Multiaddr]) {
        let target = addresses.iter().find_map(|address| self.node_at(node, address));
        let Some(target) = target.filter(|target| peer.is_none_or(|peer| peer == self.nodes[*target].peer))
        else {
            let failed = rustle_peers::Input::DialFailed {
                request,
                why: rustle_peers::DialFailure::Unreachable,
                error: "nobody is there".to_owned(),
            };
            // Told at once: the time it takes is in the back-off that follows.
            return self.feed(node, Input::Peers(failed));
        };
        let id = ConnectionId(self.number());
        let decoder = || Decoder::new(CONTROL_FRAME_BYTES_MAX);
        let link = Link {
            nodes: [node, target],
            open: [true; 2],
            admitted: [false; 2],
            decoders: [decoder(), decoder()],
            moved: [self.now; 2],
            last: [self.now; 2],
        };
        self.links.insert(id, link);
        let latency = self.weather.latency;
        self.later(latency * 2, Event::Link(LinkEvent::ControlOpened { link: id }));
        for (at, direction, request) in [
            (node, Direction::Outbound, Some(request)),
            (target, Direction::Inbound, None),
        ] {
            let other = if at == node { target } else { node };
            let address = match direction {
                Direction::Outbound => self.nodes[target].address.clone(),
                Direction::Inbound => format!("/ip4/10.0.0.{}/tcp/50000", node + 1).parse().unwrap(),
            };
            let peer = self.nodes[other].peer;
            let connected = rustle_peers::Input::Connected {
                connection: id,
                peer,
                direction,
                address,
                request,
                age: Duration::ZERO,
            };
            self.feed(at, Input::Peers(connected));
            self.tell_topics(at, other);
        }
    }

    fn send(&mut self, node: Index, id: ConnectionId, message: &Control) {
        self.pings += usize::from(matches!(message, Control::PingRequest { .. }));
        let (now, latency) = (self.now, self.weather.latency);
        let Some((link, end)) = self.end_of(node, id) else {
            return;
        };
        let mut bytes = BytesMut::new();
        frame::encode(&message.encode(), &mut bytes);
        let to = 1 - end;
        link.moved[end] = now;
        link.last[to] = link.last[to].max(now + latency);
        let at = link.last[to];
        self.at(
            at,
            Event::Link(LinkEvent::Frame {
                link: id,
                to,
                bytes: bytes.freeze(),
            }),
        );
    }

    fn on_peers_asked(&mut self, node: Index, peer: PeerId, asked: PeersRequest) {
        let there = self
            .nodes
            .iter()
            .position(|other| other.peer == peer && other.is_running());
        let Some(there) = there else {
            self.feed(node, Input::Peers(rustle_peers::Input::PeersUnheard { peer }));
            return;
        };
        let request = self.number();
        self.lists.insert(request, (node, self.nodes[node].life));
        let peer = self.nodes[node].peer;
        let asked = rustle_peers::Input::PeersAsked { request, peer, asked };
        self.feed(there, Input::Peers(asked));
    }

    fn on_peers_answered(&mut self, node: Index, request: u64, list: Option<PeersList>) {
        let Some((asker, life)) = self.lists.remove(&request) else {
            return;
        };
        let peer = self.nodes[node].peer;
        if self.nodes[asker].life == life {
            self.feed(
                asker,
                Input::Peers(match list {
                    Some(list) => rustle_peers::Input::PeersHeard { peer, list },
                    None => rustle_peers::Input::PeersUnheard { peer },
                }),
            );
        }
    }

    fn on_probed(&mut self, node: Index, id: ConnectionId) {
        let now = self.now;
        if let Some((link, end)) = self.end_of(node, id) {
            let idle = now - link.moved[end];
            let activity = rustle_peers::Input::Activity { connection: id, idle };
            self.feed(node, Input::Peers(activity));
        }
    }

    /// Bytes go by between a node and another, as the node sees it.
    pub(super) fn moved(&mut self, node: Index, other: Index) {
        for link in self.links.values_mut() {
            for end in 0..2 {
                if link.nodes[end] == node && link.nodes[1 - end] == other {
                    link.moved[end] = self.now;
                }
            }
        }
    }

    fn on_frame(&mut self, id: ConnectionId, to: usize, bytes: &[u8]) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if self.silent.contains(&pair(link.nodes[0], link.nodes[1])) {
            return;
        }
        if !link.open[to] {
            // Nobody is there any more: the sender is told.
            let gone = LinkEvent::Gone {
                link: id,
                end: 1 - to,
                by_wire: true,
            };
            return self.later(Duration::ZERO, Event::Link(gone));
        }
        link.moved[to] = now;
        link.decoders[to].push(bytes);
        let node = link.nodes[to];
        let message = link.decoders[to].next().unwrap().expect("frames arrive whole");
        let message = Control::decode(&message).unwrap();
        self.feed(
            node,
            Input::Peers(rustle_peers::Input::Control {
                connection: id,
                message,
            }),
        );
    }

    fn close(&mut self, node: Index, id: ConnectionId, goodbye: Option<Disconnect>) {
        if let Some(goodbye) = goodbye {
            self.send(node, id, &Control::Disconnect(goodbye));
        }
        let (now, latency) = (self.now, self.weather.latency);
        let Some((link, end)) = self.end_of(node, id) else {
            return;
        };
        let far = link.last[1 - end].max(now + latency);
        self.later(
            Duration::ZERO,
            Event::Link(LinkEvent::Gone {
                link: id,
                end,
                by_wire: false,
            }),
        );
        self.at(
            far,
            Event::Link(LinkEvent::Gone {
                link: id,
                end: 1 - end,
                by_wire: true,
            }),
        );
    }

    fn on_gone(&mut self, id: ConnectionId, end: usize, by_wire: bool) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let nodes = link.nodes;
        if !link.open[end] || (by_wire && self.silent.contains(&pair(nodes[0], nodes[1]))) {
            return;
        }
        link.open[end] = false;
        if link.open == [false; 2] {
            self.links.remove(&id);
        }
        let (node, other) = (nodes[end], nodes[1 - end]);
        if !self.is_connected(node, other) {
            self.nodes[node].router.forget(other);
        }
        self.feed(
            node,
            Input::Peers(rustle_peers::Input::Disconnected { connection: id }),
        );
    }

    /// The connections of a node that has died; the others see it.
    pub(super) fn drop_links_of(&mut self, node: Index) {
        let latency = self.weather.latency;
        let of_node: Vec<ConnectionId> = self.links_where(|nodes| nodes.contains(&node));
        for id in of_node {
            let Some((link, end)) = self.end_of(node, id) else {
                continue;
            };
            link.open[end] = false;
            if link.open == [false; 2] {
                self.links.remove(&id);
            } else {
                let gone = LinkEvent::Gone {
                    link: id,
                    end: 1 - end,
                    by_wire: true,
                };
                self.later(latency, Event::Link(gone));
            }
        }
    }

    pub(super) fn links_where(&self, wanted: impl Fn(&[Index; 2]) -> bool) -> Vec<ConnectionId> {
        self.links
            .iter()
            .filter(|(_, link)| wanted(&link.nodes))
            .map(|(id, _)| *id)
            .collect()
    }

    /// A connection as one of its ends sees it, while that end believes in it.
    fn end_of(&mut self, node: Index, id: ConnectionId) -> Option<(&mut Link, usize)> {
        let link = self.links.get_mut(&id)?;
        let end = link.nodes.iter().position(|other| *other == node)?;
        link.open[end].then_some((link, end))
    }
}
