//! Which numbers does a node show, under which names?
//!
//! Names, units and types follow Prometheus' rules and OpenMetrics 1.0: base units, `_total` for what only grows. Labels
//! have few values, none of which a peer can choose. README.md has the table, which a test compares with this.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use rustle_peers::{Counters, Kind, ROUND_TRIP_BOUNDS_MS, Refusal, RoundTrips, Tally, Totals};

use crate::exchange::counts::{Count, Counts};

/// All numbers at one time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    /// What the peer manager counted.
    pub(crate) peers: Counters,
    /// What there is now of peers.
    pub(crate) totals: Totals,
    /// What the network task counted.
    pub(crate) net: rustle_net::Counters,
    /// What the exchange counted.
    pub(crate) bitswap: Arc<Counts>,
    /// Streams of it that peers have open.
    pub(crate) bitswap_streams: usize,
    /// Whether the node can be dialled from outside, in a word.
    pub(crate) reachability: &'static str,
    /// Chains that are open.
    pub(crate) chains: usize,
    /// Bytes of the store on disk, where known.
    pub(crate) store_bytes: Option<u64>,
    /// Memory of the process, where known.
    pub(crate) memory_bytes: Option<u64>,
    /// Since the start of the node.
    pub(crate) uptime: Duration,
    /// Whether every write has succeeded.
    pub(crate) is_healthy: bool,
}

// === impl Snapshot ===

impl Snapshot {
    /// The numbers as OpenMetrics text.
    pub(crate) fn encode(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("rustle");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }

    fn encode_node(&self, page: &mut Page<'_>) -> fmt::Result {
        page.info("build", "What runs", &[("version", env!("CARGO_PKG_VERSION"))])?;
        page.seconds("uptime", "Time since the start of the node", self.uptime)?;
        page.gauge(
            "healthy",
            "1 while every write to the store has succeeded",
            u64::from(self.is_healthy),
        )?;
        page.gauge("chains", "Chains that are open", self.chains as u64)?;
        page.bytes("store", "Bytes of the store on disk", self.store_bytes)?;
        page.bytes("resident_memory", "Memory of the process", self.memory_bytes)
    }

    fn encode_connections(&self, page: &mut Page<'_>) -> fmt::Result {
        let totals = &self.totals;
        page.gauge(
            "peers_up",
            "Peers with a complete handshake",
            totals.peers_up as u64,
        )?;
        page.connections(&totals.connections)?;
        page.counters(
            "connections_made",
            "Connections that were made",
            "direction",
            &self.peers.connected,
        )?;
        page.counters(
            "handshakes",
            "Ends of handshakes",
            "outcome",
            &self.peers.handshakes,
        )?;
        page.counters(
            "peer_refusals",
            "Peers that found no place, by the peer manager's reason",
            "reason",
            &self.peers.refusals,
        )?;
        page.counter(
            "evictions",
            "Peers that were dropped to make room",
            self.peers.evictions,
        )?;
        let states = ["unknown", "reachable", "unreachable"];
        let states = states.map(|state| (state, u64::from(state == self.reachability)));
        page.gauges(
            "reachability",
            "Whether this node can be dialled from outside: 1 for the state that holds",
            "state",
            states,
        )?;
        page.gauge(
            "relay_reservations",
            "Relays that keep a place for this node",
            totals.reservations as u64,
        )
    }

    fn encode_dials(&self, page: &mut Page<'_>) -> fmt::Result {
        let peers = &self.peers;
        page.gauge("dials_under_way", "Dials under way", self.totals.dialling as u64)?;
        page.counters("dials", "Dials that were started", "why", &peers.dials)?;
        page.counters(
            "dials_connected",
            "Dials that led to a connection",
            "why",
            &peers.dials_connected,
        )?;
        page.counters(
            "dials_failed",
            "Dials that came to nothing",
            "reason",
            &peers.dials_failed,
        )?;
        page.counter(
            "feelers_good",
            "Addresses that were only heard of and proved good",
            peers.feelers_good,
        )
    }

    fn encode_pings(&self, page: &mut Page<'_>) -> fmt::Result {
        let peers = &self.peers;
        page.counter("pings_sent", "Ping requests sent", peers.pings_sent)?;
        page.counters("pongs", "Answers to pings", "kind", &peers.pongs)?;
        page.counter(
            "pings_unanswered",
            "Ping requests not answered in time",
            peers.pings_unanswered,
        )?;
        page.counter(
            "pings_dead",
            "Connections closed because no ping was answered",
            peers.pings_dead,
        )?;
        page.histogram("ping_round_trip", "Round trips of pings", &peers.round_trips)
    }

