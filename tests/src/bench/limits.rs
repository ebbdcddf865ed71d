//! What can this machine do at best?

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use ed25519_dalek::{Signer as _, SigningKey, Verifier as _};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

/// Bytes of one synced write.
const WRITE_BYTES: usize = 4096;
/// Bytes that are signed, about as many as a small block has.
const SIGNED_BYTES: usize = 256;
/// How long each is measured.
const SPAN: Duration = Duration::from_secs(1);

/// What the hardware allows, each on one core.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Writes of 4 KiB with fdatasync, one after the other, in a second.
    pub syncs_per_second: f64,
    /// Time of one such write.
    pub sync: Duration,
    /// Bytes of SHA-256 in a second.
    pub hashed_bytes_per_second: f64,
    /// Ed25519 signatures checked in a second.
    pub verified_per_second: f64,
}

/// Measures them in the file system of `folder`.
pub(super) async fn measure(folder: &Path) -> Result<Limits> {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || {
        let syncs_per_second = syncs(&folder)?;
        Ok(Limits {
            syncs_per_second,
            sync: Duration::from_secs_f64(1.0 / syncs_per_second),
            hashed_bytes_per_second: hashed_bytes(),
            verified_per_second: verified(),
        })
    })
    .await?
}

fn syncs(folder: &Path) -> Result<f64> {
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
