//! `docs/runbook-coverage.md`: from each procedure of the runbooks to its alerts, to what the service does about it, and
//! to the tests of that. A procedure that nothing does and nothing tests needs a reason, or the test fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;
use smokejumper::rules::load::Platforms;

use super::procedures::{Beginning, PROCEDURES};
use crate::root;
use crate::schemas::keep;

/// What the runbooks call a procedure, in the order of their table: its runbook, and a few words.
const TITLES: [(&str, &str); 90] = [
    ("S0", "Pod does not start: image not found"),
    ("S0", "Pod does not start: crash loop, Redis"),
    ("S0", "Pod does not start: out of memory"),
    ("S0", "Pod does not start: readiness probe fails"),
    ("S0", "Latency above 500 ms"),
    ("S0", "Memory leak"),
    ("S0", "WebSocket connections drop"),
    ("S0", "Database pool exhausted"),
    ("S0", "Monitoring commands"),
    ("S0 S1 S2 S3", "Scale up"),
    ("S0 S1 S2", "Scale down"),
    ("S0 S2 S3", "Raise limits"),
    ("S0 S2 S3", "Adjust the autoscaler"),
    ("S0", "Restart gracefully"),
    ("S0", "Delete by force"),
    ("S0 S1 S3", "Look at revisions, roll back"),
    ("S0 S2", "Look at health and probes"),
    ("S0 S1 S2", "Back up"),
    ("S0 S1 S2", "Restore"),
    ("S1 S2", "Backups by the clock"),
    ("S0", "Capacity"),
    ("S0", "When to scale the database"),
    ("S0", "Service down"),
    ("S1", "System down"),
    ("S0 S1 S3", "Data corruption"),
    ("S0", "Attack or spike of traffic"),
    ("S0", "Checks in the morning"),
    ("S0", "Checks every four hours"),
    ("S0", "Checks at the end of the day"),
    ("S0", "Checks of security"),
    ("S0", "Contacts"),
    ("S1", "Latency above 5 s"),
    ("S1", "Redis lost"),
    ("S1", "Deploy, with checklist"),
    ("S1", "Verify the autoscaler"),
    ("S1", "When to scale"),
    ("S1", "Numbers of the cache"),
    ("S1 S3", "Clear the cache"),
    ("S1 S2", "Warm the cache"),
    ("S1", "Read logs, with filters"),
    ("S1", "Export logs"),
    ("S1", "Key metrics"),
    ("S1 S2", "Dashboards"),
    ("S1 S2", "Queries"),
    ("S1", "WebSocket errors"),
    ("S1", "Out of memory"),
    ("S1", "PDF fetches fail"),
    ("S1", "LLM requests fail"),
    ("S1", "Contacts by type of issue"),
    ("S1 S3", "Review every quarter"),
    ("S2", "Local development"),
    ("S2", "Redis channels, cache of two layers"),
    ("S2", "Background tasks"),
    ("S2", "Look at pods"),
    ("S2", "Logs as JSON, shipped"),
    ("S2 S3", "Sizes of caches and pools"),
    ("S2", "Database connections"),
    ("S2", "Pods, restarts, latency, leak"),
    ("S2", "Spot nodes, limits of scaling"),
    ("S2", "Deploy without downtime"),
    ("S2 S3", "Migrations"),
    ("S2", "Secrets, network policies, roles"),
    ("S2", "Support"),
    ("S3", "Severities P0 to P3"),
    ("S3", "P0: service down"),
    ("S3", "After an incident"),
    ("S3", "P1: investigate errors"),
    ("S3", "Pool exhausted"),
    ("S3", "Circuit breaker open"),
    ("S3", "Memory leak"),
    ("S3", "P1: slow responses"),
    ("S3", "Optimize queries"),
    ("S3", "Crash loop"),
    ("S3", "Image cannot be pulled"),
    ("S3", "Certificate expired, renewal"),
    ("S3", "Plan maintenance"),
    ("S3", "Maintenance window"),
    ("S3", "Vacuum, reindex, analyze"),
    ("S3", "Memory of Redis"),
    ("S3", "Recovery time 4 h, recovery point 15 min"),
    ("S3", "Cluster lost"),
    ("S3", "Region lost"),
    ("S3", "Alert ServiceDown"),
    ("S3", "Alert HighErrorRate"),
    ("S3", "Alert HighLatency"),
    ("S3", "Alert DatabaseIssues"),
    ("S3", "Alert DiskSpace"),
    ("S3", "Steps of whoever is on call"),
    ("S3", "Path of escalation"),
    ("S3", "Contacts"),
];

