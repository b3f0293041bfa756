//! A cold cache: nearly every request goes to the database and the slow ones take seconds. Warming the cache ends it.

use super::{Cure, Measure, Pace, Scenario, Unit, alert, minutes};
use crate::sandbox::prometheus::series::{Course, Series, Signal};

const LABELS: [(&str, &str); 3] =
    [("namespace", "pss-nano"), ("service", "reservation-service"), ("job", "reservation-service")];
const EXPR: &str = r#"histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{namespace="pss-nano",service="reservation-service"}[5m])))"#;

pub(super) fn scenario(pace: Pace) -> Scenario {
    let course = Course::default();
    let shape =
        |calm: f64, peak: f64, salt: u64| pace.shape(&course, (calm, peak), minutes(3), minutes(1), salt);
    let mut series = Series::latency("http_request_duration_seconds", &LABELS, &shape(0.4, 3.4, 11), 80.0);
    series.push(Series::new("cache_hit_ratio", &LABELS, Signal::Gauge(shape(0.94, 0.38, 12))));
    series.push(Series::new("cache_hits_total", &LABELS, Signal::Counter(shape(75.0, 30.0, 13))));
    series.push(Series::new("cache_misses_total", &LABELS, Signal::Counter(shape(5.0, 50.0, 14))));
    let labels = [
        ("namespace", "pss-nano"),
        ("service", "reservation-service"),
        ("job", "reservation-service"),
        ("severity", "critical"),
        ("cluster", "demo"),
    ];
    let annotations = [
        ("summary", "The slowest requests to reservation-service take seconds"),
        ("description", "One request in a hundred has taken more than two seconds for five minutes."),
        ("runbook_url", "https://runbooks.example.com/pss-nano#p1-slow-response-times"),
    ];
    Scenario {
        name: "high-latency",
        title: "Requests are slow",
        story: "After a deployment the cache is cold. Nearly every request goes to the database, and people wait \
                seconds for an answer until the cache is warm again.",
        alert: alert("HighLatency", &labels, &annotations, EXPR),
        measure: Measure {
            label: "time of the slowest requests (99th percentile)",
            expr: EXPR.to_owned(),
            threshold: 2.0,
            unit: Unit::Seconds,
        },
        hold: minutes(5),
        cure: Cure::Call { path: "/cache/warm", fact: "p99_seconds" },
        remedy_does: "load the hundred most wanted routes into the cache",
        course,
        series,
    }
}
