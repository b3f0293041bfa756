//! A flood of requests from a few clients: one answer in eight is a server error. Limiting each client's rate ends it.

use super::{Cure, Measure, Pace, Scenario, Unit, alert, minutes};
use crate::sandbox::prometheus::series::{Course, Series, Signal};

const LABELS: [(&str, &str); 3] =
    [("namespace", "pss-nano"), ("service", "api-gateway"), ("job", "api-gateway")];
const EXPR: &str = r#"sum(rate(http_requests_total{namespace="pss-nano",service="api-gateway",status=~"5.."}[5m])) / sum(rate(http_requests_total{namespace="pss-nano",service="api-gateway"}[5m]))"#;

pub(super) fn scenario(pace: Pace) -> Scenario {
    let course = Course::default();
    let requests = |status: &str, calm: f64, peak: f64, salt: u64| {
        let shape = pace.shape(&course, (calm, peak), minutes(3), minutes(1), salt);
        let mut labels = LABELS.to_vec();
        labels.push(("status", status));
        Series::new("http_requests_total", &labels, Signal::Counter(shape))
    };
    let series = vec![
        requests("200", 96.0, 112.0, 1),
        requests("404", 2.0, 4.0, 2),
        requests("500", 0.4, 3.0, 3),
        requests("503", 0.2, 14.0, 4),
    ];
    let labels = [
        ("namespace", "pss-nano"),
        ("service", "api-gateway"),
        ("job", "api-gateway"),
        ("severity", "critical"),
        ("cluster", "demo"),
    ];
    let annotations = [
        ("summary", "One in eight requests to api-gateway fails"),
        (
            "description",
            "More than 5 % of the answers of api-gateway have been server errors for five minutes.",
        ),
        ("runbook_url", "https://runbooks.example.com/pss-nano#p1-high-error-rate"),
    ];
    Scenario {
        name: "high-error-rate",
        title: "Requests fail",
        story: "A few clients flood the API gateway. One request in eight fails with a server error, \
                and stays failing until somebody limits the flood.",
        alert: alert("HighErrorRate", &labels, &annotations, EXPR),
        measure: Measure {
            label: "share of failed requests",
            expr: EXPR.to_owned(),
            threshold: 0.05,
            unit: Unit::Ratio,
        },
        hold: minutes(5),
        cure: Cure::Call { path: "/waf/rate-limit", fact: "error_ratio" },
        remedy_does: "limit each client to ten requests a second at the firewall",
        course,
        series,
    }
}