/// Procedures that no rule names, with what covers them instead, or why nothing does.
const OTHERWISE: [(&str, Otherwise); 7] = [
    ("P31", Otherwise::Policies(&["rules/escalation/contacts.yaml", "rules/escalation/hsc-jit.yaml"])),
    ("P49", Otherwise::Policies(&["rules/escalation/hsc-jit.yaml"])),
    (
        "P51",
        Otherwise::Document(
            "local development; its passwords are for one machine and must not be used elsewhere",
        ),
    ),
    ("P64", Otherwise::Policies(&["rules/escalation/pss-nano.yaml"])),
    ("P88", Otherwise::Policies(&["rules/escalation/pss-nano.yaml"])),
    ("P89", Otherwise::Policies(&["rules/escalation/pss-nano.yaml"])),
    ("P90", Otherwise::Policies(&["rules/escalation/contacts.yaml", "rules/escalation/pss-nano.yaml"])),
];

enum Otherwise {
    /// Documents that say who is told when.
    Policies(&'static [&'static str]),
    /// Nothing does it, for this reason.
    Document(&'static str),
}

/// A document that names procedures, and how many tests its file has.
struct Cover {
    kind: String,
    name: String,
    file: String,
    tests: usize,
}

const HEAD: &str = "\
# Procedures and what covers them

Written from `rules/` and `deploy/prometheus/` by `UPDATE_DOCS=1 cargo test --test deploy`; do not edit it by hand.
A test fails when a procedure has neither a rule with tests nor a reason.

The four runbooks are the operations quick reference (S0), the production runbook (S1) and the architecture guide (S2) of HSC-JIT, and the operations runbook of PSS-nano (S3).
A rule names its procedures under `spec.procedures`, an alert in its annotation `runbook`.
The number behind a rule is that of the tests that expect it to answer; `smokejumper test rules/ --coverage` runs them and shows what they do not reach.

";

#[test]
fn every_procedure_has_a_rule_with_tests_or_a_reason_to_have_none() {
    let covers = covers();
    let known: BTreeSet<&str> = PROCEDURES.iter().map(|(id, _)| *id).collect();
    let strange: Vec<&String> = covers.keys().filter(|id| !known.contains(id.as_str())).collect();
    assert!(strange.is_empty(), "these are no procedures: {strange:?}");
    let mut page = HEAD.to_owned();
    let mut open = Vec::new();
    let _ = writeln!(page, "| id | runbook | procedure | begins with | covered by |\n|---|---|---|---|---|");
    for ((id, beginning), (runbook, title)) in PROCEDURES.iter().zip(TITLES) {
        let covered = match (covers.get(*id), OTHERWISE.iter().find(|(other, _)| other == id)) {
            (Some(rules), None) => {
                open.extend(rules.iter().filter(|cover| !cover.is_tested()).map(|cover| {
                    format!(
                        "{id}: no test expects the {} {} of {} to answer",
                        cover.kind, cover.name, cover.file
                    )
                }));
                rules.iter().map(Cover::link).collect::<Vec<_>>().join("<br>")
            }
            (None, Some((_, otherwise))) => otherwise.told(),
            (Some(_), Some(_)) => {
                open.push(format!("{id}: a rule covers it, and it is said to need none"));
                String::new()
            }
            (None, None) => {
                open.push(format!("{id}: nothing covers it: {title}"));
                String::new()
            }
        };
        let begins = match beginning {
            Beginning::Alerts(names) => {
                names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" ")
            }
            Beginning::None(reason) => (*reason).to_owned(),
        };
        let _ = writeln!(page, "| {id} | {runbook} | {title} | {begins} | {covered} |");
    }
    assert!(open.is_empty(), "{}", open.join("\n"));
    keep("runbook-coverage.md", "deploy", &page);
}

