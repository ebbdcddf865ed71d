//! How are figures shown, to people and to programs?

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::Limits;

/// All figures of a run.
#[derive(Debug, Clone)]
pub struct Report {
    limits: Limits,
    figures: Vec<Figure>,
}

/// One measured value.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// Name for programs; never changes its meaning.
    pub id: &'static str,
    /// What was measured.
    pub name: String,
    /// The value.
    pub value: f64,
    /// Of what it is a number.
    pub unit: Unit,
    /// What the machine allows, in the same unit.
    pub limit: Option<f64>,
    /// What the limit is.
    pub limit_name: Option<String>,
}

/// Units of figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Millions of bytes in a second.
    MegabytesPerSecond,
    /// Millions of bytes.
    Megabytes,
    /// Of anything, in a second.
    PerSecond,
    /// Thousandths of a second.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Units of 1,024 bytes.
    Kibibytes,
    /// Hundredths.
    Percent,
    /// A number of things.
    Count,
}

// === impl Report ===

impl Report {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            figures: Vec::new(),
        }
    }

    /// What the machine allows.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Measures the disk again, and keeps the best.
    pub(super) async fn refresh_limits(&mut self, folder: &Path) -> Result<()> {
        self.limits.refresh(folder).await
    }

    /// What was measured.
    pub fn figures(&self) -> &[Figure] {
        &self.figures
    }

    pub(super) fn add(&mut self, id: &'static str, name: impl Into<String>, value: f64, unit: Unit) {
        self.figures.push(Figure {
            id,
            name: name.into(),
            value,
            unit,
            limit: None,
            limit_name: None,
        });
    }

    /// Sets the limit of the figure that was added last.
    pub(super) fn limit(&mut self, value: f64, name: impl Into<String>) {
        if let Some(figure) = self.figures.last_mut() {
            figure.limit = Some(value);
            figure.limit_name = Some(name.into());
        }
    }

    /// For people.
    pub fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["figure", "measured", "limit", "", "what limits"]);
        for figure in &self.figures {
            let unit = figure.unit;
            let share = figure.limit.map(|limit| match unit {
                Unit::MegabytesPerSecond | Unit::PerSecond => figure.value / limit,
                Unit::Megabytes
                | Unit::Milliseconds
                | Unit::Seconds
                | Unit::Kibibytes
                | Unit::Percent
                | Unit::Count => limit / figure.value,
            });
            table.add_row([
                figure.name.clone(),
                unit.show(figure.value),
                figure.limit.map(|limit| unit.show(limit)).unwrap_or_default(),
                share
                    .map(|share| format!("{:.0} %", share * 100.0))
                    .unwrap_or_default(),
                figure.limit_name.clone().unwrap_or_default(),
            ]);
        }
        for index in 1..=3 {
            if let Some(column) = table.column_mut(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }

    /// What the machine allows, in one line for people.
    pub fn machine(&self) -> String {
        let limits = &self.limits;
        format!(
            "this machine: {:.0} writes of 4 KiB with fdatasync in a second ({:.0} on a growing file), \
             SHA-256 {:.0} MB/s, Ed25519 {:.0} checks in a second on one core",
            limits.syncs_per_second,
            limits.growing_syncs_per_second,
            limits.hashed_bytes_per_second / 1e6,
            limits.verified_per_second
        )
    }

    /// For programs.
    pub fn json(&self, quick: bool) -> serde_json::Value {
        serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "quick": quick,
            "limits": {
                "syncs_per_second": self.limits.syncs_per_second,
                "growing_syncs_per_second": self.limits.growing_syncs_per_second,
                "sha256_megabytes_per_second": self.limits.hashed_bytes_per_second / 1e6,
                "ed25519_verified_per_second": self.limits.verified_per_second,
            },
            "figures": self.figures,
        })
    }
}

// === impl Unit ===

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::MegabytesPerSecond => format!("{value:.0} MB/s"),
            Self::Megabytes => format!("{value:.0} MB"),
            Self::PerSecond => format!("{value:.0} /s"),
            Self::Milliseconds => format!("{value:.2} ms"),
            Self::Seconds => format!("{value:.2} s"),
            Self::Kibibytes => format!("{value:.1} KiB"),
            Self::Percent => format!("{value:.1} %"),
            Self::Count => format!("{value:.0}"),
        }
    }
}

/// A duration as a number of milliseconds.
pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
