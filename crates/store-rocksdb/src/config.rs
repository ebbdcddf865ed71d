//! How much memory, how many files and how many threads may the store use?

/// Resources of a [`crate::RocksStore`]. The default is that of a desktop daemon: buffers and caches take memory as they
/// fill, and [`Config::memory_bytes_max`] at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Bytes of index, filter and data blocks that are cached, over all column families.
    pub cache_bytes: usize,
    /// Bytes of new blocks that are gathered in memory before they are flushed to a file.
    pub block_buffer_bytes: usize,
    /// How many such buffers may wait for the disk before writers wait as well; at least 2.
    pub block_buffers: u32,
    /// Bytes of new records that are gathered in memory, per table; two such buffers at most.
    pub record_buffer_bytes: usize,
    /// Bytes of write-ahead log after which the oldest buffers are flushed. It bounds what an open has to
    /// replay.
    pub log_bytes_max: u64,
    /// Files that are kept open; leave room below the process's limit for sockets.
    pub open_files_max: u32,
    /// Threads that flush and compact.
    pub background_jobs: u32,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            cache_bytes: 32 << 20,
            block_buffer_bytes: 32 << 20,
            block_buffers: 3,
            record_buffer_bytes: 4 << 20,
            log_bytes_max: 128 << 20,
            // Debian's soft limit is 1024, and each peer takes one.
            open_files_max: 256,
            background_jobs: 2,
        }
    }
}

impl Config {
    /// Upper bound of the memory that caches and buffers take, in bytes.
    pub fn memory_bytes_max(&self) -> usize {
        let record_families = rustle_store::Table::ALL.len() + 1;
        self.cache_bytes
            + self.block_buffer_bytes * self.block_buffers as usize
            + self.record_buffer_bytes * crate::families::RECORD_BUFFERS as usize * record_families
    }
}
