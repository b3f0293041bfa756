//! How late escalations are while many incidents are open, beside the same with none.

use crate::alerts::{Policy, service, webhook};
use crate::product::{Product, TIMEOUT};
use crate::report::{Aim, Report};
use crate::{Effort, quantile};
use std::time::{Duration, Instant};

/// When the second level of the incidents that escalate is told.
const AFTER: Duration = Duration::from_secs(10);
/// Time between two of them.
const EVERY: Duration = Duration::from_millis(50);

/// Lets incidents escalate in an empty house, and in a full one.
pub async fn run(effort: Effort, report: &mut Report) {
    println!(
        "\nEscalations: {} of them, with {} incidents open and with none",
        effort.escalations, effort.waiting
    );
    let empty = measure("none open", 0, effort.escalations).await;
    let full = measure("all open", effort.waiting, effort.escalations).await;
    report.note("lag of escalations, p99, s", full, Aim::AtMost { must: 1.0, reach: 0.2 });
    report.note(
        "lag of escalations, p99, against an empty house",
        full / empty,
        Aim::AtMost { must: 5.0, reach: 2.0 },
    );
}

async fn measure(what: &str, waiting: usize, escalations: usize) -> f64 {
    let rules = [
        Policy { name: "long", severity: "P2", channel: "#c0", second_after: "5h" },
        Policy { name: "soon", severity: "P1", channel: "#c1", second_after: "10s" },
    ];
    let product = Product::start(&rules.map(|policy| policy.yaml()).concat(), 2).await;
    for number in 0..waiting {
        product.fire(webhook("long", &service(number))).await;
    }
    product.settle().await;
    for number in waiting..waiting + escalations {
        let began = Instant::now();
        product.fire(webhook("soon", &service(number))).await;
        tokio::time::sleep(EVERY.saturating_sub(began.elapsed())).await;
    }
    let mut lags = lags(&product, escalations).await;
    lags.sort_by(f64::total_cmp);
    let [middle, late, last] = [0.5, 0.99, 1.0].map(|share| quantile(&lags, share));
    println!("{what:<12} p50 {middle:>7.3} s   p99 {late:>7.3} s   last {last:>7.3} s");
    late
}

/// From the moment at which each escalation was due to the step that made it, in seconds.
async fn lags(product: &Product, escalations: usize) -> Vec<f64> {
    let began = Instant::now();
    loop {
        let lags = product.escalation_lags("soon", AFTER);
        if lags.len() >= escalations {
            return lags;
        }
        assert!(began.elapsed() < TIMEOUT, "{} of {escalations} escalations were made", lags.len());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
