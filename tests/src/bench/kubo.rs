//! How do a node and a real Kubo compare, each with each other?
//!
//! The best of some runs counts, each with fresh nodes over TCP on loopback, data directories on the disk that is measured,
//! and the file written to disk by whoever fetches. Each figure of a pair with a Rustle node in it has that of two Kubo nodes
//! as its limit.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use futures::StreamExt as _;
use rustle_admin::client::chunks;
use rustle_admin::views::{CatQuery, Profile};
use rustle_types::Multiaddr;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use super::content::pieces;
use super::{PART_DEADLINE, Plan, Report, Unit, setup};
use crate::Daemon;
use crate::kubo::{self, Kubo};

/// Runs of which the best counts.
const RUNS: usize = 3;

/// What one run of a pair has shown.
struct Run {
    add: Duration,
    fetch: Duration,
    /// Most memory of the adding and of the fetching node, in bytes.
    memory: [u64; 2],
}

/// One of the two programs.
#[derive(Clone, Copy)]
enum Program {
    Kubo,
    Rustle,
}

/// A running node of either.
enum Node {
    Kubo(Box<Kubo>),
    Rustle(Box<Daemon>),
}

pub(super) async fn measure(plan: &Plan, report: &mut Report) -> Result<()> {
    if kubo::python().is_none() {
        eprintln!(
            "bench: Kubo is not installed, and not compared with; `cargo xtask interop kubo` fetches it"
        );
        return Ok(());
    }
    let file = plan.folder.join("kubo-file");
    let mut bytes = tokio::fs::File::create(&file).await?;
    for piece in pieces(plan.file_bytes) {
        bytes.write_all(&piece).await?;
    }
    bytes.flush().await?;
    let mut peer: Option<Run> = None;
    for (from, to) in [
        (Program::Kubo, Program::Kubo),
        (Program::Kubo, Program::Rustle),
        (Program::Rustle, Program::Kubo),
        (Program::Rustle, Program::Rustle),
    ] {
        let mut best = pair(plan, &file, from, to).await?;
        for _ in 1..RUNS {
            best = best.better(&pair(plan, &file, from, to).await?);
        }
        show(plan, report, (from, to), &best, peer.as_ref());
        peer.get_or_insert(best);
    }
    Ok(())
}

fn show(plan: &Plan, report: &mut Report, (from, to): (Program, Program), run: &Run, peer: Option<&Run>) {
    let (megabytes, mebibytes) = (plan.file_bytes as f64 / 1e6, plan.file_bytes >> 20);
    let speed = |time: Duration| megabytes / time.as_secs_f64();
    let (add_id, fetch_id, memory_id) = match (from, to) {
        (Program::Kubo, Program::Kubo) => (Some("kubo_add"), "kubo_from_kubo", "kubo_from_kubo_memory"),
        (Program::Kubo, Program::Rustle) => (None, "rustle_from_kubo", "rustle_from_kubo_memory"),
        (Program::Rustle, Program::Kubo) => {
            (Some("rustle_add"), "kubo_from_rustle", "kubo_from_rustle_memory")
        }
        (Program::Rustle, Program::Rustle) => (None, "rustle_from_rustle", "rustle_from_rustle_memory"),
    };
    let (from, to) = (from.name(), to.name());
    if let Some(id) = add_id {
        let name = format!("{from} adds {mebibytes} MiB");
        report.add(id, name, speed(run.add), Unit::MegabytesPerSecond);
        if let Some(peer) = peer {
            report.limit(speed(peer.add), "Kubo");
        }
    }
    let name = format!("{to} fetches them from {from}");
    report.add(fetch_id, name, speed(run.fetch), Unit::MegabytesPerSecond);
    if let Some(peer) = peer {
        report.limit(speed(peer.fetch), "Kubo from Kubo");
    }
    let name = format!("most memory of {to} meanwhile");
    report.add(memory_id, name, run.memory[1] as f64 / 1e6, Unit::Megabytes);
}

async fn pair(plan: &Plan, file: &Path, from: Program, to: Program) -> Result<Run> {
    let folder = tempfile::tempdir_in(&plan.folder)?;
    let mut source = Node::start(from, folder.path(), "A").await?;
    let mut target = Node::start(to, folder.path(), "B").await?;
    let began = Instant::now();
    let cid = source.add(file).await?;
    let add = began.elapsed();
    target.connect(&source.address()).await?;
    let output = folder.path().join("output");
    let began = Instant::now();
    target.get(&cid, &output).await?;
    let fetch = began.elapsed();
    let length = std::fs::metadata(&output)?.len();
    ensure!(
        length == plan.file_bytes as u64,
        "{} fetched {length} bytes",
        to.name()
    );
    Ok(Run {
        add,
        fetch,
        memory: [source.peak_memory().await?, target.peak_memory().await?],
    })
}

// === impl Run ===

impl Run {
    fn better(&self, other: &Self) -> Self {
        let memory = |index: usize| self.memory[index].max(other.memory[index]);
        Self {
            add: self.add.min(other.add),
            fetch: self.fetch.min(other.fetch),
            memory: [memory(0), memory(1)],
        }
    }
}

// === impl Program ===

impl Program {
    const fn name(self) -> &'static str {
        match self {
            Self::Kubo => "Kubo",
            Self::Rustle => "Rustle",
        }
    }
}

// === impl Node ===

impl Node {
    async fn start(program: Program, folder: &Path, name: &str) -> Result<Self> {
        Ok(match program {
            Program::Kubo => Self::Kubo(Box::new(Kubo::start_below(folder, &[]).await?)),
            Program::Rustle => Self::Rustle(Box::new(Daemon::start_below(folder, name, setup()).await?)),
        })
    }

    fn address(&self) -> Multiaddr {
        match self {
            Self::Kubo(kubo) => kubo.tcp(),
            Self::Rustle(node) => node.address().clone(),
        }
    }

    async fn add(&mut self, file: &Path) -> Result<String> {
        match self {
            Self::Kubo(kubo) => kubo.add(file).await,
            Self::Rustle(node) => {
                let bytes = chunks(tokio::fs::File::open(file).await?);
                Ok(node
                    .client()
                    .await?
                    .add(Profile::V0, bytes)
                    .await?
                    .cid
                    .to_string())
            }
        }
    }

    async fn connect(&mut self, address: &Multiaddr) -> Result<()> {
        match self {
            Self::Kubo(kubo) => kubo.connect(address).await,
            Self::Rustle(node) => {
                node.client().await?.connect_peer(address, None).await?;
                Ok(())
            }
        }
    }

    async fn get(&mut self, cid: &str, output: &PathBuf) -> Result<()> {
        match self {
            Self::Kubo(kubo) => {
                let fields = json!({ "cid": cid, "path": output });
                kubo.begin("get", fields).await?.answer(PART_DEADLINE).await?;
            }
            Self::Rustle(node) => {
                let query = CatQuery {
                    cid: cid.parse()?,
                    offset: 0,
                    length: None,
                    timeout: PART_DEADLINE,
                };
                let mut file = tokio::fs::File::create(output).await?;
                let mut pieces = node.client().await?.cat(query).await?;
                while let Some(piece) = pieces.next().await {
                    file.write_all(&piece?).await?;
                }
                file.flush().await?;
            }
        }
        Ok(())
    }

    async fn peak_memory(&mut self) -> Result<u64> {
        match self {
            Self::Kubo(kubo) => kubo.peak_memory().await,
            Self::Rustle(node) => node.memory("VmHWM"),
        }
    }
}
