//! How soon it is ready and how much memory it holds, with the shipped rules.

use crate::Effort;
use crate::load::{self, Template};
use crate::machine;
use crate::product::{self, Setup};
use crate::report::{Aim, Report, median};
use crate::server::Server;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Starts that the time to be ready is the median of.
const STARTS: usize = 7;
/// After this time a fresh process has done what it does at a start.
const SETTLE: Duration = Duration::from_secs(3);
/// How long the service is saturated before its memory is read.
const SATURATION: Duration = Duration::from_secs(10);

/// Measures a start with the rules of `rules/`, memory at rest, and memory after saturation.
pub async fn run(effort: Effort, report: &mut Report) {
    let folder = tempfile::tempdir().expect("a folder");
    let (slack, _) = product::slack(false).await;
    let setup = Setup { folder: folder.path().to_owned(), store: None, slack, rules: shipped() };
    let mut ready = Vec::new();
    for _ in 0..STARTS {
        let server = setup.start();
        ready.push(server.ready_after.as_secs_f64() * 1e3);
    }
    let ready_ms = median(ready);
    let server = setup.start();
    tokio::time::sleep(SETTLE).await;
    let idle = machine::resident_mib(server.pid());
    drop(server);

    let baseline = Server::baseline("group-commit", folder.path(), &[]);
    let baseline_ms = baseline.ready_after.as_secs_f64() * 1e3;
    tokio::time::sleep(SETTLE).await;
    let baseline_idle = machine::resident_mib(baseline.pid());
    drop(baseline);

    let saturated = saturated(effort).await;
    println!("\nFootprint");
    println!(
        "{:<22} ready {ready_ms:>7.1} ms   idle {idle:>6.1} MiB   saturated {saturated:>6.1} MiB",
        "product"
    );
    println!("{:<22} ready {baseline_ms:>7.1} ms   idle {baseline_idle:>6.1} MiB", "group-commit");
    report.note("ready with the shipped rules, ms", ready_ms, Aim::AtMost { must: 150.0, reach: 75.0 });
    report.note("memory at rest, MiB", idle, Aim::AtMost { must: 31.0, reach: 18.0 });
    report.note(
        "memory after saturation, against idle",
        saturated / idle,
        Aim::AtMost { must: 3.0, reach: 2.0 },
    );
}

fn shipped() -> String {
    let pattern = concat!(env!("CARGO_MANIFEST_DIR"), "/rules/**/*.yaml");
    let mut texts = Vec::new();
    for path in glob::glob(pattern).expect("a pattern").flatten() {
        // Their tests lie beside them, and the service does not read those.
        if !path.to_string_lossy().ends_with(".test.yaml") {
            texts.push(std::fs::read_to_string(path).expect("a rule file"));
        }
    }
    texts.join("\n---\n")
}

async fn saturated(effort: Effort) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let (slack, _) = product::slack(false).await;
    let setup = Setup { folder: folder.path().to_owned(), store: None, slack, rules: product::rules(10) };
    let server = setup.start();
    let template = Template::new(server.address, "/webhooks/alertmanager", &load::webhook());
    let numbers = Arc::new(AtomicU64::new(1));
    load::run(&template, server.address, 16, SATURATION.max(effort.round), &numbers).await;
    machine::resident_mib(server.pid())
}
