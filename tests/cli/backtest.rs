//! `backtest`, over a history that a real Prometheus holds: made with `promtool`, asked over its real API.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::program::{EXIT_USAGE, Outcome, smokejumper};
use crate::servers::{self, Server};

/// When the past begins.
const START: &str = "2026-03-10T10:00:00Z";

/// Evidence decides about one remedy, nothing about the other; the third is left to people.
const RULES: &str = r##"
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: crash-loop }
spec:
  matchers: ['alertname="CrashLoop"']
  severity: P2
  target: { kind: Deployment, namespace: shop, name: '{{ labels.pod }}' }
  escalation: night
  diagnostics:
    - { name: restarts, prom.query: { expr: 'sum(restarts{pod="{{ labels.pod }}"})' } }
  remedies:
    - name: restart
      when: findings.restarts.value > 2
      tier: T1
      action: { k8s.rollout_restart: {} }
---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: high-latency }
spec:
  matchers: ['alertname="HighLatency"']
  severity: P1
  groupBy: [service]
  escalation: night
  remedies:
    - { name: limit, tier: T2, action: { http.call: { endpoint: waf, path: '/{{ labels.service }}' } } }
---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: queue-full }
spec:
  matchers: ['alertname="QueueFull"']
  severity: P3
  target: { kind: Deployment, namespace: shop, name: '{{ labels.queue }}' }
  remedies:
    - { name: drain, tier: T1, cooldown: 6h, action: { k8s.rollout_restart: {} } }
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: night }
spec:
  levels:
    - { name: on-call, after: 0s, destinations: [{ slack: { channel: '#on-call' } }] }
    - { name: lead, after: 15m, destinations: [{ slack: { channel: '#leads' } }] }
  fallback: [{ slack: { channel: '#on-call' } }]
"##;

/// One series of the past: its labels, and the minutes at which it has a sample.
struct Past(Vec<(String, Vec<i64>)>);

impl Past {
    /// Prometheus was there for so many minutes.
    fn of(minutes: i64) -> Self {
        Self(vec![("up{job=\"node\"}".to_owned(), (0..=minutes).collect())])
    }

    /// An alert fires at these minutes, ends excluded.
    fn fires(mut self, labels: &str, minutes: impl IntoIterator<Item = i64>) -> Self {
        let series = format!("ALERTS{{alertstate=\"firing\",{labels}}}");
        self.0.push((series, minutes.into_iter().collect()));
        self
    }

    fn has(mut self, series: &str, minutes: impl IntoIterator<Item = i64>) -> Self {
        self.0.push((series.to_owned(), minutes.into_iter().collect()));
        self
    }

    /// A real Prometheus that remembers it.
    async fn remembered(mut self, folder: &Path) -> Server {
        self.0.sort();
        let start = at(0).as_second();
        let (mut text, mut family) = (String::new(), "");
        for (series, minutes) in &self.0 {
            let name = series.split('{').next().unwrap_or_default();
            if name != family {
                writeln!(text, "# TYPE {name} gauge").expect("a string");
                family = name;
            }
            for minute in minutes {
                writeln!(text, "{series} 3 {}", start + minute * 60).expect("a string");
            }
        }
        text.push_str("# EOF\n");
        let file = folder.join("past.om");
        std::fs::write(&file, text).expect("the folder takes a file");
        let made = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args([&file, &folder.join("tsdb")])
            .output()
            .expect("promtool is there: `tests/run` installs it");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        // What is made afterwards has no marks where a series ends, so that only the look back says it.
        let options = ["--storage.tsdb.retention.time=100y", "--query.lookback-delta=59s"];
        servers::prometheus_with(folder, "global: { scrape_interval: 1h }\n", &options).await
    }
}

fn at(minutes: i64) -> Timestamp {
    let start: Timestamp = START.parse().expect("a time");
    start + SignedDuration::from_mins(minutes)
}

/// A folder with the rules.
fn mk_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yaml"), RULES).expect("the folder takes a file");
    folder
}

/// Runs it over so many minutes.
fn backtest(folder: &Path, url: &str, minutes: i64, more: &[&str]) -> Outcome {
    let to = at(minutes).to_string();
    let arguments = ["backtest", "--prometheus", url, "--from", START, "--to", &to];
    let rules = if more.contains(&"--rules") || more.contains(&"--config") {
        &[][..]
    } else {
        &["--rules", "rules.yaml"]
    };
    smokejumper(arguments.iter().chain(rules).chain(more)).in_folder(folder).run()
}

fn json_of(folder: &Path, url: &str, minutes: i64, more: &[&str]) -> Value {
    backtest(folder, url, minutes, &[more, &["--output", "json"]].concat()).json()
}

