//! Which rules answer an alert: ten rules against ten thousand.

use crate::load;
use crate::product;
use crate::report::{Aim, Report, median};
use smokejumper::clients::alertmanager;
use smokejumper::domain::alert::Alert;
use smokejumper::domain::catalog::Catalog;
use smokejumper::rules::load::{SourceFile, load_texts};
use smokejumper::rules::{Known, RuleSet};
use smokejumper::{actions, diagnostics};
use std::hint::black_box;
use std::time::Instant;

/// Alerts that are matched in a row.
const ALERTS: usize = 1_000;
/// How often, for each number of rules.
const ROUNDS: usize = 200;

/// Measures nanoseconds an alert.
pub fn run(report: &mut Report) {
    let alerts = alerts();
    let (few, many) = (set(10), set(10_000));
    let mut rounds = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (set, rounds) in [&few, &many].into_iter().zip(&mut rounds) {
            rounds.push(nanos(set, &alerts));
        }
    }
    let [few, many] = rounds.map(median);
    println!(
        "\nMatching, four matchers a rule: {few:.0} ns an alert with 10 rules, {many:.0} ns with 10,000"
    );
    report.note("match time, 10,000 rules against 10", many / few, Aim::AtMost { must: 3.0, reach: 1.5 });
}

fn set(count: usize) -> RuleSet {
    let file = SourceFile { name: "rules.yaml".to_owned(), text: product::rules(count) };
    load_texts(vec![file], &Catalog::new(diagnostics::kinds(), actions::kinds()), &Known::everything())
        .unwrap_or_else(|errors| panic!("{errors}"))
}

fn alerts() -> Vec<Alert> {
    let now = jiff::Timestamp::now();
    let body = load::webhook();
    let numbered = |number: usize| body.replace("#########", &format!("{number:09}"));
    (0..ALERTS.div_ceil(3))
        .flat_map(|number| {
            alertmanager::parse(numbered(number).as_bytes()).expect("our own webhook").to_alerts(now)
        })
        .collect()
}

fn nanos(set: &RuleSet, alerts: &[Alert]) -> f64 {
    let began = Instant::now();
    for alert in alerts {
        black_box(set.matching(&black_box(alert).labels).count());
    }
    began.elapsed().as_nanos() as f64 / alerts.len() as f64
}
