//! What may be set about the store?

use serde::Deserialize;

use super::Wrong;

/// High water, where nothing is said: percent of the quota.
const HIGH_PERCENT: u8 = 90;
/// Low water, where nothing is said: percent of the quota.
const LOW_PERCENT: u8 = 75;
/// Smallest quota: buffers and logs take so much for themselves.
const QUOTA_BYTES_MIN: u64 = 64 << 20;

/// The section `[store]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSection {
    /// Bytes on disk that content may take.
    pub quota_bytes: Option<u64>,
    /// Where garbage is collected, in percent of the quota.
    pub high_percent: Option<u8>,
    /// Down to where it is removed, in percent of the quota.
    pub low_percent: Option<u8>,
}

/// How much the store may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// Bytes on disk that content may take; `None` for as many as there are.
    pub quota_bytes: Option<u64>,
    /// Where garbage is collected by itself, in percent of the quota.
    pub high_percent: u8,
    /// Down to where it is removed then, in percent of the quota.
    pub low_percent: u8,
}

// === impl StoreSection ===

impl StoreSection {
    pub(super) fn or(self, below: Self) -> Self {
        Self {
            quota_bytes: self.quota_bytes.or(below.quota_bytes),
            high_percent: self.high_percent.or(below.high_percent),
            low_percent: self.low_percent.or(below.low_percent),
        }
    }

    pub(super) fn check(&self) -> Result<(), Wrong> {
        let wrong = |field, why| Err(Wrong { field, why });
        if let Some(bytes) = self.quota_bytes.filter(|bytes| *bytes < QUOTA_BYTES_MIN) {
            let why = format!("{bytes} bytes are too few; write at least {QUOTA_BYTES_MIN}, or leave it out");
            return wrong("store.quota_bytes", why);
        }
        let config = StoreConfig::of(self);
        if 100 < config.high_percent {
            let why = format!("{} is more than 100", config.high_percent);
            return wrong("store.high_percent", why);
        }
        if config.high_percent <= config.low_percent {
            let why = format!(
                "{} is not below high_percent, which is {}",
                config.low_percent, config.high_percent
            );
            return wrong("store.low_percent", why);
        }
        Ok(())
    }
}

// === impl StoreConfig ===

impl StoreConfig {
    pub(super) fn of(section: &StoreSection) -> Self {
        let high_percent = section.high_percent.unwrap_or(HIGH_PERCENT);
        Self {
            quota_bytes: section.quota_bytes,
            high_percent,
            low_percent: section
                .low_percent
                .unwrap_or_else(|| LOW_PERCENT.min(high_percent.saturating_sub(1))),
        }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self::of(&StoreSection::default())
    }
}
