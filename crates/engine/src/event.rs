//! What the engine is told, and what it decides.

use std::time::Duration;

use bytes::Bytes;
use rustle_chain::{Block, Body, SyncOutcome};
use rustle_peers::book::{EntryView, TableKind};
use rustle_peers::{
    ConnectError, Counters, PeerInfo, PeerView, Reason, Rule, RuleKind, RulesError, Target, Totals,
};
use rustle_store::{Batch, StoreError};
use rustle_types::{BlockId, ChainId, Multiaddr, PeerId, TopicName, Verdict};
use rustle_wire::{JoinReply, JoinRequest, Member};

/// Facts.
#[derive(Debug)]
pub enum Input {
    /// Something about connections.
    Peers(rustle_peers::Input),
    /// A neighbour has subscribed to a topic.
    Subscribed {
        /// Who.
        peer: PeerId,
        /// To what.
        topic: TopicName,
    },
    /// A neighbour has unsubscribed.
    Unsubscribed {
        /// Who.
        peer: PeerId,
        /// From what.
        topic: TopicName,
    },
    /// A message came on a topic; answered with `Output::Judge`.
    Message {
        /// The number of the message.
        message: u64,
        /// The neighbour that sent it on.
        from: PeerId,
        /// The topic.
        topic: TopicName,
        /// The content.
        payload: Bytes,
    },
    /// Verified blocks came from a sync stream; answered with `Output::Continue`.
    Synced {
        /// The chain.
        chain: ChainId,
        /// The peer that sent them.
        from: PeerId,
        /// Parents before children.
        blocks: Vec<Block>,
    },
    /// A sync stream has ended.
    SyncEnded {
        /// The chain.
        chain: ChainId,
        /// The peer.
        peer: PeerId,
        /// How.
        outcome: SyncOutcome,
    },
    /// The batch of this ticket is durable.
    Committed {
        /// The ticket of `Output::Commit`.
        ticket: u64,
    },
    /// The batch of this ticket could not be written.
    CommitFailed {
        /// The ticket of `Output::Commit`.
        ticket: u64,
        /// What the store said.
        error: StoreError,
    },
    /// A peer wants to join a chain; answered with `Output::Join`.
    Join {
        /// The number of the request.
        request: u64,
        /// The joiner, proved by the cipher of its connection.
        from: PeerId,
        /// What it sent.
        join: JoinRequest,
    },
    /// Somebody at the administration door asks; answered with `Output::Reply`.
    Request {
        /// The number of the request.
        request: u64,
        /// What is asked.
        ask: Ask,
    },
}

/// What the administration door can ask of the engine. Pure reads go to the store instead.
#[derive(Debug)]
pub enum Ask {
    /// Connect to an address.
    Connect(Multiaddr),
    /// All connections.
    Peers,
    /// Something else about peers.
    Peer(PeerAsk),
    /// Make a chain.
    CreateChain {
        /// Its name.
        name: String,
    },
    /// Begin with a chain that a member let us into.
    AdoptChain {
        /// Which chain was asked for.
        chain: ChainId,
        /// The encoded genesis block.
        genesis: Bytes,
        /// Whom to sync from; the peer that let us in first.
        members: Vec<Member>,
    },
    /// Append a block.
    Append {
        /// The chain.
        chain: ChainId,
        /// Its topics.
        topics: Vec<String>,
        /// Its body.
        body: Body,
    },
    /// Make an invitation. That of the chain's founder names also the members that are connected now, any of which lets
    /// joiners in; that of another member names this node only, because the others would refuse it.
    Invite {
        /// The chain.
        chain: ChainId,
        /// Valid for so long; `None` for ever.
        expires_in: Option<Duration>,
        /// For so many nodes; `None` for any number.
        uses: Option<u32>,
    },
}

/// What can be asked about peers; answered at once.
#[derive(Debug)]
pub enum PeerAsk {
    /// All about one peer.
    Info(PeerId),
    /// Close all connections with a peer.
    Disconnect(PeerId),
    /// Ban somebody, or welcome them always; written without a sync.
    AddRule {
        /// Which of the two.
        kind: RuleKind,
        /// Whom.
        target: Target,
        /// For so long; `None` for ever.
        duration: Option<Duration>,
        /// Why, for people.
        reason: Reason,
    },
    /// End a rule.
    RemoveRule {
        /// Of which kind.
        kind: RuleKind,
        /// Of whom.
        target: Target,
    },
    /// The rules that hold.
    Rules,
    /// Peers of the address book, by id.
    Addresses {
        /// Only those of this part of the book.
        table: Option<TableKind>,
        /// Only those behind this one.
        after: Option<PeerId>,
        /// At most so many.
        limit: usize,
    },
    /// The numbers of the peer manager.
    Numbers,
}

/// The numbers of the peer manager.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    /// What happened since the start.
    pub counters: Counters,
    /// What there is now.
    pub totals: Totals,
}

