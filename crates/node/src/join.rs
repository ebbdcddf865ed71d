//! The join stream, from both ends.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use rustle_admin::fault::reason;
use rustle_admin::views::Joined;
use rustle_admin::{Fault, FaultKind};
use rustle_chain::Invitation;
use rustle_engine::{Ask, Reply};
use rustle_net::Inbound;
use rustle_types::limits::JOIN_FRAME_BYTES_MAX;
use rustle_types::{Multiaddr, PeerId};
use rustle_wire::{JoinAccepted, JoinRefusal, JoinReply, JoinRequest, Member};
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument as _;

use crate::faults;
use crate::framed::{Framed, FramedError};
use crate::guests::Guests;
use crate::shared::Shared;

/// Name of the protocol below `/rustle/<network>/`.
pub(crate) const PROTOCOL: &str = "join";
/// Its version.
pub(crate) const VERSION: u32 = 1;
/// Joiners that are answered at the same time; the streams of others are reset, and they try again.
const SERVED_MAX: usize = 16;
/// Streams of one peer among them.
const SERVED_PER_PEER_MAX: usize = 2;
/// How long one member may be silent before the next is asked, too.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a frame may take.
const FRAME_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers everyone who opens a join stream.
pub(crate) async fn serve(shared: Shared, mut inbound: mpsc::Receiver<Inbound>) {
    let guests = Guests::new(SERVED_MAX, SERVED_PER_PEER_MAX);
    while let Some(Inbound { peer, stream, .. }) = inbound.recv().await {
        // Beyond the bound the stream is dropped, which resets it: a joiner that is not served costs nothing.
        let Some(guest) = guests.admit(peer) else {
            tracing::debug!(%peer, "too many joiners at once");
            continue;
        };
        let (spawner, shared) = (shared.clone(), shared.clone());
        let span = tracing::info_span!("join", %peer);
        let work = async move {
            let _guest = guest;
            let stream = Framed::new(stream, JOIN_FRAME_BYTES_MAX, FRAME_TIMEOUT);
            if let Err(error) = answer(&shared, peer, stream).await {
                tracing::debug!(%error, "join stream failed");
            }
        };
        spawner.spawn(work.instrument(span));
    }
}

async fn answer(shared: &Shared, peer: PeerId, mut stream: Framed) -> Result<(), FramedError> {
    let request = JoinRequest::decode(stream.read().await?)?;
    let chain = request.chain;
    let (reply, answer) = oneshot::channel();
    let busy = JoinReply::Refused(JoinRefusal::Busy);
    let reply = match shared.knocks.send((peer, request, reply)).await {
        Ok(()) => answer.await.unwrap_or(busy),
        Err(_) => busy,
    };
    match &reply {
        JoinReply::Accepted(_) => tracing::info!(%chain, "let a peer join"),
        JoinReply::Refused(refusal) => tracing::info!(%chain, %refusal, "refused a join"),
    }
    stream.write(&reply.encode()).await?;
    stream.close().await;
    Ok(())
}

/// Joins by an invitation: asks each listed member in turn until one answers.
pub(crate) async fn join(shared: &Shared, text: &str, timeout: Duration) -> Result<Joined, Fault> {
    let invitation: Invitation = text.parse().map_err(|error: rustle_chain::InvitationError| {
        Fault::new(
            FaultKind::InvalidArgument,
            reason::BAD_ARGUMENT,
            error.to_string(),
        )
    })?;
    let chain = invitation.chain();
    let known = shared
        .read(move |store| rustle_chain::reader::record(store, &chain))
        .await?;
    if known.map_err(faults::chain)?.is_some() {
        let message = format!("chain {chain} is on this node already");
        return Err(Fault::new(
            FaultKind::AlreadyExists,
            reason::BAD_ARGUMENT,
            message,
        ));
    }
    match tokio::time::timeout(timeout, ask_members(shared, &invitation)).await {
        Ok(joined) => joined,
        Err(_) => {
            let message = format!("no member answered within {timeout:?}; is one of them online?");
            Err(Fault::new(FaultKind::DeadlineExceeded, reason::TIMEOUT, message))
        }
    }
}

/// Asks one member after the other: the next at once when one has refused or cannot be reached, and after a moment
/// when one is silent, so that a machine that is switched off does not keep us from those that are not.
async fn ask_members(shared: &Shared, invitation: &Invitation) -> Result<Joined, Fault> {
    let others = |member: &&Member| member.peer != shared.net.peer_id();
    let mut waiting = invitation.members().iter().filter(others).peekable();
    let mut asked = FuturesUnordered::new();
    let mut telling: Option<Fault> = None;
    loop {
        if asked.is_empty() {
            let Some(member) = waiting.next() else {
                return Err(telling.unwrap_or_else(nobody_to_ask));
            };
            asked.push(ask_member(shared, invitation, member));
        }
        tokio::select! {
            Some((member, outcome)) = asked.next() => match outcome {
                Ok(accepted) => return adopt(shared, invitation, member, accepted).await,
                Err(fault) => {
                    tracing::debug!(peer = %member.peer, %fault, "a member did not let us in");
                    if telling.as_ref().is_none_or(|known| weight(known) < weight(&fault)) {
                        telling = Some(fault);
                    }
                }
            },
            () = tokio::time::sleep(PATIENCE), if waiting.peek().is_some() => {
                asked.extend(waiting.next().map(|member| ask_member(shared, invitation, member)));
            }
        }
    }
}

