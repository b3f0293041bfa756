//! The files that people copy: examples and deployment files are read by what they are meant for.
//!
//! Needs `promtool` and `amtool`; without them it fails and says how to get them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use smokejumper::app;
use smokejumper::domain::schedule::Contact;
use smokejumper::rules::load::{SourceFile, load_texts};
use smokejumper::rules::{Known, RuleSet};
use smokejumper::settings::{Mode, Settings};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const EXAMPLE: &str = "examples/smokejumper.yaml";

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Settings that exclude each other: the example shows both, and each is read without the other.
const EITHER: [[&str; 2]; 2] =
    [["bearer_token: {", "act: { impersonate:"], ["basic_auth: {", "act: { kubeconfig:"]];

/// The example with everything on that is off by default, but for what begins with `except`: `#key:` becomes `key:`.
fn with_everything_on(except: [&str; 2]) -> String {
    let is_setting =
        |rest: &str| rest.starts_with(|c: char| c.is_ascii_lowercase()) || rest.starts_with("  ");
    let switch_on = |line: &str| {
        let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
        match rest.strip_prefix('#') {
            Some(rest) if is_setting(rest) && !except.iter().any(|except| rest.starts_with(except)) => {
                format!("{indent}{rest}\n")
            }
            _ => format!("{line}\n"),
        }
    };
    read(EXAMPLE).lines().map(switch_on).collect()
}

fn load(text: &str) -> Settings {
    let directory = Path::new(ROOT).join("examples");
    Settings::from_text(EXAMPLE, text, &directory, &BTreeMap::new()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_example_settings_are_accepted_as_they_are_and_with_everything_on() {
    let as_it_is = load(&read(EXAMPLE));
    assert!(as_it_is.server.is_loopback() && as_it_is.server.tls.is_none());
    for except in EITHER {
        let everything = load(&with_everything_on(except));
        assert!(everything.server.tls.is_some() && everything.telemetry.otlp_endpoint.is_some());
    }
}

#[test]
fn the_example_settings_show_the_defaults() {
    let (shown, default) = (load(&read(EXAMPLE)), Settings::default());
    assert_eq!(shown.mode, default.mode);
    assert_eq!(shown.store, default.store);
    assert_eq!(shown.limits, default.limits);
    assert_eq!(shown.guardrails, default.guardrails);
    assert_eq!(shown.retention, default.retention);
    assert_eq!(shown.probes, default.probes);
    assert_eq!(shown.telemetry, default.telemetry);
    assert_eq!(shown.server.listen, default.server.listen);
}

#[test]
fn the_example_settings_show_every_key() {
    let parse = |text: String| serde_saphyr::from_str::<Value>(&text).expect("the example is YAML");
    let everything = EITHER.map(|except| parse(with_everything_on(except)));
    let schema = Settings::json_schema();
    let mut missing = Vec::new();
    find_missing(&schema, &schema, &everything.each_ref(), "", &mut missing);
    assert!(missing.is_empty(), "{EXAMPLE} does not show: {missing:?}");

    let mut without = everything[0].clone();
    without["limits"].as_object_mut().expect("limits").remove("headers");
    find_missing(&schema, &schema, &[&without, &everything[1]["nothing"]], "", &mut missing);
    assert!(missing.contains(&"limits.headers".to_owned()), "a missing key is found: {missing:?}");
}

/// Values whose form is shown elsewhere: a freeze window is written like a `Schedule`.
const SHOWN_ELSEWHERE: [&str; 1] = ["guardrails.freeze_windows"];

/// Keys of the schema that none of `values` has.
fn find_missing(schema: &Value, root: &Value, values: &[&Value], path: &str, missing: &mut Vec<String>) {
    if let Some(target) = schema["$ref"].as_str() {
        let definition = root.pointer(target.trim_start_matches('#')).expect("a reference leads somewhere");
        return find_missing(definition, root, values, path, missing);
    }
    for word in ["anyOf", "oneOf", "allOf"] {
        let choices: Vec<&Value> = schema[word].as_array().into_iter().flatten().collect();
        let real: Vec<&&Value> = choices.iter().filter(|choice| choice["type"] != "null").collect();
        // Where several forms are possible, such as those of a secret, an example shows one of them.
        if let [only] = real.as_slice() {
            find_missing(only, root, values, path, missing);
        }
    }
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let inner: Vec<&Value> = values.iter().filter_map(|value| value.get(key)).collect();
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if inner.is_empty() {
            missing.push(path);
        } else if !SHOWN_ELSEWHERE.contains(&path.as_str()) {
            find_missing(property, root, &inner, &path, missing);
        }
    }
    if schema["items"].is_object() {
        let inner: Vec<&Value> = values.iter().filter_map(|value| value.as_array()).flatten().collect();
        find_missing(&schema["items"], root, &inner, path, missing);
    }
    if schema["additionalProperties"].is_object() {
        let objects = values.iter().filter_map(|value| value.as_object());
        let inner: Vec<&Value> = objects.flat_map(|object| object.values()).collect();
        find_missing(&schema["additionalProperties"], root, &inner, path, missing);
    }
}

/// The YAML blocks of a page that hold these words.
fn blocks(page: &str, words: &str) -> Vec<String> {
    let text = read(page);
    let blocks = text.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("yaml\n"));
    let found: Vec<String> = blocks.filter(|block| block.contains(words)).map(str::to_owned).collect();
    assert!(!found.is_empty(), "no block of {page} holds `{words}`");
    found
}

