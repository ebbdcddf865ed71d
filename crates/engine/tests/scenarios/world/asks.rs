//! What a test wants of a node, as the administration door and the join stream bring it.

use std::time::Duration;

use rustle_chain::{Body, Invitation, InvitationError};
use rustle_engine::{Ask, AskError, Input, Reply};
use rustle_types::{ChainId, Multiaddr, PeerId};
use rustle_wire::{JoinAccepted, JoinRefusal, JoinReply, JoinRequest, Member};

use super::{Index, World};

/// The longest that an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Why a node did not get in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum JoinFailure {
    Invitation(InvitationError),
    Unreachable(AskError),
    /// The member does not answer streams.
    Unserved,
    Refused(JoinRefusal),
    Adopt(AskError),
}

// === impl World ===

impl World {
    /// Asks, and does not wait.
    pub(crate) fn ask(&mut self, node: Index, ask: Ask) -> u64 {
        let request = self.number();
        self.feed(node, Input::Request { request, ask });
        request
    }

    /// The answer, where it has come.
    pub(crate) fn take_reply(&mut self, node: Index, request: u64) -> Option<Result<Reply, AskError>> {
        self.nodes[node].replies.remove(&request)
    }

    /// Asks and waits.
    pub(crate) fn answer(&mut self, node: Index, ask: Ask) -> Result<Reply, AskError> {
        let request = self.ask(node, ask);
        assert!(
            self.run_until(ANSWER_WITHIN, |world| world.nodes[node]
                .replies
                .contains_key(&request)),
            "node {node} does not answer"
        );
        self.take_reply(node, request).expect("the answer has come")
    }

    pub(crate) fn create(&mut self, node: Index, name: &str) -> ChainId {
        match self.answer(
            node,
            Ask::CreateChain {
                name: name.to_owned(),
            },
        ) {
            Ok(Reply::Chain(chain)) => chain,
            other => panic!("{other:?}"),
        }
    }

    /// Appends, and does not wait.
    pub(crate) fn append(&mut self, node: Index, chain: ChainId, text: String) -> u64 {
        self.ask(
            node,
            Ask::Append {
                chain,
                topics: Vec::new(),
                body: Body::Inline(text.into()),
            },
        )
    }

    pub(crate) fn connect(&mut self, node: Index, other: Index) -> Result<PeerId, AskError> {
        let address = self.nodes[other].address.clone();
        self.connect_to(node, address)
    }

    fn connect_to(&mut self, node: Index, address: Multiaddr) -> Result<PeerId, AskError> {
        match self.answer(node, Ask::Connect(address))? {
            Reply::Connected(peer) => Ok(peer),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn invite(
        &mut self,
        node: Index,
        chain: ChainId,
        expires_in: Option<Duration>,
        uses: Option<u32>,
    ) -> String {
        match self.answer(
            node,
            Ask::Invite {
                chain,
                expires_in,
                uses,
            },
        ) {
            Ok(Reply::Invitation(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    /// Sends a join request over the connection that stands, and does not wait.
    pub(crate) fn knock(&mut self, joiner: Index, member: Index, invitation: &Invitation) -> u64 {
        let (from, to) = (self.nodes[joiner].peer, self.nodes[member].peer);
        self.knock_with(joiner, member, &invitation.to_request(from, to))
    }

    /// The same with a request that may be anything.
    pub(crate) fn knock_with(&mut self, joiner: Index, member: Index, request: &JoinRequest) -> u64 {
        assert!(
            self.is_served(joiner, member),
            "no stream from {joiner} to {member}"
        );
        let join = JoinRequest::decode(request.encode()).unwrap();
        let (request, from) = (self.number(), self.nodes[joiner].peer);
        self.feed(member, Input::Join { request, from, join });
        request
    }

    pub(crate) fn knock_reply(&mut self, member: Index, request: u64) -> JoinReply {
        assert!(
            self.run_until(ANSWER_WITHIN, |world| world.nodes[member]
                .join_replies
                .contains_key(&request)),
            "member {member} does not answer"
        );
        let reply = self.nodes[member]
            .join_replies
            .remove(&request)
            .expect("the answer has come");
        JoinReply::decode(reply.encode()).unwrap()
    }

    /// Does all that a node does with an invitation: asks its members in turn, and adopts the chain.
    pub(crate) fn join(&mut self, joiner: Index, text: &str) -> Result<ChainId, JoinFailure> {
        let invitation: Invitation = text.parse().map_err(JoinFailure::Invitation)?;
        let mut last = None;
        for member in invitation.members() {
            match self.ask_member(joiner, &invitation, member) {
                Ok(accepted) => return self.adopt(joiner, &invitation, member, accepted),
                Err(failure) => last = Some(failure),
            }
        }
        Err(last.expect("an invitation names a member"))
    }

    fn ask_member(
        &mut self,
        joiner: Index,
        invitation: &Invitation,
        member: &Member,
    ) -> Result<JoinAccepted, JoinFailure> {
        let whole = format!("{}/p2p/{}", member.addresses[0], member.peer);
        self.connect_to(joiner, whole.parse().unwrap())
            .map_err(JoinFailure::Unreachable)?;
        let index = self
            .nodes
            .iter()
            .position(|node| node.peer == member.peer)
            .unwrap();
        if !self.is_served(joiner, index) {
            return Err(JoinFailure::Unserved);
        }
        let request = self.knock(joiner, index, invitation);
        match self.knock_reply(index, request) {
            JoinReply::Accepted(accepted) => Ok(accepted),
            JoinReply::Refused(refusal) => Err(JoinFailure::Refused(refusal)),
        }
    }

    fn adopt(
        &mut self,
        joiner: Index,
        invitation: &Invitation,
        member: &Member,
        accepted: JoinAccepted,
    ) -> Result<ChainId, JoinFailure> {
        let mut members = vec![member.clone()];
        members.extend(
            accepted
                .members
                .into_iter()
                .filter(|other| other.peer != member.peer),
        );
        members.retain(|other| other.peer != self.nodes[joiner].peer);
        let ask = Ask::AdoptChain {
            chain: invitation.chain(),
            genesis: accepted.genesis,
            members,
        };
        match self.answer(joiner, ask).map_err(JoinFailure::Adopt)? {
            Reply::Chain(chain) => Ok(chain),
            other => panic!("{other:?}"),
        }
    }

    /// A world of nodes that all have a chain, which the first one has founded.
    pub(crate) fn with_members(seed: u64, count: usize) -> (Self, ChainId) {
        let mut world = Self::with_nodes(seed, count);
        let chain = world.create(0, "notes");
        let text = world.invite(0, chain, None, None);
        for joiner in 1..count {
            assert_eq!(world.join(joiner, &text), Ok(chain));
        }
        world.run(Duration::from_secs(1));
        (world, chain)
    }

    // --- what holds in the end

    /// Runs until all `nodes` have the same blocks; whether they came to.
    pub(crate) fn converge(&mut self, nodes: &[Index], chain: ChainId, limit: Duration) -> bool {
        self.run_until(limit, |world| world.agree(nodes, chain))
    }

    pub(crate) fn agree(&self, nodes: &[Index], chain: ChainId) -> bool {
        let counts = nodes.iter().map(|node| self.nodes[*node].blocks(&chain));
        let is_settled = counts.collect::<std::collections::BTreeSet<_>>().len() <= 1;
        is_settled
            && nodes
                .windows(2)
                .all(|two| self.nodes[two[0]].digest(&chain) == self.nodes[two[1]].digest(&chain))
    }
}
