//! `explain`: what people read, what scripts rely on, and what happens to bad input.

use std::path::Path;

use crate::program::{EXIT_USAGE, Program, smokejumper};
use crate::stand_in::StandIn;
use serde_json::{Value, json};

/// A Sunday night.
const NIGHT: &str = "2026-03-01T03:00:00Z";

const SETTINGS: &str = "\
slack: { bot_token: { env: NOT_SET }, default_channel: '#incidents' }
endpoints:
  waf: { url: 'https://waf.example.com', method: PUT, headers: { Authorization: { env: NOT_SET } } }
escalation: { unmatched: [{ slack: { channel: '#strays' } }] }
rules: ['rules.yaml']
mode: enforce
";

const RULES: &str = r##"
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: every-page }
spec:
  priority: 10
  continue: true
  matchers: ['severity="page"']
  severity: "{{ labels.urgency }}"
  groupBy: [team]
---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: high-error-rate }
spec:
  matchers: ['alertname="HighErrorRate"']
  severity: P1
  groupBy: [service]
  escalation: night
  runbook: 'https://wiki.example.com/{{ labels.service }}'
  diagnostics:
    - { name: health, http.check: { url: 'STAND_IN/health/{{ labels.service }}' } }
    - { name: queue, http.json: { url: 'STAND_IN/queue', pick: { length: /length } } }
  remedies:
    - { name: list, action: { checklist.start: { title: 'Look at {{ labels.service }}', items: ['Health: {{ findings.health.text }}'] } } }
    - name: drop-load
      when: findings.queue.length > 100
      action: { http.call: { endpoint: waf, path: '/limits/{{ labels.service }}', body: { queue: '{{ findings.queue.length }}' } } }
      rollback: { http.call: { endpoint: waf, path: '/limits/{{ labels.service }}/off' } }
      verify: { checks: [findings.queue.length < 10], onFail: rollback }
    - { name: by-hand, tier: T3, action: { human.task: { title: 'Mend {{ labels.service }}', steps: ['Look'] } } }
---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: any-error-rate }
spec: { priority: -1, matchers: ['alertname=~"HighErrorRate|Other"'], severity: P3, groupBy: [service] }
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: night }
spec:
  acknowledgeWithin: 10m
  levels:
    - { name: on-call, after: 0s, destinations: [{ slack: { channel: '#night' } }] }
    - { name: lead, after: 15m, hours: business, destinations: [{ slack: { channel: '#leads' } }] }
    - { name: cto, after: 1h, destinations: [{ slack: { channel: '#cto' } }] }
  fallback: [{ slack: { channel: '#incidents' } }]
---
apiVersion: smokejumper.dev/v1
kind: Schedule
metadata: { name: business }
spec: { timeIntervals: [{ weekdays: ['monday:friday'], times: [{ start_time: '09:00', end_time: '17:00' }], location: Europe/Berlin }] }
"##;

/// A folder with settings, rules, and whatever else a test puts there.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        folder.put("s.yaml", SETTINGS);
        folder.put("rules.yaml", &RULES.replace("STAND_IN", "http://127.0.0.1:9"));
        folder
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).expect("written");
    }

    /// `explain` in this folder, on that Sunday night.
    fn explain(&self, arguments: &[&str]) -> Program {
        let all = ["explain", "--config", "s.yaml", "--at", NIGHT];
        smokejumper(all.iter().chain(arguments)).in_folder(self.0.path())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        self.explain(&[arguments, &["--output", "json"]].concat()).run().json()
    }
}

const API: [&str; 3] =
    ["--alertname=HighErrorRate", "--label=service=api", "--annotation=summary=5 % of requests fail"];

fn decisions(answer: &Value) -> Vec<String> {
    let decisions = answer["decisions"].as_array().expect("decisions");
    let word = |decision: &Value, key: &str| decision[key].as_str().expect("a text").to_owned();
    decisions
        .iter()
        .map(|one| format!("{}: {}; {}", word(one, "remedy"), word(one, "decision"), word(one, "reason")))
        .collect()
}