/// How much a failure tells the user: what an invitation lacks says more than who could not be reached.
fn weight(fault: &Fault) -> u8 {
    match fault.reason {
        reason::INVITATION_EXPIRED | reason::INVITATION_USED => 3,
        reason::JOIN_REFUSED => 2,
        reason::INCOMPATIBLE_NETWORK | reason::INCOMPATIBLE_VERSION => 1,
        _ => 0,
    }
}

fn nobody_to_ask() -> Fault {
    let message = "the invitation names no other member; ask for one made by a node that listens";
    Fault::new(FaultKind::FailedPrecondition, reason::JOIN_REFUSED, message)
}

async fn ask_member<'a>(
    shared: &Shared,
    invitation: &Invitation,
    member: &'a Member,
) -> (&'a Member, Result<JoinAccepted, Fault>) {
    (member, request(shared, invitation, member).await)
}

async fn request(shared: &Shared, invitation: &Invitation, member: &Member) -> Result<JoinAccepted, Fault> {
    let peer = member.peer;
    reach(shared, member).await?;
    let broken = |error: &dyn std::fmt::Display| {
        let message = format!("member {peer} did not answer: {error}");
        Fault::new(FaultKind::Unavailable, reason::UNREACHABLE, message)
    };
    let protocol = shared.network.protocol(PROTOCOL, VERSION);
    let (stream, _) = shared
        .net
        .open(peer, &[protocol])
        .await
        .map_err(|error| broken(&error))?;
    let mut stream = Framed::new(stream, JOIN_FRAME_BYTES_MAX, FRAME_TIMEOUT);
    let request = invitation.to_request(shared.net.peer_id(), peer);
    stream
        .write(&request.encode())
        .await
        .map_err(|error| broken(&error))?;
    let reply = stream.read().await.map_err(|error| broken(&error))?;
    match JoinReply::decode(reply).map_err(|error| broken(&error))? {
        JoinReply::Accepted(accepted) => Ok(accepted),
        JoinReply::Refused(refusal) => Err(refused(refusal)),
    }
}

/// Connects to a member at whichever of its addresses answers first.
async fn reach(shared: &Shared, member: &Member) -> Result<(), Fault> {
    let whole = member.addresses.iter().filter_map(|address| {
        let whole: Option<Multiaddr> = format!("{address}/p2p/{}", member.peer).parse().ok();
        whole
    });
    let mut dials: FuturesUnordered<_> = whole.map(|address| shared.ask(Ask::Connect(address))).collect();
    let mut last = Fault::new(
        FaultKind::Unavailable,
        reason::UNREACHABLE,
        format!("the invitation has no address of member {}", member.peer),
    );
    while let Some(dialled) = dials.next().await {
        match dialled {
            Ok(_) => return Ok(()),
            Err(fault) => last = fault,
        }
    }
    Err(last)
}

async fn adopt(
    shared: &Shared,
    invitation: &Invitation,
    member: &Member,
    accepted: JoinAccepted,
) -> Result<Joined, Fault> {
    // Who let us in comes first: it has the chain and is connected.
    let mut members = vec![member.clone()];
    let others = accepted
        .members
        .into_iter()
        .chain(invitation.members().iter().cloned());
    for other in others {
        let known = members.iter().any(|one| one.peer == other.peer);
        if !known && other.peer != shared.net.peer_id() {
            members.push(other);
        }
    }
    let chain = invitation.chain();
    let ask = Ask::AdoptChain {
        chain,
        genesis: accepted.genesis,
        members,
    };
    let Reply::Chain(chain) = shared.ask(ask).await? else {
        return Err(faults::internal(&"an answer to something else"));
    };
    let record = shared
        .read(move |store| rustle_chain::reader::record(store, &chain))
        .await?;
    let name = record
        .map_err(faults::chain)?
        .map(|record| record.name)
        .unwrap_or_default();
    Ok(Joined { chain, name })
}

fn refused(refusal: JoinRefusal) -> Fault {
    let (kind, reason) = match refusal {
        JoinRefusal::Expired => (FaultKind::FailedPrecondition, reason::INVITATION_EXPIRED),
        JoinRefusal::Exhausted => (FaultKind::FailedPrecondition, reason::INVITATION_USED),
        JoinRefusal::Busy => (FaultKind::Unavailable, reason::JOIN_REFUSED),
        JoinRefusal::Invalid
        | JoinRefusal::Inviter
        | JoinRefusal::UnknownChain
        | JoinRefusal::Unspecified => (FaultKind::FailedPrecondition, reason::JOIN_REFUSED),
    };
    Fault::new(kind, reason, refusal.to_string())
}