fn readme_block(words: &str) -> String {
    blocks("README.md", words).remove(0)
}

fn load_rules(files: Vec<SourceFile>, known: &Known) -> RuleSet {
    load_texts(files, &app::kinds(), known).unwrap_or_else(|errors| panic!("{errors}"))
}

fn mk_file(name: &str, text: String) -> SourceFile {
    SourceFile { name: name.to_owned(), text }
}

/// What the settings of the README define: pages promise that their rules go with them.
fn known_of_the_readme() -> Known {
    app::known(&load(&readme_block("default_channel:")))
}

#[test]
fn each_rule_of_the_docs_loads_without_a_warning() {
    let page = "docs/rules.md";
    let policy = blocks(page, "kind: EscalationPolicy").remove(0);
    let rules = blocks(page, "kind: ResponseRule");
    assert!(rules.len() >= 3, "{} rules", rules.len());
    for rule in rules {
        // The page says of rules with a cluster that they need its section.
        let known = Known { kubernetes: rule.contains("k8s."), ..known_of_the_readme() };
        let set = load_rules(vec![mk_file(page, rule), mk_file(page, policy.clone())], &known);
        assert_eq!(set.warnings(), [], "{page}");
    }
}

#[test]
fn the_rule_of_the_page_about_runbooks_loads_without_a_warning() {
    let page = "docs/migrating.md";
    let files = blocks(page, "kind: ResponseRule").into_iter().map(|rule| mk_file(page, rule));
    assert_eq!(load_rules(files.collect(), &Known::everything()).warnings(), []);
}

#[test]
fn the_alerts_of_the_tutorial_are_what_its_tests_say() {
    let said = run("promtool", "prometheus", "examples/tutorial", &["test", "rules", "alerts.test.yaml"]);
    assert!(said.contains("SUCCESS"), "{said}");
    run("promtool", "prometheus", "examples/tutorial", &["check", "config", "prometheus.yml"]);
    run("promtool", "prometheus", "examples/tutorial", &["check", "rules", "past.yaml"]);
}

#[test]
fn the_page_about_escalation_loads_as_one_without_a_warning() {
    let page = "docs/escalation.md";
    let files: Vec<SourceFile> =
        blocks(page, "apiVersion:").into_iter().map(|block| mk_file(page, block)).collect();
    assert!(files.len() >= 4, "{} files", files.len());
    let contact = |slack: &str| Contact { slack: Some(slack.to_owned()), email: None };
    let people = [("una", "U1"), ("ben", "U2")].map(|(name, slack)| (name.to_owned(), contact(slack)));
    let known = Known { people: Some(people.into()), ..known_of_the_readme() };
    let set = load_rules(files, &known);
    assert_eq!(set.warnings(), []);
    assert_eq!(set.schedules()["shop"].gaps(), []);
}

#[test]
fn the_rule_of_the_readme_loads_without_a_warning() {
    let file = mk_file("README.md", readme_block("kind: ResponseRule"));
    assert_eq!(load_rules(vec![file], &known_of_the_readme()).warnings(), []);
}

