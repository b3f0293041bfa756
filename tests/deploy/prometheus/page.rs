//! `docs/alerts.md`, written from the rule files: what each alert means, from when on, and where its numbers come from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use promql_parser::parser::{self, Expr};
use serde_json::Value;

use super::procedures::{Beginning, PROCEDURES};
use super::{Alert, alerts, files, rules};
use crate::schemas::keep;

const HEAD: &str = "\
# Alerts

Written from `deploy/prometheus/rules/` by `UPDATE_DOCS=1 cargo test --test deploy`; do not edit it by hand.

The alerting and recording rules that come with the service are plain files for Prometheus, and the same text as objects for the Prometheus Operator.
They cover the procedures of the runbooks that begin with an alert, any cluster, and the service itself.
Response rules answer them by their names; [Writing rules](rules.md) says how.

## Load them

In `prometheus.yml`, all of them or the files that fit what you have:

```yaml
rule_files:
  - rules/*.yaml
```

With the Prometheus Operator:

```sh
kubectl apply -k deploy/prometheus/operator
```

The objects are made for the namespace `monitoring`; where your Prometheus selects rules by a label, such as `release`, add it in `deploy/prometheus/operator/kustomization.yaml`.

- `thresholds.yaml` belongs to all others; `services.yaml`, `kubernetes.yaml` and `applications.yaml` record series that others read.
- Alerts of kube-prometheus with the same names say the same of single pods; where both are loaded, silence or leave out the others.
- `watchdog.yaml` is for those who have no `Watchdog` yet; kube-prometheus has one.
- An alert whose metrics you do not have never fires; `promtool query instant` with its expression tells you.

Their own tests lie in `deploy/prometheus/tests/`:

```sh
cd deploy/prometheus/tests
promtool test rules *.test.yaml
```

## Change a threshold

Every threshold is a series that a recording rule in `deploy/prometheus/rules/thresholds.yaml` makes, with the namespace that it holds for.
That is the one file to edit; the alerts stay as they are.

```yaml
- record: smokejumper:threshold:error_ratio
  expr: vector(0.02)
  labels: { platform: shop, namespace: shop, level: critical }
```

- A platform is a namespace; add its rules above the last section, which has the numbers for any namespace without its own.
- `vector(Inf)` switches an alert off where more is worse, `vector(-Inf)` where less is worse.
- `smokejumper:expected:…` says what must be there, so that its absence is an alert.
- A new number counts from the next evaluation on, without a restart of Smokejumper; `promtool check rules thresholds.yaml` finds typing mistakes.
- With the operator, edit the objects in `deploy/prometheus/operator/`, or the files and write the objects anew.

[Decision 0022](decisions/0022-thresholds-are-series.md) says why it is so.

## Severity

| `severity` | incident | meaning |
|---|---|---|
| `critical` | P0 | down, data at risk: somebody is paged |
| `high` | P1 | beyond the critical threshold: somebody is notified at once |
| `warning` | P2 | beyond the warning threshold: somebody looks in working hours |
| `info` | P3 | worth knowing |

