//! A node whose events a test can wait for.

use std::time::Duration;

use rustle_net::{
    Acceptor, Admission, Command, Config, DhtMode, EVENTS_QUEUED_MAX, Event, Identity, Inbound, Net, Scope,
    spawn,
};
use rustle_types::{ConnectionId, Direction, Multiaddr, PeerId};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// One node of ours is there.
pub(crate) fn admit(connection: ConnectionId) -> Command {
    let admission = Admission::Rustle;
    Command::Admit {
        connection,
        admission,
    }
}

/// After this, what a test waits for is not going to happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) const TCP: &str = "/ip4/127.0.0.1/tcp/0";
pub(crate) const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

/// A running node.
pub(crate) struct Peer {
    pub(crate) net: Net,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) task: JoinHandle<()>,
    /// Events that came while another was waited for.
    seen: Vec<Event>,
    pub(crate) address: Multiaddr,
}

pub(crate) fn config(listen: &str) -> Config {
    Config {
        agent: "rustle-test/1".to_owned(),
        listen: vec![listen.parse().unwrap()],
        dht: DhtMode::Server,
        ..Config::new(Identity::generate(), "test".parse().unwrap())
    }
}

/// An acceptor with room for `room` streams, and where they come out.
pub(crate) fn acceptor(protocol: &str, scope: Scope, room: usize) -> (Acceptor, mpsc::Receiver<Inbound>) {
    let (streams, receiver) = mpsc::channel(room);
    (
        Acceptor {
            protocol: protocol.to_owned(),
            scope,
            streams,
        },
        receiver,
    )
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: not in time"))
}

impl Peer {
    pub(crate) async fn start(config: Config) -> Self {
        let listens = !config.listen.is_empty();
        let (net, events, task) = spawn(config).unwrap();
        let address = Multiaddr::empty();
        let mut peer = Self {
            net,
            events,
            task,
            seen: Vec::new(),
            address,
        };
        if !listens {
            return peer;
        }
        peer.address = peer
            .wait("listening", |event| match event {
                Event::Listening { address } => Some(address.clone()),
                _ => None,
            })
            .await;
        peer
    }

    pub(crate) fn id(&self) -> PeerId {
        self.net.peer_id()
    }

    /// The first event, of those not yet waited for, of which `pick` makes something.
    pub(crate) async fn wait<T>(&mut self, what: &str, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        for index in 0..self.seen.len() {
            if let Some(picked) = pick(&self.seen[index]) {
                self.seen.remove(index);
                return picked;
            }
        }
        loop {
            let event = tokio::time::timeout(DEADLINE, self.events.recv())
                .await
                .unwrap_or_else(|_| panic!("{what}: not in time; seen {:?}", self.seen))
                .expect("the node runs");
            if let Some(picked) = pick(&event) {
                return picked;
            }
            self.seen.push(event);
        }
    }

    pub(crate) async fn send(&self, command: Command) {
        self.net.send(command).await.unwrap();
    }

    /// From here on it admits whoever comes, whether the test waits for something or not.
    pub(crate) fn welcome_all(&mut self) {
        let (seen, events) = mpsc::channel(EVENTS_QUEUED_MAX);
        let mut all = std::mem::replace(&mut self.events, events);
        let net = self.net.clone();
        tokio::spawn(async move {
            while let Some(event) = all.recv().await {
                if let Event::Connected { connection, .. } = &event {
                    let _ = net.send(admit(*connection)).await;
                }
                // What the test does not wait for is not missed.
                let _ = seen.try_send(event);
            }
        });
    }

    /// Carries out all commands before it returns.
    pub(crate) async fn settle(&self) {
        let names = ["/none/1".to_owned()];
        let nobody = self.net.open(PeerId::random(), &names);
        assert!(within("the commands", nobody).await.is_err());
    }

    /// Dials `other`, and both admit each other, in the order in which a handshake is completed. Gives the connection as
    /// each side names it.
    pub(crate) async fn connect(&mut self, other: &mut Self) -> (ConnectionId, ConnectionId) {
        let (ours, theirs) = self.dial(other).await;
        other.send(admit(theirs)).await;
        other.settle().await;
        self.send(admit(ours)).await;
        self.settle().await;
        (ours, theirs)
    }

    /// Dials `other`; gives the connection as each side names it.
    pub(crate) async fn dial(&mut self, other: &mut Self) -> (ConnectionId, ConnectionId) {
        let addresses = vec![other.address.clone()];
        self.send(Command::Dial {
            request: 77,
            peer: Some(other.id()),
            addresses,
        })
        .await;
        let (here, there) = (self.id(), other.id());
        let ours = self
            .wait("connected", |event| match event {
                Event::Connected {
                    connection,
                    peer,
                    direction: Direction::Outbound,
                    request: Some(77),
                    ..
                } if *peer == there => Some(*connection),
                Event::DialFailed { error, .. } => panic!("{error}"),
                _ => None,
            })
            .await;
        let theirs = other
            .wait("connected to", |event| match event {
                Event::Connected {
                    connection,
                    peer,
                    direction: Direction::Inbound,
                    request: None,
                    ..
                } if *peer == here => Some(*connection),
                _ => None,
            })
            .await;
        (ours, theirs)
    }

    pub(crate) async fn control_opened(&mut self, on: ConnectionId) {
        self.wait("control opened", |event| match event {
            Event::ControlOpened { connection } if *connection == on => Some(()),
            _ => None,
        })
        .await;
    }

    pub(crate) async fn control(&mut self, on: ConnectionId) -> rustle_wire::Control {
        self.wait("control message", |event| match event {
            Event::Control { connection, message } if *connection == on => Some(message.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn disconnected(&mut self, on: ConnectionId) -> String {
        self.wait("disconnected", |event| match event {
            Event::Disconnected {
                connection, reason, ..
            } if *connection == on => Some(reason.clone()),
            _ => None,
        })
        .await
    }
}
