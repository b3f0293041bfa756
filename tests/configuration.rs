//! `docs/configuration.md` is written from the settings' own schema and from the example, so that no key, default or
//! variable can be told that is not there.
//!
//! `UPDATE_DOCS=1 cargo test --test configuration` writes it anew; without the variable the test says what differs.

#[path = "support/schemas.rs"]
mod schemas;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use schemas::{keep, one_a_line, resolve, sentence};
use serde_json::Value;
use smokejumper::settings::Settings;

const EXAMPLE: &str = include_str!("../examples/smokejumper.yaml");

const HEAD: &str = "\
# Configuration

Written from the code by `UPDATE_DOCS=1 cargo test --test configuration`; do not edit it by hand.

Everything that an operator sets stands in one file, `smokejumper.yaml`, and every key has a default that makes a safe service: an empty file runs, on loopback, with SQLite, and touches nothing.
[`examples/smokejumper.yaml`](../examples/smokejumper.yaml) has every key with a sentence; what rules may say is in [Writing rules](rules.md).

```sh
smokejumper check --config smokejumper.yaml    # mistakes, each at its line
smokejumper serve --config smokejumper.yaml
smokejumper schema settings > smokejumper.schema.json    # for editors
```

## How settings are read

- Unknown keys are refused.
- `smokejumper check` shows the mistakes of settings and rules in one go, as [Writing rules](rules.md) says; a start shows those of the settings first.
- Every key can be set from the environment: `SMOKEJUMPER__` and the path in capitals, with `__` between the steps; the environment wins over the file.
- A list or a mapping is set as a whole, in YAML: `SMOKEJUMPER__RULES='[\"rules/*.yaml\"]'`.
- A variable that is empty counts as absent.
- A secret never stands in the file: write `{ env: NAME }` or `{ file: PATH }`, or a list of two while it is being rotated.
- A secret from a file is read again when the file changes; one from the environment is read at start.
- Relative paths start at the folder of the settings file.
- Lengths of time are `10s`, `1h30m` or `7d`; sizes end in `_bytes` and are bytes.
- Settings are read at start; changed rules are taken by a running service, see [Writing rules](rules.md).

A service that other machines can reach asks for credentials, or refuses to start.
Exit code 64 says that settings or rules cannot be used.
";

/// The sections in the order of the page.
const SECTIONS: [&str; 26] = [
    "mode",
    "rules",
    "server",
    "store",
    "receivers",
    "api",
    "prometheus",
    "loki",
    "kubernetes",
    "connections",
    "alertmanager",
    "watchdogs",
    "heartbeat",
    "slack",
    "people",
    "pagerduty",
    "webhooks",
    "email",
    "teams",
    "endpoints",
    "guardrails",
    "escalation",
    "retention",
    "limits",
    "probes",
    "telemetry",
];

/// Settings that lack what some of their keys must have: the checks themselves say which keys those are.
const INCOMPLETE: [&str; 22] = [
    "connections: { rabbitmq: { NAME: {} } }",
    "connections: { rabbitmq: { NAME: { basic_auth: {} } } }",
    "loki: {}",
    "loki: { basic_auth: {} }",
    "connections: { redis: { NAME: {} } }",
    "connections: { postgres: { NAME: {} } }",
    "connections: { postgres: { NAME: { act: {} } } }",
    "watchdogs: { NAME: {} }",
    "heartbeat: {}",
    "alertmanager: {}",
    "alertmanager: { basic_auth: {} }",
    "prometheus: { basic_auth: {} }",
    "slack: {}",
    "pagerduty: { services: { NAME: {} }, api: {} }",
    "endpoints: { NAME: {} }",
    "webhooks: { NAME: {} }",
    "email: {}",
    "teams: { channels: { NAME: {} } }",
    "server: { tls: {} }",
    "receivers: { alertmanager: { basic_auth: [{}] } }",
    "receivers: { alertmanager: { headers: [{}] } }",
    "prometheus: {}",
];

/// Shapes that are one word on the page, by the name of their definition.
const TYPES: [(&str, &str); 9] = [
    ("Period", "time"),
    ("SecretSource", "secret"),
    ("SecretSources", "secret"),
    ("PlainOrSecret", "text or secret"),
    ("HttpUrl", "address"),
    ("TextList", "list of texts"),
    ("Destination", "destination"),
    ("ScheduleSpec", "`Schedule`"),
    ("Role", "role"),
];

