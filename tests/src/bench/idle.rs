//! What does a connection cost on which nothing is said?

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep};

use super::report::millis;
use super::{PROMISED, Plan, Report, Unit, setup};
use crate::crowd::{Crowd, Habit, Orders};
use crate::{Daemon, Setup, programs};

/// Memory of one connection, all buffers included.
const KIBIBYTES_MAX: f64 = 100.0;
/// Processor time of one core while all are pinged.
const PROCESSOR_PERCENT_MAX: f64 = 10.0;
/// Silence before a ping: all connections are pinged once in this time, and once more in each that follows.
const PING_IDLE: Duration = Duration::from_secs(60);
/// What a process needs beside the connections.
const OTHER_FILES: usize = 500;
/// Until buffers of the handshakes are given back.
const SETTLING: Duration = Duration::from_secs(5);

pub(super) async fn measure(plan: &Plan, report: &mut Report) -> Result<()> {
    let count = possible(plan.idle_connections)?;
    let node = Daemon::start_below(&plan.folder, "A", roomy(count)).await?;
    let orders = Orders {
        to: node.address().clone(),
        network: "bench".to_owned(),
        count,
        habit: Habit::Idle,
    };

    let (before, spent_before) = (node.memory("VmRSS")?, node.processor_time()?);
    let began = Instant::now();
    let mut crowd = Crowd::gather(&orders).await?;
    let (took, spent) = (began.elapsed(), node.processor_time()? - spent_before);
    sleep(SETTLING).await;
    let come = crowd.alive().await?;
    ensure!(come.failed == 0, "{} of {count} did not come in", come.failed);
    let after = node.memory("VmRSS")?;

    let spent_before = node.processor_time()?;
    sleep(PING_IDLE + Duration::from_secs(2)).await;
    let spent_idle = node.processor_time()? - spent_before;
    let stayed = crowd.alive().await?;
    ensure!(stayed.alive == count, "{} of {count} stayed", stayed.alive);
    let pinged = stayed.pings - come.pings;
    ensure!(count <= pinged, "only {pinged} of {count} were pinged");
    let after = after.max(node.memory("VmRSS")?);

    let each = (after - before) as f64 / 1024.0 / count as f64;
    let name = format!("memory of each of {count} idle connections");
    report.add("idle_connection_memory", name, each, Unit::Kibibytes);
    report.limit(KIBIBYTES_MAX, PROMISED);
    let percent = 100.0 * spent_idle.as_secs_f64() / PING_IDLE.as_secs_f64();
    let name = "  processor while each is pinged once";
    report.add("idle_connections_processor", name, percent, Unit::Percent);
    report.limit(PROCESSOR_PERCENT_MAX, "of one core, as promised");
    let rate = count as f64 / took.as_secs_f64();
    report.add(
        "handshakes",
        "  handshakes, with both ends here",
        rate,
        Unit::PerSecond,
    );
    let name = "  processor of the node for one of them";
    report.add(
        "handshake_processor",
        name,
        millis(spent) / count as f64,
        Unit::Milliseconds,
    );
    Ok(())
}

/// How many connections this machine allows; says so where they are fewer than wanted.
fn possible(wanted: usize) -> Result<usize> {
    let files = programs::open_files_max()?;
    let count = wanted.min(files.saturating_sub(OTHER_FILES));
    if count < wanted {
        let needed = wanted + OTHER_FILES;
        eprintln!(
            "bench: {wanted} connections need {needed} open files in a process, and this machine allows {files}; \
             measuring {count}. Raise it with `ulimit -n` or prlimit"
        );
    }
    Ok(count)
}

/// A node that takes so many.
fn roomy(count: usize) -> Setup {
    setup()
        .many_files()
        .peers("target", 2 * count)
        .peers("upper", 2 * count)
        .peers("per-ip", 100)
        .peers("per-group", count)
        .peers("pending", 256)
        .peers("accept-rate", 100_000)
        .peers("ping-idle-seconds", PING_IDLE.as_secs())
}