#[test]
fn people_read_which_rule_answers_what_it_decides_and_who_is_told() {
    let folder = Folder::new();
    insta::assert_snapshot!(folder.explain(&API).run().good());
}

#[test]
fn findings_that_are_taken_for_granted_are_judged() {
    let folder = Folder::new();
    folder.put(
        "f.json",
        r#"{"queue": {"length": 4711}, "health": {"status": "unknown", "reason": "no route"}}"#,
    );
    let arguments = [&API[..], &["--findings", "f.json"]].concat();
    insta::assert_snapshot!(folder.explain(&arguments).run().good());
    let answer = &folder.json(&arguments)["alerts"][0];
    assert_eq!(
        decisions(answer),
        [
            "list: run; it only observes or tells",
            "drop-load: ask; T2 needs one approval",
            "by-hand: skip; a remedy before it was taken"
        ]
    );
    assert_eq!(answer["decisions"][1]["plan"]["params"]["body"], json!({ "queue": "4711" }));
    let low = folder.explain(&[&API[..], &["--findings", "-", "--output", "json"]].concat());
    let low = low.input(r#"{"queue": {"length": 4}}"#).run().json();
    assert_eq!(
        decisions(&low["alerts"][0])[1..],
        ["drop-load: skip; its condition does not hold", "by-hand: run; people carry it out"]
    );
}

#[test]
fn the_document_for_scripts_is_stable() {
    let folder = Folder::new();
    let shown = folder.explain(&[&API[..], &["--output", "json"]].concat()).run().good();
    insta::assert_snapshot!(shown);
}

#[test]
fn a_payload_is_explained_alert_by_alert_in_its_order() {
    let folder = Folder::new();
    let alert = |name: &str, service: &str, status: &str| json!({ "status": status, "labels": { "alertname": name, "service": service } });
    let payload = json!({ "truncatedAlerts": 2, "alerts": [
        alert("HighErrorRate", "api", "firing"), alert("Stranger", "api", "firing"),
        alert("HighErrorRate", "web", "resolved"), { "labels": {} }, alert("HighErrorRate", "api", "firing"),
    ]});
    folder.put("p.json", &payload.to_string());
    let outcome = folder.explain(&["p.json", "--output", "json"]).run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (1, ""), "one alert cannot be read");
    let document: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    let alerts = document["alerts"].as_array().expect("alerts");
    let brief = |alert: &Value| {
        (alert["status"].clone(), alert["rule"].clone(), decisions(alert).len(), alert["joins_alert"].clone())
    };
    let brief: Vec<_> = alerts.iter().map(brief).collect();
    assert_eq!(brief[0], (json!("firing"), json!("high-error-rate"), 3, json!(null)));
    assert_eq!(brief[1], (json!("firing"), json!("(unmatched)"), 0, json!(null)));
    assert_eq!(brief[2], (json!("resolved"), json!("high-error-rate"), 0, json!(null)));
    assert_eq!(brief[3], (json!("unreadable"), json!(null), 0, json!(null)));
    assert_eq!(brief[4].3, json!(0), "it would join the incident of the first");
    assert_eq!(
        (alerts[1]["matched"].clone(), document["truncated_alerts"].clone()),
        (json!(false), json!(2))
    );
    let told = &alerts[1]["escalation"];
    assert_eq!(told[0]["destinations"], json!(["slack:#strays"]));
    insta::assert_snapshot!(folder.explain(&["p.json"]).run().stdout);
}

#[test]
fn every_rule_that_answers_is_explained_and_the_others_are_named() {
    let folder = Folder::new();
    let alert = &folder.json(&[&API[..], &["--label=severity=page"]].concat())["alerts"][0];
    assert_eq!(alert["rule"], "every-page");
    assert_eq!(alert["also"][0]["rule"], "high-error-rate");
    assert_eq!(alert["not_reached"], json!(["any-error-rate"]));
    assert_eq!(alert["severity"], "P1");
    let note = alert["notes"][0].as_str().expect("a note");
    assert!(note.contains("severity unknown, taken as P1"), "{note}");
}

