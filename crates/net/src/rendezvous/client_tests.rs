//! When does the client register, ask and give up?

use super::*;
use crate::rendezvous::namespace;

const MINUTE: Duration = Duration::from_secs(60);

/// A client of one point, connected or not, and a clock that the test moves.
struct Stage {
    client: Client,
    point: PeerId,
    now: Instant,
}

fn name(text: &str) -> Namespace {
    namespace(&"test".parse().unwrap(), text).unwrap()
}

fn register(text: &str) -> Errand {
    Errand::Register {
        namespace: name(text),
    }
}

fn discover(text: &str, cookie: &'static [u8]) -> Errand {
    Errand::Discover {
        namespace: name(text),
        cookie: Bytes::from_static(cookie),
    }
}

fn read(cookie: &'static [u8]) -> Outcome {
    Outcome::Read(Bytes::from_static(cookie))
}

const HOLDS: Outcome = Outcome::Holds(TTL_WANTED);

impl Stage {
    fn new() -> Self {
        let now = crate::clock::now();
        let point = PeerId::random();
        let address: Multiaddr = format!("/ip4/10.0.0.1/tcp/1/p2p/{point}").parse().unwrap();
        let identity = Identity::generate();
        let client = Client::new(identity, name(""), &[address], now);
        Self { client, point, now }
    }

    fn connected() -> Self {
        let mut stage = Self::new();
        stage.connect();
        stage
    }

    fn connect(&mut self) {
        let address = "/ip4/10.0.0.1/tcp/1".parse().unwrap();
        self.client
            .on_admitted(self.point, ConnectionId(1), address, self.now);
    }

    /// The errands of the visit that begins now; empty where none does.
    fn visit(&mut self) -> Vec<Errand> {
        match self.client.due(self.now, |_| true).pop() {
            None => Vec::new(),
            Some(Start::Visit(visit)) => visit.errands,
            Some(Start::Dial { .. }) => panic!("it is connected"),
        }
    }

    fn is_dialled(&mut self) -> bool {
        let start = self.client.due(self.now, |_| true).pop();
        matches!(start, Some(Start::Dial { .. }))
    }

    fn report(&mut self, outcomes: Vec<(Errand, Outcome)>) {
        let report = Report {
            point: self.point,
            outcomes,
            found: Vec::new(),
        };
        self.client.on_report(&report, self.now);
    }

    fn settled() -> Self {
        let mut stage = Self::connected();
        assert_eq!(stage.visit(), [register(""), discover("", b"")]);
        stage.report(vec![(register(""), HOLDS), (discover("", b""), read(b"one"))]);
        stage
    }
}

#[test]
fn it_registers_renews_in_time_and_asks_for_what_is_new() {
    let mut stage = Stage::settled();
    assert_eq!(stage.visit(), []);
    let (start, mut renewed, mut asked) = (stage.now, 0, 0);
    while stage.now < start + 60 * MINUTE {
        stage.now += Duration::from_secs(1);
        for errand in stage.visit() {
            let outcome = match &errand {
                Errand::Register { .. } => HOLDS,
                Errand::Discover { cookie, .. } => {
                    assert_eq!(cookie[..], *b"one");
                    read(b"one")
                }
                Errand::Unregister { .. } => panic!("nothing was given up"),
            };
            renewed += u32::from(outcome == HOLDS);
            asked += u32::from(outcome != HOLDS);
            stage.report(vec![(errand, outcome)]);
        }
    }
    assert!(
        (3..=6).contains(&renewed),
        "{renewed} renewals of a half-hour registration"
    );
    assert!((9..=16).contains(&asked), "{asked} questions in an hour");
}

#[test]
fn a_point_is_dialled_when_there_is_something_to_do_and_ever_more_rarely() {
    let mut stage = Stage::new();
    let mut dials = Vec::new();
    let start = stage.now;
    while stage.now < start + 120 * MINUTE {
        if stage.is_dialled() {
            dials.push(stage.now - start);
        }
        stage.now += Duration::from_secs(1);
    }
    assert!((14..=24).contains(&dials.len()), "{dials:?}");
    assert!(dials[1] < Duration::from_secs(10), "{dials:?}");

    stage.connect();
    assert_eq!(stage.visit().len(), 2, "at once, whatever the back-off");
    stage.client.on_disconnected(stage.point, ConnectionId(1));
    stage.report(vec![(register(""), HOLDS), (discover("", b""), read(b"one"))]);
    assert!(!stage.is_dialled(), "nothing is due");
}

