//! Measures a node, and shows each figure beside what the machine allows.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use rustle_tests::bench::{self, Part, Plan};
use rustle_tests::programs;

/// Measures adding, fetching, appending, joining, live delivery, idle connections and a siege, with real nodes on
/// loopback.
#[derive(Debug, Parser)]
struct Arguments {
    /// Measure less: 32 MiB, 1,000 blocks, 1,000 connections
    #[arg(long)]
    quick: bool,
    /// Measure only this; may be repeated
    #[arg(long, value_name = "PART")]
    part: Vec<Part>,
    /// Write the figures here [default: bench.json in the folder of the build]
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tokio::select! {
        result = run(&arguments) => match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let line = format!("{error:#}").replace('\n', " ");
                eprintln!("bench: {line}");
                ExitCode::FAILURE
            }
        },
        // The nodes are killed as they are dropped.
        _ = tokio::signal::ctrl_c() => ExitCode::FAILURE,
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    let target = programs::target()?;
    // Not the system's folder for temporary files: that may lie in memory, where a sync costs nothing.
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(&target)?;
    let plan = if arguments.quick {
        Plan::quick(folder.path().to_owned())
    } else {
        Plan::full(folder.path().to_owned())
    };

    let report = bench::run(&plan, &arguments.part, |part| eprintln!("bench: {part}")).await?;

    println!("{}\n\n{}", report.machine(), report.table());
    let path = arguments
        .json
        .clone()
        .unwrap_or_else(|| target.join("bench.json"));
    let json = serde_json::to_string_pretty(&report.json(arguments.quick))?;
    std::fs::write(&path, json + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    println!("\nfigures: {}", path.display());
    Ok(())
}
