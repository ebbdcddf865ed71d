//! Whom do we know, dial, greet, ping and drop?
//!
//! [`Manager`] is a machine: connections and frames come in as facts, dials, frames and closings go out as decisions.
//! It reads no clock and opens no socket, so hours of peer life run in a test within milliseconds.
//!
//! ```
//! use rustle_peers::{Config, Input, Manager, Output};
//! use rustle_types::{ConnectionId, Direction, Machine, Now, PeerId};
//! use rustle_wire::{Control, Versions};
//!
//! let remote: PeerId = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp".parse().unwrap();
//! let mut manager = Manager::new(Config::new("12D3KooWHHzSeKaY8xuZVzkLbKFfvNgPPeKhFBGrMbNzbm5akpqu".parse().unwrap()), 7);
//! let connection = ConnectionId(1);
//! let address = "/ip4/127.0.0.1/tcp/4001".parse().unwrap();
//! manager.handle(Now::default(), Input::Connected { connection, peer: remote, direction: Direction::Outbound, address, request: None, age: Default::default() });
//! manager.handle(Now::default(), Input::ControlOpened { connection });
//!
//! // The dialer speaks first.
//! let said = std::iter::from_fn(|| manager.poll_output()).find_map(|output| match output {
//!     Output::Send { message: Control::Hello(hello), .. } => Some(hello),
//!     _ => None,
//! });
//! assert_eq!(said.map(|hello| hello.versions), Some(Versions::ours()));
//! ```

pub mod book;
mod config;
mod connection;
mod counters;
pub mod directory;
mod event;
mod eviction;
mod exchange;
mod gate;
mod links;
mod manager;
mod rules;
mod score;
mod view;

pub use book::Book;
pub use config::{Config, Foreign, Targets};
pub use connection::FOREIGN_SILENCE_MAX;
pub use counters::{Counters, ROUND_TRIP_BOUNDS_MS, RoundTrips, Tally};
pub use event::{ConnectError, DialFailure, Input, Output, Use};
pub use gate::{Gate, GateCounts, GateLimits, Refusal};
pub use links::Counts;
pub use manager::{CONNECTS_MAX, GREETING_INBOUND_MAX, Manager};
pub use rules::{
    Banned, Origin, Prefix, REASON_BYTES_MAX, RULES_MAX, Reason, Rule, RuleKind, RuleRecordError, Rules,
    RulesError, Target, TargetError,
};
pub use score::{
    BAN_SCORE, DISCONNECT_SCORE, Fault, SCORES_MAX, SUBSYSTEM_SCORE_MIN, ScoreView, Scores, Subsystem,
    Verdict,
};
pub use view::{Class, ConnectionInfo, FaultView, Kind, PeerInfo, PeerView, Totals, Why};