    fn encode_book(&self, page: &mut Page<'_>) -> fmt::Result {
        let (peers, totals) = (&self.peers, &self.totals);
        let tables = [
            ("new", totals.book_new as u64),
            ("tried", totals.book_tried as u64),
            ("needed", totals.book_needed as u64),
        ];
        page.gauges("book_peers", "Peers in the address book", "table", tables)?;
        page.gauge(
            "book_groups",
            "Network groups that the peers of the book are spread over",
            totals.book_groups as u64,
        )?;
        page.gauge(
            "book_tests",
            "Places of the book whose holders are to be tested",
            totals.book_tests as u64,
        )?;
        page.counters(
            "exchange_lists",
            "Lists of the peer exchange",
            "event",
            &peers.lists,
        )?;
        let addresses = [
            ("heard", peers.addresses_heard),
            ("learned", peers.addresses_learned),
            ("told", peers.addresses_told),
        ];
        page.counters_of(
            "exchange_addresses",
            "Addresses in lists of the peer exchange",
            "event",
            addresses,
        )
    }

    fn encode_conduct(&self, page: &mut Page<'_>) -> fmt::Result {
        let (peers, totals) = (&self.peers, &self.totals);
        page.counters("faults", "Breaches of the rules by peers", "fault", &peers.faults)?;
        page.counters("bans", "Bans that were made", "by", &peers.bans)?;
        let rules = [("ban", totals.bans as u64), ("allow", totals.permissions as u64)];
        page.gauges("rules", "Bans and permissions that hold", "kind", rules)
    }

    fn encode_net(&self, page: &mut Page<'_>) -> fmt::Result {
        let net = &self.net;
        page.counter(
            "gate_admitted",
            "Inbound connections that the gate let in, to say who they are",
            net.gate.admitted,
        )?;
        let refusals = Refusal::ALL.map(|refusal| (refusal.name(), net.gate.refused(refusal)));
        page.counters_of(
            "gate_refusals",
            "Inbound connections that were refused before it was known who dialled, or because of who it was",
            "reason",
            refusals.into_iter().chain([("banned_peer", net.banned_peers)]),
        )?;
        page.counter(
            "gate_cut_off",
            "Inbound connections that had to make room before they had said who they were",
            net.gate.cut_off,
        )?;
        page.counter(
            "gate_timeouts",
            "Inbound connections whose cipher and multiplexer took too long",
            net.timed_out,
        )?;
        let streams = [
            ("unadmitted", net.unadmitted),
            ("abandoned", net.abandoned),
            ("surplus_control", net.surplus_control),
        ];
        page.counters_of(
            "streams_reset",
            "Inbound streams that were reset without being served",
            "reason",
            streams,
        )?;
        page.counters_of(
            "streams_unopened",
            "Outbound streams whose negotiation failed",
            "reason",
            [("unsupported", net.unsupported), ("broken", net.unopened)],
        )
    }

    fn encode_bitswap(&self, page: &mut Page<'_>) -> fmt::Result {
        let counts = &self.bitswap;
        page.gauge(
            "bitswap_streams",
            "Streams of bitswap that peers have open",
            self.bitswap_streams as u64,
        )?;
        page.gauge(
            "bitswap_peers",
            "Peers with wants that are remembered",
            counts.peers.so_far(),
        )?;
        let failed = [
            ("refused", &counts.streams_refused),
            ("broken", &counts.streams_broken),
            ("malformed", &counts.streams_malformed),
            ("unwritten", &counts.writes_failed),
        ];
        page.counters_of(
            "bitswap_streams_failed",
            "Streams of bitswap with which something was lost",
            "reason",
            so_far(failed),
        )?;
        page.counter(
            "bitswap_wants_dropped",
            "Wants of peers that were not kept, because there were too many or of what cannot be asked for",
            counts.wants_dropped.so_far(),
        )?;
        let blocks = [
            ("received", &counts.blocks_received),
            ("late", &counts.blocks_late),
            ("unwanted", &counts.blocks_unwanted),
            ("sent", &counts.blocks_sent),
        ];
        page.counters_of(
            "bitswap_blocks",
            "Blocks that were exchanged",
            "kind",
            so_far(blocks),
        )?;
        let bytes = [("received", &counts.bytes_received), ("sent", &counts.bytes_sent)];
        page.counters_of(
            "bitswap_bytes",
            "Bytes of blocks that were exchanged and wanted",
            "direction",
            so_far(bytes),
        )
    }
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.encode_node(&mut page)?;
        self.encode_connections(&mut page)?;
        self.encode_dials(&mut page)?;
        self.encode_pings(&mut page)?;
        self.encode_book(&mut page)?;
        self.encode_conduct(&mut page)?;
        self.encode_net(&mut page)?;
        self.encode_bitswap(&mut page)
    }
}

