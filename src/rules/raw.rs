//! Rule files as they are written: the shapes of the YAML documents, before anything is checked against anything.
//!
//! Unknown keys are refused here. Diagnostics and actions stay maps with the kind as their key, because their
//! parameters belong to the catalog; [`mod@super::load`] gives all of it its meaning. Schedules, calendars and contacts
//! stand in [`roster`].

mod roster;

pub(super) use roster::{Calendar, Contact, Moment, Override, Rotation, Schedule, Weekday, Whom};

use crate::domain::action::Tier;
use crate::domain::rule::{OnFail, RuleMode};
use crate::domain::schedule::Zone;
use crate::domain::severity::Severity;
use crate::period::Period;
use schemars::JsonSchema;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The only version of the rule language.
pub const API_VERSION: &str = "smokejumper.dev/v1";

/// What a document says about itself; read first, to know what the rest must look like.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Head {
    pub(super) api_version: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) metadata: HeadMetadata,
}

/// The name of a document, however broken the rest may be.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct HeadMetadata {
    pub(super) name: Option<String>,
}

/// One document.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Document<S> {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    pub(super) metadata: Metadata,
    pub(super) spec: S,
}

/// As in Kubernetes, so that the same text can be a custom resource.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Metadata {
    /// Unique among the objects of its kind: lower-case letters, digits, `-` and `.`.
    pub(super) name: String,
    /// For tools; not read.
    #[serde(default, rename = "labels")]
    _labels: BTreeMap<String, String>,
    /// For tools; not read.
    #[serde(default, rename = "annotations")]
    _annotations: BTreeMap<String, String>,
}

/// A response rule: which alerts it answers, with what evidence, and with which remedies.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Rule {
    /// Runbook procedures that it implements, such as `P67`.
    #[serde(default)]
    pub(super) procedures: Vec<String>,
    /// Link to the human document. A template over labels and annotations.
    #[serde(default)]
    pub(super) runbook: Option<String>,
    /// One line that says what is wrong. Default: the alert's `summary` annotation, then its name.
    #[serde(default)]
    pub(super) summary: Option<String>,
    /// Higher is tried first; equal ones in file order.
    #[serde(default)]
    pub(super) priority: i32,
    /// Whether later rules are tried as well after this one matched.
    #[serde(default, rename = "continue")]
    pub(super) continues: bool,
    /// Matchers in Alertmanager's language; all must match. An empty list matches every alert.
    pub(super) matchers: Vec<String>,
    /// P0 (worst) to P3, or a template over labels that yields a severity word.
    pub(super) severity: String,
    /// The Kubernetes object that an incident is about.
    #[serde(default)]
    pub(super) target: Option<Target>,
    /// Without a target: labels whose values tell one incident from the other.
    #[serde(default)]
    pub(super) group_by: Vec<String>,
    /// Name of the escalation policy. Default: selected by severity and labels, then the settings' default.
    #[serde(default)]
    pub(super) escalation: Option<String>,
    /// Evidence to gather, all at once.
    #[serde(default)]
    #[schemars(with = "Vec<DiagnosticShape>")]
    pub(super) diagnostics: Vec<Map<String, Value>>,
    /// The ladder: tried in order, each verified before the next.
    #[serde(default)]
    pub(super) remedies: Vec<Remedy>,
    /// Actions that only observe or tell, taken once the incident is resolved.
    #[serde(default)]
    #[schemars(with = "Vec<ActionShape>")]
    pub(super) on_resolve: Vec<Map<String, Value>>,
    /// Decide and record, but start no action.
    #[serde(default)]
    pub(super) dry_run: bool,
    /// `shadow` lets the rule decide and record beside those who act: nothing is carried out, nobody is asked, and later
    /// rules are tried as if it had not matched. Default: `live`.
    #[serde(default)]
    pub(super) mode: RuleMode,
    /// How long after its end a new alert reopens the incident instead of opening another. Default: 30m.
    #[serde(default)]
    pub(super) reopen_within: Option<Period>,
}

/// The Kubernetes object that an incident is about. Namespace and name are templates over labels.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Target {
    /// Such as `Deployment`.
    pub(super) kind: String,
    /// Such as `{{ labels.namespace }}`.
    pub(super) namespace: String,
    /// Such as `{{ labels.service }}`.
    pub(super) name: String,
}

