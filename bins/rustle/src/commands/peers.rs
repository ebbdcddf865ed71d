//! Commands about peers.

use std::time::Duration;

use rustle_admin::parse;
use rustle_admin::views::{
    AddressPage, AddressQuery, BookTable, ConnectionView, KnownPeer, PeerDetails, PeerFilter, PeerView, Rule,
};
use rustle_types::Timestamp;

use super::connect;
use crate::arguments::{Daemon, PeerCommand};
use crate::failure::Failure;
use crate::json;
use crate::output::Output;
use crate::table;

pub(super) async fn run(daemon: &Daemon, out: &mut Output, command: PeerCommand) -> Result<(), Failure> {
    match command {
        PeerCommand::Ls { class, direction } => {
            let filter = PeerFilter {
                class: class.map(Into::into),
                direction: direction.map(Into::into),
            };
            list(daemon, out, filter).await
        }
        PeerCommand::Info { peer } => info(daemon, out, &peer).await,
        PeerCommand::Connect { address, timeout } => connect_to(daemon, out, &address, timeout).await,
        PeerCommand::Disconnect { peer } => disconnect(daemon, out, &peer).await,
        PeerCommand::Ban {
            target,
            expires,
            reason,
        } => ban(daemon, out, &target, expires.0, &reason).await,
        PeerCommand::Unban { target } => {
            let target = parse::target(&target)?;
            connect(daemon).await?.unban(&target).await?;
            ended(out, &target.to_string(), "no ban any more")
        }
        PeerCommand::Bans => bans(daemon, out).await,
        PeerCommand::Allow { target, reason } => allow(daemon, out, &target, &reason).await,
        PeerCommand::Disallow { target } => {
            let target = parse::target(&target)?;
            connect(daemon).await?.disallow(&target).await?;
            ended(out, &target.to_string(), "no permission any more")
        }
        PeerCommand::Addresses { table, limit } => {
            let limit = limit.map_or(usize::MAX, Into::into);
            addresses(daemon, out, table.map(Into::into), limit).await
        }
    }
}

pub(super) async fn list(daemon: &Daemon, out: &mut Output, filter: PeerFilter) -> Result<(), Failure> {
    let views = connect(daemon).await?.peers_of(filter).await?;
    let json = json::Peers {
        peers: views.iter().map(json::Peer::from).collect(),
    };
    out.show(&json, || {
        if views.is_empty() && filter == PeerFilter::default() {
            return "no peers; connect to one with `rustle peer connect ADDR`".to_owned();
        }
        if views.is_empty() {
            return "no such peers".to_owned();
        }
        let row = |view: &PeerView| {
            [
                view.peer.to_string(),
                json::class(view.class).to_owned(),
                json::direction(view.direction).to_owned(),
                table::round_trip(view.ping_rtt),
                table::span(view.connected),
                view.agent.clone().unwrap_or_else(|| "-".to_owned()),
                view.address.to_string(),
            ]
        };
        let head = [
            "PEER",
            "CLASS",
            "DIRECTION",
            "PING",
            "CONNECTED",
            "AGENT",
            "ADDRESS",
        ];
        table::columns(head, views.iter().map(row))
    })?;
    Ok(())
}

pub(super) async fn connect_to(
    daemon: &Daemon,
    out: &mut Output,
    address: &str,
    timeout: Option<Duration>,
) -> Result<(), Failure> {
    let address = parse::address(address)?;
    let peer = connect(daemon).await?.connect_peer(&address, timeout).await?;
    let json = json::Connected {
        peer_id: peer.to_string(),
    };
    out.show(&json, || format!("connected to {peer}"))?;
    Ok(())
}

async fn info(daemon: &Daemon, out: &mut Output, peer: &str) -> Result<(), Failure> {
    let peer = parse::peer(peer)?;
    let details = connect(daemon).await?.peer(&peer).await?;
    out.show(&json::PeerInfo::from(&details), || described(&details))?;
    Ok(())
}

