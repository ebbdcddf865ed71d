//! What can this machine do at best?

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use ed25519_dalek::{Signer as _, SigningKey, Verifier as _};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

/// Bytes of one synced write.
const WRITE_BYTES: usize = 4096;
/// Writes that the file of the measurement has room for.
const WRITES: u64 = 1024;
/// Bytes that are signed, about as many as a small block has.
const SIGNED_BYTES: usize = 256;
/// How long each is measured.
const SPAN: Duration = Duration::from_secs(1);

/// What the hardware allows, each on one core.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Writes of 4 KiB with fdatasync, one after the other, in a second, over a file that has its size already.
    pub syncs_per_second: f64,
    /// The same at the end of a growing file, where the file system notes each new size.
    pub growing_syncs_per_second: f64,
    /// Bytes of SHA-256 in a second.
    pub hashed_bytes_per_second: f64,
    /// Ed25519 signatures checked in a second.
    pub verified_per_second: f64,
}

/// Measures them in the file system of `folder`.
pub(super) async fn measure(folder: &Path) -> Result<Limits> {
    let disk = syncs(folder).await?;
    let (hashed_bytes_per_second, verified_per_second) =
        tokio::task::spawn_blocking(|| (hashed_bytes(), verified())).await?;
    Ok(Limits {
        syncs_per_second: disk.standing,
        growing_syncs_per_second: disk.growing,
        hashed_bytes_per_second,
        verified_per_second,
    })
}

// === impl Limits ===

impl Limits {
    /// Time of one synced write.
    pub fn sync(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.syncs_per_second)
    }

    /// Measures the disk again: many a disk is twice as fast in one minute as in the next, and the best is the limit.
    pub(super) async fn refresh(&mut self, folder: &Path) -> Result<()> {
        let disk = syncs(folder).await?;
        self.syncs_per_second = self.syncs_per_second.max(disk.standing);
        self.growing_syncs_per_second = self.growing_syncs_per_second.max(disk.growing);
        Ok(())
    }
}

/// Synced writes in a second.
struct Disk {
    standing: f64,
    growing: f64,
}

async fn syncs(folder: &Path) -> Result<Disk> {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || {
        Ok(Disk {
            standing: standing_syncs(&folder)?,
            growing: growing_syncs(&folder)?,
        })
    })
    .await?
}

/// The disk's own pace. A database gets near it by writing its log over one that is done with.
fn standing_syncs(folder: &Path) -> Result<f64> {
    let mut file: File = tempfile::tempfile_in(folder)?;
    let page = [0x5a; WRITE_BYTES];
    for _ in 0..WRITES {
        file.write_all(&page)?;
    }
    file.sync_all()?;
    let mut places = (0..WRITES).cycle();
    rate(|| {
        let place = places.next().unwrap_or_default();
        file.write_all_at(&page, place * WRITE_BYTES as u64)?;
        Ok(file.sync_data()?)
    })
}

fn growing_syncs(folder: &Path) -> Result<f64> {
    let mut file: File = tempfile::tempfile_in(folder)?;
    let page = [0x5a; WRITE_BYTES];
    rate(|| {
        file.write_all(&page)?;
        Ok(file.sync_data()?)
    })
}

fn hashed_bytes() -> f64 {
    let data = vec![0x5a; 1 << 20];
    let hashes = rate(|| {
        std::hint::black_box(Sha256::digest(&data));
        Ok(())
    });
    hashes.unwrap_or(0.0) * data.len() as f64
}

fn verified() -> f64 {
    // Any key does: only the time counts.
    let key = SigningKey::from_bytes(&[7; 32]);
    let data = [0x5a; SIGNED_BYTES];
    let signature = key.sign(&data);
    let public = key.verifying_key();
    rate(|| Ok(public.verify(&data, &signature)?)).unwrap_or(0.0)
}

/// How often `work` can be done in a second.
fn rate(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let began = Instant::now();
    let mut count = 0_u64;
    while began.elapsed() < SPAN {
        work()?;
        count += 1;
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}
