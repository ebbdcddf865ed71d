//! Commands about the store and its pins.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use futures::StreamExt as _;
use rustle_admin::parse;
use rustle_admin::views::{
    GarbagePhase, GarbageProgress, PINS_MAX, Pin, PinKind, PinQuery, PinView, StoreStat, VerifyProgress,
};

use super::connect;
use crate::arguments::{Daemon, PinCommand, StoreCommand};
use crate::failure::Failure;
use crate::json;
use crate::output::Output;
use crate::table;

pub(super) async fn run(daemon: &Daemon, out: &mut Output, command: StoreCommand) -> Result<(), Failure> {
    match command {
        StoreCommand::Stat => stat(daemon, out).await,
        StoreCommand::Verify { repair } => verify(daemon, out, repair).await,
        StoreCommand::Gc => collect(daemon, out).await,
    }
}

pub(super) async fn pins(daemon: &Daemon, out: &mut Output, command: PinCommand) -> Result<(), Failure> {
    match command {
        PinCommand::Add {
            cid,
            direct,
            name,
            timeout,
        } => {
            let kind = if direct {
                PinKind::Direct
            } else {
                PinKind::Recursive
            };
            let (cid, name) = (parse::cid(&cid)?, parse::pin_name(&name)?);
            add(daemon, out, &Pin { cid, kind, name }, timeout).await
        }
        PinCommand::Rm { cid, direct } => {
            let cid = parse::cid(&cid)?;
            let kind = direct.then_some(PinKind::Direct);
            let pin = connect(daemon).await?.unpin(&cid, kind).await?;
            out.show(&json::PinText::from(&pin), || {
                format!("{} is not pinned any more", pin.cid)
            })?;
            Ok(())
        }
        PinCommand::Ls { cid, kind } => {
            let cid = cid.map(|cid| parse::cid(&cid)).transpose()?;
            list(daemon, out, cid, kind.map(Into::into)).await
        }
    }
}

async fn stat(daemon: &Daemon, out: &mut Output) -> Result<(), Failure> {
    let stat = connect(daemon).await?.store_stat().await?;
    out.show(&json::StoreState::from(&stat), || described(&stat))?;
    Ok(())
}

fn described(stat: &StoreStat) -> String {
    let bytes =
        |bytes: Option<u64>| bytes.map_or_else(|| "unknown".to_owned(), |bytes| format!("{bytes} bytes"));
    let quota = stat.quota.map_or_else(
        || "none".to_owned(),
        |quota| {
            format!(
                "{} bytes, garbage is collected at {} down to {}",
                quota.bytes, quota.high, quota.low
            )
        },
    );
    let last = stat.last_collection.map_or_else(
        || "none since the start".to_owned(),
        |last| {
            format!(
                "{}: {} blocks, {} bytes in {}",
                table::utc(last.ended),
                last.blocks,
                last.bytes,
                table::span(last.duration)
            )
        },
    );
    table::facts([
        ("health", stat.health.clone()),
        ("blocks", format!("{}, {} bytes", stat.blocks, stat.bytes)),
        (
            "pins",
            format!("{} recursive, {} direct", stat.recursive_pins, stat.direct_pins),
        ),
        ("on disk", bytes(stat.disk_bytes)),
        ("free", bytes(stat.free_bytes)),
        ("quota", quota),
        ("last gc", last),
    ])
}

