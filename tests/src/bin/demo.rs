//! Three nodes share a file and a chain, one of them crashes, and nothing is lost.
//!
//! Exit code 0 when every step came out as it should, 1 on any mismatch, with one line on standard error that says which.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use comfy_table::{CellAlignment, Table, presets};
use rustle_admin::views::ChainRef;
use rustle_tests::demo::{self, CrashPlan};
use rustle_tests::{Cluster, Kept, programs};
use tokio::time::Instant;

/// Blocks that each node appends in step 3.
const BLOCKS_EACH: usize = 100;
/// Around the crash of step 4.
const CRASH: CrashPlan = CrashPlan {
    acknowledged: 20,
    meanwhile: 20,
};

/// Shows three nodes that share a file and a chain.
#[derive(Debug, Parser)]
struct Arguments {
    /// The file to share [default: the workspace's Cargo.lock]
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Leave the nodes running, and print how to talk to them
    #[arg(long)]
    keep: bool,
}

/// What was done so far.
#[derive(Debug, Default)]
struct Report {
    rows: Vec<(String, Duration, String)>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tokio::select! {
        result = run(&arguments) => match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let line = format!("{error:#}").replace('\n', " ");
                eprintln!("demo: {line}");
                ExitCode::FAILURE
            }
        },
        // The nodes are killed as they are dropped.
        _ = tokio::signal::ctrl_c() => ExitCode::FAILURE,
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    let file = match &arguments.file {
        Some(path) => path.clone(),
        None => programs::workspace().join("Cargo.lock"),
    };
    std::fs::File::open(&file).with_context(|| format!("cannot read {}", file.display()))?;

    let mut report = Report::default();
    let began = Instant::now();
    let mut cluster = report
        .step("0  three nodes start and connect", async {
            let cluster = Cluster::start(demo::NAMES, &demo::setup()).await?;
            cluster.connect_to_first().await?;
            let peers: Vec<String> = cluster
                .nodes()
                .iter()
                .map(|node| tail(&node.peer().to_string()))
                .collect();
            anyhow::Ok((cluster, peers.join(", ")))
        })
        .await?;
    let result = steps(&mut report, &mut cluster, &file).await;
    println!("{}", report.table(began.elapsed()));
    match result {
        Ok(chain) if arguments.keep => keep(cluster, &chain),
        Ok(_) => Ok(()),
        Err(error) => {
            let logs: Vec<String> = (0..cluster.nodes().len())
                .map(|index| cluster.node_mut(index).keep_folder().display().to_string())
                .collect();
            Err(anyhow::anyhow!("{error:#} (logs: {})", logs.join(", ")))
        }
    }
}

async fn steps(report: &mut Report, cluster: &mut Cluster, file: &std::path::Path) -> Result<ChainRef> {
    report
        .step("1  a file of A is read on C", async {
            Ok(((), demo::share_file(cluster, file).await?))
        })
        .await?;
    let chain = report
        .step(
            "2  A makes a chain, B and C join",
            demo::create_and_join(cluster, "demo"),
        )
        .await?;
    report
        .step("3  all append at the same time", async {
            Ok(((), demo::append_together(cluster, &chain, BLOCKS_EACH).await?))
        })
        .await?;
    report
        .step("4  B is killed and comes back", async {
            Ok(((), demo::crash(cluster, &chain, CRASH).await?))
        })
        .await?;
    Ok(chain)
}

/// Leaves the nodes running and says how to talk to them.
fn keep(cluster: Cluster, chain: &ChainRef) -> Result<()> {
    let rustle = programs::rustle()?;
    println!("\nThe nodes go on running:");
    for node in cluster.into_nodes() {
        let Kept {
            name,
            pid,
            data_dir,
            log,
        } = node.keep()?;
        let data_dir = data_dir.display();
        println!("\n{name}   log   {}", log.display());
        println!(
            "    talk  {} --data-dir {data_dir} chain log {chain}",
            rustle.display()
        );
        println!("    stop  kill {pid}");
    }
    Ok(())
}

// === impl Report ===

impl Report {
    /// Runs a step and notes its time and facts.
    async fn step<T>(&mut self, name: &str, step: impl Future<Output = Result<(T, String)>>) -> Result<T> {
        let began = Instant::now();
        let result = step.await;
        let took = began.elapsed();
        match result {
            Ok((value, facts)) => {
                self.rows.push((name.to_owned(), took, facts));
                Ok(value)
            }
            Err(error) => {
                self.rows.push((name.to_owned(), took, "FAILED".to_owned()));
                Err(error.context(format!("step {name}")))
            }
        }
    }

    /// The table of all steps so far.
    fn table(&self, total: Duration) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["step", "seconds", "what came out"]);
        for (name, took, facts) in &self.rows {
            table.add_row([name.clone(), seconds(*took), facts.clone()]);
        }
        table.add_row(["   all".to_owned(), seconds(total), String::new()]);
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64())
}

/// The end of a peer id: all of them begin alike.
fn tail(peer: &str) -> String {
    format!("…{}", &peer[peer.len().saturating_sub(8)..])
}
