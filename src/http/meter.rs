//! What is counted at the doors. The roof registers it with the other metrics.
//!
//! Label values come from closed sets, so that no sender can make the number of series grow.

use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Why a connection was closed by us, or never let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Closed {
    /// All places are taken by connections with requests.
    Refused,
    /// It had waited longest when a new one needed its place.
    Displaced,
    /// The TLS handshake failed.
    HandshakeFailed,
    /// The TLS handshake took too long.
    HandshakeTimeout,
    /// The head of a request took too long.
    HeaderTimeout,
    /// No further request came.
    IdleTimeout,
    /// The client stopped reading its response.
    WriteTimeout,
    /// A refused client did not stop sending.
    LingerTimeout,
    /// It was still open when the grace of a stop was over.
    CutAtStop,
}

impl Closed {
    /// All reasons.
    pub const ALL: [Self; 9] = [
        Self::Refused,
        Self::Displaced,
        Self::HandshakeFailed,
        Self::HandshakeTimeout,
        Self::HeaderTimeout,
        Self::IdleTimeout,
        Self::WriteTimeout,
        Self::LingerTimeout,
        Self::CutAtStop,
    ];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Displaced => "displaced",
            Self::HandshakeFailed => "handshake_failed",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::HeaderTimeout => "header_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::LingerTimeout => "linger_timeout",
            Self::CutAtStop => "cut_at_stop",
        }
    }
}

/// How a delivery to a receiver ended, as the sender saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WebhookOutcome {
    /// 200: it is stored.
    Stored,
    /// 400: it cannot be read.
    Malformed,
    /// 401: no valid credentials.
    Unauthorized,
    /// 413: it is too large.
    TooLarge,
    /// 503: not now.
    Unavailable,
}

impl WebhookOutcome {
    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Malformed => "malformed",
            Self::Unauthorized => "unauthorized",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
        }
    }

    /// What a status code means for a delivery.
    pub fn of_status(status: http::StatusCode) -> Self {
        match status.as_u16() {
            200..=299 => Self::Stored,
            401 | 403 => Self::Unauthorized,
            413 => Self::TooLarge,
            400..=499 => Self::Malformed,
            _ => Self::Unavailable,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DoorLabel {
    door: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WebhookLabels {
    receiver: &'static str,
    outcome: &'static str,
}

/// Counters of the doors. Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub struct DoorMeter {
    connections: Gauge,
    closed: Family<ReasonLabel, Counter>,
    auth_failures: Family<DoorLabel, Counter>,
    webhooks: Family<WebhookLabels, Counter>,
    alerts: Counter,
    alerts_refused: Counter,
    ingest_seconds: Histogram,
}

impl Default for DoorMeter {
    fn default() -> Self {
        Self {
            connections: Gauge::default(),
            closed: Family::default(),
            auth_failures: Family::default(),
            webhooks: Family::default(),
            alerts: Counter::default(),
            alerts_refused: Counter::default(),
            // 0.25 ms to 8 s: from one commit on a good disk to a store that is about to be given up.
            ingest_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
        }
    }
}

impl DoorMeter {
    /// Registers everything. Names get the registry's prefix, counters the suffix `_total`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("connections", "Connections open now", self.connections.clone());
        registry.register(
            "connections_closed",
            "Connections closed by this side or never let in, by reason",
            self.closed.clone(),
        );
        registry.register(
            "auth_failures",
            "Requests without valid credentials, by door",
            self.auth_failures.clone(),
        );
        registry.register("webhooks_received", "Deliveries by receiver and outcome", self.webhooks.clone());
        registry.register("alerts_received", "Alerts in stored deliveries", self.alerts.clone());
        registry.register(
            "alerts_refused",
            "Alerts in stored deliveries that could not be read, such as those without labels",
            self.alerts_refused.clone(),
        );
        registry.register(
            "ingest_duration_seconds",
            "Time from the head of a delivery to its answer",
            self.ingest_seconds.clone(),
        );
    }

    /// Makes the series of the connections appear at zero, so that rates over them need no special case.
    pub fn show_zeroes(&self) {
        for why in Closed::ALL {
            let _ = self.closed.get_or_create(&ReasonLabel { reason: why.as_str() });
        }
    }

    /// A delivery was answered.
    pub fn webhook(&self, receiver: &'static str, outcome: WebhookOutcome, took: Duration) {
        self.webhooks.get_or_create(&WebhookLabels { receiver, outcome: outcome.as_str() }).inc();
        self.ingest_seconds.observe(took.as_secs_f64());
    }

    /// A stored delivery held so many alerts.
    pub fn alerts(&self, count: u64) {
        self.alerts.inc_by(count);
    }

    /// A stored delivery held so many alerts that could not be read.
    pub fn alerts_refused(&self, count: u64) {
        self.alerts_refused.inc_by(count);
    }

    pub(super) fn opened(&self) {
        self.connections.inc();
    }

    pub(super) fn gone(&self) {
        self.connections.dec();
    }

    pub(super) fn closed(&self, why: Closed) {
        self.closed.get_or_create(&ReasonLabel { reason: why.as_str() }).inc();
    }

    pub(super) fn auth_failed(&self, door: &'static str) {
        self.auth_failures.get_or_create(&DoorLabel { door }).inc();
    }

    /// Connections open now.
    pub fn connections_open(&self) -> i64 {
        self.connections.get()
    }

    /// How often connections were closed for this reason.
    pub fn connections_closed(&self, why: Closed) -> u64 {
        self.closed.get_or_create(&ReasonLabel { reason: why.as_str() }).get()
    }
}

/// What [`count_deliveries`] needs: the counters, and the receiver's name as their label.
#[derive(Debug, Clone)]
pub struct Receiving {
    /// The counters.
    pub meter: DoorMeter,
    /// The receiver.
    pub receiver: &'static str,
}

/// Middleware: counts each delivery to a receiver by how it was answered. Belongs outside of all other layers, so that
/// refused deliveries count too.
pub async fn count_deliveries(State(receiving): State<Receiving>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let response = next.run(request).await;
    let outcome = WebhookOutcome::of_status(response.status());
    receiving.meter.webhook(receiving.receiver, outcome, started.elapsed());
    response
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::middleware::from_fn_with_state;
    use axum::routing::post;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn deliveries_count_by_their_answer() {
        let meter = DoorMeter::default();
        let answers = [200, 400, 401, 413, 503, 500, 200];
        for status in answers {
            let answer = StatusCode::from_u16(status).expect("a status");
            let receiving = Receiving { meter: meter.clone(), receiver: "alertmanager" };
            let router = Router::new()
                .route("/", post(move || async move { answer }))
                .layer(from_fn_with_state(receiving, count_deliveries));
            let request = Request::post("/").body(Body::empty()).expect("a request");
            router.oneshot(request).await.expect("a router always answers");
        }
        let (mut registry, mut text) = (Registry::with_prefix("smokejumper"), String::new());
        meter.register(&mut registry);
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
        for (outcome, count) in
            [("stored", 2), ("malformed", 1), ("unauthorized", 1), ("too_large", 1), ("unavailable", 2)]
        {
            let line = format!(
                "smokejumper_webhooks_received_total{{receiver=\"alertmanager\",outcome=\"{outcome}\"}} {count}\n"
            );
            assert!(text.contains(&line), "{line}{text}");
        }
        assert!(text.contains("smokejumper_ingest_duration_seconds_count 7\n"), "{text}");
    }
}
