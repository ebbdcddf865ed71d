//! What happens when there is no room left, on the disk or below the quota?

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustle_admin::FaultKind;
use rustle_admin::fault::reason;
use rustle_admin::views::*;

use rustle_tests::waiting::append;
use rustle_tests::{Daemon, Finished, Setup, rustle_at};
use rustle_types::Cid;
use tokio::time::Instant;

use super::{add, collect, file, reads, verify};
use crate::{named, refused};

/// Longest time until writes are taken again once there is room.
const ROOM_SEEN: Duration = Duration::from_secs(10);

/// A file system of its own in memory; it is gone with the value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(mebibytes: u32) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("rustle-disk-")
            .tempdir()
            .unwrap()
            .keep();
        let size = format!("size={mebibytes}m");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&folder)
            .status();
        assert!(
            mount.is_ok_and(|mount| mount.success()),
            "this test mounts a small disk: run it as root"
        );
        Self(folder)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A daemon that still writes there is killed by its own drop, which may come later: lazily.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Adds files until one is refused: what was flushed meanwhile may have made room once more.
async fn fill_by_command_line(node: &Daemon, kept: &mut Vec<(u8, Cid)>) -> Finished {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    loop {
        let number = kept.len() as u8;
        std::fs::write(&path, file(number, 3000)).unwrap();
        let done = rustle_at(node.data_dir(), ["add".as_ref(), path.as_os_str()]);
        let done = done.await.unwrap();
        if done.code != Some(0) {
            return done;
        }
        let cid = String::from_utf8_lossy(&done.stdout).trim().parse().unwrap();
        kept.push((number, cid));
        assert!(kept.len() < 80, "the disk is never full");
    }
}

#[tokio::test]
async fn a_full_disk_is_told_reads_go_on_and_writes_come_back_with_room() {
    let disk = SmallDisk::mount(256);
    let filler = disk.path().join("filler");
    std::fs::write(&filler, vec![7; 120 << 20]).unwrap();
    let node = Daemon::start_below(disk.path(), "A", Setup::default())
        .await
        .unwrap();
    let client = node.client().await.unwrap();
    client.create_chain("chat").await.unwrap();
    let mut kept = Vec::new();
    let refusal = loop {
        let number = kept.len() as u8;
        match client.add_bytes(Profile::V0, file(number, 3000)).await {
            Ok(added) => kept.push((number, added.cid)),
            Err(error) => break refused::<()>(Err(error)),
        }
        assert!(kept.len() < 80, "the disk is never full");
    };
    assert_eq!(
        (refusal.kind, refusal.reason.as_str()),
        (FaultKind::ResourceExhausted, reason::DISK_FULL)
    );
    assert!(
        !kept.is_empty() && refusal.message.contains("make room"),
        "{}",
        refusal.message
    );
    fill_by_command_line(&node, &mut kept).await.refusal(1);

    let status = client.status().await.unwrap();
    assert!(
        !status.ready && status.health.contains("full"),
        "{}",
        status.health
    );
    for (number, cid) in &kept {
        assert!(reads(&client, *cid, &file(*number, 3000)).await, "reads go on");
    }
    append(&client, &named("chat"), "chains have a reserve")
        .await
        .unwrap();

    // Somebody else takes most of what is kept in reserve: pins and garbage need less than content.
    let other = disk.path().join("other");
    std::fs::write(&other, vec![7; 24 << 20]).unwrap();
    let (number, gone) = kept.remove(0);
    client.unpin(&gone, None).await.unwrap();
    let named_pin = Pin {
        name: "kept".to_owned(),
        ..Pin::new(kept[0].1, PinKind::Recursive)
    };
    client.pin(&named_pin, None).await.unwrap();
    assert_eq!(collect(&client).await.removed_blocks, 12 + 1);
    assert!(!reads(&client, gone, &file(number, 3000)).await);
    std::fs::remove_file(&other).unwrap();

    std::fs::remove_file(&filler).unwrap();
    let freed = Instant::now();
    let again = file(200, 3000);
    let cid = loop {
        match client.add_bytes(Profile::V0, again.clone()).await {
            Ok(added) => break added.cid,
            Err(error) => assert!(freed.elapsed() < ROOM_SEEN, "{error}"),
        }
    };
    assert!(reads(&client, cid, &again).await);
    assert!(client.status().await.unwrap().ready, "and health is good again");
    assert_eq!(verify(&client, false).await.1, []);
}

#[tokio::test]
async fn above_high_water_garbage_goes_by_itself_and_at_the_quota_content_is_refused() {
    let quota = 64_u64 << 20;
    let setup = Setup::default()
        .flag("--store.quota-bytes")
        .flag(quota.to_string());
    let node = Daemon::start("A", setup).await.unwrap();
    let client = node.client().await.unwrap();
    // More than the quota in all, of which nothing stays pinned.
    for number in 0..40 {
        let cid = add(&client, &file(number, 3000)).await;
        client.unpin(&cid, None).await.unwrap();
    }
    let stat = client.store_stat().await.unwrap();
    let view = stat.quota.unwrap();
    assert_eq!(
        (view.bytes, view.high, view.low),
        (quota, quota * 90 / 100, quota * 75 / 100)
    );
    assert!(stat.last_collection.is_some(), "garbage was collected by itself");
    assert!(stat.disk_bytes.unwrap() < quota + (16 << 20), "{stat:?}");

    let mut kept = Vec::new();
    let refusal = loop {
        match client
            .add_bytes(Profile::V0, file(100 + kept.len() as u8, 3000))
            .await
        {
            Ok(added) => kept.push(added.cid),
            Err(error) => break refused::<()>(Err(error)),
        }
        assert!(kept.len() < 60, "the quota is never reached");
    };
    assert_eq!(refusal.reason, reason::QUOTA_REACHED);
    assert!(refusal.message.contains("unpin"), "{}", refusal.message);
    assert!(client.status().await.unwrap().ready, "the store itself is well");
    client.create_chain("chat").await.unwrap();
    append(&client, &named("chat"), "chains go on").await.unwrap();

    for cid in kept.iter().skip(2) {
        client.unpin(cid, None).await.unwrap();
    }
    // Whoever comes now waits for the collection that the unpinning has made worth while.
    let again = file(250, 3000);
    let mut tries = 0;
    while client.add_bytes(Profile::V0, again.clone()).await.is_err() {
        tries += 1;
        assert!(tries < 20);
        collect(&client).await;
    }
    assert_eq!(verify(&client, false).await.1, []);
}
