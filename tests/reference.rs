//! `docs/reference.md` is written from the kinds themselves, so that it cannot tell something else than the code.
//!
//! `UPDATE_DOCS=1 cargo test --test reference` writes it anew; without the variable the test says what differs.

#[path = "support/schemas.rs"]
mod schemas;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schemas::{choices, keep, one_a_line, resolve, sentence, type_of};
use serde_json::Value;
use smokejumper::domain::action::Repeatability;
use smokejumper::domain::catalog::{ActionKind, DiagnosticKind, Inverse, ParamsCheck, Performer};
use smokejumper::{actions, diagnostics};

const HEAD: &str = "\
# Reference of diagnostics and actions

Written from the code by `UPDATE_DOCS=1 cargo test --test reference`; do not edit it by hand.

A rule names a diagnostic or an action as the one key beside `name`, with its parameters below it.
Unknown parameters are refused when rules are loaded.
Texts that may hold templates see `labels`, `annotations` and `incident`, and in actions also `findings`.
";

const DIAGNOSTICS: &str = "
## Diagnostics

Every finding has the fields `status` (`known` or `unknown`), `text`, and, where it is unknown, `reason`.
An unknown finding has no other fields, and a condition that reads it is unknown too: it never counts as true.
";

const ACTIONS: &str = "
## Actions

The tier is a floor: a rule may raise it.
T0 only tells, T1 runs alone, T2 needs one approval, T3 needs two people or is done by people.
";

/// Fields of the kinds whose uses name their own.
const PICKED_FIELDS: [(&str, &str); 3] = [
    ("NAME", "Each name of `pick`."),
    ("http_status", "The status of the answer."),
    ("latency_ms", "From the request to the end of the answer."),
];

