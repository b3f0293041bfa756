//! The alerting rules of `deploy/prometheus`: accepted and tested by Prometheus' own tool, complete against the table of
//! procedures, the same text for the Prometheus Operator, and listed in `docs/alerts.md`.
//!
//! `UPDATE_DOCS=1 cargo test --test deploy` writes the objects of the operator and the page anew.

mod coverage;
mod operator;
mod page;
mod procedures;
mod tested;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{read, root};

/// The folder, from the repository's root.
const FOLDER: &str = "deploy/prometheus";

/// A rule that alerts.
struct Alert {
    /// The file without its ending.
    file: String,
    name: String,
    expr: String,
    /// How long it must hold; empty where it fires at once.
    wait: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

impl Alert {
    fn severity(&self) -> &str {
        &self.labels["severity"]
    }

    /// The procedures that begin with it.
    fn procedures(&self) -> Vec<&str> {
        let named = self.annotations.get("runbook").map_or("", String::as_str);
        named.split(", ").filter(|id| !id.is_empty()).collect()
    }
}

/// The names of the files with these endings in a folder of `deploy/prometheus`, without the ending, in order.
fn files(folder: &str, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join(FOLDER).join(folder)).expect("a folder");
    let names =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"));
    let mut files: Vec<String> =
        names.filter_map(|name| name.strip_suffix(ending).map(str::to_owned)).collect();
    files.sort_unstable();
    files
}

/// The rules of a file, in order.
fn rules(file: &str) -> Vec<Value> {
    let text = read(&format!("{FOLDER}/rules/{file}.yaml"));
    let file: Value = serde_saphyr::from_str(&text).expect("YAML");
    let groups = file["groups"].as_array().expect("groups").iter();
    groups.flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
}

/// Every rule that alerts, file by file.
fn alerts() -> Vec<Alert> {
    let words = |value: &Value| -> BTreeMap<String, String> {
        serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{value}: {error}"))
    };
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_file = |file: String| {
        let alerts = rules(&file).into_iter().filter(|rule| rule["alert"].is_string());
        let read = move |rule: Value| Alert {
            file: file.clone(),
            name: word(&rule["alert"]),
            expr: word(&rule["expr"]),
            wait: word(&rule["for"]),
            labels: words(&rule["labels"]),
            annotations: words(&rule["annotations"]),
        };
        alerts.map(read).collect::<Vec<_>>()
    };
    files("rules", ".yaml").into_iter().flat_map(of_file).collect()
}