/// One rung of the ladder.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Remedy {
    /// Unique within the rule.
    pub(super) name: String,
    /// A CEL condition over labels, annotations, incident and findings. Default: always.
    #[serde(default)]
    pub(super) when: Option<String>,
    /// T0 to T3. Default: the floor of the action; lower is refused.
    #[serde(default)]
    pub(super) tier: Option<Tier>,
    /// Exactly one action, with its kind as the key.
    #[schemars(with = "ActionShape")]
    pub(super) action: Map<String, Value>,
    /// How to tell that it helped. Default: done when carried out.
    #[serde(default)]
    pub(super) verify: Option<Verify>,
    /// The inverse, for actions that do not record one themselves.
    #[serde(default)]
    #[schemars(with = "Option<ActionShape>")]
    pub(super) rollback: Option<Map<String, Value>>,
    /// How long an approval may be outstanding. Default: 15m.
    #[serde(default)]
    pub(super) approval_expires: Option<Period>,
    /// Least time between two runs on the same target. Default: the settings' cooldown.
    #[serde(default)]
    pub(super) cooldown: Option<Period>,
}

/// How to tell that a remedy helped.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Verify {
    /// Wait before the first look. Default: 30s.
    #[serde(default)]
    pub(super) settle: Option<Period>,
    /// How long the checks must hold without a break. Default: 1m.
    #[serde(default)]
    pub(super) hold: Option<Period>,
    /// Give up after this much time since the action ended. Default: 10m.
    #[serde(default)]
    pub(super) within: Option<Period>,
    /// CEL conditions over fresh findings; all must hold.
    pub(super) checks: Vec<String>,
    /// What to do when they do not. Default: `next`.
    #[serde(default)]
    pub(super) on_fail: Option<OnFail>,
}

/// Who is told when, while nobody acknowledges.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Policy {
    /// Which incidents it is for, where no rule names it.
    #[serde(default)]
    pub(super) selector: Option<Selector>,
    /// A level that did not acknowledge within this time is told again.
    #[serde(default)]
    pub(super) acknowledge_within: Option<Period>,
    /// How long an acknowledgement counts. Default: until the incident is over.
    #[serde(default)]
    pub(super) acknowledgement: Option<AcknowledgementTerms>,
    /// Lets incidents of P2 and P3 wait for the morning. Default: nothing waits.
    #[serde(default)]
    pub(super) defer: Option<Defer>,
    /// By when service must be back. The card of an incident says so, and levels may be due at parts of it.
    #[serde(default)]
    pub(super) objectives: Option<Objectives>,
    /// In order of `after`.
    #[serde(default)]
    pub(super) levels: Vec<Level>,
    /// What happens after the last level.
    #[serde(default)]
    pub(super) repeat: Option<Repeat>,
    /// Who hears when nobody else can be reached.
    #[schemars(length(min = 1))]
    pub(super) fallback: Vec<Whom>,
}

/// How long an acknowledgement counts.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AcknowledgementTerms {
    /// After this time the escalation goes on where it was, unless whoever has the incident acknowledges it again.
    pub(super) expires_after: Period,
}

/// Lets mild incidents wait.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Defer {
    /// Name of a `Schedule`: what of an incident of P2 or P3 is due outside of it is told when it begins.
    pub(super) until: String,
}

/// Selects incidents by severity and labels.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Selector {
    /// Any of these; none means all.
    #[serde(default)]
    pub(super) severities: Vec<Severity>,
    /// All must match the labels of the incident.
    #[serde(default)]
    pub(super) matchers: Vec<String>,
}

/// What was promised: both count from the incident's start.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Objectives {
    /// Recovery time objective: service is back within this.
    pub(super) rto: Period,
    /// Recovery point objective: what was written longer than this before the incident is not lost.
    #[serde(default)]
    pub(super) rpo: Option<Period>,
}

/// When a level is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// After this time.
    After(Period),
    /// At this percentage of the recovery time objective.
    OfRto(u32),
}

