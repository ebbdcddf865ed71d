//! Is bad input answered by one line that says what to do, and by the right exit code?

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustle_admin::FaultKind;
use rustle_admin::fault::reason;
use rustle_tests::waiting::append;
use rustle_tests::{Daemon, Finished, Setup, rustle, rustle_at, rustled, tcp_of};

use crate::{named, refused};

async fn start(setup: Setup, data_dir: &Path) -> Finished {
    rustled(setup.arguments(data_dir)).await.unwrap()
}

async fn with_config(text: &str) -> Finished {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("rustled.toml");
    std::fs::write(&config, text).unwrap();
    start(
        Setup::default().flag("--config").flag(&config),
        &folder.path().join("data"),
    )
    .await
}

#[tokio::test]
async fn a_busy_data_directory_is_refused() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();

    let second = start(Setup::default(), node.data_dir()).await;

    let line = second.refusal(1);
    assert!(line.contains(&node.data_dir().display().to_string()), "{line}");
    node.client()
        .await
        .unwrap()
        .status()
        .await
        .expect("the first goes on");
}

#[tokio::test]
async fn a_taken_port_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();

    let setup = Setup::default().listen(&format!("/ip4/127.0.0.1/tcp/{port}"));
    let refused = start(setup, &folder.path().join("data")).await;

    let line = refused.refusal(1);
    assert!(line.contains(&port.to_string()), "{line}");
}

#[tokio::test]
async fn a_port_taken_by_another_node_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let node = Daemon::start("A", Setup::default()).await.unwrap();

    let setup = Setup::default().listen(&tcp_of(node.address()));
    let refused = start(setup, &folder.path().join("data")).await;

    refused.refusal(1);
}

#[tokio::test]
async fn a_taken_admin_port_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    let setup = Setup::default().flag("--admin").flag(&address);
    let refused = start(setup, &folder.path().join("data")).await;

    let line = refused.refusal(1);
    assert!(line.contains(&address), "{line}");
}

#[tokio::test]
async fn unknown_flags_are_usage_errors() {
    let line = rustled(["--no-such-flag"]).await.unwrap();
    assert!(line.refusal(2).contains("--no-such-flag"));

    let line = rustle(["id", "--no-such-flag"]).await.unwrap();
    assert!(line.refusal(2).contains("--no-such-flag"));
}

#[tokio::test]
async fn what_is_missing_points_to_the_help_of_its_command() {
    for (arguments, help) in [
        (&["peer", "connect"][..], "`rustle peer connect --help`"),
        (
            &["--json", "chain", "append", "--no-such-flag"],
            "`rustle chain append --help`",
        ),
        (&["peer"], "`rustle peer --help`"),
        (&["cat"], "`rustle cat --help`"),
        (&["peer", "ban", "192.0.2.7", "--expires", "soon"], " --help`"),
        (&[], "`rustle --help`"),
    ] {
        let refused = rustle(arguments).await.unwrap();
        let line = refused.refusal(2);
        assert!(line.contains(help), "{line}");
    }
}

#[tokio::test]
async fn wrong_values_of_flags_are_usage_errors() {
    let folder = tempfile::tempdir().unwrap();
    for (flag, value) in [
        ("--network", "No Such Name"),
        ("--listen", "localhost:4747"),
        ("--bootstrap", "/ip4/300.1.1.1/tcp/1"),
        ("--admin", "10.0.0.1:4748"),
        ("--log-format", "xml"),
        ("--foreign", "some"),
        ("--metrics", "9747"),
        ("--static", "localhost:4747"),
        ("--static", "/ip4/127.0.0.1"),
        ("--bootstrap", "/ip4/127.0.0.1"),
        ("--bootstrap", "/ip4/127.0.0.1/udp/1"),
        ("--rendezvous", "/ip4/127.0.0.1"),
        ("--rendezvous", "/ip4/127.0.0.1/tcp/1"),
        ("--proxy", "127.0.0.1:9050"),
        ("--peers.lower", "many"),
        ("--peers.per-ip", "0"),
        ("--peers.target", "1000000"),
    ] {
        let data_dir = folder.path().join("data");
        let refused = rustled([
            "--data-dir".as_ref(),
            data_dir.as_os_str(),
            flag.as_ref(),
            value.as_ref(),
        ]);
        let refused = refused.await.unwrap();
        let line = refused.refusal(2);
        assert!(line.contains(flag.trim_start_matches('-')), "{line}");
        assert!(!data_dir.exists(), "nothing is made before the flags are right");
    }
}