#[test]
fn the_shipped_rules_find_all_they_name_in_the_example_settings() {
    let settings = load(&read(EXAMPLE));
    let known = app::known(&settings);
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let files = glob::glob(&format!("{root}rules/**/*.yaml")).expect("a pattern").map(|path| {
        let path = path.expect("a path").display().to_string();
        let name = path.strip_prefix(root).expect("it lies in the repository");
        mk_file(name, read(name))
    });
    assert_eq!(load_rules(files.collect(), &known).warnings(), []);
}

#[test]
fn the_example_with_stored_manifests_puts_them_up_and_takes_them_down() {
    let known = Known { kubernetes: true, ..known_of_the_readme() };
    let path = "examples/maintenance.yaml";
    let set = load_rules(vec![mk_file(path, read(path))], &known);
    assert_eq!(set.warnings(), []);
    let actions: Vec<String> = set
        .rules()
        .iter()
        .flat_map(|kept| &kept.rule.remedies)
        .map(|remedy| remedy.action.kind.clone())
        .collect();
    assert_eq!(actions, ["k8s.apply", "k8s.remove"]);
}

#[test]
fn the_settings_of_the_readme_are_accepted_and_touch_nothing() {
    let settings = load(&readme_block("default_channel:"));
    assert_eq!(settings.mode, Mode::DryRun);
    assert!(settings.receivers.alertmanager.asks_for_credentials());
    assert!(
        !settings.server.is_loopback() && !settings.api.tokens.is_empty(),
        "others reach it, with a token"
    );
}

#[test]
fn alertmanager_accepts_the_receiver_of_the_readme() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("alertmanager.yml"), readme_block("webhook_configs:"))
        .expect("written");
    let folder = folder.path().to_str().expect("a plain path");
    let said = run("amtool", "prometheus-alertmanager", folder, &["check-config", "alertmanager.yml"]);
    assert!(said.contains("1 receivers"), "{said}");
    assert_eq!(
        links_of_the_readme(),
        webhook(&readme_block("webhook_configs:")).0.replace("/webhooks/alertmanager", "")
    );
}

fn links_of_the_readme() -> String {
    let settings = load(&readme_block("default_channel:"));
    settings.server.public_url(settings.server.listen)
}

/// Where a receiver sends, and the file with its token.
fn webhook(text: &str) -> (String, String) {
    let file: Value = serde_saphyr::from_str(text).expect("the file is YAML");
    let receiver = &file["receivers"][0]["webhook_configs"][0];
    let word =
        |value: &Value, what: &str| value.as_str().unwrap_or_else(|| panic!("no {what}: {text}")).to_owned();
    let token = &receiver["http_config"]["authorization"]["credentials_file"];
    (word(&receiver["url"], "address"), word(token, "token"))
}

/// Runs a tool of Prometheus or Alertmanager in the folder `inside` and returns what it said.
#[allow(clippy::disallowed_methods, reason = "the tools are programs, and this is a test")]
fn run(tool: &str, package: &str, inside: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool).args(arguments).current_dir(Path::new(ROOT).join(inside)).output();
    let output = output.unwrap_or_else(|error| {
        panic!("{tool} cannot be run ({error}): tests/run installs it, or `apt-get install {package}`")
    });
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{tool} {arguments:?}: {said}");
    said
}

#[test]
fn prometheus_accepts_its_example() {
    let said = run("promtool", "prometheus", "examples", &["check", "config", "prometheus.yml"]);
    // One for each file, and none that a pattern misses.
    let files = std::fs::read_dir(Path::new(ROOT).join("deploy/prometheus/rules")).expect("a folder").count();
    assert!(said.contains(&format!("{files} rule files found")), "{said}");
}

#[test]
fn alertmanager_accepts_the_receivers() {
    for (folder, file) in [("deploy/alertmanager", "receiver.yml"), ("examples", "alertmanager.yml")] {
        let said = run("amtool", "prometheus-alertmanager", folder, &["check-config", file]);
        assert!(said.contains("1 receivers"), "{said}");
    }
}

#[test]
fn the_receivers_send_to_the_door_that_listens() {
    assert!(load(&read(EXAMPLE)).receivers.alertmanager.asks_for_credentials());
    for path in ["deploy/alertmanager/receiver.yml", "examples/alertmanager.yml"] {
        let (url, _token) = webhook(&read(path));
        let port = Settings::default().server.listen.port();
        assert!(url.ends_with(&format!(":{port}/webhooks/alertmanager")), "{path}: {url}");
    }
}
