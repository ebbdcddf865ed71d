//! Does a node let honest peers in while thousands stall at its door?

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use rustle_adversary::{Adversary, hello};
use tokio::time::{Instant, sleep, timeout};

use super::report::millis;
use super::{PROMISED, Plan, Report, Unit, quantile, setup};
use crate::Daemon;
use crate::crowd::{Crowd, Habit, Orders};

/// Nobody who stalls is kept longer.
const HELD_MAX: Duration = Duration::from_secs(10);
/// An honest peer has shaken hands within this time.
const HONEST_MAX: Duration = Duration::from_secs(2);
/// Memory that the siege may cost.
const MEGABYTES_MAX: f64 = 33.6;
/// Honest peers that come, one after the other.
const GUESTS: u8 = 20;
/// From the beginning of the siege to the first of them: longer than anybody should be held.
const BEFORE: Duration = Duration::from_secs(12);
/// Between two of them.
const BETWEEN: Duration = Duration::from_millis(500);
/// An honest peer that was refused tries again after this time.
const AGAIN: Duration = Duration::from_millis(100);
/// When it gives up.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn measure(plan: &Plan, report: &mut Report) -> Result<()> {
    // Bounds as they are by default: the siege is of the node that people run.
    let node = Daemon::start_below(&plan.folder, "A", setup().many_files()).await?;
    let orders = Orders {
        to: node.address().clone(),
        network: "bench".to_owned(),
        count: plan.stalling_peers,
        habit: Habit::Stall,
    };
    let before = node.memory("VmRSS")?;
    let mut crowd = Crowd::gather(&orders).await?;
    sleep(BEFORE).await;
    let spent = node.processor_time()?;
    let began = Instant::now();

    let mut times = Vec::new();
    let mut refused = 0;
    for guest in 0..GUESTS {
        let (took, tries) = visit(&node, Ipv4Addr::new(127, 200 + guest, 1, 1)).await;
        times.push(took);
        refused += tries - 1;
        sleep(BETWEEN).await;
    }
    let share = (node.processor_time()? - spent).as_secs_f64() / began.elapsed().as_secs_f64();
    let grown = node.memory("VmRSS")?.saturating_sub(before) as f64 / 1e6;
    let held = crowd.held().await?;
    times.sort();

    let name = format!("longest stay of one of {} that stall", orders.count);
    report.add("stalling_held", name, held.longest_ms as f64 / 1e3, Unit::Seconds);
    report.limit(HELD_MAX.as_secs_f64(), PROMISED);
    let name = format!("  longest of {GUESTS} honest dials meanwhile");
    report.add(
        "stalling_honest_max",
        name,
        millis(quantile(&times, 1.0)),
        Unit::Milliseconds,
    );
    report.limit(millis(HONEST_MAX), PROMISED);
    report.add(
        "stalling_honest_p50",
        "  half of them within",
        millis(quantile(&times, 0.5)),
        Unit::Milliseconds,
    );
    report.add(
        "stalling_honest_refused",
        "  refusals among them, tried again",
        refused.into(),
        Unit::Count,
    );
    report.add(
        "stalling_visits",
        "  visits of the others",
        held.visits as f64,
        Unit::Count,
    );
    report.add(
        "stalling_memory",
        "  memory that all this took",
        grown,
        Unit::Megabytes,
    );
    report.limit(MEGABYTES_MAX, PROMISED);
    report.add(
        "stalling_processor",
        "  processor of the node",
        share * 100.0,
        Unit::Percent,
    );
    Ok(())
}

/// How long it takes somebody honest to come in, and how many dials.
async fn visit(node: &Daemon, source: Ipv4Addr) -> (Duration, u32) {
    let adversary = Adversary::new().source(source);
    let began = Instant::now();
    let mut tries = 1;
    let come_in = async {
        while adversary.greet(node.address(), hello("bench")).await.is_err() {
            tries += 1;
            sleep(AGAIN).await;
        }
    };
    // Whoever gave up has waited as long, and is counted so.
    let _ = timeout(PATIENCE, come_in).await;
    (began.elapsed(), tries)
}
