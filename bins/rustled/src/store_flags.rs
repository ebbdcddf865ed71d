//! The flags `--store.*`: how much of the disk content may take.

use clap::Args;
use rustle_node::config::StoreSection;

/// Named as the keys of the section `[store]` of the file.
#[derive(Debug, Args)]
#[command(next_help_heading = "Room on the disk")]
pub(crate) struct StoreFlags {
    /// Content may take so many bytes of the disk; garbage is collected before that [default: no bound]
    #[arg(long = "store.quota-bytes", value_name = "BYTES")]
    quota_bytes: Option<u64>,
    /// Collect garbage from so many percent of the quota on [default: 90]
    #[arg(long = "store.high-percent", value_name = "PERCENT")]
    high_percent: Option<u8>,
    /// Remove it down to so many percent of the quota [default: 75]
    #[arg(long = "store.low-percent", value_name = "PERCENT")]
    low_percent: Option<u8>,
}

// === impl StoreFlags ===

impl StoreFlags {
    /// The same, in the words of the file.
    pub(crate) fn section(&self) -> StoreSection {
        StoreSection {
            quota_bytes: self.quota_bytes,
            high_percent: self.high_percent,
            low_percent: self.low_percent,
        }
    }
}