#[tokio::test]
async fn flags_that_contradict_each_other_are_usage_errors() {
    let folder = tempfile::tempdir().unwrap();
    let lower = Setup::default().flag("--peers.lower").flag("9");
    let lower = lower.flag("--peers.target").flag("8");
    // It listens by default.
    let light = Setup::default().flag("--light");
    for (setup, flag) in [(lower, "--peers.lower"), (light, "--listen")] {
        let refused = start(setup, &folder.path().join("data")).await;
        let line = refused.refusal(2);
        assert!(line.contains(flag), "{line}");
    }
}

#[tokio::test]
async fn an_unreadable_configuration_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.toml");

    let setup = Setup::default().flag("--config").flag(&missing);
    let refused = start(setup, &folder.path().join("data")).await;

    let line = refused.refusal(2);
    assert!(line.contains("none.toml"), "{line}");
}

#[tokio::test]
async fn a_mistake_in_the_configuration_is_told_with_its_line() {
    let refused = with_config("network = \"tests\"\nlissten = []\n").await;
    let line = refused.refusal(2);
    assert!(line.contains("line 2") && line.contains("lissten"), "{line}");

    let refused = with_config("network = \"tests\"\n\n[peers]\nping_idle_seconds = \"soon\"\n").await;
    let line = refused.refusal(2);
    assert!(line.contains("line 4"), "{line}");

    let refused = with_config("network = \n").await;
    assert!(refused.refusal(2).contains("line 1"));

    for wrong in [
        "log = \"==\"",
        "log_format = \"x\"",
        "listen = [\"nope\"]",
        "[peers]\nping_idle_seconds = 0",
        "[peers]\ntarget = 8\nlower = 9",
        "[nat]\nproxy = \"127.0.0.1:9050\"",
    ] {
        let refused = with_config(&format!("\n{wrong}\n")).await;
        let expected = format!("line {}", 2 + wrong.matches('\n').count());
        let line = refused.refusal(2);
        assert!(line.contains(&expected), "{wrong}: {line}");
    }
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_made_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "precious").unwrap();

    for data_dir in [file.clone(), file.join("below")] {
        let refused = start(Setup::default(), &data_dir).await;
        let line = refused.refusal(1);
        assert!(line.contains("file"), "{line}");
    }

    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
}

#[tokio::test]
async fn a_damaged_identity_is_refused_and_kept() {
    let mut node = Daemon::start("A", Setup::default()).await.unwrap();
    node.terminate().await.unwrap();
    let identity = std::fs::read_dir(node.data_dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().contains("identity"))
        })
        .expect("the identity lies in the data directory");
    let mode = std::fs::metadata(&identity).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "nobody else may read it");
    std::fs::write(&identity, "torn").unwrap();

    let refused = start(Setup::default(), node.data_dir()).await;

    let line = refused.refusal(1);
    assert!(line.contains("identity"), "{line}");
    assert_eq!(std::fs::read(&identity).unwrap(), b"torn");
}

#[tokio::test]
async fn malformed_arguments_are_usage_errors_even_without_a_daemon() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["cat", "not-a-cid"][..],
        &["connect", "localhost:4747"],
        &["connect", "/ip4/127.0.0.1"],
        &["peer", "connect", "/ip4/127.0.0.1/tcp/0"],
        &["chain", "join", "rustle2nonsense"],
        &["chain", "join", "hello"],
        &["chain", "log", "bafyreigh2akiscaildc"],
        &["chain", "create", ""],
        &["--endpoint", "nowhere", "id"],
    ] {
        let refused = rustle_at(folder.path(), arguments).await.unwrap();
        refused.refusal(2);
    }
}

