//! Do invitations survive people and withstand forgers?

use proptest::prelude::*;
use rustle_store::{Durability, MemoryStore, Op, Store as _, Table};
use rustle_types::Multiaddr;
use rustle_types::limits::INVITATION_ADDRESSES_MAX;
use rustle_wire::JoinRefusal;

use super::*;
use crate::testing::{no_chain, peer, signer};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const LATER: Timestamp = Timestamp::from_millis(1_700_000_060_000);

fn member(n: u8) -> Member {
    let address: Multiaddr = "/ip4/192.0.2.1/udp/4001/quic-v1".parse().unwrap();
    Member {
        peer: peer(n),
        addresses: vec![address; 2],
    }
}

fn invitation(expires: Option<Timestamp>, uses: Option<u32>) -> Invitation {
    let members = vec![member(1), member(2)];
    Invitation::issue(&signer(1), no_chain(), "diary", expires, uses, members, [9; 32]).unwrap()
}

fn check() -> RequestCheck {
    RequestCheck {
        joiner: peer(5),
        member: peer(2),
        now: NOW,
        founder: signer(1).author(),
        own: signer(2).author(),
    }
}

fn redeem_and_commit(store: &MemoryStore, request: &JoinRequest, joiner: u8) -> Result<bool, JoinRefusal> {
    let batch = redeem(store, request, peer(joiner), NOW)?;
    let counted = batch.is_some();
    store
        .commit(batch.unwrap_or_default(), Durability::Synced)
        .unwrap();
    Ok(counted)
}

#[test]
fn an_invitation_survives_mail_and_shouting() {
    let made = invitation(Some(LATER), Some(3));
    let text = made.to_string();
    let wrapped: String = text
        .chars()
        .enumerate()
        .flat_map(|(n, c)| [Some(c), (n % 60 == 59).then_some('\n')])
        .flatten()
        .collect();

    for text in [text.clone(), format!("  {wrapped}\r\n"), text.to_uppercase()] {
        let read: Invitation = text.parse().unwrap();
        assert_eq!(read.to_string(), made.to_string());
        assert_eq!(
            (read.chain(), read.name(), read.inviter()),
            (no_chain(), "diary", signer(1).author())
        );
        assert_eq!((read.expires(), read.uses()), (Some(LATER), Some(3)));
        assert_eq!(read.members(), [member(1), member(2)]);
    }
    assert!(text.len() < 700, "{} characters fit a QR code", text.len());
}

#[test]
fn what_is_wrong_with_a_text_is_said() {
    let good = invitation(None, None).to_string();
    let parse = |text: &str| text.parse::<Invitation>().unwrap_err();

    assert_eq!(parse(""), InvitationError::NotAnInvitation);
    assert_eq!(parse("bafyreigh2akiscaildc"), InvitationError::NotAnInvitation);
    assert_eq!(parse("rustle"), InvitationError::NotAnInvitation);
    assert_eq!(parse(&good.replacen('1', "2", 1)), InvitationError::Newer);
    assert_eq!(parse("rustle1"), InvitationError::Altered);
    assert_eq!(parse(&good[..good.len() - 1]), InvitationError::Altered);
    assert_eq!(parse(&format!("{good}aaaaaaaa")), InvitationError::Altered);
    assert_eq!(
        parse(&"a".repeat(INVITATION_CHARS_MAX + 1)),
        InvitationError::TooLong
    );
    assert_eq!(
        parse(&"a".repeat(10 * INVITATION_CHARS_MAX)),
        InvitationError::TooLong
    );
}

#[test]
fn each_altered_character_is_noticed() {
    let good = invitation(Some(LATER), Some(3)).to_string();
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
        let altered = String::from_utf8(bytes).unwrap();
        assert!(altered.parse::<Invitation>().is_err(), "character {at}");
    }
}

/// Whoever alters the payload can compute a new checksum, so the certificate must catch what matters.
#[test]
fn a_new_checksum_does_not_help_a_forger() {
    let made = invitation(Some(LATER), Some(3));
    let forged = [
        Invitation {
            expires: None,
            ..made.clone()
        },
        Invitation {
            uses: None,
            ..made.clone()
        },
        Invitation {
            uses: Some(4),
            ..made.clone()
        },
        Invitation {
            inviter: signer(3).author(),
            ..made.clone()
        },
        Invitation {
            secret: Zeroizing::new([8; 32]),
            ..made.clone()
        },
        Invitation {
            chain: ChainId::of_genesis(BlockId::of(b"other")),
            ..made.clone()
        },
    ];
    for forged in forged {
        assert_eq!(
            forged.to_string().parse::<Invitation>().unwrap_err(),
            InvitationError::Altered
        );
        let request = forged.to_request(peer(5), peer(2));
        let refusal = check_request(&request, &check());
        assert!(refusal.is_err(), "{forged:?}");
    }
}