#[test]
fn the_clock_decides_about_freezes_and_hours() {
    let folder = Folder::new();
    let freeze =
        "guardrails: { freeze_windows: { sundays: { timeIntervals: [{ weekdays: ['sunday'] }] } } }\n";
    folder.put("s.yaml", &format!("{SETTINGS}{freeze}"));
    folder.put("f.json", r#"{"queue": {"length": 4711}}"#);
    let sunday = &folder.json(&[&API[..], &["--findings", "f.json"]].concat())["alerts"][0];
    assert_eq!(decisions(sunday)[1], "drop-load: block; freeze window `sundays` is open");
    let verdicts = sunday["decisions"][1]["guardrails"].as_array().expect("verdicts");
    assert_eq!(verdicts[1]["until"], "2026-03-02T00:00:00Z");
    let levels = |alert: &Value| -> Vec<String> {
        let told = alert["escalation"].as_array().expect("tellings");
        told.iter()
            .map(|one| {
                format!("{} {}", one["at"].as_str().expect("a time"), one["level"].as_str().expect("a name"))
            })
            .collect()
    };
    assert_eq!(levels(sunday)[2], "2026-03-01T03:15:00Z cto", "the lead is off hours, and nothing waits");

    let all = [
        "explain",
        "--config",
        "s.yaml",
        "--at",
        "2026-03-02T10:00:00+01:00",
        "--findings",
        "f.json",
        "--output",
        "json",
    ];
    let monday = smokejumper(all.iter().chain(&API)).in_folder(folder.0.path()).run().json();
    let monday = &monday["alerts"][0];
    assert_eq!(decisions(monday)[1], "drop-load: ask; T2 needs one approval");
    assert_eq!(levels(monday)[2], "2026-03-02T09:15:00Z lead");
}

#[test]
fn nothing_is_asked_unless_the_caller_says_so() {
    let folder = Folder::new();
    let world =
        StandIn::start().json("GET /health/api", &json!({})).json("GET /queue", &json!({ "length": 4711 }));
    folder.put("rules.yaml", &RULES.replace("STAND_IN", &world.url));
    folder.put("s.yaml", &format!("{SETTINGS}probes: {{ allow_loopback: true }}\n"));
    folder.explain(&API).run().good();
    assert_eq!(world.asked(), []);
    let answer = &folder.json(&[&API[..], &["--diagnose"]].concat())["alerts"][0];
    assert_eq!(decisions(answer)[1], "drop-load: ask; T2 needs one approval");
    let mut asked: Vec<String> = world.asked().into_iter().map(|asked| asked.line).collect();
    asked.sort();
    assert_eq!(asked, ["GET /health/api", "GET /queue"]);
}

#[test]
fn what_is_taken_for_granted_is_not_asked_and_the_rest_is() {
    let folder = Folder::new();
    let world = StandIn::start().json("GET /health/api", &json!({}));
    folder.put("rules.yaml", &RULES.replace("STAND_IN", &world.url));
    folder.put("s.yaml", &format!("{SETTINGS}probes: {{ allow_loopback: true }}\n"));
    folder.put("f.json", r#"{"queue": {"length": 4711}}"#);
    let both = [&API[..], &["--diagnose", "--findings", "f.json"]].concat();
    let answer = &folder.json(&both)["alerts"][0];
    assert_eq!(decisions(answer)[1], "drop-load: ask; T2 needs one approval");
    let asked: Vec<String> = world.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(asked, ["GET /health/api"]);
}

#[test]
fn no_store_is_opened() {
    let folder = Folder::new();
    folder.put("s.yaml", &format!("{SETTINGS}store: {{ url: 'sqlite://sj.db' }}\n"));
    folder.explain(&[&API[..], &["--diagnose"]].concat()).run().good();
    assert!(!folder.0.path().join("sj.db").exists());
}

#[test]
fn a_recorded_request_is_a_payload_too() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let recording = root.join("tests/fixtures/alertmanager/am025-firing-group-of-5-mixed-alertnames.json");
    let recording = recording.to_str().expect("a path");
    let arguments =
        ["explain", "--config", "examples/smokejumper.yaml", "--at", NIGHT, "--output", "json", recording];
    let document = smokejumper(arguments).in_folder(root).run().json();
    let rules: Vec<&str> = document["alerts"]
        .as_array()
        .expect("alerts")
        .iter()
        .filter_map(|alert| alert["rule"].as_str())
        .collect();
    assert_eq!(
        rules,
        ["(unmatched)", "(unmatched)", "(unmatched)", "node-disk-space", "service-high-error-rate"]
    );
}

#[test]
fn bad_input_is_told_with_its_place() {
    let folder = Folder::new();
    folder.put("cut.json", "{\n  \"alerts\": [");
    folder.put("other.json", "{\n  \"version\": \"4\"\n}");
    folder.put("list.json", "[]");
    let failed = |arguments: &[&str], code: i32| folder.explain(arguments).run().refused(code);
    assert!(failed(&["cut.json"], 1).starts_with("error: cut.json: line 2, column"));
    assert!(failed(&["other.json"], 1).contains("other.json: line 3, column 1: missing field `alerts`"));
    assert!(folder.explain(&["-"]).input("{").run().refused(1).starts_with("error: stdin: line 1"));

    let usage = |arguments: &[&str]| failed(arguments, EXIT_USAGE);
    assert!(usage(&[]).contains("nothing to explain"));
    assert!(usage(&["none.json"]).contains("none.json cannot be read"));
    assert!(usage(&["cut.json", "--alertname", "X"]).contains("cannot be used with"));
    assert!(usage(&["--alertnam", "X"]).contains("--alertname"));
    assert!(usage(&[&API[..], &["--findings", "none.json"]].concat()).contains("none.json cannot be read"));
    assert!(usage(&[&API[..], &["--findings", "cut.json"]].concat()).contains("at line 2 column"));
    assert!(
        usage(&[&API[..], &["--findings", "list.json"]].concat())
            .contains("list.json: this is no map of findings")
    );
    folder.put("f.json", r#"{"queu": {"length": 1}}"#);
    assert!(usage(&[&API[..], &["--findings", "f.json"]].concat()).contains("did you mean `queue`?"));
    let bad_time =
        smokejumper(["explain", "--alertname", "X", "--at", "yesterday"]).run().refused(EXIT_USAGE);
    assert!(bad_time.contains("write a time with its offset"), "{bad_time}");
}

#[test]
fn settings_and_rules_that_cannot_be_used_are_bad_configuration() {
    let folder = Folder::new();
    folder.put("rules.yaml", "apiVersion: smokejumper.dev/v1\nkind: ResponseRul\n");
    let refused = folder.explain(&API).run().refused(EXIT_USAGE);
    assert!(
        refused.starts_with("error: the kind `ResponseRul` is not known\n --> rules.yaml:2:7"),
        "{refused}"
    );
    folder.put("s.yaml", "mode: enforced\n");
    assert!(folder.explain(&API).run().refused(EXIT_USAGE).contains("did you mean `enforce`?"));
}

#[test]
fn labels_reach_the_terminal_as_text_alone() {
    let folder = Folder::new();
    let hostile = "--label=team=\u{1b}]0;owned\u{7}\nforged  line";
    let shown = folder.explain(&[&API[..], &[hostile, "--label=severity=page"]].concat()).run().good();
    assert!(!shown.contains(['\u{1b}', '\u{7}']), "{shown:?}");
    assert!(!shown.lines().any(|line| line.starts_with("forged")), "{shown}");
}
