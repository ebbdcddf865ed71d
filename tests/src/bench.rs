//! What do things cost on this machine, and what would they cost at best?
//!
//! Each figure stands beside a limit that was measured in the same run: the hash, the signature check, or the disk's
//! sync. A figure without its limit says more about the machine than about the program.

mod append;
mod content;
mod exchange;
mod idle;
mod import;
mod join;
mod kubo;
mod latency;
mod limits;
mod manager;
mod report;
mod siege;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

use crate::Setup;

pub use self::limits::Limits;
pub use self::report::{Figure, Report, Unit};

/// How much is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Data directories are made below it, so that its file system is the one that is measured.
    pub folder: PathBuf,
    /// Bytes of the file that is added and fetched.
    pub file_bytes: usize,
    /// Bytes of the file that is imported by the command line.
    pub import_bytes: usize,
    /// Appends of a single writer.
    pub appends_alone: usize,
    /// Appends of all concurrent writers together.
    pub appends_together: usize,
    /// Blocks of the chain that is joined.
    pub chain_blocks: usize,
    /// Blocks whose way from append to delivery is timed.
    pub live_blocks: usize,
    /// Connections that stand idle on one node.
    pub idle_connections: usize,
    /// Peers that stall, and come again and again.
    pub stalling_peers: usize,
    /// Events of the peer manager.
    pub manager_events: usize,
}

/// Longest time that any part may take.
const PART_DEADLINE: Duration = Duration::from_secs(120);
/// The limit of what a machine could always do worse or better: the figure that the project holds itself to.
const PROMISED: &str = "what was promised";

// === impl Plan ===

impl Plan {
    /// The figures that are published.
    pub fn full(folder: PathBuf) -> Self {
        Self {
            folder,
            file_bytes: 256 << 20,
            import_bytes: 1 << 30,
            appends_alone: 1_000,
            appends_together: 10_000,
            chain_blocks: 10_000,
            live_blocks: 500,
            idle_connections: 10_000,
            stalling_peers: 2_000,
            manager_events: 1_000_000,
        }
    }

    /// A look in less than a minute.
    pub fn quick(folder: PathBuf) -> Self {
        Self {
            folder,
            file_bytes: 32 << 20,
            import_bytes: 128 << 20,
            appends_alone: 200,
            appends_together: 2_000,
            chain_blocks: 1_000,
            live_blocks: 100,
            idle_connections: 1_000,
            stalling_peers: 500,
            manager_events: 200_000,
        }
    }
}

/// One thing that is measured; the order is one in which no part disturbs the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Import of a large file by the command line.
    Import,
    /// Add and fetch of a file.
    Content,
    /// The same with Kubo.
    Kubo,
    /// Fetches over QUIC and from limited providers.
    Exchange,
    /// Durable appends.
    Append,
    /// Join of a long chain.
    Join,
    /// From an append to its delivery.
    Latency,
    /// Connections on which nothing is said.
    Idle,
    /// Peers that stall.
    Siege,
    /// Events of the peer manager.
    Manager,
}

// === impl Part ===

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Import => "import of a large file",
            Self::Content => "add and fetch of a file",
            Self::Kubo => "the same with Kubo",
            Self::Exchange => "fetches over QUIC and from limited providers",
            Self::Append => "durable appends",
            Self::Join => "join of a long chain",
            Self::Latency => "live latency",
            Self::Idle => "idle connections",
            Self::Siege => "stalling peers",
            Self::Manager => "the peer manager",
        }
    }

    async fn measure(self, plan: &Plan, report: &mut Report) -> Result<()> {
        match self {
            Self::Import => import::measure(plan, report).await,
            Self::Content => content::measure(plan, report).await,
            Self::Kubo => kubo::measure(plan, report).await,
            Self::Exchange => exchange::measure(plan, report).await,
            Self::Append => append::measure(plan, report).await,
            Self::Join => join::measure(plan, report).await,
            Self::Latency => latency::measure(plan, report).await,
            Self::Idle => idle::measure(plan, report).await,
            Self::Siege => siege::measure(plan, report).await,
            Self::Manager => manager::measure(plan, report).await,
        }
    }
}

/// Measures these parts, all where none is named; tells each as it begins.
pub async fn run(plan: &Plan, parts: &[Part], mut tell: impl FnMut(&str)) -> Result<Report> {
    tell("limits of this machine");
    let limits = limits::measure(&plan.folder).await?;
    let mut report = Report::new(limits);
    for part in Part::value_variants() {
        if parts.is_empty() || parts.contains(part) {
            tell(part.name());
            part.measure(plan, &mut report).await?;
        }
    }
    Ok(report)
}

fn setup() -> Setup {
    Setup::default().network("bench")
}

/// The duration below which `share` of the sorted durations lie.
fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let index = (sorted.len() as f64 * share).ceil() as usize;
    sorted
        .get(index.saturating_sub(1))
        .copied()
        .unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_measured_value() {
        let sorted: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();

        assert_eq!(quantile(&sorted, 0.5), Duration::from_millis(50));
        assert_eq!(quantile(&sorted, 0.99), Duration::from_millis(99));
        assert_eq!(quantile(&sorted[..1], 0.99), Duration::from_millis(1));
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
    }
}