One alert may fire as `warning` and as `high` at the same time; response rules group both into one incident, and `deploy/alertmanager/receiver.yml` mutes the milder one.
`issue_type` is `outage`, `performance`, `data`, `infrastructure` or `llm`, which [escalation](escalation.md#the-shipped-matrices) asks for.
The annotation `runbook` names the procedures.

";

/// Where a metric comes from, by how its name begins.
const SOURCES: [(&str, &str); 13] = [
    ("kube_", "kube-state-metrics"),
    ("kubelet_", "kubelet"),
    ("container_", "cAdvisor"),
    ("node_", "node_exporter"),
    ("redis_", "redis_exporter"),
    ("pg_", "postgres_exporter"),
    ("rabbitmq_", "RabbitMQ"),
    ("probe_", "blackbox_exporter"),
    ("certmanager_", "cert-manager"),
    ("nginx_ingress_", "ingress-nginx"),
    ("envoy_", "Istio"),
    ("smokejumper_", "Smokejumper"),
    ("up", "Prometheus"),
];

/// The metrics that an expression reads.
fn metrics(expr: &str) -> BTreeSet<String> {
    fn look(expr: &Expr, found: &mut BTreeSet<String>) {
        match expr {
            Expr::VectorSelector(selector) => found.extend(selector.name.clone()),
            Expr::MatrixSelector(selector) => found.extend(selector.vs.name.clone()),
            Expr::Aggregate(aggregate) => look(&aggregate.expr, found),
            Expr::Unary(unary) => look(&unary.expr, found),
            Expr::Paren(paren) => look(&paren.expr, found),
            Expr::Subquery(subquery) => look(&subquery.expr, found),
            Expr::Binary(binary) => {
                look(&binary.lhs, found);
                look(&binary.rhs, found);
            }
            Expr::Call(call) => call.args.args.iter().for_each(|argument| look(argument, found)),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
        }
    }
    let mut found = BTreeSet::new();
    look(&parser::parse(expr).unwrap_or_else(|error| panic!("{expr}: {error}")), &mut found);
    found
}

/// What the recording rules record, each with the metrics that it reads.
fn recorded() -> BTreeMap<String, BTreeSet<String>> {
    let mut recorded: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for rule in files("rules", ".yaml").iter().flat_map(|file| rules(file)) {
        if let Some(name) = rule["record"].as_str() {
            let read = metrics(rule["expr"].as_str().expect("an expression"));
            recorded.entry(name.to_owned()).or_default().extend(read);
        }
    }
    recorded
}

/// Who must be scraped for an alert.
fn sources(alert: &Alert, recorded: &BTreeMap<String, BTreeSet<String>>) -> String {
    let (mut open, mut sources) = (Vec::from_iter(metrics(&alert.expr)), BTreeSet::new());
    while let Some(metric) = open.pop() {
        if metric.starts_with("smokejumper:") {
            continue;
        }
        if let Some(read) = recorded.get(&metric) {
            open.extend(read.iter().cloned());
            continue;
        }
        let source = SOURCES.iter().find(|(start, _)| metric.starts_with(start));
        sources.insert(source.map_or("the application", |(_, source)| *source));
    }
    sources.into_iter().collect::<Vec<_>>().join(", ")
}

/// The numbers of a threshold: those of platforms, then that of any namespace.
fn numbers(name: &str, level: Option<&str>, rules: &[Value]) -> String {
    let of_it =
        |rule: &Value| rule["record"] == name && level.is_none_or(|level| rule["labels"]["level"] == level);
    let number = |rule: &Value| {
        let expr = rule["expr"].as_str().expect("an expression");
        let expr = expr.split(" unless ").next().expect("a first part");
        let number = expr.trim_start_matches("smokejumper:namespace * ").trim_start_matches("vector(");
        let number = number.trim_end_matches(')').replace("Inf", "never");
        match rule["labels"]["platform"].as_str() {
            Some(platform) => format!("{number} ({platform})"),
            None => format!("{number} (any)"),
        }
    };
    rules.iter().filter(|rule| of_it(rule)).map(number).collect::<Vec<_>>().join(", ")
}

/// From when on an alert fires: its thresholds by their names, with their numbers.
fn thresholds(alert: &Alert, rules: &[Value]) -> String {
    let selector =
        regex::Regex::new(r#"smokejumper:threshold:(\w+)(?:\{level="(\w+)"\})?"#).expect("a pattern");
    let mut shown: Vec<String> = Vec::new();
    for found in selector.captures_iter(&alert.expr) {
        let level = found.get(2).map(|level| level.as_str());
        let name = format!("smokejumper:threshold:{}", &found[1]);
        let text = format!(
            "`{}`{} {}",
            &found[1],
            level.map(|level| format!(" {level}")).unwrap_or_default(),
            numbers(&name, level, rules)
        );
        if !shown.contains(&text) {
            shown.push(text);
        }
    }
    shown.join("; ")
}

/// A sentence without the syntax of templates: a label is its name, and what is computed is left out.
fn plain(text: &str) -> String {
    let queries = regex::Regex::new(r"\{\{ with .*\{\{ end \}\}").expect("a pattern");
    let either = regex::Regex::new(r"\{\{ or \$labels\.(\w+) \$labels\.(\w+) \}\}").expect("a pattern");
    let label = regex::Regex::new(r"\{\{ \$labels\.(\w+) \}\}").expect("a pattern");
    let value = regex::Regex::new(r"\{\{ \$value[^}]*\}\}").expect("a pattern");
    let text = queries.replace_all(text, "");
    let text = either.replace_all(&text, "*$1*");
    let text = label.replace_all(&text, "*$1*");
    value.replace_all(&text, "*N*").trim().replace('|', "\\|")
}

fn row(alert: &Alert, recorded: &BTreeMap<String, BTreeSet<String>>, numbers: &[Value]) -> String {
    let wait = if alert.wait.is_empty() { "at once" } else { &alert.wait };
    format!(
        "| `{}` | {} | {} | {} | {} | {} | {} |\n",
        alert.name,
        alert.severity(),
        alert.procedures().join(" "),
        plain(&alert.annotations["description"]),
        thresholds(alert, numbers),
        wait,
        sources(alert, recorded),
    )
}

#[test]
fn the_page_lists_every_alert() {
    let (alerts, recorded, numbers) = (alerts(), recorded(), rules("thresholds"));
    let mut page = HEAD.to_owned();
    for file in files("rules", ".yaml") {
        let of_file: Vec<&Alert> = alerts.iter().filter(|alert| alert.file == file).collect();
        if of_file.is_empty() {
            continue;
        }
        let _ = write!(
            page,
            "## {file}.yaml\n\n| alert | severity | procedures | it means | thresholds | after | needs |\n|---|---|---|---|---|---|---|\n"
        );
        page.extend(of_file.into_iter().map(|alert| row(alert, &recorded, &numbers)));
        page.push('\n');
    }
    page.push_str("## Procedures without an alert\n\n| procedure | why |\n|---|---|\n");
    for (id, beginning) in &PROCEDURES {
        if let Beginning::None(reason) = beginning {
            let _ = writeln!(page, "| {id} | {reason} |");
        }
    }
    keep("alerts.md", "deploy", &page);
}
