//! Test files as they are written: documents of the kind `ResponseTest`, before anything is compared with the rules.
//!
//! What is common is short: a word stands for a mapping with one entry, one thing for a list of one. Unknown keys are
//! refused. [`short`] has the shorthands, [`wanted`] what a test may expect; [`super::files`] reads all of it.

mod short;
mod wanted;

pub use short::{CannedFinding, OneOrMany, Person, Short};
pub use wanted::{
    ActionWanted, DecisionWanted, EscalationWanted, Expect, Kind, MessageWanted, NextWanted, VerdictWanted,
};

use crate::domain::Labels;
use crate::domain::action::Tier;
use crate::period::Period;
use crate::rules::API_VERSION;
use jiff::Timestamp;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The kind of these documents.
pub const KIND: &str = "ResponseTest";

/// What a document says about itself; read first.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Head {
    /// The version of the language.
    pub api_version: Option<String>,
    /// Which kind of document it is.
    pub kind: Option<String>,
}

/// One document.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    /// Its name.
    pub metadata: Metadata,
    /// The tests.
    pub spec: Spec,
}

/// As in Kubernetes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// What the tests are about: the name of a suite in reports.
    pub name: String,
}

/// Tests, and what they have in common.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// Rule files, folders or patterns, from the folder of this file on. Default: that folder and everything below it.
    #[serde(default)]
    pub rules: OneOrMany<String>,
    /// A settings file, from the folder of this file on. Default: everything that the rules name exists, and mode is
    /// `enforce`. Its secrets are not needed.
    #[serde(default)]
    pub config: Option<String>,
    /// Settings laid over those, such as `{ guardrails: { freeze_windows: … } }`.
    #[serde(default)]
    pub settings: Map<String, Value>,
    /// When each test begins. Default: 2026-03-10T10:00:00Z, a Tuesday.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub start: Option<Timestamp>,
    /// Labels of every alert that does not say them itself.
    #[serde(default)]
    pub labels: Labels,
    /// Findings of every test that does not say them itself.
    #[serde(default)]
    pub findings: Findings,
    /// The tests.
    pub tests: Vec<Test>,
}

/// What diagnostics find, by their names in the rule.
pub type Findings = BTreeMap<String, Short<CannedFinding>>;

/// One story: alerts and people come in, and what has to come of it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Test {
    /// The behaviour, in a sentence.
    pub name: String,
    /// When it begins.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub start: Option<Timestamp>,
    /// Settings laid over those of the file.
    #[serde(default)]
    pub settings: Map<String, Value>,
    /// Labels of an alert that fires at once; the short form of an input with `fires`.
    #[serde(default)]
    pub alert: Option<OneOrMany<Labels>>,
    /// Its annotations.
    #[serde(default)]
    pub annotations: Labels,
    /// What diagnostics find from the beginning on.
    #[serde(default)]
    pub findings: Findings,
    /// What a look at the target of a remedy sees, by the names of remedies. Default: it allows what is planned.
    #[serde(default)]
    pub targets: BTreeMap<String, Short<CannedTarget>>,
    /// How attempts end, by the names of remedies; `NAME/rollback` for undoing one. Default: they succeed.
    #[serde(default)]
    pub outcomes: BTreeMap<String, Short<CannedOutcome>>,
    /// What happens later, in any order.
    #[serde(default)]
    pub input: Vec<Input>,
    /// What has to be the case, and when.
    pub expect: OneOrMany<Expect>,
}

/// Something that happens. Everything of one entry happens at the same time, the world first.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    /// When, counted from the beginning. Default: at once.
    #[serde(default)]
    pub at: Period,
    /// Diagnostics find something else from now on.
    #[serde(default)]
    pub findings: Findings,
    /// Looks at targets see something else from now on.
    #[serde(default)]
    pub targets: BTreeMap<String, Short<CannedTarget>>,
    /// Attempts end otherwise from now on.
    #[serde(default)]
    pub outcomes: BTreeMap<String, Short<CannedOutcome>>,
    /// Why monitoring cannot be trusted from now on; an empty text ends that.
    #[serde(default)]
    pub blind: Option<String>,
    /// Alerts begin, all of them in one webhook.
    #[serde(default)]
    pub fires: Option<OneOrMany<Labels>>,
    /// Their annotations.
    #[serde(default)]
    pub annotations: Labels,
    /// Alerts end, by the same labels; `{}` for every alert that fires.
    #[serde(default)]
    pub resolves: Option<OneOrMany<Labels>>,
    /// Somebody takes the incident.
    #[serde(default)]
    pub acknowledge: Option<Short<Person>>,
    /// Somebody approves what is asked.
    #[serde(default)]
    pub approve: Option<Short<Person>>,
    /// Somebody says no to what is asked.
    #[serde(default)]
    pub reject: Option<Short<Person>>,
    /// Somebody goes on by hand.
    #[serde(default)]
    pub take_over: Option<Short<Person>>,
    /// Somebody calls the next level.
    #[serde(default)]
    pub escalate: Option<Short<Person>>,
    /// Somebody says that all items of the task are done.
    #[serde(default)]
    pub done: Option<Short<Person>>,
    /// Somebody silences the incident until it is over.
    #[serde(default)]
    pub silence: Option<Short<Person>>,
    /// Somebody lifts that silence.
    #[serde(default)]
    pub unsilence: Option<Short<Person>>,
    /// Somebody ends the incident.
    #[serde(default)]
    pub resolve: Option<Short<Person>>,
    /// Somebody switches all actions off.
    #[serde(default)]
    pub pause: Option<Short<Person>>,
    /// Somebody switches them on again.
    #[serde(default)]
    pub resume: Option<Short<Person>>,
}