#[test]
fn the_page_is_current() {
    keep("configuration.md", "configuration", &page());
}

#[test]
fn every_section_is_on_the_page() {
    let schema = Settings::json_schema();
    let known: BTreeSet<&str> =
        schema["properties"].as_object().expect("sections").keys().map(String::as_str).collect();
    assert_eq!(known, SECTIONS.into_iter().collect());
}

#[test]
fn every_variable_of_the_page_is_one_that_the_settings_take() {
    let page = page();
    let mut tried = 0;
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let code = |cell: &str| cell.strip_prefix('`')?.strip_suffix('`').map(str::to_owned);
        let Some(variable) = code(cells[3]) else { continue };
        let value = code(cells[2]).unwrap_or_else(|| sample(cells[1]).to_owned());
        let environment = BTreeMap::from([(variable.replace("__NAME__", "__SHOP__"), value.clone())]);
        if let Err(error) = Settings::from_text("s.yaml", "", Path::new(""), &environment) {
            // Another key may be wanted beside it, and an empty list refused; the key and the value's form are known.
            let shown = error.to_string();
            let is_wrong =
                ["there is no key", "expected ", "does not fit"].iter().any(|word| shown.contains(word));
            assert!(!is_wrong, "{variable}={value}: {shown}");
        }
        tried += 1;
    }
    assert!(tried > 40, "only {tried} variables were found");
    let wrong = BTreeMap::from([("SMOKEJUMPER__SLACK__TIMEOT".to_owned(), "5s".to_owned())]);
    let refused =
        Settings::from_text("s.yaml", "", Path::new(""), &wrong).expect_err("no such key").to_string();
    assert!(refused.contains("there is no key"), "{refused}");
}

/// A value of a type, as the page names it.
fn sample(kind: &str) -> &'static str {
    match kind {
        "time" => "5s",
        "address" => "http://localhost:9090",
        kind if kind.starts_with("list") => "[]",
        kind if kind.starts_with("mapping") => "{}",
        kind if kind.contains("secret") => "{ env: HOME }",
        _ => "text",
    }
}

fn page() -> String {
    let schema = Settings::json_schema();
    let required = required();
    let mut out = HEAD.to_owned();
    for section in SECTIONS {
        let property = &schema["properties"][section];
        write!(out, "\n## `{section}`\n\n{}\n", one_a_line(words(property, &schema))).expect("a string");
        // The first sentence of a shape says the same as the section's own.
        let shape = one_a_line(resolve(property, &schema)["description"].as_str().unwrap_or_default());
        for line in shape.lines().skip(1) {
            writeln!(out, "{line}").expect("a string");
        }
        write!(out, "\n```yaml\n{}```\n", example(section)).expect("a string");
        let mut rows = Vec::new();
        rows_of(&schema, property, section, &required, &mut rows);
        writeln!(out, "\n| key | type | default | variable | what |\n|---|---|---|---|---|")
            .expect("a string");
        out.push_str(&rows.concat());
    }
    out
}

/// Paths of the keys that a section must have where it is there at all.
fn required() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for text in INCOMPLETE {
        let error =
            Settings::from_text("s", text, Path::new(""), &BTreeMap::new()).expect_err("keys are missing");
        let missing = error
            .problems
            .iter()
            .filter_map(|problem| problem.message.strip_suffix(": this key is required"));
        found.extend(missing.map(|path| path.replace(".0.", "[].")));
    }
    assert!(found.len() > 10, "{found:?}");
    found
}

fn rows_of(root: &Value, property: &Value, path: &str, required: &BTreeSet<String>, rows: &mut Vec<String>) {
    let kind = type_of(property, root);
    let shape = resolve(property, root);
    let is_section = shape["properties"].is_object() && !TYPES.iter().any(|(_, word)| *word == kind);
    if is_section {
        let needed: Vec<&str> =
            shape["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (key, below) in shape["properties"].as_object().into_iter().flatten() {
            let mut required = required.clone();
            let path = format!("{path}.{key}");
            if needed.contains(&key.as_str()) {
                required.insert(path.clone());
            }
            rows_of(root, below, &path, &required, rows);
        }
        return;
    }
    rows.push(row(root, property, path, &kind, required));
    let items = resolve(&shape["items"], root);
    if items["properties"].is_object() {
        rows_of(root, &shape["items"], &format!("{path}[]"), required, rows);
    }
    let entries = resolve(&shape["additionalProperties"], root);
    if entries["properties"].is_object()
        && type_of(entries, root) != "`Schedule`"
        && !kind.contains("Schedule")
    {
        rows_of(root, &shape["additionalProperties"], &format!("{path}.NAME"), required, rows);
    }
}

