//! Sync streams: a node asks with a locator, the other answers with a plan, batch by batch.

use std::time::Duration;

use bytes::Bytes;
use rustle_chain::sync::{Plan, Step, locator};
use rustle_chain::{Block, SyncOutcome};
use rustle_engine::Input;
use rustle_types::{ChainId, PeerId};
use rustle_wire::{SyncRefusal, SyncReply, SyncRequest};

use super::{Event, Index, World};

/// Blocks in one frame: few, so that short chains take several.
const BATCH_BLOCKS_MAX: usize = 16;
/// Bytes in one frame.
const BATCH_BYTES_MAX: usize = 64 * 1024;
/// After so long without a frame a stream is given up.
const FRAME_TIMEOUT: Duration = Duration::from_secs(30);

/// A sync stream.
pub(crate) struct Pull {
    chain: ChainId,
    asker: (Index, u64),
    server: (Index, u64),
    plan: Option<Plan>,
    /// Whether the asker has not taken the last blocks yet.
    is_untaken: bool,
}

/// What happens to a stream next.
pub(crate) enum Stage {
    Asked(Bytes),
    Working,
    Answered(Bytes),
    Broken,
}

// === impl World ===

impl World {
    pub(super) fn start_pull(&mut self, node: Index, chain: ChainId, peer: PeerId) {
        let server = self
            .nodes
            .iter()
            .position(|other| other.peer == peer)
            .expect("a node of this world");
        // Streams of an earlier life end by themselves.
        let life = self.nodes[node].life;
        self.pulls
            .retain(|_, pull| pull.asker.0 != node || pull.asker.1 == life);
        let is_double = |pull: &Pull| pull.asker.0 == node && pull.server.0 == server && pull.chain == chain;
        assert!(
            !self.pulls.values().any(is_double),
            "one pull at a time from one peer"
        );
        let have = locator(&*self.nodes[node].store, &chain).unwrap();
        let (asker, server) = ((node, life), (server, self.nodes[server].life));
        let id = self.number();
        self.pulls_started += 1;
        self.pulls.insert(
            id,
            Pull {
                chain,
                asker,
                server,
                plan: None,
                is_untaken: false,
            },
        );
        self.over_the_wire(id, Stage::Asked(SyncRequest { chain, have }.encode()));
    }

    pub(super) fn continue_pull(&mut self, node: Index, chain: ChainId, peer: PeerId) {
        let mut found = None;
        for (id, pull) in &mut self.pulls {
            let is_this =
                pull.asker.0 == node && pull.chain == chain && self.nodes[pull.server.0].peer == peer;
            if is_this && std::mem::take(&mut pull.is_untaken) {
                found = Some(*id);
            }
        }
        if let Some(id) = found {
            self.over_the_wire(id, Stage::Working);
        }
    }

    fn over_the_wire(&mut self, id: u64, stage: Stage) {
        let latency = self.weather.latency;
        self.later(latency, Event::Pull(id, stage));
    }

    pub(super) fn on_pull(&mut self, id: u64, stage: Stage) {
        let Some(pull) = self.pulls.get(&id) else {
            return;
        };
        let (asker, server) = (pull.asker, pull.server);
        if self.nodes[asker.0].life != asker.1 {
            self.pulls.remove(&id);
            return;
        }
        let lives = self.nodes[server.0].life == server.1;
        if lives && !self.is_silent(asker.0, server.0) {
            self.moved(asker.0, server.0);
            self.moved(server.0, asker.0);
        }
        match stage {
            Stage::Broken => self.end_pull(id, SyncOutcome::Failed),
            _ if self.is_silent(asker.0, server.0) => {
                self.later(FRAME_TIMEOUT, Event::Pull(id, Stage::Broken))
            }
            _ if !lives || !self.is_served(asker.0, server.0) => self.end_pull(id, SyncOutcome::Failed),
            Stage::Asked(request) => self.on_asked(id, server.0, request),
            Stage::Working => self.on_working(id, server.0),
            Stage::Answered(reply) => self.on_answered(id, asker.0, server.0, reply),
        }
    }

    fn on_asked(&mut self, id: u64, server: Index, request: Bytes) {
        let store = &*self.nodes[server].store;
        let SyncRequest { chain, have } = SyncRequest::decode(request).unwrap();
        if rustle_chain::reader::record(store, &chain).unwrap().is_none() {
            let refused = SyncReply::Refused(SyncRefusal::UnknownChain).encode();
            return self.over_the_wire(id, Stage::Answered(refused));
        }
        let plan = Plan::new(store, chain, &have).unwrap();
        if let Some(pull) = self.pulls.get_mut(&id) {
            pull.plan = Some(plan);
            self.on_working(id, server);
        }
    }

    fn on_working(&mut self, id: u64, server: Index) {
        let Some(plan) = self.pulls.get_mut(&id).and_then(|pull| pull.plan.as_mut()) else {
            return;
        };
        let store = &*self.nodes[server].store;
        let reply = loop {
            match plan.step(store, BATCH_BLOCKS_MAX, BATCH_BYTES_MAX).unwrap() {
                Step::Searching => {}
                Step::Batch(blocks) => break SyncReply::Batch(blocks),
                Step::Done { blocks } => break SyncReply::End { blocks },
            }
        };
        self.over_the_wire(id, Stage::Answered(reply.encode()));
    }

    fn on_answered(&mut self, id: u64, asker: Index, server: Index, reply: Bytes) {
        match SyncReply::decode(reply).unwrap() {
            SyncReply::Batch(blocks) => {
                let Some(pull) = self.pulls.get_mut(&id) else {
                    return;
                };
                pull.is_untaken = true;
                let (chain, from) = (pull.chain, self.nodes[server].peer);
                let blocks = Block::decode_many(blocks).unwrap();
                self.feed(asker, Input::Synced { chain, from, blocks });
            }
            SyncReply::End { .. } => self.end_pull(id, SyncOutcome::Complete),
            SyncReply::Refused(_) => self.end_pull(id, SyncOutcome::Refused),
        }
    }

    fn end_pull(&mut self, id: u64, outcome: SyncOutcome) {
        if let Some(Pull {
            chain, asker, server, ..
        }) = self.pulls.remove(&id)
        {
            let peer = self.nodes[server.0].peer;
            self.feed(asker.0, Input::SyncEnded { chain, peer, outcome });
        }
    }
}
