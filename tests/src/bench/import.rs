//! How fast does a large file come in by the command line, and how much memory does the node take for it?
//!
//! At best each byte is hashed once on one core and written once. The figure stands beside what both allow together,
//! one after the other: 1 / (1 / hash + 1 / disk), with the disk's pace measured by a plain file that is synced.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Result, ensure};
use bytes::Bytes;
use tokio::time::Instant;

use super::content::pieces;
use super::{Plan, Report, Unit, setup};
use crate::{Daemon, rustle_at};

/// What the node is to stay below, whatever the file's size.
const MEMORY_MEGABYTES: f64 = 200.0 * 1.048_576;

pub(super) async fn measure(plan: &Plan, report: &mut Report) -> Result<()> {
    let node = Daemon::start_below(&plan.folder, "A", setup()).await?;
    let pieces = pieces(plan.import_bytes);
    let path = plan.folder.join("import");
    let disk = write(&path, &pieces)?;
    drop(pieces);
    let megabytes = plan.import_bytes as f64 / 1e6;
    let mebibytes = plan.import_bytes >> 20;
    let hashed = report.limits().hashed_bytes_per_second / 1e6;

    let began = Instant::now();
    let added = rustle_at(node.data_dir(), ["add".as_ref(), path.as_os_str()]).await?;
    let speed = megabytes / began.elapsed().as_secs_f64();
    ensure!(added.code == Some(0), "{}", added.stderr);
    std::fs::remove_file(&path)?;

    report.add(
        "import",
        format!("import {mebibytes} MiB with `rustle add`"),
        speed,
        Unit::MegabytesPerSecond,
    );
    let limit = 1.0 / (1.0 / hashed + 1.0 / disk);
    report.limit(
        limit,
        format!("SHA-256 on one core ({hashed:.0} MB/s), then the disk ({disk:.0} MB/s)"),
    );
    let memory = node.memory("VmHWM")? as f64 / 1e6;
    report.add(
        "import_memory",
        "most memory of the importing node",
        memory,
        Unit::Megabytes,
    );
    report.limit(MEMORY_MEGABYTES, super::PROMISED);
    Ok(())
}

/// Writes and syncs; gives megabytes in a second.
fn write(path: &Path, pieces: &[Bytes]) -> Result<f64> {
    let bytes: usize = pieces.iter().map(Bytes::len).sum();
    let began = Instant::now();
    let mut file = File::create(path)?;
    for piece in pieces {
        file.write_all(piece)?;
    }
    file.sync_all()?;
    Ok(bytes as f64 / 1e6 / began.elapsed().as_secs_f64())
}