async fn verify(daemon: &Daemon, out: &mut Output, repair: bool) -> Result<(), Failure> {
    let mut answers = connect(daemon).await?.verify_store(repair).await?;
    let mut meter = Meter::new();
    let mut verified = json::Verified {
        blocks: 0,
        bytes: 0,
        faults: Vec::new(),
    };
    let mut left = 0_u64;
    loop {
        let word: VerifyProgress = answers.next().await.ok_or_else(broken)??;
        (verified.blocks, verified.bytes) = (word.blocks, word.bytes);
        for fault in word.faults {
            left += u64::from(!fault.2);
            verified.faults.push(fault.into());
        }
        if word.done {
            break;
        }
        meter.show(&format!("{} blocks, {} bytes", word.blocks, word.bytes));
    }
    meter.clear();
    out.show(&verified, || {
        let row = |fault: &json::DamagedBlock| {
            let repaired = if fault.repaired { "repaired" } else { "-" };
            [fault.cid.clone(), fault.kind.to_owned(), repaired.to_owned()]
        };
        let sum = format!("{} blocks, {} bytes", verified.blocks, verified.bytes);
        match verified.faults.is_empty() {
            true => format!("{sum}: all are whole"),
            false => {
                let rows = verified.faults.iter().map(row);
                format!("{}\n{sum}", table::columns(["BLOCK", "FAULT", ""], rows))
            }
        }
    })?;
    if left == 0 {
        return Ok(());
    }
    out.flush()?;
    Err(Failure::Failed(format!(
        "{left} blocks are damaged or not whole; drop them with `rustle store verify --repair`, and they are fetched again"
    )))
}

async fn collect(daemon: &Daemon, out: &mut Output) -> Result<(), Failure> {
    let mut answers = connect(daemon).await?.collect_garbage().await?;
    let mut meter = Meter::new();
    let last: GarbageProgress = loop {
        let word = answers.next().await.ok_or_else(broken)??;
        if word.done {
            break word;
        }
        meter.show(&match word.phase {
            GarbagePhase::Mark => format!("marking: {} blocks are kept", word.marked),
            GarbagePhase::Sweep => format!(
                "sweeping: {} of {} blocks removed",
                word.removed_blocks, word.seen
            ),
            GarbagePhase::Reclaim => "giving the room back".to_owned(),
        });
    };
    meter.clear();
    out.show(&json::Garbage::from(last), || {
        format!(
            "removed {} blocks, {} bytes",
            last.removed_blocks, last.removed_bytes
        )
    })?;
    Ok(())
}

async fn add(daemon: &Daemon, out: &mut Output, pin: &Pin, timeout: Option<Duration>) -> Result<(), Failure> {
    let pinned = connect(daemon).await?.pin(pin, timeout).await?;
    out.show(&json::PinnedText::from(&pinned), || {
        let kind = json::pin_kind(pinned.pin.kind);
        format!(
            "pinned {} ({kind}), {} blocks fetched",
            pinned.pin.cid, pinned.fetched
        )
    })?;
    Ok(())
}

async fn list(
    daemon: &Daemon,
    out: &mut Output,
    cid: Option<rustle_types::Cid>,
    kind: Option<PinKind>,
) -> Result<(), Failure> {
    let client = connect(daemon).await?;
    let mut pins: Vec<PinView> = Vec::new();
    let mut after = None;
    loop {
        let query = PinQuery {
            cid,
            kind,
            after,
            limit: PINS_MAX,
        };
        let page = client.pins(query).await?;
        pins.extend(page.pins);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let json = json::Pins {
        pins: pins.iter().map(Into::into).collect(),
    };
    out.show(&json, || {
        if pins.is_empty() {
            return "nothing is pinned; pin content with `rustle pin add CID`".to_owned();
        }
        let row = |view: &PinView| match view {
            PinView::Own(pin) => [
                pin.cid.to_string(),
                json::pin_kind(pin.kind).to_owned(),
                pin.name.clone(),
            ],
            PinView::Indirect { cid, through } => [
                cid.to_string(),
                "indirect".to_owned(),
                format!("through {through}"),
            ],
        };
        table::columns(["CID", "KIND", "NAME"], pins.iter().map(row))
    })?;
    Ok(())
}

fn broken() -> Failure {
    Failure::Failed("the daemon ended the call before it was done; see its log".to_owned())
}

/// A line on standard error that says how far it has come, where somebody looks at it.
struct Meter {
    is_shown: bool,
}

// === impl Meter ===

impl Meter {
    fn new() -> Self {
        Self {
            is_shown: std::io::stderr().is_terminal(),
        }
    }

    fn show(&mut self, text: &str) {
        if self.is_shown {
            // A terminal that is gone needs no meter.
            let _ = write!(std::io::stderr(), "\r\x1b[K{text}");
        }
    }

    fn clear(&mut self) {
        self.show("");
    }
}