#[test]
fn further_names_come_and_go() {
    let mut stage = Stage::settled();
    assert!(stage.client.advertise(name("a")));
    assert!(stage.client.advertise(name("a")) && stage.client.advertise(name("")));
    stage.client.discover(&name("b"), stage.now);
    assert_eq!(stage.visit(), [register("a"), discover("b", b"")]);
    assert_eq!(stage.visit(), [], "one visit at a time");
    stage.report(vec![(register("a"), HOLDS), (discover("b", b""), read(b"two"))]);
    assert_eq!(stage.visit(), []);

    stage.client.unadvertise(&name("a"));
    let gone = Errand::Unregister { namespace: name("a") };
    assert_eq!(stage.visit(), std::slice::from_ref(&gone));
    stage.report(vec![(gone, Outcome::Left)]);
    assert_eq!(stage.visit(), []);
    stage.client.discover(&name(""), stage.now);
    assert_eq!(stage.visit(), [discover("", b"one")]);
}

#[test]
fn names_and_questions_and_points_have_their_bounds() {
    let mut stage = Stage::settled();
    for number in 0..ADVERTISED_NAMES_MAX {
        assert!(stage.client.advertise(name(&number.to_string())));
    }
    assert!(!stage.client.advertise(name("one too many")));
    for number in 0..QUESTIONS_QUEUED_MAX + 5 {
        stage.client.discover(&name(&number.to_string()), stage.now);
    }
    assert_eq!(stage.visit().len(), ADVERTISED_NAMES_MAX + QUESTIONS_QUEUED_MAX);

    let identity = Identity::generate();
    let own = identity.peer_id();
    let address = |peer| -> Multiaddr { format!("/ip4/10.0.0.1/tcp/1/p2p/{peer}").parse().unwrap() };
    let mut addresses: Vec<_> = (0..RENDEZVOUS_POINTS_MAX + 3)
        .map(|_| address(PeerId::random()))
        .collect();
    addresses.insert(0, address(own));
    addresses.insert(0, "/ip4/10.0.0.1/tcp/1".parse().unwrap());
    let client = Client::new(identity, name(""), &addresses, stage.now);
    assert_eq!(client.points.len(), RENDEZVOUS_POINTS_MAX);
    assert!(client.points.iter().all(|point| point.peer != own));
}

#[test]
fn a_point_that_knows_another_style_or_time_gets_it() {
    let mut stage = Stage::connected();
    let first = stage.visit();
    stage.report(vec![
        (first[0].clone(), Outcome::Broken),
        (first[1].clone(), read(b"one")),
    ]);
    assert_eq!(stage.client.points[0].style, Style::Legacy);
    assert_eq!(stage.visit(), [register("")], "at once");
    stage.report(vec![(register(""), Outcome::Refused(Refusal::Ttl))]);
    assert_eq!(stage.client.points[0].ttl, TTL_SPECIFIED);
    assert_eq!(stage.visit(), [register("")], "at once");
    stage.report(vec![(register(""), Outcome::Refused(Refusal::Record))]);
    assert_eq!(stage.visit(), [], "that was all it could try");
    stage.now += MINUTE;
    assert_eq!(stage.visit(), [register("")], "for now");

    let mut broken = Stage::connected();
    broken.visit();
    let all = [register(""), discover("", b"")];
    broken.report(all.map(|errand| (errand, Outcome::Broken)).to_vec());
    assert_eq!(
        broken.client.points[0].style,
        Style::Standard,
        "the connection is to blame"
    );
}

#[test]
fn a_point_that_refuses_its_own_cookie_is_asked_from_the_beginning_but_not_for_ever() {
    let mut stage = Stage::settled();
    let refused = |cookie| (discover("", cookie), Outcome::Refused(Refusal::Cookie));
    stage.client.discover(&name(""), stage.now);
    assert_eq!(stage.visit(), [discover("", b"one")]);
    stage.report(vec![refused(b"one")]);
    assert_eq!(stage.visit(), [discover("", b"")]);
    stage.report(vec![refused(b"")]);
    assert_eq!(stage.visit(), []);
}

#[test]
fn whoever_cannot_be_dialled_only_asks_and_moving_is_told_soon() {
    let mut stage = Stage::connected();
    let start = stage.client.due(stage.now, |_| false).pop();
    let Some(Start::Visit(visit)) = start else {
        panic!("a question is due");
    };
    assert_eq!(visit.errands, [discover("", b"")]);
    stage.report(vec![(discover("", b""), read(b"one"))]);
    assert!(stage.client.due(stage.now, |_| false).is_empty());
    assert_eq!(stage.visit(), [register("")]);
    stage.report(vec![(register(""), HOLDS)]);

    stage.client.on_moved(stage.now);
    assert_eq!(stage.visit(), []);
    stage.now += MOVE_DELAY;
    assert_eq!(stage.visit(), [register("")]);
}