/// A rule of a report.
fn rule<'v>(report: &'v Value, name: &str) -> &'v Value {
    let rules = report["rules"].as_array().expect("rules");
    rules.iter().find(|rule| rule["name"] == name).unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

#[tokio::test]
async fn the_past_is_played_through_the_rules() {
    let folder = mk_folder();
    let past = Past::of(120)
        .fires("alertname=\"HighLatency\",service=\"api\"", 10..50)
        .fires("alertname=\"HighLatency\",service=\"web\"", 10..14)
        // The second time is within the cooldown of the remedy, and later than an incident may be opened again.
        .fires("alertname=\"QueueFull\",queue=\"mail\"", (5..15).chain(90..100))
        .fires("alertname=\"CrashLoop\",pod=\"a\"", 20..30)
        .fires("alertname=\"Stray\"", 30..40);
    let server = past.remembered(folder.path()).await;
    let report = json_of(folder.path(), &server.url(), 120, &[]);

    assert_eq!(report["history"]["episodes"], 6, "{report:#}");
    assert_eq!(report["history"]["holes"], json!([]));
    assert_eq!(report["unmatched"], json!({ "alerts": 1, "names": { "Stray": 1 } }));

    let latency = rule(&report, "high-latency");
    assert_eq!((&latency["incidents"], &latency["ended_by_themselves"]), (&json!(2), &json!(2)));
    let limit = &latency["remedies"][0];
    assert_eq!((&limit["asked"], &limit["acted"]), (&json!(2), &json!(0)), "{limit:#}");
    let levels = latency["levels"].as_array().expect("levels");
    let of = |name: &str| levels.iter().find(|level| level["level"] == name).expect("a level");
    assert_eq!(
        (&of("on-call")["incidents"], &of("on-call")["soonest_after_seconds"]),
        (&json!(2), &json!(0))
    );
    // Only the longer one reached the lead.
    assert_eq!((&of("lead")["incidents"], &of("lead")["soonest_after_seconds"]), (&json!(1), &json!(900)));

    let queue = rule(&report, "queue-full");
    let drain = &queue["remedies"][0];
    assert_eq!((&queue["incidents"], &drain["acted"]), (&json!(2), &json!(1)), "{queue:#}");
    assert_eq!(drain["blocked"], json!({ "cooldown": 1 }), "{queue:#}");
    assert_eq!((&drain["went_on_seconds"], &drain["tier"]), (&json!(600), &json!("T1")), "{queue:#}");

    // Nobody knows what the evidence was.
    let restart = &rule(&report, "crash-loop")["remedies"][0];
    assert_eq!((&restart["acted"], &restart["skipped"]), (&json!(0), &json!({ "condition_unknown": 1 })));

    let calls = report["calls"].as_array().expect("calls");
    let lead = calls.iter().find(|call| call["level"] == "lead").expect("a call");
    assert_eq!((&lead["at"], &lead["told"]), (&json!(at(25)), &json!(["slack:#leads"])));
}

