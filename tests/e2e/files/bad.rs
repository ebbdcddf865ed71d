//! Input that cannot be taken: a clear line, exit code 1, nothing half-written.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use rustle_tests::{Daemon, Setup, content, programs, rustle_at, waiting};

use super::{ABSENT, done, words};
use crate::SOON;

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named_and_nothing_is_kept() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("first"), content::pattern(3_000_000)).unwrap();
    let bad = |name: &str, target: &str| {
        symlink(target, tree.join(name)).unwrap();
        tree.join(name)
    };
    // What is behind the first opens, and fails when it is read; the other leads nowhere.
    for (name, target) in [("second", "/proc/self/mem"), ("third", "nowhere")] {
        let path = bad(name, target);
        let refused = rustle_at(node.data_dir(), words(&[&"add", &"-rL", &tree]))
            .await
            .unwrap();
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains(name), "{refused:?}");
        assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
        fs::remove_file(path).unwrap();
    }

    let circle = tree.join("circle");
    symlink("../tree", &circle).unwrap();
    let refused = rustle_at(node.data_dir(), words(&[&"add", &"-rLQ", &tree]))
        .await
        .unwrap();
    assert!(refused.refusal(1).contains("circle"), "{refused:?}");
    fs::remove_file(circle).unwrap();

    let refused = rustle_at(node.data_dir(), words(&[&"add", &tree])).await.unwrap();
    assert!(refused.refusal(1).contains("--recursive"));
    let hashed = done(rustle_at(node.data_dir(), words(&[&"add", &"-rQn", &tree])).await).text();
    let absent = rustle_at(
        node.data_dir(),
        ["get", &hashed, "--timeout", "1s", "-o"]
            .map(str::to_owned)
            .into_iter()
            .chain([folder.path().join("got").display().to_string()]),
    );
    assert!(
        absent.await.unwrap().refusal(1).contains(&hashed),
        "it was not kept"
    );
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing was written"
    );
}

#[tokio::test]
async fn paths_that_lead_upwards_are_refused() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    let long = format!("{ABSENT}/{}", "n".repeat(5000));
    for path in [&format!("{ABSENT}/../x"), &format!("/ipfs/{ABSENT}/a/./b"), &long] {
        for command in ["cat", "get", "ls", "stat"] {
            let refused = rustle_at(node.data_dir(), [command, path]).await.unwrap();
            let line = refused.refusal(1);
            assert!(line.contains("path"), "{line}");
        }
    }
    let refused = rustle_at(node.data_dir(), ["cat", "a/b"]).await.unwrap();
    assert!(
        refused.refusal(2).contains("CID"),
        "no path at all is wrong usage"
    );
}

#[tokio::test]
async fn what_nobody_has_ends_at_its_deadline_and_leaves_nothing() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (copy, car) = (folder.path().join("copy"), folder.path().join("car"));
    for line in [
        words(&[&"get", &ABSENT, &"--timeout", &"1s", &"-o", &copy]),
        words(&[&"cat", &ABSENT, &"--timeout", &"1s", &"-o", &copy]),
        words(&[&"car", &"export", &ABSENT, &"--timeout", &"1s", &"-o", &car]),
        words(&[&"ls", &ABSENT, &"--timeout", &"1s"]),
        words(&[&"stat", &ABSENT, &"--timeout", &"1s"]),
        words(&[&"dag", &"get", &ABSENT, &"--timeout", &"1s"]),
        words(&[&"dag", &"stat", &ABSENT, &"--timeout", &"1s"]),
        words(&[&"block", &"get", &ABSENT, &"--timeout", &"1s"]),
        words(&[&"block", &"stat", &ABSENT, &"--timeout", &"1s"]),
        words(&[&"block", &"rm", &ABSENT]),
    ] {
        let refused = rustle_at(node.data_dir(), &line).await.unwrap();
        assert!(refused.refusal(1).contains(ABSENT), "{line:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_get_that_is_interrupted_leaves_nothing() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original");
    fs::create_dir(&original).unwrap();
    for (name, bytes) in [("a", 700_000), ("b", 700_001)] {
        fs::write(original.join(name), content::pattern(bytes)).unwrap();
    }
    let cid = done(rustle_at(node.data_dir(), words(&[&"add", &"-rQ", &original])).await).text();
    let second = done(rustle_at(node.data_dir(), words(&[&"add", &"-Qn", &original.join("b")])).await).text();
    // Nobody has the second file any more, so that the command waits when it is interrupted.
    let refused = rustle_at(node.data_dir(), ["block", "rm", &second])
        .await
        .unwrap();
    assert!(refused.refusal(1).contains(&cid), "a pin needs it: {refused:?}");
    done(rustle_at(node.data_dir(), ["pin", "rm", &cid]).await);
    done(rustle_at(node.data_dir(), ["block", "rm", &second]).await);

    let copy = folder.path().join("copy");
    let mut child = tokio::process::Command::new(programs::rustle().unwrap())
        .arg("--data-dir")
        .arg(node.data_dir())
        .args(words(&[&"get", &cid, &"-o", &copy]))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let part = folder.path().join("copy.rustle-part");
    let written = async {
        while !part.join("a").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    waiting::within("a file is written", SOON, written).await.unwrap();
    let pid = child.id().unwrap().to_string();
    let killed = tokio::process::Command::new("kill").args(["-INT", &pid]).status();
    assert!(killed.await.unwrap().success());
    assert_eq!(child.wait().await.unwrap().code(), Some(1));
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "only the original is left"
    );
}
