//! Prometheus' own tool accepts the rules and runs their tests; and there is a test for each of them that sees it come
//! and go.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::{Alert, FOLDER, alerts, files};
use crate::{read, root};

/// Runs `promtool` in a folder of `deploy/prometheus` and returns what it said.
fn promtool(folder: &str, arguments: &[&str]) -> String {
    let run = Command::new("promtool").args(arguments).current_dir(root().join(FOLDER).join(folder)).output();
    let run = run.unwrap_or_else(|error| {
        panic!("promtool cannot be run ({error}): tests/run installs it, or `apt-get install prometheus`")
    });
    let said = [run.stdout, run.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(run.status.success(), "promtool {arguments:?}: {said}");
    said
}

#[test]
fn prometheus_accepts_every_rule_file() {
    let files: Vec<String> = files("rules", ".yaml").into_iter().map(|file| format!("{file}.yaml")).collect();
    let arguments: Vec<&str> =
        ["check", "rules"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let said = promtool("rules", &arguments);
    assert_eq!(said.matches("SUCCESS").count(), files.len(), "{said}");
}

#[test]
fn every_rule_file_has_a_test_file_that_passes() {
    let tests = files("tests", ".test.yaml");
    assert_eq!(tests, files("rules", ".yaml"));
    std::thread::scope(|scope| {
        for test in &tests {
            scope.spawn(move || promtool("tests", &["test", "rules", &format!("{test}.test.yaml")]));
        }
    });
}

/// The moments of one test at which an alert of this name is looked for, in order, with the labels that are expected.
fn looks(test: &Value, name: &str) -> Vec<Vec<BTreeMap<String, String>>> {
    let looks = test["alert_rule_test"].as_array().expect("looks").iter();
    let mut looks: Vec<(u64, Vec<BTreeMap<String, String>>)> = looks
        .filter(|look| look["alertname"] == name)
        .map(|look| {
            let at = look["eval_time"].as_str().and_then(|at| at.strip_suffix('m')?.parse().ok());
            let labels = look["exp_alerts"].as_array().into_iter().flatten();
            let labels =
                labels.map(|alert| serde_json::from_value(alert["exp_labels"].clone()).expect("labels"));
            (at.unwrap_or_else(|| panic!("minutes: {look}")), labels.collect())
        })
        .collect();
    looks.sort_by_key(|(at, _)| *at);
    looks.into_iter().map(|(_, labels)| labels).collect()
}

/// Whether one of the tests sees the rule quiet, then firing, then quiet again.
fn comes_and_goes(alert: &Alert, tests: &Value) -> bool {
    let is_its = |labels: &BTreeMap<String, String>| {
        alert.labels.iter().all(|(name, value)| labels.get(name) == Some(value))
    };
    let goes = alert.name != "Watchdog";
    tests["tests"].as_array().expect("tests").iter().any(|test| {
        let firing: Vec<bool> =
            looks(test, &alert.name).iter().map(|labels| labels.iter().any(is_its)).collect();
        let Some(first) = firing.iter().position(|firing| *firing) else { return false };
        if !goes {
            return true;
        }
        first > 0 && firing[first..].contains(&false)
    })
}

#[test]
fn every_alert_is_seen_to_come_and_to_go() {
    let alerts = alerts();
    assert!(alerts.len() > 60, "{} alerts", alerts.len());
    let tests_of = |file: String| {
        let text = read(&format!("{FOLDER}/tests/{file}.test.yaml"));
        (file, serde_saphyr::from_str(&text).expect("YAML"))
    };
    let tests: BTreeMap<String, Value> = files("tests", ".test.yaml").into_iter().map(tests_of).collect();
    let untested = alerts.iter().filter(|alert| !comes_and_goes(alert, &tests[&alert.file]));
    let untested: Vec<String> =
        untested.map(|alert| format!("{}: {} {:?}", alert.file, alert.name, alert.labels)).collect();
    assert_eq!(untested, Vec::<String>::new());
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_it_means() {
    for alert in alerts() {
        let severities = ["critical", "high", "warning", "info", "none"];
        assert!(severities.contains(&alert.severity()), "{}: {:?}", alert.name, alert.labels);
        for annotation in ["summary", "description"] {
            assert!(alert.annotations.contains_key(annotation), "{} has no {annotation}", alert.name);
        }
        // HSC-JIT's escalation asks whose trouble it is.
        let of_a_platform = !alert.procedures().is_empty();
        assert_eq!(alert.labels.contains_key("issue_type"), of_a_platform, "{}", alert.name);
    }
}

#[test]
fn every_threshold_that_is_compared_with_is_set() {
    let text = read(&format!("{FOLDER}/rules/thresholds.yaml"));
    let selector = regex::Regex::new(r#"(smokejumper:(?:threshold|expected):\w+)(?:\{level="(\w+)"\})?"#);
    let selector = selector.expect("a pattern");
    let mut seen = BTreeSet::new();
    for alert in alerts() {
        for found in selector.captures_iter(&alert.expr) {
            let (name, level) = (&found[1], found.get(2).map(|level| format!("level: {}", level.as_str())));
            let of_name = text.split("record: ").skip(1).filter(|rule| {
                rule.starts_with(&format!("{name}\n")) || rule.starts_with(&format!("{name},"))
            });
            let set = of_name.filter(|rule| level.as_ref().is_none_or(|level| rule.contains(level))).count();
            assert!(set > 0, "{} compares with {name} {level:?}, which no rule records", alert.name);
            seen.insert(name.to_owned());
        }
    }
    for name in rules_of_thresholds() {
        assert!(seen.contains(&name), "{name} is set, and no alert compares with it");
    }
}

fn rules_of_thresholds() -> BTreeSet<String> {
    let names =
        super::rules("thresholds").into_iter().filter_map(|rule| rule["record"].as_str().map(str::to_owned));
    names.filter(|name| name != "smokejumper:namespace").collect()
}

/// What the metrics of the program are called, as its sources register them.
fn registered() -> String {
    ["src/metrics.rs", "src/metrics/engine.rs", "src/http/meter.rs", "src/http/receive/slack/meter.rs"]
        .map(read)
        .concat()
}

#[test]
fn the_metrics_of_the_program_are_called_so() {
    let name = regex::Regex::new(r"smokejumper_(\w+?)(?:_total|_bucket|_count)?[{\[)]").expect("a pattern");
    let sources = registered();
    let mut seen = BTreeSet::new();
    for alert in alerts().iter().filter(|alert| alert.file == "smokejumper") {
        for found in name.captures_iter(&alert.expr) {
            assert!(sources.contains(&format!("\"{}\"", &found[1])), "{}: {}", alert.name, &found[0]);
            seen.insert(found[1].to_owned());
        }
    }
    assert!(seen.len() > 20, "{seen:?}");
}

/// The names in the matchers of the shipped response rules.
fn names_that_are_answered() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in glob::glob(root().join("rules/**/*.yaml").to_str().expect("a plain path")).expect("a pattern")
    {
        let text = std::fs::read_to_string(path.expect("a path")).expect("a text");
        for matcher in text.split("alertname").skip(1) {
            let value = matcher
                .trim_start_matches(['=', '~'])
                .strip_prefix('"')
                .and_then(|rest| rest.split('"').next());
            names.extend(value.into_iter().flat_map(|value| value.split('|')).map(str::to_owned));
        }
    }
    names
}

/// Names of the alerts that people send themselves, by the commands in the comments of the rules.
fn names_that_people_send() -> BTreeSet<String> {
    let command = regex::Regex::new(r"(?m)^ *# +smokejumper send --alertname (\w+)").expect("a pattern");
    let pattern = root().join("rules/**/*.yaml");
    let paths = glob::glob(pattern.to_str().expect("a plain path")).expect("a pattern");
    let texts = paths.map(|path| std::fs::read_to_string(path.expect("a path")).expect("a text"));
    let names = |text: &str| command.captures_iter(text).map(|found| found[1].to_owned()).collect::<Vec<_>>();
    texts.flat_map(|text| names(&text)).collect()
}

/// Alerts of others that shipped response rules answer as well.
const OF_OTHERS: [&str; 1] = ["KubeDeploymentReplicasMismatch"];

#[test]
fn what_the_shipped_response_rules_answer_is_an_alert() {
    let mut shipped: BTreeSet<String> = alerts().into_iter().map(|alert| alert.name).collect();
    shipped.extend(names_that_people_send());
    let answered = names_that_are_answered();
    assert!(answered.len() > 8, "{answered:?}");
    let unknown: Vec<&String> = answered
        .iter()
        .filter(|name| !shipped.contains(*name) && !OF_OTHERS.contains(&name.as_str()))
        .collect();
    assert_eq!(unknown, Vec::<&String>::new());
}