async fn disconnect(daemon: &Daemon, out: &mut Output, peer: &str) -> Result<(), Failure> {
    let peer = parse::peer(peer)?;
    connect(daemon).await?.disconnect_peer(&peer).await?;
    let json = json::Connected {
        peer_id: peer.to_string(),
    };
    out.show(&json, || format!("disconnected from {peer}"))?;
    Ok(())
}

async fn ban(
    daemon: &Daemon,
    out: &mut Output,
    target: &str,
    duration: Option<Duration>,
    reason: &str,
) -> Result<(), Failure> {
    let target = parse::target(target)?;
    parse::rule_reason(reason)?;
    let rule = connect(daemon).await?.ban(&target, duration, reason).await?;
    out.show(&json::Rule::from(&rule), || {
        format!("{} is banned {}", rule.target, until(&rule))
    })?;
    Ok(())
}

async fn allow(daemon: &Daemon, out: &mut Output, target: &str, reason: &str) -> Result<(), Failure> {
    let target = parse::target(target)?;
    parse::rule_reason(reason)?;
    let rule = connect(daemon).await?.allow(&target, reason).await?;
    out.show(&json::Rule::from(&rule), || {
        format!("{} is always welcome", rule.target)
    })?;
    Ok(())
}

fn ended(out: &mut Output, target: &str, text: &str) -> Result<(), Failure> {
    let json = json::Ended {
        target: target.to_owned(),
    };
    out.show(&json, || format!("{target}: {text}"))?;
    Ok(())
}

async fn bans(daemon: &Daemon, out: &mut Output) -> Result<(), Failure> {
    let rules = connect(daemon).await?.rules().await?;
    let json = json::Rules {
        rules: rules.iter().map(json::Rule::from).collect(),
    };
    out.show(&json, || {
        if rules.is_empty() {
            return "nobody is banned, and nobody always welcome".to_owned();
        }
        let row = |rule: &Rule| {
            [
                rule.target.to_string(),
                rule.kind.name().to_owned(),
                rule.origin.name().to_owned(),
                table::utc(rule.since),
                until(rule),
                rule.reason.as_str().to_owned(),
            ]
        };
        let head = ["TARGET", "KIND", "BY", "SINCE", "HOLDS", "REASON"];
        table::columns(head, rules.iter().map(row))
    })?;
    Ok(())
}

/// All pages up to `limit` peers.
async fn addresses(
    daemon: &Daemon,
    out: &mut Output,
    table: Option<BookTable>,
    limit: usize,
) -> Result<(), Failure> {
    let client = connect(daemon).await?;
    let mut query = AddressQuery {
        table,
        after: None,
        limit: limit.min(AddressQuery::LIMIT_MAX),
    };
    let mut page = client.addresses(query).await?;
    while let Some(next) = page.next
        && page.peers.len() < limit
    {
        query.after = Some(next);
        query.limit = (limit - page.peers.len()).min(AddressQuery::LIMIT_MAX);
        let further = client.addresses(query).await?;
        page.peers.extend(further.peers);
        page.next = further.next;
    }
    out.show(&json::Book::from(&page), || book(&page))?;
    Ok(())
}

fn book(page: &AddressPage) -> String {
    let own = table::facts([
        ("reachable", page.own.reachability.name().to_owned()),
        ("listening", lines(&page.own.listen)),
        ("external", lines(&page.own.external)),
        ("by relay", lines(&page.own.relayed)),
    ]);
    if page.peers.is_empty() {
        return format!("{own}\n\nno peers are known");
    }
    let row = |known: &KnownPeer| {
        [
            known.peer.to_string(),
            known.table.map_or("-", BookTable::name).to_owned(),
            known.source.clone(),
            date(known.seen),
            known.failures.to_string(),
            next_dial(known),
            known
                .addresses
                .first()
                .map_or_else(|| "-".to_owned(), ToString::to_string),
        ]
    };
    let head = [
        "PEER",
        "TABLE",
        "SOURCE",
        "SEEN",
        "FAILURES",
        "NEXT DIAL",
        "ADDRESS",
    ];
    format!("{own}\n\n{}", table::columns(head, page.peers.iter().map(row)))
}