impl Input {
    /// Whether nothing happens.
    pub fn says_nothing(&self) -> bool {
        *self == Self { at: self.at, ..Self::default() }
    }
}

/// What a look at the target of a remedy sees.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CannedTarget {
    /// There is nothing to do for the remedy, and why.
    pub nothing_to_do: Option<String>,
    /// It must not be done, and why.
    pub refused: Option<String>,
    /// Nobody can look for now, and why.
    pub not_now: Option<String>,
    /// The plan must run at this tier at least, such as for a stateful target.
    pub tier: Option<Tier>,
    /// What people should know.
    pub note: Option<String>,
    /// How many replicas it is meant to have. Default: 3.
    pub replicas: Option<u32>,
    /// How many of them are available. Default: all.
    pub available: Option<u32>,
    /// How many of those may be missing at one time. Default: none.
    pub disrupted: u32,
    /// How many workloads are touched. Default: 1.
    pub workloads: Option<u32>,
    /// A rollout that makes progress there, in words.
    pub rollout: Option<String>,
    /// A rollout that hangs there, in words.
    pub stuck: Option<String>,
    /// The state in which it is found: a plan is out of date once it differs.
    pub state: Option<String>,
}

/// How an attempt ends.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum CannedOutcome {
    /// It is carried out, and the world says this.
    Applied(String),
    /// Somebody else has brought it about.
    AlreadySo(String),
    /// It is certainly not carried out.
    NotApplied(String),
    /// It is not carried out, for a reason that passes.
    NotNow(String),
    /// It is carried out, and fails.
    Failed(String),
    /// Nobody knows.
    Unknown(String),
}

/// The JSON Schema (draft 2020-12) of these documents.
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let metadata = generator.subschema_for::<Metadata>();
    let spec = generator.subschema_for::<Spec>();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": KIND,
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": false,
        "properties": {
            "apiVersion": { "const": API_VERSION },
            "kind": { "const": KIND },
            "metadata": metadata,
            "spec": spec,
        },
        "$defs": generator.take_definitions(true),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::load::{Platforms, documents, sources};
    use crate::yaml;

    #[test]
    fn the_schema_takes_the_shipped_tests_and_refuses_what_the_reader_refuses() {
        let validator = jsonschema::validator_for(&schema()).expect("a schema");
        let in_rules = |pattern: &str| vec![format!("{}/rules/**/{pattern}", env!("CARGO_MANIFEST_DIR"))];
        let platforms = Platforms::read(&in_rules("platform.yaml"));
        let (files, problems) = sources(&in_rules("*.test.yaml"));
        assert!(files.len() > 3 && problems.is_empty(), "{problems:?}");
        for file in files {
            for text in documents(&file.text) {
                let (text, problems) = platforms.fill_in(&file.name, &text);
                assert_eq!(problems, []);
                let document: Value = yaml::read(&file.name, &text).expect("YAML");
                let told: Vec<String> = validator
                    .iter_errors(&document)
                    .map(|error| format!("{}: {error}", error.instance_path()))
                    .collect();
                assert_eq!(told, Vec::<String>::new(), "{}", file.name);
            }
        }
        let head = "apiVersion: smokejumper.dev/v1\nkind: ResponseTest\nmetadata: { name: a }\nspec: { tests: [TEST] }\n";
        for test in [
            "{ name: a, expect: { staus: triggered } }",
            "{ name: a, expect: { status: open } }",
            "{ name: a, input: [{ at: 1m, aprove: una }], expect: { nothing: true } }",
            "{ name: a, outcomes: { undo: { broken: x } }, expect: { nothing: true } }",
            "{ expect: { nothing: true } }",
        ] {
            let text = head.replace("TEST", test);
            let document: Value = yaml::read("a.test.yaml", &text).expect("YAML");
            assert!(!validator.is_valid(&document), "{test}");
            assert!(yaml::read::<Document>("a.test.yaml", &text).is_err(), "{test}");
        }
        // Names of guardrails are keys, which the schema leaves to the reader.
        let odd = "{ name: a, expect: { actions: { undo: { guardrails: { freze_window: denied } } } } }";
        let told = yaml::read::<Document>("a.test.yaml", &head.replace("TEST", odd)).expect_err("refused");
        assert!(told[0].to_string().contains("did you mean `freeze_window`"), "{}", told[0]);
    }
}