#[tokio::test]
async fn prometheus_is_asked_for_evidence_as_of_that_time() {
    let folder = mk_folder();
    let past = Past::of(60)
        .has("restarts{pod=\"a\"}", 0..40)
        .fires("alertname=\"CrashLoop\",pod=\"a\"", 20..30)
        .fires("alertname=\"CrashLoop\",pod=\"b\"", 20..30);
    let server = past.remembered(folder.path()).await;
    let report = json_of(folder.path(), &server.url(), 60, &["--diagnose"]);
    let restart = &rule(&report, "crash-loop")["remedies"][0];
    assert_eq!(restart["acted"], 1, "{report:#}");
    assert_eq!(restart["skipped"], json!({ "condition_unknown": 1 }), "no series of the other pod");
    assert_eq!(report["evidence"]["left_out"], 0);

    let report = json_of(folder.path(), &server.url(), 60, &["--diagnose", "--questions-max", "0"]);
    assert_eq!(rule(&report, "crash-loop")["remedies"][0]["skipped"], json!({ "condition_unknown": 2 }));
    assert_eq!((&report["evidence"]["asked"], &report["evidence"]["left_out"]), (&json!(0), &json!(2)));

    std::fs::write(folder.path().join("f.json"), r#"{"restarts": {"value": 9}}"#).expect("written");
    let report = json_of(folder.path(), &server.url(), 60, &["--findings", "f.json"]);
    assert_eq!(rule(&report, "crash-loop")["remedies"][0]["acted"], 2, "{report:#}");
}

#[tokio::test]
async fn a_restart_of_prometheus_is_no_end_and_a_hole_is_told() {
    let folder = mk_folder();
    // Down for three minutes, and later for an hour.
    let there = || (0..60).chain(63..120).chain(180..=240);
    let mut past = Past::of(0).fires("alertname=\"QueueFull\",queue=\"a\"", there());
    past.0[0].1 = there().collect();
    let server = past.remembered(folder.path()).await;
    let report = json_of(folder.path(), &server.url(), 240, &[]);
    let history = &report["history"];
    assert_eq!((&history["episodes"], &history["firing_at_start"]), (&json!(2), &json!(1)), "{history:#}");
    assert_eq!(history["firing_at_end"], 1);
    assert_eq!(history["holes"], json!([{ "from": at(119), "to": at(180) }]), "{history:#}");
    let report = json_of(folder.path(), &server.url(), 240, &["--grace", "1m"]);
    assert_eq!(report["history"]["episodes"], 3);
}

#[tokio::test]
async fn two_sets_of_rules_are_compared_over_the_same_past() {
    let folder = mk_folder();
    let older =
        RULES.replace("tier: T2", "tier: T3").replace("alertname=\"QueueFull\"", "alertname=\"Nothing\"");
    std::fs::write(folder.path().join("older.yaml"), older).expect("written");
    let past = Past::of(60)
        .fires("alertname=\"HighLatency\",service=\"api\"", 10..50)
        .fires("alertname=\"QueueFull\",queue=\"mail\"", 5..15);
    let server = past.remembered(folder.path()).await;
    let report = json_of(folder.path(), &server.url(), 60, &["--against", "older.yaml"]);
    let changes = report["difference"]["changes"].as_array().expect("changes");
    let of = |what: &str| {
        changes.iter().find(|change| change["what"] == what).unwrap_or_else(|| panic!("{changes:#?}"))
    };
    assert_eq!((&of("unmatched alerts")["before"], &of("unmatched alerts")["after"]), (&json!(1), &json!(0)));
    let acted = of("remedies.drain.acted");
    assert_eq!(
        (&acted["rule"], &acted["before"], &acted["after"]),
        (&json!("queue-full"), &json!(0), &json!(1))
    );
    assert!(!changes.iter().any(|change| change["what"] == "incidents" && change["rule"] == "high-latency"));

    let same = backtest(folder.path(), &server.url(), 60, &["--against", "rules.yaml"]).good();
    assert!(same.contains("The other rules would have done the same."), "{same}");
}

#[tokio::test]
async fn people_read_what_would_have_been() {
    let folder = mk_folder();
    let past = Past::of(60)
        .fires("alertname=\"HighLatency\",service=\"api\"", 10..50)
        .fires("alertname=\"Str\\\\x1bay\"", 30..40);
    let server = past.remembered(folder.path()).await;
    let page = backtest(folder.path(), &server.url(), 60, &[]).good();
    insta::assert_snapshot!(page);
}

#[test]
fn a_prometheus_that_cannot_tell_is_named_with_the_way_out() {
    let folder = mk_folder();
    let port = servers::free_port();
    let told = backtest(folder.path(), &format!("http://127.0.0.1:{port}"), 10, &[]).refused(1);
    assert!(
        told.contains("cannot be read") && told.contains("help: name a Prometheus that answers"),
        "{told}"
    );
}

#[test]
fn bad_usage_is_told_before_anything_is_asked() {
    let folder = mk_folder();
    let url = "http://127.0.0.1:9";
    let told = backtest(folder.path(), url, -10, &[]).refused(EXIT_USAGE);
    assert!(told.contains("is not before --to"), "{told}");
    let told = backtest(folder.path(), url, 10, &["--rules", "missing/*.yaml"]).refused(EXIT_USAGE);
    assert!(told.contains("missing"), "{told}");
    let none = ["backtest", "--from", "1h", "--rules", "rules.yaml"];
    let told = smokejumper(none).in_folder(folder.path()).run().refused(EXIT_USAGE);
    assert!(told.contains("there is no Prometheus to ask"), "{told}");
    let none = ["backtest", "--from", "1h", "--prometheus", url];
    let told = smokejumper(none).in_folder(folder.path()).run().refused(EXIT_USAGE);
    assert!(told.contains("there are no rules to play"), "{told}");
    let secret = ["backtest", "--from", "1h", "--rules", "rules.yaml", "--prometheus", "http://una:secret@x"];
    let told = smokejumper(secret).in_folder(folder.path()).run();
    assert_eq!(told.code, EXIT_USAGE);
    assert!(
        !told.stderr.contains("expected an address such") && told.stderr.contains("password"),
        "{}",
        told.stderr
    );
}
