//! Each call, there and back: what the node said is what the client gets.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use rustle_admin::fault::reason;
use rustle_admin::views::*;
use rustle_admin::{Backend as _, CHUNK_BYTES_MAX, ClientError, parse};
use rustle_types::BlockId;

use crate::fake::{INVITATION, address, peer};
use crate::{Running, SOON};

#[tokio::test]
async fn node_and_peers_arrive_as_the_node_told_them() {
    let running = Running::start().await;
    let client = running.client().await;

    assert_eq!(client.id().await.unwrap(), running.fake.id().await.unwrap());
    assert_eq!(
        client.status().await.unwrap(),
        running.fake.status().await.unwrap()
    );
    assert_eq!(client.peers().await.unwrap(), running.fake.peers().await.unwrap());
    assert_eq!(
        client
            .connect_peer(&address(), Some(Duration::from_secs(7)))
            .await
            .unwrap(),
        peer()
    );
    assert!(running.fake.asked().contains("7s"), "{}", running.fake.asked());
}

#[tokio::test]
async fn peers_are_filtered_examined_and_disconnected() {
    let running = Running::start().await;
    let client = running.client().await;

    let all = running.fake.peers().await.unwrap();
    let class = |class| PeerFilter {
        class: Some(class),
        direction: None,
    };
    let direction = |direction| PeerFilter {
        class: None,
        direction: Some(direction),
    };
    for (filter, expected) in [
        (PeerFilter::default(), &all[..]),
        (class(PeerClass::Rustle), &all[..1]),
        (class(PeerClass::Pending), &all[1..]),
        (class(PeerClass::Foreign), &[]),
        (direction(Direction::Outbound), &all[..1]),
        (direction(Direction::Inbound), &all[1..]),
    ] {
        assert_eq!(client.peers_of(filter).await.unwrap(), expected, "{filter:?}");
    }

    client
        .ban(&"192.0.2.0/24".parse().unwrap(), None, "")
        .await
        .unwrap();
    assert_eq!(
        client.peer(&peer()).await.unwrap(),
        running.fake.peer(peer()).await.unwrap()
    );
    client.disconnect_peer(&peer()).await.unwrap();
    assert!(running.fake.asked().contains("disconnect"));
}

#[tokio::test]
async fn rules_are_made_listed_and_ended() {
    let running = Running::start().await;
    let client = running.client().await;
    let network: Target = "2001:db8::/48".parse().unwrap();

    let hour = Duration::from_secs(3600);
    let ban = client.ban(&network, Some(hour), "too loud").await.unwrap();
    assert_eq!((ban.kind, ban.target), (RuleKind::Ban, network));
    assert_eq!(ban.reason.as_str(), "too loud");
    assert_eq!(ban.until, Some(ban.since.plus(hour)));
    let allow = client.allow(&peer().into(), "").await.unwrap();
    assert_eq!((allow.kind, allow.until), (RuleKind::Allow, None));
    assert_eq!(client.rules().await.unwrap(), [ban, allow]);

    client.unban(&network).await.unwrap();
    client.disallow(&peer().into()).await.unwrap();
    assert_eq!(client.rules().await.unwrap(), []);
}

#[tokio::test]
async fn the_address_book_comes_in_pages() {
    let running = Running::start().await;
    let client = running.client().await;

    let first = client.addresses(AddressQuery::first()).await.unwrap();
    assert_eq!(
        first,
        running.fake.addresses(AddressQuery::first()).await.unwrap()
    );
    let query = AddressQuery {
        table: Some(BookTable::Needed),
        after: first.next,
        limit: AddressQuery::LIMIT_MAX,
    };
    assert_eq!(client.addresses(query).await.unwrap().next, None);
    assert!(
        running.fake.asked().contains(&format!("{query:?}")),
        "{}",
        running.fake.asked()
    );
}