fn row(root: &Value, property: &Value, path: &str, kind: &str, required: &BTreeSet<String>) -> String {
    let default = match &property["default"] {
        _ if required.contains(path) => "required".to_owned(),
        Value::Null => String::new(),
        Value::String(text) if text.is_empty() => String::new(),
        Value::Array(items) if items.is_empty() => String::new(),
        Value::Object(fields) if fields.is_empty() => String::new(),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{}`", yaml_of(other)),
    };
    // Items of a list have no variables of their own: the list is set as a whole.
    let variable = if path.contains("[]") {
        String::new()
    } else {
        format!("`SMOKEJUMPER__{}`", path.to_uppercase().replace('.', "__"))
    };
    let kind = if path.ends_with("_bytes") { "number of bytes" } else { kind };
    let words = sentence(words(property, root)) + &choices(resolve(property, root));
    format!("| `{path}` | {kind} | {default} | {variable} | {words} |\n")
}

fn words<'s>(property: &'s Value, root: &'s Value) -> &'s str {
    property["description"].as_str().or(resolve(property, root)["description"].as_str()).unwrap_or_default()
}

/// The values that there are, where they are a closed set, with what each means.
fn choices(shape: &Value) -> String {
    let mut out = String::new();
    for variant in shape["oneOf"].as_array().into_iter().flatten() {
        if let Some(word) = variant["const"].as_str() {
            let meaning = sentence(variant["description"].as_str().unwrap_or_default());
            write!(out, " `{word}`: {}", lower_first(&meaning)).expect("a string");
        }
    }
    out
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// A type in one or two words.
fn type_of(property: &Value, root: &Value) -> String {
    let named = |schema: &Value| {
        let name = schema["$ref"].as_str()?.rsplit('/').next()?.to_owned();
        TYPES.iter().find(|(known, _)| *known == name).map(|(_, word)| (*word).to_owned())
    };
    let sides = property["anyOf"].as_array().into_iter().flatten();
    if let Some(word) = named(property).or_else(|| sides.into_iter().find_map(named)) {
        return word;
    }
    let shape = resolve(property, root);
    let of = |what: &str, inner: &Value| match type_of(inner, root).as_str() {
        "mapping" => format!("{what} of mappings"),
        "text" => format!("{what} of texts"),
        "list of texts" => format!("{what} of lists of texts"),
        inner => format!("{what} of {inner}s"),
    };
    let types: Vec<&str> = match &shape["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => {
            several.iter().filter_map(Value::as_str).filter(|one| *one != "null").collect()
        }
        _ => Vec::new(),
    };
    match types.as_slice() {
        ["boolean"] => "true or false".to_owned(),
        ["integer"] => "number".to_owned(),
        ["array"] => of("list", &shape["items"]),
        ["object"] if shape["additionalProperties"].is_object() => {
            of("mapping", &shape["additionalProperties"])
        }
        ["object"] => "mapping".to_owned(),
        ["string"] if shape["format"] == "uri" => "address".to_owned(),
        _ => "text".to_owned(),
    }
}

/// A value in the short form of YAML.
fn yaml_of(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(yaml_of).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{key}: {}", yaml_of(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A section of the example without its sentences. Keys that are off stay commented out.
fn example(section: &str) -> String {
    let begins = |line: &str| line.strip_prefix(section).is_some_and(|rest| rest.starts_with(':'));
    let ends = |line: &&str| line.starts_with(|c: char| c.is_ascii_alphabetic());
    // `#  key:` is a key that is off, a step further in.
    let is_words =
        |line: &&str| line.trim_start().strip_prefix("# ").is_some_and(|rest| !rest.starts_with(' '));
    let from = EXAMPLE.lines().position(begins).unwrap_or_else(|| panic!("the example has no `{section}`"));
    let rest: Vec<&str> = EXAMPLE.lines().skip(from + 1).take_while(|line| !ends(line)).collect();
    let lines = EXAMPLE.lines().skip(from).take(1).chain(rest).filter(|line| !is_words(line));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    // The example lies in a folder beside the rules.
    format!("{}\n", text.trim_end().replace("\"../", "\""))
}
