//! What is counted of Socket Mode. Label values come from closed sets.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Kinds of envelopes that are told apart; others count as `other`.
const KINDS: [&str; 3] = ["interactive", "slash_commands", "events_api"];

/// How an envelope ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EnvelopeEnd {
    /// Taken in and acknowledged.
    Taken,
    /// Acknowledged, since nobody could ever read it.
    Malformed,
    /// Of a kind that is not used here, and acknowledged so that it does not come again.
    Unknown,
    /// Not acknowledged, so that it comes again.
    Unavailable,
}

impl EnvelopeEnd {
    const ALL: [Self; 4] = [Self::Taken, Self::Malformed, Self::Unknown, Self::Unavailable];

    fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Unavailable => "unavailable",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EnvelopeLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NoLabels {}

/// Counters of Socket Mode. Cheap to clone; clones count together.
#[derive(Debug, Clone, Default)]
pub struct SocketMeter {
    /// Of one series, which is there where Socket Mode is set up: 0 means something then.
    connected: Family<NoLabels, Gauge>,
    connects: Family<OutcomeLabel, Counter>,
    envelopes: Family<EnvelopeLabels, Counter>,
}

impl SocketMeter {
    /// Registers everything. Names get the registry's prefix, counters the suffix `_total`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "slack_socket_connections",
            "Connections of Slack's Socket Mode in use now: two while one follows another, 0 while presses wait",
            self.connected.clone(),
        );
        registry.register(
            "slack_socket_connects",
            "Attempts to open a connection of Socket Mode, by outcome",
            self.connects.clone(),
        );
        registry.register(
            "slack_socket_envelopes",
            "What came over Socket Mode, by kind and outcome",
            self.envelopes.clone(),
        );
    }

    /// Makes the series of closed sets appear at zero, where Socket Mode is set up.
    pub fn show_zeroes(&self) {
        let _ = self.connected.get_or_create(&NoLabels {});
        for outcome in ["connected", "failed"] {
            let _ = self.connects.get_or_create(&OutcomeLabel { outcome });
        }
        for end in EnvelopeEnd::ALL {
            let _ = self.envelopes.get_or_create(&EnvelopeLabels { kind: KINDS[0], outcome: end.as_str() });
        }
    }

    /// Connections in use now.
    pub fn connections(&self) -> i64 {
        self.connected.get_or_create(&NoLabels {}).get()
    }

    pub(super) fn connects(&self, connected: bool) {
        let outcome = if connected { "connected" } else { "failed" };
        self.connects.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Counts a connection for as long as the guard lives.
    pub(super) fn connected(&self) -> Connected {
        let gauge = self.connected.get_or_create_owned(&NoLabels {});
        gauge.inc();
        Connected(gauge)
    }

    pub(super) fn envelope(&self, kind: &str, end: EnvelopeEnd) {
        let kind = KINDS.into_iter().find(|known| *known == kind).unwrap_or("other");
        self.envelopes.get_or_create(&EnvelopeLabels { kind, outcome: end.as_str() }).inc();
    }
}

/// A connection that counts.
pub(super) struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}
