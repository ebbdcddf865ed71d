//! Which column families are there, and how is each tuned?
//!
//! The options follow RocksDB's tuning guide for large immutable values, scaled down to a desktop machine.

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode,
    DataBlockIndexType, LogLevel, Options,
};
use rustle_store::Table;

use crate::Config;

/// Multihash → the bytes of the block.
pub(crate) const BLOCKS: &str = "blocks";
/// Multihash → size (u64 BE) and flags (one byte, 0 for now), so that `has` and `size` never touch a value.
pub(crate) const INDEX: &str = "idx";
/// Values from this size on go to blob files, where compaction does not rewrite them.
pub(crate) const BLOB_BYTES_MIN: usize = 4096;
/// Buffers per record family: one that is written, one that is flushed.
pub(crate) const RECORD_BUFFERS: u32 = 2;

const BLOB_FILE_BYTES: u64 = 256 << 20;
/// Data is handed to the disk in such steps, so that a flush does not stall a synced commit behind it.
const SYNC_STEP_BYTES: u64 = 1 << 20;

/// The column family of a table.
pub(crate) fn of_table(table: Table) -> &'static str {
    match table {
        Table::Chains => "chains",
        Table::ChainOrder => "chain_order",
        Table::ChainSequence => "chain_sequence",
        Table::ChainBlocks => "chain_blocks",
        Table::ChainLeaves => "chain_leaves",
        Table::Invitations => "invitations",
        Table::Peers => "peers",
        Table::Pins => "pins",
        Table::Rules => "rules",
        Table::Dht => "dht",
        Table::Meta => "meta",
    }
}

/// Every column family of this format that is written to.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    [BLOCKS, INDEX].into_iter().chain(Table::ALL.map(of_table))
}

/// A column family of this format.
pub(crate) fn handle<'a>(db: &'a DB, name: &str) -> &'a ColumnFamily {
    db.cf_handle(name)
        .expect("the database was opened with every column family of the format")
}

/// Every column family of this format, and those of `present` that it does not know: RocksDB opens all or none, and
/// the format record of a newer program can only be read once they are open.
pub(crate) fn all(config: &Config, present: &[String]) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_hyper_clock_cache(config.cache_bytes, 0);
    let mut families = vec![
        ColumnFamilyDescriptor::new(rocksdb::DEFAULT_COLUMN_FAMILY_NAME, records(config, &cache)),
        ColumnFamilyDescriptor::new(BLOCKS, blocks(config, &cache)),
        ColumnFamilyDescriptor::new(INDEX, index(config, &cache)),
    ];
    families.extend(
        Table::ALL.map(|table| ColumnFamilyDescriptor::new(of_table(table), records(config, &cache))),
    );
    let unknown: Vec<_> = present
        .iter()
        .filter(|name| families.iter().all(|family| family.name() != *name))
        .collect();
    families.extend(
        unknown
            .into_iter()
            .map(|name| ColumnFamilyDescriptor::new(name, Options::default())),
    );
    families
}

/// Options of the whole database.
pub(crate) fn database(config: &Config) -> Options {
    // A log that takes 70 MB of the disk in advance takes the reserve with it when the disk is nearly full.
    let mut options = Options::default()
        .get_options_from_string("allow_fallocate=false")
        .expect("this RocksDB knows the option, as every test shows");
    options.create_if_missing(true);
    options.create_missing_column_families(true);

    // This mode ends the replay at the first damage, whatever it looks like and whatever follows, and says nothing. That
    // is right for a torn tail, and `log::check` has found that there is no other damage.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    // Finds a log that is missing or too short, unless it is the newest: of that the manifest has no size.
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_paranoid_checks(true);

    // What a bulk commit leaves out of the log reaches the disk with a flush, which RocksDB begins whenever a buffer is
    // full. Blocks and index are then written in one step of the manifest, or not at all.
    options.set_atomic_flush(true);

    options.set_bytes_per_sync(SYNC_STEP_BYTES);
    options.set_wal_bytes_per_sync(SYNC_STEP_BYTES);
    options.set_max_total_wal_size(config.log_bytes_max);
    options.set_max_open_files(bounded(config.open_files_max));
    options.set_max_background_jobs(bounded(config.background_jobs));

    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 << 20);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

fn blocks(config: &Config, cache: &Cache) -> Options {
    let mut options = Options::default();
    options.set_block_based_table_factory(&point_lookups(cache));
    options.set_write_buffer_size(config.block_buffer_bytes);
    options.set_max_write_buffer_number(bounded(config.block_buffers.max(2)));

    // Blocks are compressed or encrypted already, or small; a hash over them is computed anyway.
    options.set_compression_type(DBCompressionType::None);
    options.set_enable_blob_files(true);
    options.set_min_blob_size(BLOB_BYTES_MIN as u64);
    options.set_blob_file_size(BLOB_FILE_BYTES);
    options.set_blob_compression_type(DBCompressionType::None);
    // Collection by age rewrites the oldest quarter again and again where blocks are only added (RocksDB issue
    // 11570); it belongs into an explicit collection of garbage.
    options.set_enable_blob_gc(false);

    // The tree holds keys and pointers, so that its files are small beside the blobs.
    options.set_target_file_size_base(8 << 20);
    options.set_max_bytes_for_level_base(64 << 20);
    options
}

fn index(config: &Config, cache: &Cache) -> Options {
    let mut options = Options::default();
    options.set_block_based_table_factory(&point_lookups(cache));
    options.set_write_buffer_size(config.record_buffer_bytes);
    options.set_max_write_buffer_number(bounded(RECORD_BUFFERS));
    // Hashes do not compress.
    options.set_compression_type(DBCompressionType::None);
    options
}

fn records(config: &Config, cache: &Cache) -> Options {
    let mut options = Options::default();
    options.set_block_based_table_factory(&tables(cache));
    options.set_write_buffer_size(config.record_buffer_bytes);
    options.set_max_write_buffer_number(bounded(RECORD_BUFFERS));
    options.set_compression_type(DBCompressionType::Lz4);
    options
}

fn point_lookups(cache: &Cache) -> BlockBasedOptions {
    let mut options = tables(cache);
    options.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    options
}

fn tables(cache: &Cache) -> BlockBasedOptions {
    let mut options = BlockBasedOptions::default();
    options.set_block_cache(cache);
    // Indexes and filters count against the cache, so that it bounds the memory of a store of any size.
    options.set_cache_index_and_filter_blocks(true);
    options.set_pin_l0_filter_and_index_blocks_in_cache(true);
    options.set_bloom_filter(10.0, false);
    options.set_whole_key_filtering(true);
    options.set_optimize_filters_for_memory(true);
    options
}

fn bounded(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