fn so_far<const N: usize>(counts: [(&'static str, &Count); N]) -> [(&'static str, u64); N] {
    counts.map(|(name, count)| (name, count.so_far()))
}

/// Writes one family after the other; also those of which nothing was counted yet, so that a graph can be drawn of them.
struct Page<'a>(DescriptorEncoder<'a>);

// === impl Page ===

impl Page<'_> {
    fn counter(&mut self, name: &str, help: &str, count: u64) -> fmt::Result {
        let family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(count).encode(family)
    }

    fn counters(&mut self, name: &str, help: &str, label: &str, tally: &Tally) -> fmt::Result {
        self.counters_of(name, help, label, tally.iter())
    }

    fn counters_of(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        counts: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (value, count) in counts {
            ConstCounter::new(count).encode(family.encode_family(&[(label, value)])?)?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(family)
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (name, value) in values {
            ConstGauge::new(value).encode(family.encode_family(&[(label, name)])?)?;
        }
        Ok(())
    }

    fn connections(&mut self, counts: &std::collections::BTreeMap<Kind, usize>) -> fmt::Result {
        let help = "Connections that stand";
        let mut family = self
            .0
            .encode_descriptor("connections", help, None, MetricType::Gauge)?;
        for (kind, count) in counts {
            let direction = kind.direction.to_string();
            let labels = [
                ("class", kind.class.name()),
                ("direction", direction.as_str()),
                ("reach", kind.reach.name()),
            ];
            ConstGauge::new(*count as u64).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// A gauge whose name gets `_bytes` appended; without a sample where the value is not known.
    fn bytes(&mut self, name: &str, help: &str, bytes: Option<u64>) -> fmt::Result {
        let unit = Some(&Unit::Bytes);
        let family = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        bytes.map_or(Ok(()), |bytes| ConstGauge::new(bytes).encode(family))
    }

    /// A gauge whose name gets `_seconds` appended.
    fn seconds(&mut self, name: &str, help: &str, time: Duration) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        let family = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        ConstGauge::new(time.as_secs_f64()).encode(family)
    }

    /// A histogram whose name gets `_seconds` appended.
    fn histogram(&mut self, name: &str, help: &str, round_trips: &RoundTrips) -> fmt::Result {
        let bounds = ROUND_TRIP_BOUNDS_MS
            .iter()
            .map(|millis| Duration::from_millis(*millis).as_secs_f64());
        let buckets: Vec<(f64, u64)> = bounds
            .chain([f64::INFINITY])
            .zip(round_trips.buckets().iter().copied())
            .collect();
        let unit = Some(&Unit::Seconds);
        self.0
            .encode_descriptor(name, help, unit, MetricType::Histogram)?
            .encode_histogram::<NoLabelSet>(
                round_trips.sum().as_secs_f64(),
                round_trips.count(),
                &buckets,
                None,
            )
    }

    /// A family with one sample, 1, whose labels are the facts; the name gets `_info` appended.
    fn info(&mut self, name: &str, help: &str, facts: &[(&str, &str)]) -> fmt::Result {
        self.0
            .encode_descriptor(name, help, None, MetricType::Info)?
            .encode_info(&facts)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use rustle_peers::{Class, Why};
    use rustle_types::Direction;

    use super::*;

    /// A snapshot in which everything has happened once.
    fn busy() -> Snapshot {
        let mut peers = Counters::default();
        peers.on_connected(Direction::Outbound, Why::Boot);
        peers.on_dial(Why::Boot);
        peers.on_dial_failed("unreachable");
        peers.on_handshake("complete");
        peers.on_refused("full");
        peers.on_evicted();
        peers.on_ping_sent();
        peers.on_pong(Duration::from_millis(3));
        peers.on_pong(Duration::from_secs(60));
        peers.on_ping_unanswered();
        peers.on_dead();
        peers.on_felt();
        peers.on_list_heard(7, 5);
        peers.on_list_answered(3);
        peers.on_fault("ping_flood");
        peers.on_banned("score");
        let mut totals = Totals::default();
        totals.add(
            Class::Rustle,
            Direction::Inbound,
            &"/ip4/127.0.0.1/tcp/1".parse().unwrap(),
        );
        Snapshot {
            peers,
            totals,
            reachability: "unknown",
            store_bytes: Some(4096),
            memory_bytes: Some(1 << 20),
            uptime: Duration::from_millis(1500),
            is_healthy: true,
            ..Snapshot::default()
        }
    }

    /// Samples by name with labels, and families by name with type; fails where a line is neither.
    fn parse(text: &str) -> (BTreeMap<&str, f64>, BTreeMap<&str, &str>) {
        let (mut samples, mut families) = (BTreeMap::new(), BTreeMap::new());
        let mut helped = BTreeSet::new();
        for line in text.lines() {
            if let Some(family) = line.strip_prefix("# TYPE ") {
                let (name, kind) = family.split_once(' ').unwrap();
                assert_eq!(families.insert(name, kind), None, "{name} stands twice");
            } else if let Some(help) = line.strip_prefix("# HELP ") {
                helped.insert(help.split_once(' ').unwrap().0);
            } else if !line.starts_with('#') {
                let (name, value) = line.rsplit_once(' ').unwrap();
                let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
                assert_eq!(samples.insert(name, value), None, "{name} stands twice");
            }
        }
        assert!(text.ends_with("# EOF\n"));
        assert!(helped.iter().eq(families.keys()), "each family has help");
        (samples, families)
    }

    #[test]
    fn what_happened_is_shown() {
        let text = busy().encode().unwrap();
        let (samples, _) = parse(&text);
        for (sample, value) in [
            ("rustle_connections_made_total{direction=\"outbound\"}", 1.0),
            (
                "rustle_connections{class=\"rustle\",direction=\"inbound\",reach=\"local\"}",
                1.0,
            ),
            ("rustle_handshakes_total{outcome=\"complete\"}", 1.0),
            ("rustle_dials_failed_total{reason=\"unreachable\"}", 1.0),
            ("rustle_evictions_total", 1.0),
            ("rustle_pongs_total{kind=\"right\"}", 2.0),
            ("rustle_ping_round_trip_seconds_bucket{le=\"0.005\"}", 1.0),
            ("rustle_ping_round_trip_seconds_bucket{le=\"+Inf\"}", 2.0),
            ("rustle_ping_round_trip_seconds_count", 2.0),
            ("rustle_ping_round_trip_seconds_sum", 60.003),
            ("rustle_exchange_addresses_total{event=\"learned\"}", 5.0),
            ("rustle_reachability{state=\"unknown\"}", 1.0),
            ("rustle_reachability{state=\"reachable\"}", 0.0),
            ("rustle_store_bytes", 4096.0),
            ("rustle_uptime_seconds", 1.5),
            ("rustle_streams_reset_total{reason=\"abandoned\"}", 0.0),
            ("rustle_gate_refusals_total{reason=\"host\"}", 0.0),
            ("rustle_gate_refusals_total{reason=\"banned_peer\"}", 0.0),
        ] {
            assert_eq!(samples.get(sample), Some(&value), "{sample} in\n{text}");
        }
        let version = format!("rustle_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
        assert_eq!(samples[version.as_str()], 1.0);
    }

    #[test]
    fn the_readme_has_all_families_from_the_first_scrape_on() {
        let text = Snapshot::default().encode().unwrap();
        let (_, families) = parse(&text);
        let readme = include_str!("../../../../README.md");
        let rows = readme
            .lines()
            .filter_map(|line| line.strip_prefix("| `rustle_")?.split_once('`'));
        let documented: BTreeSet<String> = rows
            .map(|(name, _)| {
                let name = name.split('{').next().unwrap_or(name);
                let name = name.strip_suffix("_total").unwrap_or(name);
                format!("rustle_{}", name.strip_suffix("_info").unwrap_or(name))
            })
            .collect();
        let shown: BTreeSet<String> = families.keys().map(|name| (*name).to_owned()).collect();
        assert_eq!(documented, shown);
    }
}
