//! Values and blocks by their CID.

use std::fs;

use rustle_tests::{Cluster, Setup, rustle_at};
use serde_json::Value;

use super::{done, words};

#[tokio::test]
async fn values_are_followed_from_block_to_block_and_node_to_node() {
    let cluster = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    cluster.connect_to_first().await.unwrap();
    let [a, b] = [cluster.node(0).data_dir(), cluster.node(1).data_dir()];
    let folder = tempfile::tempdir().unwrap();
    let (file, value, form) = (
        folder.path().join("file"),
        folder.path().join("value"),
        folder.path().join("form"),
    );
    fs::write(&file, "a file").unwrap();
    let wrapped = done(rustle_at(a, words(&[&"add", &"-wQ", &file])).await).text();

    let text = format!(r#"{{"list":[1,{{"see":{{"/":"{wrapped}"}}}}],"name":"value"}}"#);
    fs::write(&value, &text).unwrap();
    let put = done(rustle_at(a, words(&[&"dag", &"put", &value, &"--pin"])).await).text();
    assert!(put.starts_with("bafyrei"), "{put}");

    assert_eq!(done(rustle_at(b, ["dag", "get", &put]).await).text(), text);
    let path = |rest: &str| format!("{put}/{rest}");
    assert_eq!(
        done(rustle_at(b, ["dag", "get", &path("list/0")]).await).text(),
        "1"
    );
    assert_eq!(
        done(rustle_at(b, ["dag", "get", &path("name")]).await).text(),
        "\"value\""
    );
    // Through a link into a folder, and to a file in it.
    let through = path("list/1/see/file");
    assert_eq!(done(rustle_at(b, ["cat", &through]).await).text(), "a file");
    let node = done(rustle_at(b, ["dag", "get", &path("list/1/see")]).await).text();
    let node: Value = serde_json::from_str(&node).unwrap();
    assert_eq!(node["Links"][0]["Name"], "file");

    let cbor = done(rustle_at(b, ["dag", "get", &put, "--form", "dag-cbor"]).await).stdout;
    assert_eq!(done(rustle_at(b, ["block", "get", &put]).await).stdout, cbor);
    fs::write(&form, &cbor).unwrap();
    let again = done(rustle_at(b, words(&[&"dag", &"put", &form, &"--form", &"dag-cbor"])).await).text();
    assert_eq!(again, put);
    let stat = done(rustle_at(b, ["stat", &put, "--json"]).await).text();
    let stat: Value = serde_json::from_str(&stat).unwrap();
    assert_eq!(
        (&stat["kind"], &stat["codec"], &stat["blocks"]),
        (&"other".into(), &"dag-cbor".into(), &1.into())
    );
    let count = done(rustle_at(b, ["dag", "stat", &put]).await).text();
    assert!(count.starts_with("3 blocks"), "{count}");

    for (line, code, hint) in [
        (vec!["dag", "get", &path("absent")], 1, "absent"),
        (vec!["cat", &path("name")], 1, "dag get"),
        (vec!["cat", &put], 1, "neither raw nor dag-pb"),
        (
            vec!["get", &put, "-o", "/nowhere/at/all"],
            1,
            "neither file nor folder",
        ),
    ] {
        let refused = rustle_at(b, &line).await.unwrap();
        let line = refused.refusal(code);
        assert!(line.contains(hint), "{line}");
    }
}

#[tokio::test]
async fn blocks_are_kept_by_any_codec_that_is_known() {
    let cluster = Cluster::start(["A", "B"], &Setup::default()).await.unwrap();
    cluster.connect_to_first().await.unwrap();
    let [a, b] = [cluster.node(0).data_dir(), cluster.node(1).data_dir()];
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    // The empty folder of UnixFS, and the empty list of CBOR.
    let (node, list) = (write("node", &[0x0a, 2, 8, 1]), write("list", &[0x80]));

    let v0 = words(&[
        &"block",
        &"put",
        &node,
        &"--codec",
        &"dag-pb",
        &"--cid-version",
        &"0",
        &"--pin",
    ]);
    let put = done(rustle_at(a, v0).await).text();
    assert_eq!(put, "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn");
    assert_eq!(done(rustle_at(b, ["ls", &put]).await).text(), "");
    for (codec, prefix) in [("raw", "bafkrei"), ("dag-cbor", "bafyrei")] {
        let put = done(rustle_at(a, words(&[&"block", &"put", &list, &"--codec", &codec])).await).text();
        assert!(put.starts_with(prefix), "{put}");
        assert_eq!(done(rustle_at(b, ["block", "get", &put]).await).stdout, [0x80]);
        let stat = done(rustle_at(b, ["block", "stat", &put, "--json"]).await).text();
        assert_eq!(serde_json::from_str::<Value>(&stat).unwrap()["bytes"], 1);
        done(rustle_at(a, ["block", "rm", &put]).await);
        assert!(
            rustle_at(a, ["block", "rm", &put])
                .await
                .unwrap()
                .refusal(1)
                .contains(&put)
        );
    }
    let blake3 = done(rustle_at(a, words(&[&"block", &"put", &list, &"--hash", &"blake3"])).await).text();
    assert_eq!(done(rustle_at(b, ["block", "get", &blake3]).await).stdout, [0x80]);

    let (large, broken) = (
        write("large", &vec![7; (2 << 20) + 1]),
        write("broken", &[0x9f, 1]),
    );
    for (path, flags, hint) in [
        (&large, vec![], "2097152"),
        (&broken, vec!["--codec", "dag-cbor"], "no dag-cbor"),
        (&list, vec!["--codec", "git-raw"], "dag-cbor or dag-json"),
        (&list, vec!["--cid-version", "0"], "dag-pb"),
    ] {
        let mut line = vec!["block", "put", path.to_str().unwrap()];
        line.extend(flags);
        let refused = rustle_at(a, &line).await.unwrap();
        let line = refused.refusal(1);
        assert!(line.contains(hint), "{line}");
    }
    let text = write("text", b"{\"no\": json}");
    let refused = rustle_at(a, words(&[&"dag", &"put", &text])).await.unwrap();
    assert!(refused.refusal(1).contains("no dag-json"));
    let largest = write("largest", &vec![7; 2 << 20]);
    let put = done(rustle_at(a, words(&[&"block", &"put", &largest])).await).text();
    assert_eq!(
        done(rustle_at(b, ["block", "get", &put]).await).stdout.len(),
        2 << 20
    );
}