/// All about one peer: the peer first, then one part for each connection.
fn described(details: &PeerDetails) -> String {
    let mut facts = vec![("peer id", details.peer.to_string()), ("score", scored(details))];
    let fault = |fault: &rustle_admin::views::FaultView| {
        let last = table::span(fault.last_ago);
        format!("{} ({} times, last {last} ago)", fault.fault, fault.count)
    };
    facts.push(("faults", lines(details.faults.iter().map(fault))));
    let rule = |rule: &Rule| {
        let (kind, by) = (rule.kind, rule.origin);
        let because = if rule.reason.as_str().is_empty() { "" } else { ": " };
        let (until, reason) = (until(rule), &rule.reason);
        format!("{kind} of {} by {by} {until}{because}{reason}", rule.target)
    };
    facts.push(("rules", lines(details.rules.iter().map(rule))));
    if let Some(known) = &details.known {
        facts.extend([
            (
                "in the book",
                format!(
                    "{}, from {}{}",
                    known.table.map_or("-", BookTable::name),
                    known.source,
                    if known.anchor { ", anchor" } else { "" }
                ),
            ),
            ("seen", date(known.seen)),
            ("tried", date(known.tried)),
            ("reached", date(known.reached)),
            ("failed dials", known.failures.to_string()),
            ("next dial", next_dial(known)),
            ("addresses", lines(&known.addresses)),
        ]);
    }
    let mut parts = vec![table::facts(facts)];
    parts.extend(details.connections.iter().map(connection));
    parts.join("\n\n")
}

fn scored(details: &PeerDetails) -> String {
    let share = |(part, score): &(String, f64)| format!("{part} {score:.1}");
    let shares: Vec<String> = details.shares.iter().map(share).collect();
    let shares = match shares.join(", ") {
        shares if shares.is_empty() => shares,
        shares => format!(" ({shares})"),
    };
    let bans = match details.bans {
        0 => String::new(),
        bans => format!(", banned {bans} times lately"),
    };
    format!("{:.1}{shares}{bans}", details.score)
}

fn connection(view: &ConnectionView) -> String {
    let peer = &view.peer;
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let ago = |time: Option<Duration>| {
        time.map_or_else(|| "never".to_owned(), |time| format!("{} ago", table::span(time)))
    };
    let relayed = if peer.relayed { ", through a relay" } else { "" };
    let way = format!(
        "{}, {}{relayed}",
        json::direction(peer.direction),
        text(&peer.reach)
    );
    table::facts([
        ("connection", view.connection.to_string()),
        ("class", json::class(peer.class).to_owned()),
        ("direction", way),
        ("why", view.why.clone()),
        ("address", peer.address.to_string()),
        ("connected", table::span(peer.connected)),
        ("quiet for", table::span(view.idle)),
        (
            "ping",
            format!(
                "{}, least {}, mean {}",
                table::round_trip(peer.ping_rtt),
                table::round_trip(view.ping_rtt_min),
                table::round_trip(view.ping_rtt_mean)
            ),
        ),
        ("agent", text(&peer.agent)),
        ("version", text(&peer.version)),
        ("network", text(&peer.network)),
        (
            "protocol",
            view.versions
                .map_or_else(|| "-".to_owned(), |(min, max)| format!("{min} to {max}")),
        ),
        ("services", lines([view.service_names.join(", ")])),
        ("its clock", date(view.time)),
        ("listens at", lines(&view.listen_addresses)),
        ("sees us at", lines(&view.observed_address)),
        ("content", ago(view.content_ago)),
        ("gossip", ago(view.gossip_ago)),
    ])
}