/// Where every shipped check is run with each of its items green, red and unknown.
const CHECKS_TESTED_IN: &str = "tests/scheduled/shipped.rs";

impl Cover {
    fn is_check(&self) -> bool {
        self.kind == "ScheduledCheck"
    }

    fn is_tested(&self) -> bool {
        self.tests > 0 || (self.is_check() && root().join(CHECKS_TESTED_IN).is_file())
    }

    fn link(&self) -> String {
        let Self { name, file, tests, .. } = self;
        match self.is_check() {
            true => format!("[{name}](../{file}) ([each item](../{CHECKS_TESTED_IN}))"),
            false => format!("[{name}](../{file}) ({tests})"),
        }
    }
}

impl Otherwise {
    fn told(&self) -> String {
        match self {
            Self::Document(reason) => (*reason).to_owned(),
            Self::Policies(files) => {
                let link = |file: &&str| {
                    assert!(root().join(file).is_file(), "there is no {file}");
                    format!("[{}](../{file})", file.rsplit('/').next().expect("a name"))
                };
                files.iter().map(link).collect::<Vec<_>>().join("<br>")
            }
        }
    }
}

/// What names each procedure.
fn covers() -> BTreeMap<String, Vec<Cover>> {
    let files = documents();
    let tests = tests(&files);
    let mut covers: BTreeMap<String, Vec<Cover>> = BTreeMap::new();
    for (file, document) in &files {
        for id in document["spec"]["procedures"].as_array().into_iter().flatten() {
            let name = document["metadata"]["name"].as_str().expect("a name");
            let cover = Cover {
                kind: document["kind"].as_str().expect("a kind").to_owned(),
                name: name.to_owned(),
                file: file.display().to_string(),
                tests: tests.get(name).copied().unwrap_or_default(),
            };
            covers.entry(id.as_str().expect("a text").to_owned()).or_default().push(cover);
        }
    }
    covers
}

/// How many tests expect each rule to answer.
fn tests(files: &[(PathBuf, Value)]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (_, document) in files.iter().filter(|(_, document)| document["kind"] == "ResponseTest") {
        for test in document["spec"]["tests"].as_array().into_iter().flatten() {
            let mut named = BTreeSet::new();
            rules_in(&test["expect"], &mut named);
            for name in named {
                *counts.entry(name).or_default() += 1;
            }
        }
    }
    counts
}

fn rules_in(expected: &Value, named: &mut BTreeSet<String>) {
    match expected {
        Value::Array(entries) => entries.iter().for_each(|entry| rules_in(entry, named)),
        Value::Object(entry) => named.extend(entry.get("rule").and_then(Value::as_str).map(str::to_owned)),
        _ => {}
    }
}

/// Every document under `rules/`, by its file from the root of the repository on.
fn documents() -> Vec<(PathBuf, Value)> {
    let pattern = root().join("rules/**/*.yaml").display().to_string();
    let platforms = Platforms::read(std::slice::from_ref(&pattern));
    let mut found = Vec::new();
    for path in glob::glob(&pattern).expect("a pattern").flatten() {
        let text = std::fs::read_to_string(&path).expect("readable");
        let file = path.strip_prefix(root()).expect("below the root").to_owned();
        for document in smokejumper::rules::load::documents(&text) {
            let (text, problems) = platforms.fill_in(&file.display().to_string(), &document);
            assert_eq!(problems, []);
            found.push((file.clone(), serde_saphyr::from_str(&text).expect("YAML")));
        }
    }
    found
}
