//! From a webhook to the message in Slack, ten a second, beside the shortest durable way.

use crate::Effort;
use crate::load::{Connection, Template, webhook};
use crate::product::{self, Arrivals, Setup};
use crate::report::{Aim, Report};
use crate::server::Server;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// Time between two webhooks.
const EVERY: Duration = Duration::from_millis(100);
/// Longest wait for the last message.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(20);

/// Times both ways.
pub async fn run(effort: Effort, report: &mut Report) {
    println!("\nWebhook to message, {} of them, one every {} ms", effort.latencies, EVERY.as_millis());
    let folder = tempfile::tempdir().expect("a folder");
    let (slack, arrivals) = product::slack(true).await;
    let baseline = Server::baseline("commit-then-post", folder.path(), &[format!("http://{slack}/post")]);
    let shortest = measure("commit, then post", &baseline, &arrivals, effort.latencies).await;
    drop(baseline);

    let folder = tempfile::tempdir().expect("a folder");
    let (slack, arrivals) = product::slack(true).await;
    let rules = rules(effort.latencies);
    let server = Setup { folder: folder.path().to_owned(), store: None, slack, rules }.start();
    let ours = measure("product", &server, &arrivals, effort.latencies).await;
    report.note(
        "webhook to Slack, p50 against commit and post",
        ours / shortest,
        Aim::AtMost { must: 3.0, reach: 2.0 },
    );
}

/// A rule and a channel for each webhook: Slack takes one message a second in a channel, and that is not what is
/// measured here.
fn rules(count: usize) -> String {
    let mut text = String::new();
    for number in 0..count {
        write!(
            text,
            r##"---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: {{ name: policy-{number} }}
spec:
  levels: [{{ name: first, after: 0s, destinations: [{{ slack: {{ channel: "#c{number}" }} }}] }}]
  fallback: [{{ slack: {{ channel: "#c{number}" }} }}]
---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: {{ name: rule-{number} }}
spec:
  matchers: ['alertname="Alert{number}"', 'namespace="shop"']
  severity: P1
  groupBy: [namespace, service]
  escalation: policy-{number}
"##
        )
        .expect("a text takes text");
    }
    text
}

async fn measure(name: &str, server: &Server, arrivals: &Arrivals, count: usize) -> f64 {
    let mut connection = Connection::open(server.address).await;
    let mut began = Vec::new();
    for number in 0..count {
        let body = webhook().replace("HighErrorRate", &format!("Alert{number}"));
        let mut template = Template::new(server.address, "/webhooks/alertmanager", &body);
        let request = template.numbered(number as u64).to_vec();
        began.push(Instant::now());
        assert_eq!(connection.exchange(&request).await, 200);
        tokio::time::sleep(EVERY.saturating_sub(began[number].elapsed())).await;
    }
    let mut millis: Vec<f64> = Vec::new();
    for (number, began) in began.into_iter().enumerate() {
        millis.push(arrived(arrivals, number).await.duration_since(began).as_secs_f64() * 1e3);
    }
    millis.sort_by(f64::total_cmp);
    let quantile = |share: f64| millis[((millis.len() as f64 * share) as usize).min(millis.len() - 1)];
    println!(
        "{name:<22} p50 {:>7.2} ms   p90 {:>7.2} ms   p99 {:>7.2} ms",
        quantile(0.5),
        quantile(0.9),
        quantile(0.99)
    );
    quantile(0.5)
}

/// When the first message about this webhook arrived.
async fn arrived(arrivals: &Arrivals, number: usize) -> Instant {
    let mark = format!("s{number:09}");
    let began = Instant::now();
    loop {
        let found = arrivals
            .lock()
            .expect("nobody panics")
            .iter()
            .find(|(_, body)| body.windows(mark.len()).any(|window| window == mark.as_bytes()))
            .map(|(at, _)| *at);
        if let Some(at) = found {
            return at;
        }
        assert!(began.elapsed() < ARRIVAL_TIMEOUT, "no message about webhook {number}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
