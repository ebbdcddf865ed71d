//! How far is it? One line on a terminal, nothing elsewhere.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::time::Instant;

/// How often the line changes.
const PACE: Duration = Duration::from_millis(200);

/// A line on standard error that shows bytes, rate and, where the end is known, time to go.
#[derive(Debug)]
pub(crate) struct Progress {
    is_shown: bool,
    began: Instant,
    drawn: Instant,
    total: Option<u64>,
}

// === impl Progress ===

impl Progress {
    /// Shows nothing where standard error is no terminal or `quiet` is asked for.
    pub(crate) fn new(quiet: bool, total: Option<u64>) -> Self {
        let now = Instant::now();
        Self {
            is_shown: !quiet && io::stderr().is_terminal(),
            began: now,
            drawn: now,
            total,
        }
    }

    /// So much is done.
    pub(crate) fn update(&mut self, bytes: u64) {
        if !self.is_shown || self.drawn.elapsed() < PACE {
            return;
        }
        self.drawn = Instant::now();
        let line = line(bytes, self.began.elapsed(), self.total);
        // A terminal that is gone needs no line.
        let _ = write!(io::stderr(), "\r\x1b[K{line}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(bytes: u64, elapsed: Duration, total: Option<u64>) -> String {
    let mebibytes = |bytes: f64| bytes / f64::from(1 << 20);
    let rate = bytes as f64 / elapsed.as_secs_f64().max(1e-3);
    let done = format!("{:.1} MiB, {:.0} MiB/s", mebibytes(bytes as f64), mebibytes(rate));
    match total.filter(|total| bytes < *total && 0.0 < rate) {
        Some(total) => {
            let percent = 100.0 * bytes as f64 / total as f64;
            let left = (total - bytes) as f64 / rate;
            format!("{done}, {percent:.0} %, {left:.0} s to go")
        }
        None => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_rate_and_end() {
        let second = Duration::from_secs(1);
        assert_eq!(line(10 << 20, second, None), "10.0 MiB, 10 MiB/s");
        assert_eq!(
            line(10 << 20, second, Some(40 << 20)),
            "10.0 MiB, 10 MiB/s, 25 %, 3 s to go"
        );
        assert_eq!(line(5 << 20, second, Some(1)), "5.0 MiB, 5 MiB/s");
        assert_eq!(line(0, second, Some(1)), "0.0 MiB, 0 MiB/s");
    }
}