/// One value a line; `-` where there is none.
fn lines<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    match values.join("\n") {
        text if text.is_empty() => "-".to_owned(),
        text => text,
    }
}

fn date(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "never".to_owned(), table::utc)
}

fn until(rule: &Rule) -> String {
    rule.until.map_or_else(
        || "for ever".to_owned(),
        |until| format!("until {}", table::utc(until)),
    )
}

fn next_dial(known: &KnownPeer) -> String {
    match known.next_dial_in {
        None => "-".to_owned(),
        Some(Duration::ZERO) => "now".to_owned(),
        Some(wait) => format!("in {}", table::span(wait)),
    }
}

#[cfg(test)]
mod tests {
    use rustle_admin::views::{Direction, FaultView, Origin, PeerClass, Reason, RuleKind};

    use super::*;

    const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    fn details() -> PeerDetails {
        let address: rustle_types::Multiaddr = "/ip4/192.0.2.7/tcp/1".parse().unwrap();
        let peer = PEER.parse().unwrap();
        PeerDetails {
            peer,
            connections: vec![ConnectionView {
                peer: PeerView {
                    peer,
                    address: address.clone(),
                    direction: Direction::Inbound,
                    class: PeerClass::Rustle,
                    agent: Some("evil\u{1b}[2J".to_owned()),
                    version: None,
                    network: Some("main".to_owned()),
                    services: 17,
                    connected: Duration::from_secs(61),
                    ping_rtt: Some(Duration::from_micros(1500)),
                    reach: Some("clear".to_owned()),
                    relayed: true,
                },
                connection: 7,
                why: "inbound".to_owned(),
                service_names: vec!["inbound".to_owned(), "content".to_owned()],
                versions: Some((1, 1)),
                time: Some(Timestamp::from_millis(0)),
                listen_addresses: vec![address.clone()],
                observed_address: None,
                idle: Duration::ZERO,
                ping_rtt_min: None,
                ping_rtt_mean: None,
                content_ago: None,
                gossip_ago: Some(Duration::from_secs(5)),
            }],
            score: -12.54,
            shares: vec![("control".to_owned(), -12.54)],
            bans: 2,
            faults: vec![FaultView {
                fault: "ping_flood".to_owned(),
                count: 3,
                last_ago: Duration::from_secs(8),
            }],
            known: None,
            rules: vec![Rule {
                target: "192.0.2.0/24".parse().unwrap(),
                kind: RuleKind::Ban,
                until: None,
                reason: Reason::new("loud"),
                origin: Origin::Operator,
                since: Timestamp::from_millis(0),
            }],
        }
    }

    #[test]
    fn a_peer_is_described_to_people() {
        let text = described(&details());
        for part in [
            "score    -12.5 (control -12.5), banned 2 times lately",
            "ping_flood (3 times, last 8 s ago)",
            "ban of 192.0.2.0/24 by operator for ever: loud",
            "inbound, clear, through a relay",
            "1.5 ms, least -, mean -",
            "inbound, content",
            "evil\\u{1b}[2J",
            "5 s ago",
        ] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
    }

    #[test]
    fn programs_get_the_fields_that_the_help_names() {
        let json = serde_json::to_value(json::PeerInfo::from(&details())).unwrap();
        let fields = |value: &serde_json::Value| {
            let mut fields: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
            fields.sort();
            fields.join(" ")
        };
        assert_eq!(
            fields(&json),
            "bans connections faults known peer_id rules score shares"
        );
        assert_eq!(
            fields(&json["connections"][0]),
            "address agent class connected_ms connection content_ago_ms direction gossip_ago_ms idle_ms \
             listen_addresses network observed_address peer_id ping_rtt_mean_us ping_rtt_min_us ping_rtt_us reach \
             relayed service_names services time_ms version version_max version_min why"
        );
        assert_eq!(
            fields(&json["rules"][0]),
            "kind origin reason since_ms target until_ms"
        );
        assert_eq!(fields(&json["faults"][0]), "count fault last_ago_ms");
    }
}