/// One use of each kind, shown in the reference and accepted by the kind's own check.
const EXAMPLES: &[(&str, &str)] = &[
    (
        "prom.query",
        r#"prom.query: { expr: 'sum(rate(http_requests_total{service="{{ labels.service }}"}[5m]))' }"#,
    ),
    (
        "registry.image",
        r#"registry.image: { image: "registry.example.com/pss-nano/api:{{ labels.version }}" }"#,
    ),
    ("history.similar", "history.similar: { window: 24h, same: target }"),
    (
        "prom.range",
        r#"prom.range:
  expr: 'node_filesystem_avail_bytes{instance="{{ labels.instance }}",mountpoint="/"}'
  window: 6h
  threshold: 1e9
  predict: { in: 4h }
  chart: true"#,
    ),
    (
        "http.check",
        r#"http.check: { url: "http://api.pss-nano.svc/health", expect: { status: 200, contains: '"ok"' } }"#,
    ),
    (
        "http.json",
        r#"http.json:
  url: "http://api.pss-nano.svc/health"
  pick: { database: /services/database/status, queue: /queue/length }
  expect: { status: [200, 503] }"#,
    ),
    (
        "http.metrics",
        r#"http.metrics:
  url: "http://cache.prod.svc:9102/metrics"
  pick:
    - { name: hits, series: 'cache_hits_total{tier=~"l1|l2"}', combine: sum }
    - { name: ratio, series: cache_hit_ratio }"#,
    ),
    (
        "links.render",
        r#"links.render:
  links:
    Dashboard: "https://grafana.example.com/d/api?var-service={{ labels.service }}"
    Logs: "https://logs.example.com/search?q={{ labels.service }}""#,
    ),
    ("k8s.pods", r#"k8s.pods: { selector: "app={{ labels.service }}" }"#),
    ("k8s.describe", r#"k8s.describe: { kind: Pod, name: "{{ labels.pod }}" }"#),
    ("k8s.events", r#"k8s.events: { prefix: "{{ labels.service }}", since: 30m, warnings_only: true }"#),
    ("k8s.logs", r#"k8s.logs: { selector: "app={{ labels.service }}", tail: 500, grep: "ERROR" }"#),
    ("k8s.workload", "k8s.workload: {}"),
    ("k8s.rollout_history", "k8s.rollout_history: { kind: StatefulSet, name: redis }"),
    ("k8s.hpa", "k8s.hpa: {}"),
    ("k8s.top", "k8s.top: { containers: true, sort: cpu }"),
    ("k8s.nodes", "k8s.nodes: {}"),
    ("k8s.network", r#"k8s.network: { service: "{{ labels.service }}" }"#),
    ("k8s.job", "k8s.job: { namespace: prod, cronjob: database-backup }"),
    ("k8s.secret_meta", "k8s.secret_meta: { name: database, key: password }"),
    ("k8s.certificate", "k8s.certificate: { namespace: web, name: shop-tls }"),
    ("k8s.exec_ro", "k8s.exec_ro: { command: redis-memory, pod: redis-0 }"),
    (
        "backup.freshness",
        r#"backup.freshness:
  namespace: velero
  objects:
    group: velero.io
    version: v1
    resource: backups
    time: /status/completionTimestamp
    good: { /status/phase: Completed }
  max_age: 26h"#,
    ),
    ("redis.info", r#"redis.info: { connection: hsc-jit, channels: ["orders:{{ labels.region }}"] }"#),
    (
        "logs.query",
        r#"logs.query: { query: '{namespace="{{ labels.namespace }}"} |= "ERROR" != "healthz"', since: 30m }"#,
    ),
    ("rabbitmq.overview", "rabbitmq.overview: { connection: main, vhost: / }"),
    ("tls.cert", "tls.cert: { host: shop.example.com, port: 443 }"),
    ("pg.query", "pg.query: { connection: pss-nano, preset: idle, idle_for: 1h }"),
    ("k8s.delete_pod", "k8s.delete_pod: { pick: most_restarts, max: 1 }"),
    ("k8s.rollout_restart", "k8s.rollout_restart: {}"),
    ("k8s.rollout_undo", "k8s.rollout_undo: {}"),
    ("k8s.scale", "k8s.scale: { delta: 2, max: 10, hpa: raise_min, ttl: 1h }"),
    ("k8s.hpa_patch", "k8s.hpa_patch: { max: 20, targets: { cpu: 60 }, ttl: 2h }"),
    (
        "k8s.set_resources",
        r#"k8s.set_resources:
  container: api
  limits: { memory: 150% }
  cap: { memory: 2Gi }
  ttl: 4h"#,
    ),
    ("k8s.set_env", r#"k8s.set_env: { vars: { MAX_DB_CONNECTIONS: "50" }, ttl: 4h }"#),
    ("k8s.set_image", "k8s.set_image: { container: api, image: registry.example.com/api:1.4.2 }"),
    (
        "k8s.patch",
        r#"k8s.patch:
  kind: Ingress
  name: api
  allowed_paths: [/metadata/annotations/nginx.ingress.kubernetes.io~1proxy-read-timeout]
  patch: { metadata: { annotations: { nginx.ingress.kubernetes.io/proxy-read-timeout: "300" } } }"#,
    ),
    ("k8s.apply", "k8s.apply: { manifest: maintenance-mode, ttl: 2h }"),
    ("k8s.remove", "k8s.remove: { manifest: maintenance-mode }"),
    ("k8s.job_run", "k8s.job_run: { namespace: prod, name: database-backup, timeout: 30s }"),
    ("k8s.exec", "k8s.exec: { command: reload-workers, container: api }"),
    ("cert.renew", "cert.renew: { namespace: web, name: shop-tls }"),
    (
        "redis.op",
        "redis.op: { connection: hsc-jit, op: config_set, parameter: maxclients, value: \"2000\", ttl: 4h }",
    ),
    (
        "am.silence",
        r#"am.silence: { matchers: ['namespace="{{ labels.namespace }}"'], duration: 2h, comment: Maintenance }"#,
    ),
    (
        "pg.terminate_idle",
        "pg.terminate_idle: { connection: pss-nano, idle_for: 1h, max: 20, spare: [reports] }",
    ),
    (
        "pg.maintain",
        r#"pg.maintain:
  connection: pss-nano
  op: vacuum_analyze
  table: "{{ labels.schemaname }}.{{ labels.relname }}""#,
    ),
    ("k8s.delete", r#"k8s.delete: { kind: Job, name: "{{ labels.job_name }}" }"#),
    (
        "http.call",
        r#"http.call:
  endpoint: waf-rate-limit
  path: "/services/{{ labels.service }}/limit"
  body: { requests_per_second: 50, reason: "{{ incident.summary }}" }"#,
    ),
    (
        "human.task",
        r#"human.task:
  title: "Fail {{ labels.service }} over to the second region"
  owner: platform
  steps: ["Check the replica's lag", "Switch the DNS record", "Watch the error ratio for ten minutes"]
  within: 30m"#,
    ),
    (
        "checklist.start",
        r#"checklist.start: { title: After the incident, owner: team-api, items: [Check the backlog, Tell support] }"#,
    ),
    ("notify.slack", r##"notify.slack: { channel: "#support", text: "{{ incident.summary }}" }"##),
    ("notify.pagerduty", "notify.pagerduty: { service: pss-nano, text: The machine could not mend it }"),
    ("escalate", "escalate: {}"),
    ("incident.postmortem", "incident.postmortem: {}"),
];

/// The example of a kind, after its own check has accepted it.
fn example(name: &str, check: ParamsCheck) -> String {
    let (_, text) = EXAMPLES.iter().find(|(kind, _)| *kind == name).expect("each kind has an example");
    let spec: BTreeMap<String, Value> =
        smokejumper::yaml::read(name, text).unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
    check(&spec[name]).unwrap_or_else(|error| panic!("{name}: {}: {error}", error.pointer));
    format!("```yaml\n{text}\n```\n\n")
}

#[test]
fn the_reference_is_current() {
    keep("reference.md", "reference", &reference());
}

fn reference() -> String {
    let mut out = HEAD.to_owned();
    out.push_str(DIAGNOSTICS);
    for kind in diagnostics::kinds() {
        out.push_str(&diagnostic(&kind));
    }
    out.push_str(ACTIONS);
    for kind in actions::kinds() {
        out.push_str(&action(&kind));
    }
    out
}

fn diagnostic(kind: &DiagnosticKind) -> String {
    let mut out = format!("\n### `{}`\n\n{}\n\n", kind.name, one_a_line(kind.summary));
    writeln!(out, "Time limit: {} s.\n", kind.timeout.as_secs()).expect("a string");
    out.push_str(&example(kind.name, kind.check));
    out.push_str(&parameters(&(kind.schema)()));
    let mut fields: Vec<(&str, &str)> = kind.fields.to_vec();
    if fields.is_empty() {
        fields = PICKED_FIELDS.to_vec();
    }
    out.push_str("\n| field of the finding | what |\n|---|---|\n");
    for (name, words) in fields {
        writeln!(out, "| `{name}` | {} |", sentence(words)).expect("a string");
    }
    out
}

fn action(kind: &ActionKind) -> String {
    let repeated = match kind.repeatability {
        Repeatability::Idempotent => "twice is the same as once",
        Repeatability::AtMostOnce => "not after an unclear end, unless its plan says that it may",
    };
    let performer = match kind.performer {
        Performer::Machine => "the machine",
        Performer::People => "people",
    };
    let inverse = match kind.inverse {
        Inverse::NotNeeded => "nothing to undo",
        Inverse::FromRule => "by the remedy's `rollback`",
        Inverse::Recorded => "recorded while acting",
    };
    let mut out = format!("\n### `{}`\n\n{}\n\n", kind.name, one_a_line(kind.summary));
    writeln!(out, "| tier | carried out by | repetition | undone | time limit |\n|---|---|---|---|---|")
        .expect("a string");
    let seconds = kind.timeout.as_secs();
    writeln!(out, "| {} | {performer} | {repeated} | {inverse} | {seconds} s |\n", kind.tier_floor)
        .expect("a string");
    out.push_str(&example(kind.name, kind.check));
    out + &parameters(&(kind.schema)())
}

/// A table of all parameters, nested ones with their whole path.
fn parameters(schema: &Value) -> String {
    let mut rows = Vec::new();
    collect(schema, schema, "", &mut rows);
    if rows.is_empty() {
        return "No parameters.\n".to_owned();
    }
    format!("| parameter | type | needed | what |\n|---|---|---|---|\n{}\n", rows.join("\n"))
}

fn collect(schema: &Value, root: &Value, path: &str, rows: &mut Vec<String>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let is_needed = |name: &String| required.iter().any(|one| one == name);
    let mut properties: Vec<(&String, &Value)> = properties.iter().collect();
    properties.sort_by_key(|(name, _)| !is_needed(name));
    for (name, property) in properties {
        let needed = if is_needed(name) { "yes" } else { "" };
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let shape = resolve(property, root);
        let words = property["description"].as_str().or(shape["description"].as_str()).unwrap_or_default();
        rows.push(format!(
            "| `{path}` | {} | {needed} | {}{} |",
            type_of(shape, root),
            sentence(words),
            choices(shape)
        ));
        collect(shape, root, &path, rows);
        if shape["type"] == "array" {
            collect(resolve(&shape["items"], root), root, &format!("{path}[]"), rows);
        }
    }
}
