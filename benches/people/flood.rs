//! A flood of incidents: in which order and how soon they are told, where Slack takes one message a second in a channel.

use crate::alerts::{Policy, service, webhook};
use crate::product::{Product, TIMEOUT};
use crate::report::{Aim, Report};
use crate::{Effort, quantile};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Channels that share the flood.
const CHANNELS: usize = 4;
/// Of so many incidents one is urgent.
const URGENT_EVERY: usize = 10;

/// Opens the incidents at a steady pace and waits until each was told.
pub async fn run(effort: Effort, report: &mut Report) {
    println!(
        "\nFlood: {} incidents within {} s, {CHANNELS} channels",
        effort.flood,
        effort.flood_within.as_secs()
    );
    let rules: String = (0..CHANNELS)
        .flat_map(|number| {
            let channel = format!("#c{number}");
            ["P0", "P2"].map(|severity| {
                let name = format!("{severity}-{number}").to_lowercase();
                Policy { name: &name, severity, channel: &channel, second_after: "2h" }.yaml()
            })
        })
        .collect();
    let product = Product::start(&rules, CHANNELS).await;
    let mut opened = BTreeMap::new();
    let mut tick = tokio::time::interval(effort.flood_within / u32::try_from(effort.flood).expect("a count"));
    for number in 0..effort.flood {
        tick.tick().await;
        let severity = if number % URGENT_EVERY == 0 { "P0" } else { "P2" };
        // Urgent ones go around the channels as well.
        let channel = (number / URGENT_EVERY + number) % CHANNELS;
        opened.insert(service(number), (jiff::Timestamp::now(), severity == "P0"));
        let alertname = format!("{severity}-{channel}").to_lowercase();
        product.fire(webhook(&alertname, &service(number))).await;
    }
    let told = told(&product, &opened).await;
    let seconds = |urgent: bool| {
        let waits = told.iter().filter(|wait| wait.urgent == urgent).map(|wait| wait.seconds);
        let mut waits: Vec<f64> = waits.collect();
        waits.sort_by(f64::total_cmp);
        waits
    };
    let (urgent, others) = (seconds(true), seconds(false));
    for (name, waits) in [("P0", &urgent), ("P2", &others)] {
        let [middle, late, last] = [0.5, 0.99, 1.0].map(|share| quantile(waits, share));
        println!("{name:<4} told after p50 {middle:>6.1} s   p99 {late:>6.1} s   last {last:>6.1} s");
    }
    let begun = opened.values().map(|(at, _)| *at).min().expect("incidents");
    let ended = told.iter().map(|wait| wait.at).max().expect("messages");
    let took = ended.duration_since(begun).as_secs_f64();
    let ideal = (effort.flood as f64 / CHANNELS as f64).max(effort.flood_within.as_secs_f64());
    let limited = product.limited();
    println!(
        "all told after {took:.1} s, at one message a second and channel {ideal:.1} s; {limited} calls too fast"
    );
    report.note("flood: P0 told, p99, s", quantile(&urgent, 0.99), Aim::AtMost { must: 10.0, reach: 3.0 });
    report.note(
        "flood: P0 told, p99 against others",
        quantile(&urgent, 0.99) / quantile(&others, 0.99),
        Aim::AtMost { must: 0.2, reach: 0.05 },
    );
    report.note(
        "flood: all told, against the limit of Slack",
        took / ideal,
        Aim::AtMost { must: 2.5, reach: 1.2 },
    );
    report.note(
        "flood: calls that came too fast, share",
        limited as f64 / effort.flood as f64,
        Aim::AtMost { must: 0.05, reach: 0.0 },
    );
}

struct Told {
    urgent: bool,
    seconds: f64,
    at: jiff::Timestamp,
}

/// Waits until every incident has a message of its own.
async fn told(product: &Product, opened: &BTreeMap<String, (jiff::Timestamp, bool)>) -> Vec<Told> {
    let began = Instant::now();
    loop {
        let mut told = BTreeMap::new();
        for (_, text, at) in product.posts() {
            if let Some(service) = named(&text)
                && let Some((opened_at, urgent)) = opened.get(&service)
            {
                let seconds = at.duration_since(*opened_at).as_secs_f64();
                told.entry(service).or_insert(Told { urgent: *urgent, seconds, at });
            }
        }
        if told.len() == opened.len() {
            return told.into_values().collect();
        }
        assert!(began.elapsed() < TIMEOUT, "{} of {} incidents were told", told.len(), opened.len());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// The service that a message is about.
fn named(text: &str) -> Option<String> {
    let at = text.find("svc")?;
    text.get(at..at + service(0).len()).map(str::to_owned)
}
