//! How soon a press on a button is answered, calm and while webhooks arrive: half of the presses count at once, and half open
//! a form, which Slack is slow to open.

use crate::alerts::{Policy, service, webhook};
use crate::product::Product;
use crate::report::{Aim, Report};
use crate::{Effort, quantile};
use serde_json::json;
use smokejumper::sandbox::faults::Fault;
use smokejumper::sandbox::slack::sign;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Webhooks a second while people press.
const WEBHOOKS_A_SECOND: u32 = 100;
/// What Slack takes to open a form: more than people should wait for the answer to their press.
const FORM_TAKES: Duration = Duration::from_millis(700);
/// Time between two presses.
const PRESS_EVERY: Duration = Duration::from_millis(50);

/// Presses half of the buttons calmly and the other half under load.
pub async fn run(effort: Effort, report: &mut Report) {
    println!("\nPresses: {} of them while {} incidents are open", effort.presses, effort.open);
    let policy = Policy { name: "noisy", severity: "P2", channel: "#c0", second_after: "2h" };
    let product = Arc::new(Product::start(&policy.yaml(), 1).await);
    for number in 0..effort.open {
        product.fire(webhook("noisy", &service(number))).await;
    }
    product.settle().await;
    let open = product.open_incidents();
    assert_eq!(open.len(), effort.open, "incidents are open");
    // A form that does not open within its time leaves the press to count without one, so that all of them can be counted.
    product
        .slack
        .faults()
        .always("views.open", Fault::vendor_error("expired_trigger_id").delayed(FORM_TAKES));
    let (calm, busy) = open[..effort.presses].split_at(effort.presses / 2);

    let alone = press_all("calm", &product, calm).await;
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(effort.open)));
    let load = tokio::spawn(arrive(Arc::clone(&product), Arc::clone(&stop), Arc::clone(&sent)));
    let loaded = press_all("100 webhooks a second", &product, busy).await;
    stop.store(true, Ordering::Relaxed);
    load.await.expect("the load does not fail");
    // The last forms are still being opened.
    tokio::time::sleep(FORM_TAKES * 2).await;
    product.settle().await;
    println!("{} webhooks arrived meanwhile", sent.load(Ordering::Relaxed) - effort.open);

    let taken = product.count("SELECT COUNT(*) FROM incident WHERE status <> 'triggered'");
    assert_eq!(usize::try_from(taken).expect("a count"), effort.presses, "every press counted once");
    report.note("a press under load, p99, ms", loaded, Aim::AtMost { must: 500.0, reach: 100.0 });
    report.note(
        "a press under load, p99 against calm",
        loaded / alone,
        Aim::AtMost { must: 20.0, reach: 5.0 },
    );
}

/// One new incident a webhook, at a steady pace whatever the answers take.
async fn arrive(product: Arc<Product>, stop: Arc<AtomicBool>, sent: Arc<AtomicUsize>) {
    let mut tick = tokio::time::interval(Duration::from_secs(1) / WEBHOOKS_A_SECOND);
    let mut waiting = tokio::task::JoinSet::new();
    while !stop.load(Ordering::Relaxed) {
        tick.tick().await;
        let number = sent.fetch_add(1, Ordering::Relaxed);
        let product = Arc::clone(&product);
        waiting.spawn(async move { product.fire(webhook("noisy", &service(number))).await });
    }
    waiting.join_all().await;
}

/// Acknowledges one and resolves the next, and so on; the 99th percentile of the answers, in milliseconds.
async fn press_all(what: &str, product: &Product, incidents: &[String]) -> f64 {
    let mut millis = Vec::new();
    for (number, incident) in incidents.iter().enumerate() {
        let began = Instant::now();
        let button = if number % 2 == 0 { "acknowledge" } else { "resolve" };
        press(product, button, incident).await;
        millis.push(began.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(PRESS_EVERY.saturating_sub(began.elapsed())).await;
    }
    millis.sort_by(f64::total_cmp);
    let [middle, late, last] = [0.5, 0.99, 1.0].map(|share| quantile(&millis, share));
    println!("{what:<22} p50 {middle:>7.2} ms   p99 {late:>7.2} ms   longest {last:>7.2} ms");
    late
}

async fn press(product: &Product, button: &str, incident: &str) {
    let options = product.slack.options();
    let action = json!({ "type": "button", "action_id": format!("smokejumper.{button}"), "block_id": "b",
        "value": format!("v1|{incident}"), "action_ts": "1770793469.0" });
    let payload = json!({
        "type": "block_actions", "team": { "id": options.team_id }, "api_app_id": options.app_id,
        "user": { "id": "U0UNA", "team_id": options.team_id }, "channel": { "id": "C0", "name": "c0" },
        "container": { "type": "message", "message_ts": "1770793469.000100", "channel_id": "C0" },
        "trigger_id": "1.2.3", "response_url": "http://127.0.0.1:9/", "actions": [action],
    });
    let text = form_urlencoded(&payload.to_string());
    let body = format!("payload={text}");
    let at = jiff::Timestamp::now().as_second().to_string();
    let signature = sign(&options.signing_secret, &at, &body);
    let request = product.client.post(product.url("/webhooks/slack"));
    let request = request
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-slack-request-timestamp", at)
        .header("x-slack-signature", signature);
    let answer = request.body(body).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
}

fn form_urlencoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let encode = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}