impl<'de> serde::Deserialize<'de> for Due {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: String = serde::Deserialize::deserialize(deserializer)?;
        let part = text.trim().strip_suffix("of rto").map(str::trim_end);
        let percent = part.and_then(|part| part.strip_suffix('%')).map(|percent| percent.trim().parse());
        match (percent, text.parse()) {
            (Some(Ok(percent)), _) if (1..=100).contains(&percent) => Ok(Self::OfRto(percent)),
            (None, Ok(period)) => Ok(Self::After(period)),
            _ => Err(serde::de::Error::custom(
                "expected a length of time such as `15m`, or a part of the objective from `1% of rto` to `100% of rto`",
            )),
        }
    }
}

impl JsonSchema for Due {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Due".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A length of time, or a part of the recovery time objective.",
            "examples": ["0s", "15m", "50% of rto"],
        })
    }
}

/// One level of a policy.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Level {
    /// For people.
    pub(super) name: String,
    /// When it is due, counted from the incident's start: a length of time, or a part of an objective such as
    /// `50% of rto`.
    pub(super) after: Due,
    /// Name of a `Schedule` outside of which the level is skipped.
    #[serde(default)]
    pub(super) hours: Option<String>,
    /// Whom.
    pub(super) destinations: Vec<Whom>,
}

/// What happens after the last level: every reachable level is told again.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Repeat {
    /// Time between two repeats.
    pub(super) every: Period,
    /// How many.
    pub(super) times: u32,
}

/// Objects of a cluster, for `k8s.apply`, `k8s.remove` and `k8s.job_run`.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Manifest {
    /// The lowest tier at which it may be used. Default: the floor of the action.
    #[serde(default)]
    pub(super) tier: Option<Tier>,
    /// The objects, as `kubectl` would take them. Names, values of labels and selectors, and the data of a ConfigMap may
    /// hold templates over labels, annotations and the incident.
    #[schemars(length(min = 1, max = 10))]
    pub(super) objects: Vec<Map<String, Value>>,
}

/// Names and numbers of a platform, which other documents use as `${PLATFORM.VALUE}`.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Platform {
    /// The values by their names. Each is one word: letters, digits and `. _ ~ / : = ? & + | -`.
    #[schemars(schema_with = "platform_values")]
    pub(super) values: BTreeMap<String, Value>,
}

fn platform_values(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "propertyNames": { "pattern": "^[a-z][a-z0-9_]*$" },
        "additionalProperties": {
            "type": ["string", "number", "boolean"],
            "maxLength": 200,
            "pattern": "^[A-Za-z0-9/]([A-Za-z0-9._~/:=?&+|-]*[A-Za-z0-9._~/=?&+|-])?$",
        },
    })
}

/// What is looked at at set times, and told as one report.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ScheduledCheck {
    /// Runbook procedures that it implements, such as `P27`.
    #[serde(default)]
    pub(super) procedures: Vec<String>,
    /// One line that says what is looked after.
    pub(super) summary: String,
    /// Link to the human document.
    #[serde(default)]
    pub(super) runbook: Option<String>,
    /// When it runs: a cron expression of five fields, such as `0 9 * * 1-5`.
    pub(super) schedule: String,
    /// By whose clock, such as `Europe/Berlin`. UTC if left out.
    #[serde(default)]
    pub(super) time_zone: Zone,
    /// Labels of the alerts that red items raise, for matchers of rules and policies. Its diagnostics may name them.
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    /// How bad a red item is, where it does not say so itself. Default: P2.
    #[serde(default)]
    pub(super) severity: Option<Severity>,
    /// What is looked at, in this order.
    #[schemars(with = "Vec<CheckItemShape>", length(min = 1))]
    pub(super) items: Vec<Map<String, Value>>,
    /// Where reports go. Not PagerDuty, which hears of red items by their alerts.
    #[serde(default)]
    pub(super) report: Vec<Whom>,
}

/// Stands for the items of a check in schemas.
#[derive(JsonSchema)]
#[schemars(rename = "CheckItem")]
pub(super) struct CheckItemShape {}

/// Stands for the catalog's diagnostics in schemas.
#[derive(JsonSchema)]
#[schemars(rename = "Diagnostic")]
pub(super) struct DiagnosticShape {}

/// Stands for the catalog's actions in schemas.
#[derive(JsonSchema)]
#[schemars(rename = "Action")]
pub(super) struct ActionShape {}
