//! The shipped checklists of the runbooks: each runs at its time with all of its items green, and each judged item can
//! become red and unknown.

use crate::house::House;
use serde_json::{Value, json};
use smokejumper::domain::scheduled::{CheckReport, ScheduledCheck};

/// Every rule that ships: contacts and platforms stand beside the checks.
fn files() -> Vec<String> {
    let rules = format!("{}/rules", env!("CARGO_MANIFEST_DIR"));
    ["escalation", "hsc-jit", "pss-nano"].map(|folder| format!("{rules}/{folder}/**/*.yaml")).to_vec()
}

/// Findings under which every item of every check is as it should be.
fn good() -> Value {
    json!({
        "backend": { "count": 3, "not_ready": 0, "text": "3 pods, all ready" },
        "redis": { "reachable": true, "ping_ms": 0.4 },
        "usage": { "memory_of_limit_max": 0.4, "cpu_of_limit_max": 0.3 },
        "events": { "count": 0 },
        "health": { "ok": true },
        "connections": { "value": 300.0 },
        "connections_usual": { "value": 1.1 },
        "errors": { "value": 0.0 },
        "replicas": { "ready": 3, "desired": 3, "rollout": "done" },
        "autoscaler": { "exists": true, "able": true, "at_max": false },
        "restarts": { "value": 0.0 },
        "nodes": { "not_ready": 0, "memory_pressure": 0, "disk_pressure": 0, "pid_pressure": 0 },
        "allocated": { "value": 0.6, "text": "0.6" },
        "secrets": { "exists": true },
        "llm_key": { "exists": true, "key_exists": true, "changed_seconds": 864_000 },
        "traffic": { "covers": ["Ingress", "Egress"] },
        "certificate": { "reachable": true, "trusted": true, "expires_seconds": 5_184_000 },
        "backup": { "fresh": true },
    })
}

/// What makes one item red.
fn bad(item: &str) -> Value {
    match item {
        "backend" => json!({ "count": 0, "not_ready": 0 }),
        "redis" => json!({ "reachable": false }),
        "usage" => json!({ "memory_of_limit_max": 0.9, "cpu_of_limit_max": 0.3 }),
        "events" => json!({ "count": 2 }),
        "health" => json!({ "ok": false }),
        "connections" => json!({ "value": 900.0 }),
        "connections_usual" => json!({ "value": 0.1 }),
        "errors" => json!({ "value": 0.02 }),
        "replicas" => json!({ "ready": 2, "desired": 3, "rollout": "done" }),
        "autoscaler" => json!({ "exists": false }),
        "restarts" => json!({ "value": 1.0 }),
        "nodes" => json!({ "not_ready": 1, "memory_pressure": 0, "disk_pressure": 0, "pid_pressure": 0 }),
        "secrets" => json!({ "exists": false }),
        "llm_key" => json!({ "exists": true, "key_exists": true, "changed_seconds": 8_640_000 }),
        "traffic" => json!({ "covers": ["Ingress"] }),
        "certificate" => json!({ "reachable": true, "trusted": true, "expires_seconds": 86_400 }),
        "backup" => json!({ "fresh": false }),
        other => panic!("nobody has said what makes `{other}` red"),
    }
}

fn outcome_of<'r>(report: &'r CheckReport, item: &str) -> &'r str {
    let found = report.items.iter().find(|result| result.name == item);
    found.unwrap_or_else(|| panic!("{} has no {item}", report.check)).outcome.as_str()
}

fn checks(house: &House) -> Vec<ScheduledCheck> {
    house.book.current().checks().values().map(|kept| kept.check.clone()).collect()
}

#[tokio::test]
async fn each_shipped_check_runs_at_its_time_and_is_green_where_all_is_well() {
    // A Thursday that is the first of a quarter; by the clock in Berlin, as the runbooks have it.
    let house = House::of_files(files(), "2026-10-01T00:00:00Z").await;
    house.find(good());
    house.settle().await;
    let planned = house.planned().await;
    assert_eq!(planned.len(), checks(&house).len());
    let mut told = Vec::new();
    for (name, due) in [
        ("hsc-jit-four-hourly", "2026-10-01T02:00:00Z"),
        ("hsc-jit-morning", "2026-10-01T07:00:00Z"),
        ("hsc-jit-review-quarterly", "2026-10-01T08:00:00Z"),
        ("pss-nano-review-quarterly", "2026-10-01T08:00:00Z"),
        ("hsc-jit-end-of-day", "2026-10-01T16:00:00Z"),
        ("hsc-jit-security-weekly", "2026-10-05T08:00:00Z"),
    ] {
        assert!(planned.contains(&format!("{name} {due}")), "{name}: {planned:?}");
        house.at(due).await;
        told.extend(house.reports());
        let due = due.parse().expect("a time");
        let report = told.iter().find(|report| report.check == name && report.due_at == due);
        let report = report.unwrap_or_else(|| panic!("{name} did not run"));
        assert_eq!(report.verdict().as_str(), "green", "{report:#?}");
    }
    assert!(house.incidents().await.is_empty());
}

#[tokio::test]
async fn each_judged_item_of_the_shipped_checks_can_be_red_and_unknown() {
    let house = House::of_files(files(), "2026-10-01T00:00:00Z").await;
    house.settle().await;
    let mut minute = 0;
    for check in checks(&house) {
        assert!(!check.report.is_empty() && !check.procedures.is_empty(), "{}", check.name);
        for item in check.items.iter().filter(|item| item.expect.is_some()) {
            for (findings, expected) in [(bad(&item.name), "red"), (json!("unknown"), "unknown")] {
                minute += 1;
                house.clock.set(
                    format!("2026-10-01T00:{:02}:{:02}Z", minute / 60, minute % 60).parse().expect("a time"),
                );
                house.find(good());
                house.find(json!({ (item.name.as_str()): findings }));
                house.asks(&check.name, "una").await;
                let report = house.reports().pop().unwrap_or_else(|| panic!("{} did not run", check.name));
                assert_eq!(outcome_of(&report, &item.name), expected, "{}: {report:#?}", check.name);
            }
        }
    }
}