#[test]
fn members_are_kept_as_far_as_they_fit() {
    let long: Multiaddr = format!("/dns4/{}/tcp/4001", "x".repeat(80)).parse().unwrap();
    let crowd = Member {
        peer: peer(1),
        addresses: vec![long; 9],
    };
    let issue =
        |members| Invitation::issue(&signer(1), no_chain(), "diary", None, None, members, [9; 32]).unwrap();

    let many = issue(vec![crowd; 20]);
    let text = many.to_string();

    assert!(text.len() <= INVITATION_CHARS_MAX);
    let members = text.parse::<Invitation>().unwrap().members().to_vec();
    assert!(
        (4..=INVITATION_PEERS_MAX).contains(&members.len()),
        "{}",
        members.len()
    );
    assert!(
        members
            .iter()
            .all(|member| member.addresses.len() == INVITATION_ADDRESSES_MAX)
    );
}

#[test]
fn senseless_invitations_are_not_made() {
    let issue = |name, expires, uses| {
        Invitation::issue(&signer(1), no_chain(), name, expires, uses, Vec::new(), [9; 32]).map(drop)
    };
    assert_eq!(issue("d", None, Some(0)), Err(InviteError::BadUses));
    assert_eq!(
        issue("d", None, Some(INVITATION_USES_MAX + 1)),
        Err(InviteError::BadUses)
    );
    assert_eq!(
        issue("d", Some(Timestamp::default()), None),
        Err(InviteError::BadExpiry)
    );
    assert_eq!(issue("", None, None), Err(InviteError::BadName));
    assert_eq!(issue("d", None, None), Ok(()));
}

#[test]
fn a_request_is_good_for_its_joiner_member_chain_and_time() {
    let request = invitation(Some(LATER), None).to_request(peer(5), peer(2));
    assert_eq!(check_request(&request, &check()), Ok(()));

    let refusal = |change: &dyn Fn(&mut RequestCheck)| {
        let mut check = check();
        change(&mut check);
        check_request(&request, &check).unwrap_err()
    };
    assert_eq!(
        refusal(&|check| check.joiner = peer(6)),
        JoinRefusal::Invalid,
        "replayed by another"
    );
    assert_eq!(
        refusal(&|check| check.member = peer(3)),
        JoinRefusal::Invalid,
        "replayed at another"
    );
    assert_eq!(refusal(&|check| check.now = LATER), JoinRefusal::Expired);
    assert_eq!(
        refusal(&|check| check.founder = signer(4).author()),
        JoinRefusal::Inviter
    );
    let own_invitation = RequestCheck {
        founder: signer(4).author(),
        own: signer(1).author(),
        ..check()
    };
    assert_eq!(
        check_request(&request, &own_invitation),
        Ok(()),
        "what this node has issued is good here"
    );
}

#[test]
fn each_altered_byte_of_a_request_is_refused() {
    let request = invitation(Some(LATER), Some(3)).to_request(peer(5), peer(2));
    let bytes = request.encode();
    for at in 0..bytes.len() {
        for bit in [1, 0x80] {
            let mut altered = bytes.to_vec();
            altered[at] ^= bit;
            if let Ok(altered) = JoinRequest::decode(altered.into()) {
                let is_same = altered == request;
                assert!(is_same || check_request(&altered, &check()).is_err(), "byte {at}");
            }
        }
    }
}

#[test]
fn a_counted_invitation_is_used_up_by_distinct_joiners() {
    let store = MemoryStore::new();
    let invitation = invitation(None, Some(2));
    store
        .commit(record_issued(&invitation, NOW), Durability::Synced)
        .unwrap();
    let request = invitation.to_request(peer(5), peer(2));

    assert_eq!(redeem_and_commit(&store, &request, 5), Ok(true));
    assert_eq!(
        redeem_and_commit(&store, &request, 5),
        Ok(false),
        "the answer may have been lost"
    );
    assert_eq!(redeem_and_commit(&store, &request, 6), Ok(true));
    assert_eq!(
        redeem_and_commit(&store, &request, 7),
        Err(JoinRefusal::Exhausted)
    );
    assert_eq!(redeem_and_commit(&store, &request, 6), Ok(false));

    let other = Invitation::issue(&signer(1), no_chain(), "d", None, Some(1), Vec::new(), [8; 32]).unwrap();
    let request = other.to_request(peer(7), peer(2));
    assert_eq!(
        redeem_and_commit(&store, &request, 7),
        Ok(true),
        "others have a count of their own"
    );
}

#[test]
fn an_uncounted_invitation_leaves_no_trace() {
    let store = MemoryStore::new();
    let request = invitation(None, None).to_request(peer(5), peer(2));
    for joiner in 1..100 {
        assert_eq!(redeem_and_commit(&store, &request, joiner), Ok(false));
    }
    assert!(matches!(
        record_issued(&invitation(None, None), NOW).ops(),
        [Op::Put(Table::Invitations, ..)]
    ));
}

proptest! {
    #[test]
    fn garbage_never_panics(garbage in ".{0,200}", base32 in "rustle1[a-z2-7]{0,400}") {
        prop_assert!(garbage.parse::<Invitation>().is_err());
        prop_assert!(base32.parse::<Invitation>().is_err());
    }
}