/// The answers to [`Ask`].
#[derive(Debug)]
pub enum Reply {
    /// The peer that was reached.
    Connected(PeerId),
    /// All connections.
    Peers(Vec<PeerView>),
    /// All about one peer.
    Peer(Box<PeerInfo>),
    /// It is done.
    Done,
    /// The rule that holds now.
    Rule(Rule),
    /// The rules that hold.
    Rules(Vec<Rule>),
    /// Peers of the address book.
    Addresses(Vec<EntryView>),
    /// The numbers of the peer manager.
    Numbers(Box<Numbers>),
    /// The chain is made, or adopted; durable.
    Chain(ChainId),
    /// The block is appended; durable.
    Appended {
        /// Its id.
        id: BlockId,
        /// Its height.
        height: u64,
    },
    /// The invitation as text.
    Invitation(String),
}

/// Why the engine did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The chain is not on this node.
    #[error("chain {0} is not on this node; `rustle chain list` shows those that are")]
    UnknownChain(ChainId),
    /// The chain is on this node already.
    #[error("chain {0} is on this node already")]
    KnownChain(ChainId),
    /// No further chain.
    #[error("this node has {0} chains, the most it takes")]
    TooManyChains(usize),
    /// What was asked for is malformed.
    #[error("{0}")]
    Invalid(String),
    /// Neither connected nor known, and no rule is about it.
    #[error("nothing is known of peer {0}")]
    UnknownPeer(PeerId),
    /// There is no connection with it.
    #[error("peer {0} is not connected")]
    NotConnected(PeerId),
    /// There is no such rule.
    #[error("there is no rule `{kind}` for {target}")]
    NoRule {
        /// Of which kind.
        kind: RuleKind,
        /// Of whom.
        target: Target,
    },
    /// The rule is not kept.
    #[error("{0}")]
    Rules(#[from] RulesError),
    /// No connection came about.
    #[error("{0}")]
    Connect(#[from] ConnectError),
    /// The store refused.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The node is busy.
    #[error("{0}")]
    Busy(String),
    /// The chain takes nothing more until a restart.
    #[error("{0}")]
    Stopped(String),
    /// What the store holds of a chain is damaged.
    #[error("{0}")]
    Damaged(String),
    /// This node is a light client, so that nobody could use the invitation.
    #[error(
        "a light client cannot be dialled, so nobody could join with its invitation; invite from a full node"
    )]
    Light,
    /// This node listens nowhere, so that nobody could use the invitation.
    #[error("this node has no address to put into an invitation; start it with --listen")]
    NoAddress,
}

/// Decisions.
#[derive(Debug)]
pub enum Output {
    /// Something for the network: all outputs of the peer manager but those that have a name of their own here.
    Peers(rustle_peers::Output),
    /// Hear a topic. Neighbours that subscribe to it already are told by `Input::Subscribed`, as are those that come to.
    Subscribe(TopicName),
    /// Say something on a topic.
    Publish {
        /// The topic.
        topic: TopicName,
        /// The content.
        payload: Bytes,
    },
    /// Forward a message or not.
    Judge {
        /// The number of the message.
        message: u64,
        /// What we think of it.
        verdict: Verdict,
    },
    /// Pull what a peer has of a chain; answer with `Input::Synced` and one `Input::SyncEnded`.
    Sync {
        /// The chain.
        chain: ChainId,
        /// The peer.
        peer: PeerId,
    },
    /// The blocks of the last `Input::Synced` of this chain and peer are taken: hand in the next.
    Continue {
        /// The chain.
        chain: ChainId,
        /// The peer.
        peer: PeerId,
    },
    /// Write, sync, then answer with `Input::Committed`. Batches are committed in their order.
    Commit {
        /// Its ticket.
        ticket: u64,
        /// What to write.
        batch: Batch,
    },
    /// Write when convenient; nobody waits.
    Persist(Batch),
    /// The durable delivery sequence of a chain has grown.
    Delivered {
        /// The chain.
        chain: ChainId,
        /// The first number that is not used yet.
        next_sequence: u64,
    },
    /// The answer to `Input::Request`.
    Reply {
        /// The number of the request.
        request: u64,
        /// The answer.
        reply: Result<Reply, AskError>,
    },
    /// The answer to `Input::Join`.
    Join {
        /// The number of the request.
        request: u64,
        /// What to send.
        reply: JoinReply,
    },
    /// A peer has completed its handshake.
    PeerUp(PeerId),
    /// A peer's last handshaken connection is gone.
    PeerDown(PeerId),
    /// A peer that does not speak our protocol is connected.
    PeerForeign(PeerId),
    /// The store failed under a chain; for the log.
    StoreFailed {
        /// The chain.
        chain: ChainId,
        /// How.
        error: String,
    },
    /// A peer sent something wrong about a chain; for the log.
    Fault {
        /// The peer.
        peer: PeerId,
        /// What it did.
        fault: String,
    },
    /// A fault was weighed; for the log.
    Judged {
        /// The peer.
        peer: PeerId,
        /// What kind of fault.
        fault: rustle_peers::Fault,
        /// What follows.
        verdict: rustle_peers::Verdict,
    },
    /// Records of bans and permissions that cannot be read, and do not hold any more; for the log.
    RulesDamaged {
        /// How many.
        count: usize,
    },
}
