//! The ping: when it goes out, what keeps a connection, and how many of them a peer bears.

use super::tests::{ALICE, BOB, at, closed, config, drain, greeted, id, sent};
use super::*;

/// Lets time pass; asked about connection 1, the network says that it was silent for so long.
fn silence(manager: &mut Manager, millis: u64, idle: Duration) -> Vec<Output> {
    manager.on_deadline(at(millis));
    let mut outputs = drain(manager);
    let connection = ConnectionId(1);
    if outputs
        .iter()
        .any(|output| matches!(output, Output::Probe { .. }))
    {
        manager.handle(at(millis), Input::Activity { connection, idle });
        outputs.extend(drain(manager));
    }
    outputs
}

#[test]
fn a_ping_goes_out_only_after_a_minute_of_silence() {
    for (millis, pings) in [(59_900, 0), (60_000, 1), (60_100, 1)] {
        let (mut alice, _) = greeted(config(ALICE));
        let idle = Duration::from_millis(millis);
        assert_eq!(
            sent(&silence(&mut alice, millis, idle)).len(),
            pings,
            "at {millis} ms"
        );
    }
    let (mut alice, _) = greeted(config(ALICE));
    let outputs = silence(&mut alice, 60_000, Duration::from_secs(1));
    assert!(
        sent(&outputs).is_empty(),
        "activity of any stream suppresses the ping"
    );
    alice.on_deadline(at(118_999));
    assert!(drain(&mut alice).is_empty());
    alice.on_deadline(at(119_000));
    assert!(matches!(drain(&mut alice)[..], [Output::Probe { .. }]));
    alice.on_deadline(at(119_001));
    assert!(drain(&mut alice).is_empty(), "the network is asked once");
    let connection = ConnectionId(1);
    let unasked = Input::Activity {
        connection: ConnectionId(9),
        idle: Duration::MAX,
    };
    alice.handle(at(119_001), unasked);
    alice.handle(
        at(119_002),
        Input::Activity {
            connection,
            idle: Duration::MAX,
        },
    );
    assert_eq!(sent(&drain(&mut alice)).len(), 1);
    alice.handle(
        at(119_003),
        Input::Activity {
            connection,
            idle: Duration::MAX,
        },
    );
    assert!(drain(&mut alice).is_empty(), "one ping at a time");
}

#[test]
fn only_the_right_nonce_keeps_a_silent_connection() {
    let (mut alice, _) = greeted(config(ALICE));
    for millis in [60_000, 70_000, 80_000] {
        let outputs = silence(&mut alice, millis, Duration::from_millis(millis));
        assert_eq!(sent(&outputs).len(), 1);
        let Control::PingRequest { nonce } = *sent(&outputs)[0] else {
            panic!()
        };
        let message = Control::PingResponse { nonce: nonce ^ 1 };
        alice.handle(
            at(millis + 1),
            Input::Control {
                connection: ConnectionId(1),
                message,
            },
        );
    }
    alice.on_deadline(at(90_000));
    assert_eq!(closed(&drain(&mut alice)), Some(Some(DisconnectReason::Timeout)));

    let (mut alice, _) = greeted(config(ALICE));
    let outputs = silence(&mut alice, 60_000, Duration::from_secs(60));
    let Control::PingRequest { nonce } = *sent(&outputs)[0] else {
        panic!()
    };
    let message = Control::PingResponse { nonce };
    alice.handle(
        at(60_040),
        Input::Control {
            connection: ConnectionId(1),
            message,
        },
    );
    assert_eq!(
        alice.views().next().unwrap().round_trip,
        Some(Duration::from_millis(40))
    );
    let outputs = silence(&mut alice, 120_040, Duration::from_secs(1));
    assert_eq!(closed(&outputs), None);
}

#[test]
fn pings_are_answered_with_their_nonce() {
    let (mut alice, _) = greeted(config(ALICE));
    let message = Control::PingRequest { nonce: 77 };
    alice.handle(
        at(1),
        Input::Control {
            connection: ConnectionId(1),
            message,
        },
    );
    assert_eq!(sent(&drain(&mut alice)), [&Control::PingResponse { nonce: 77 }]);
}

#[test]
fn answers_that_nobody_waits_for_cost_nothing_and_come_to_an_end() {
    let (mut manager, _) = greeted(config(ALICE));
    let connection = ConnectionId(1);
    // As fast as is borne, for an hour.
    for half_second in 1..=7_200 {
        let message = Control::PingResponse { nonce: 7 };
        manager.handle(at(half_second * 500), Input::Control { connection, message });
        assert!(manager.timers.len() <= 1);
    }
    assert!(manager.is_up(&id(BOB)));

    for _ in 0..20 {
        let message = Control::PingResponse { nonce: 7 };
        manager.handle(at(3_600_000), Input::Control { connection, message });
    }
    assert!(!manager.is_up(&id(BOB)), "a flood goes on for ever");
    manager.handle(at(3_600_000), Input::Disconnected { connection });
    assert!(manager.timers.is_empty());
}

#[test]
fn whoever_asks_as_often_as_the_settings_allow_is_borne() {
    let (mut manager, _) = greeted(config(ALICE));
    let connection = ConnectionId(1);
    for second in 1..3_600 {
        let message = Control::PingRequest { nonce: second };
        manager.handle(at(second * 1_000), Input::Control { connection, message });
        assert!(manager.is_up(&id(BOB)), "after {second} s");
    }
}