#[tokio::test]
async fn a_malformed_invitation_is_a_usage_error_of_the_daemon_too() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    let client = node.client().await.unwrap();

    let refusal = refused(client.join("rustle1abcdefghijkl", None).await);

    assert_eq!(refusal.kind, FaultKind::InvalidArgument, "{refusal}");
    let arguments = ["chain", "join", "rustle1abcdefghijkl"];
    rustle_at(node.data_dir(), arguments).await.unwrap().refusal(2);
}

#[tokio::test]
async fn an_unknown_chain_is_a_failure() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    let client = node.client().await.unwrap();
    let id = "bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

    for chain in ["nobody", id] {
        for command in ["log", "leaves", "digest", "follow", "invite"] {
            let refused = rustle_at(node.data_dir(), ["chain", command, chain])
                .await
                .unwrap();
            let line = refused.refusal(1);
            assert!(line.contains(chain), "{line}");
        }
        let refused = rustle_at(node.data_dir(), ["chain", "append", chain, "text"])
            .await
            .unwrap();
        refused.refusal(1);
    }

    let refusal = refused(client.digest(&named("nobody")).await);
    assert_eq!(
        (refusal.kind, refusal.reason.as_str()),
        (FaultKind::NotFound, reason::CHAIN_NOT_FOUND)
    );
}

#[tokio::test]
async fn a_name_of_several_chains_is_refused() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    let client = node.client().await.unwrap();
    let first = client.create_chain("chat").await.unwrap();
    let second = client.create_chain("chat").await.unwrap();
    assert_ne!(first, second);

    let refusal = refused(client.digest(&named("chat")).await);

    assert_eq!(
        (refusal.kind, refusal.reason.as_str()),
        (FaultKind::FailedPrecondition, reason::CHAIN_NAME_AMBIGUOUS)
    );
    client
        .digest(&rustle_admin::views::ChainRef::Id(second))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_body_beyond_its_bound_is_refused_and_one_at_the_bound_is_not() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    let client = node.client().await.unwrap();
    client.create_chain("chat").await.unwrap();
    let chain = named("chat");

    let error = append(&client, &chain, "x".repeat(256 * 1024 + 1))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("262144"), "{error}");
    append(&client, &chain, "x".repeat(256 * 1024)).await.unwrap();
    append(&client, &chain, "").await.unwrap();
}

#[tokio::test]
async fn a_command_without_a_daemon_says_how_to_start_one() {
    let folder = tempfile::tempdir().unwrap();

    let refused = rustle_at(folder.path(), ["id"]).await.unwrap();

    let line = refused.refusal(1);
    assert!(line.contains("rustled --data-dir"), "{line}");
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_a_failure() {
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    // Bound but not listening: refused at once, and nobody else can take the port meanwhile.
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port());

    let refused = rustle_at(node.data_dir(), ["connect", &address, "--timeout", "5s"])
        .await
        .unwrap();

    refused.refusal(1);
}

#[tokio::test]
async fn an_address_that_another_kind_of_node_could_dial_says_so() {
    let onion = "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234";
    let node = Daemon::start("A", Setup::default()).await.unwrap();
    let proxied = Setup::default().flag("--proxy").flag("socks5://127.0.0.1:9");
    let proxied = Daemon::start("B", proxied).await.unwrap();

    for (node, address, part) in [
        (&node, onion, "--proxy socks5://"),
        (&node, "/ip4/127.0.0.1/sctp/1", "no such transport"),
        (
            &proxied,
            "/ip4/127.0.0.1/udp/1/quic-v1",
            "only TCP goes through a proxy",
        ),
    ] {
        let refused = rustle_at(node.data_dir(), ["connect", address]).await.unwrap();
        let line = refused.refusal(1);
        assert!(line.contains(part) && !line.contains("Multiple"), "{line}");
    }
}