#[tokio::test]
async fn a_file_goes_in_and_comes_out_in_pieces() {
    let running = Running::start().await;
    let client = running.client().await;
    let file: Bytes = (0..2 * CHUNK_BYTES_MAX + 12_345)
        .map(|i| (i % 251) as u8)
        .collect();

    let added = client
        .add(
            Profile::V1,
            rustle_admin::client::chunks(std::io::Cursor::new(file.clone())),
        )
        .await
        .unwrap();

    assert_eq!(
        (added.bytes, added.blocks),
        (file.len() as u64, 3),
        "three chunks of at most 1 MiB"
    );
    assert!(running.fake.asked().contains("V1"));
    assert_eq!(
        client.cat_whole(added.cid, SOON, file.len()).await.unwrap(),
        Some(file.clone())
    );
    assert_eq!(
        client.cat_whole(added.cid, SOON, file.len() - 1).await.unwrap(),
        None
    );

    let query = CatQuery {
        cid: added.cid,
        offset: 1000,
        length: Some(1_500_000),
        timeout: SOON,
    };
    let pieces: Vec<Bytes> = client
        .cat(query)
        .await
        .unwrap()
        .map(|piece| piece.unwrap())
        .collect()
        .await;
    assert_eq!(
        pieces.iter().map(Bytes::len).collect::<Vec<_>>(),
        [CHUNK_BYTES_MAX, 1_500_000 - CHUNK_BYTES_MAX]
    );
    assert_eq!(pieces.concat(), file[1000..1_501_000]);

    let again = client.add_bytes(Profile::V0, file).await.unwrap();
    assert_eq!(again, added, "one long item is cut into the same chunks");
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_no_shorter_file() {
    let running = Running::start().await;
    let client = running.client().await;
    let parts = [
        Ok(Bytes::from_static(b"first")),
        Err(std::io::Error::other("the disk is gone")),
    ];

    let error = client.add(Profile::V0, stream::iter(parts)).await.unwrap_err();

    assert!(matches!(error, ClientError::Input(_)), "{error}");
    assert_eq!(client.id().await.unwrap().peer, peer(), "the connection lives on");
    assert!(running.fake.files.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_chain_is_made_filled_and_read() {
    let running = Running::start().await;
    let client = running.client().await;
    let id = client.create_chain("chat").await.unwrap();
    let chat = parse::chain("chat").unwrap();

    let entry = NewEntry {
        topics: vec!["greeting".to_owned()],
        body: "hello".into(),
    };
    let first = client.append(&chat, entry).await.unwrap();
    let second = client
        .append(&ChainRef::Id(id), NewEntry::default())
        .await
        .unwrap();

    assert_eq!((first.height, second.height), (1, 2));
    assert_eq!(
        client.chains().await.unwrap(),
        running.fake.chains().await.unwrap()
    );
    assert_eq!(client.leaves(&chat).await.unwrap(), [second.block]);
    assert_eq!(
        client.digest(&chat).await.unwrap(),
        ChainDigest {
            hash: [0xab; 32],
            blocks: 3
        }
    );

    let log = async |query| -> Vec<BlockView> {
        client
            .log(&chat, query)
            .await
            .unwrap()
            .map(|block| block.unwrap())
            .collect()
            .await
    };
    let all = running.fake.blocks.lock().unwrap().clone();
    let oldest = LogQuery {
        order: Order::OldestFirst,
        ..LogQuery::default()
    };
    assert_eq!(log(oldest).await, all);
    let newest = log(LogQuery {
        limit: Some(2),
        ..LogQuery::default()
    })
    .await;
    assert_eq!(
        newest,
        [all[2].clone(), all[1].clone()],
        "no more than asked for, though the node gives more"
    );
    assert_eq!(
        log(LogQuery {
            after: Some(first.block),
            ..oldest
        })
        .await,
        [all[2].clone()]
    );
    assert_eq!(
        log(LogQuery {
            limit: Some(0),
            ..oldest
        })
        .await,
        []
    );
}

#[tokio::test]
async fn followers_begin_where_they_ask() {
    let running = Running::start().await;
    let client = running.client().await;
    client.create_chain("chat").await.unwrap();
    let chat = parse::chain("chat").unwrap();
    let appended = client.append(&chat, NewEntry::default()).await.unwrap();

    for (from, first) in [(FollowFrom::Start, 0), (FollowFrom::Sequence(1), 1)] {
        let mut deliveries = client.follow(&chat, from).await.unwrap();
        assert_eq!(deliveries.next().await.unwrap().unwrap().sequence, first);
    }
    let mut deliveries = client.follow(&chat, FollowFrom::Sequence(1)).await.unwrap();
    assert_eq!(
        deliveries.next().await.unwrap().unwrap().block.block,
        appended.block
    );
}

#[tokio::test]
async fn invitations_are_issued_and_used() {
    let running = Running::start().await;
    let client = running.client().await;
    client.create_chain("chat").await.unwrap();
    let chat = parse::chain("chat").unwrap();

    let terms = InviteTerms {
        expires_in: Some(Duration::from_millis(1)),
        uses: 3,
    };
    assert_eq!(client.invite(&chat, terms).await.unwrap(), INVITATION);
    assert!(
        running.fake.asked().contains("1s"),
        "rounded up, since 0 means never: {}",
        running.fake.asked()
    );
    client
        .invite(
            &chat,
            InviteTerms {
                expires_in: None,
                uses: 0,
            },
        )
        .await
        .unwrap();
    assert!(running.fake.asked().contains("expires_in: None, uses: 0"));

    let joined = client.join(INVITATION, None).await.unwrap();
    assert_eq!(joined.name, "joined");
    assert_eq!(joined.chain.genesis(), BlockId::of(b"joined"));
    let error = client.join("rustle1expired", Some(SOON)).await.unwrap_err();
    assert_eq!(error.refusal().unwrap().reason, reason::INVITATION_EXPIRED);
}
