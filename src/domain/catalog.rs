//! The closed set of diagnostics and actions, described as data.
//!
//! The floors above fill a [`Catalog`] with one entry per file of `diagnostics/` and `actions/`. The rule loader
//! checks rules against it without knowing how anything is carried out, and guardrails read tiers from it.

use crate::action::{Repeatability, Tier};
use crate::correlate::Target;
use jiff::SignedDuration;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

pub use crate::access::{AccessNeed, AccessOf, AccessScope, no_access};

/// Who carries an action out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Performer {
    /// The machine, against the world.
    Machine,
    /// People, who are only asked: asking touches nothing.
    People,
}

/// Where the inverse of an action comes from, for rolling back what did not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Inverse {
    /// It touches nothing, so there is nothing to undo.
    NotNeeded,
    /// The remedy's `rollback` says it; without one there is none.
    FromRule,
    /// The action records it while it acts.
    Recorded,
}

/// What a rendered text inside parameters will be used as, which decides how labels are escaped in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotLanguage {
    /// Text for people. Escaped again by each notifier for its own markup.
    Text,
    /// A PromQL expression: label values are escaped as PromQL strings, and the result must parse.
    Promql,
    /// A LogQL query, or one of Alertmanager's matchers: label values are escaped as strings in quotes.
    Logql,
    /// A URL: label values are percent-encoded, so that none can change host, path depth or query keys.
    Url,
    /// A JSON string value.
    JsonString,
    /// A Kubernetes object name: the result must be a valid DNS-1123 label or subdomain.
    KubernetesName,
    /// A selector over labels of Kubernetes objects: each value stands for one value of a label and is never empty.
    KubernetesSelector,
}

/// One templated text within the parameters of a diagnostic or an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// JSON pointer (RFC 6901) from the parameters to the text, such as `/expr`.
    pub pointer: String,
    /// What the text is used as.
    pub language: SlotLanguage,
}

impl Slot {
    /// A slot at `pointer` in `language`.
    pub fn new(pointer: impl Into<String>, language: SlotLanguage) -> Self {
        Self { pointer: pointer.into(), language }
    }
}

/// Why parameters were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParamsError {
    /// JSON pointer to the offending value; empty for the parameters as a whole.
    pub pointer: String,
    /// What is wrong, and the way out.
    pub message: String,
}

impl ParamsError {
    /// An error at `pointer`.
    pub fn at(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }
}

/// Names outside the rule that parameters refer to, so that `check` can say which are unknown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// A key of `endpoints` in the settings.
    Endpoint(String),
    /// A Slack channel.
    SlackChannel(String),
    /// A key of `pagerduty.services` in the settings.
    PagerDutyService(String),
    /// An `EscalationPolicy`.
    Policy(String),
    /// A `StoredManifest`.
    Manifest(String),
    /// The `prometheus` section of the settings.
    Prometheus,
    /// The `kubernetes` section of the settings.
    Kubernetes,
    /// A key of `kubernetes.read_commands` in the settings.
    ReadCommand(String),
    /// A key of `kubernetes.commands` in the settings.
    Command(String),
    /// The `alertmanager` section of the settings.
    Alertmanager,
    /// The `loki` section of the settings.
    Loki,
    /// A connection of the settings.
    Connection {
        /// The key that it stands under, such as `connections.redis`.
        section: &'static str,
        /// Its name.
        name: String,
        /// Whether something is changed there, which needs its `act`.
        acts: bool,
    },
    /// A query of the settings.
    Query {
        /// The key of `connections.postgres` that it belongs to.
        connection: String,
        /// Its key under `queries`.
        name: String,
    },
}

/// What checking the parameters of one use found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckedParams {
    /// Templated texts within.
    pub slots: Vec<Slot>,
    /// Names outside the rule that must exist.
    pub references: Vec<Reference>,
    /// Fields of the finding that this use names itself, beside those of its kind.
    pub fields: Vec<String>,
}

/// Checks raw parameters: their shape, their bounds, the templated texts within.
pub type ParamsCheck = fn(&Value) -> Result<CheckedParams, ParamsError>;

/// What the settings say about an endpoint, as far as a plan must know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointOutline {
    /// Method of its requests, in capitals.
    pub method: String,
    /// Whether a second request does harm.
    pub repeatability: Repeatability,
}

/// Endpoints by their names in the settings.
pub type Endpoints = BTreeMap<String, EndpointOutline>;

/// What a plan may refer to beside its parameters.
#[derive(Debug, Clone, Copy)]
pub struct PlanSubject<'a> {
    /// Endpoints by their names in the settings.
    pub endpoints: &'a Endpoints,
    /// The incident's own object, which parameters that name none mean.
    pub target: Option<&'a Target>,
}

/// What one use of an action with rendered parameters comes to: the parts of a plan that only its kind knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanOutline {
    /// What it acts on, for limits per target; none means the incident's own target.
    pub target: Option<String>,
    /// The namespace that it acts in; none means the incident's own.
    pub namespace: Option<String>,
    /// The parameters made complete from the subject, where the kind does that; none means as they were rendered.
    pub params: Option<Value>,
    /// How long its change is to stand; none means for good.
    pub ttl: Option<SignedDuration>,
    /// What it would change where that is not its target alone: `Kind/namespace/name`, or a kind where the name is known
    /// only once somebody has looked.
    pub touches: Vec<String>,
    /// One line for people: what will be done.
    pub summary: String,
    /// Whether carrying out this plan twice is harmless.
    pub repeatability: Repeatability,
}

/// Outlines the plan for rendered parameters, or refuses them: rendering may have left the bounds that the texts
/// kept before.
pub type PlanOutliner = fn(&Value, &PlanSubject<'_>) -> Result<PlanOutline, ParamsError>;

/// A kind of diagnostic, such as `prom.query`.
#[derive(Debug, Clone)]
pub struct DiagnosticKind {
    /// Name that rules use.
    pub name: &'static str,
    /// One sentence for the reference.
    pub summary: &'static str,
    /// Fields of its finding that conditions may read, each with a short description. Where a use may name further
    /// ones, [`CheckedParams::fields`] has them.
    pub fields: &'static [(&'static str, &'static str)],
    /// Longest time one run may take.
    pub timeout: Duration,
    /// Checks its parameters.
    pub check: ParamsCheck,
    /// JSON Schema of its parameters.
    pub schema: fn() -> Value,
    /// What it must be permitted in a Kubernetes cluster.
    pub access: AccessOf,
}

/// A kind of action, such as `http.call`.
#[derive(Debug, Clone)]
pub struct ActionKind {
    /// Name that rules use.
    pub name: &'static str,
    /// One sentence for the reference.
    pub summary: &'static str,
    /// The lowest tier at which a rule may use it.
    pub tier_floor: Tier,
    /// Whether carrying out the same plan twice is harmless, where [`Self::outline`] does not know better.
    pub repeatability: Repeatability,
    /// Who carries it out.
    pub performer: Performer,
    /// Where its inverse comes from.
    pub inverse: Inverse,
    /// Longest time one attempt may take.
    pub timeout: Duration,
    /// Whether its plans need a survey: a look at the object that fixes their values.
    pub is_surveyed: bool,
    /// Checks its parameters.
    pub check: ParamsCheck,
    /// JSON Schema of its parameters.
    pub schema: fn() -> Value,
    /// What it must be permitted in a Kubernetes cluster.
    pub access: AccessOf,
    /// Target, summary and repeatability of one plan.
    pub outline: PlanOutliner,
}

/// All kinds that this build can carry out.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    diagnostics: BTreeMap<&'static str, DiagnosticKind>,
    actions: BTreeMap<&'static str, ActionKind>,
    endpoints: Endpoints,
}

impl Catalog {
    /// A catalog of these kinds.
    pub fn new(diagnostics: Vec<DiagnosticKind>, actions: Vec<ActionKind>) -> Self {
        Self {
            diagnostics: diagnostics.into_iter().map(|kind| (kind.name, kind)).collect(),
            actions: actions.into_iter().map(|kind| (kind.name, kind)).collect(),
            endpoints: Endpoints::new(),
        }
    }

    /// The same catalog with the endpoints that the settings name.
    #[must_use]
    pub fn with_endpoints(mut self, endpoints: Endpoints) -> Self {
        self.endpoints = endpoints;
        self
    }

    /// The endpoints that the settings name.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Outlines a plan of `kind` for rendered parameters.
    ///
    /// # Errors
    /// Where the kind refuses the parameters as they were rendered, or the endpoint is unknown.
    pub fn outline(
        &self,
        kind: &ActionKind,
        params: &Value,
        target: Option<&Target>,
    ) -> Result<PlanOutline, ParamsError> {
        (kind.outline)(params, &PlanSubject { endpoints: &self.endpoints, target })
    }

    /// The diagnostic called `name`.
    pub fn diagnostic(&self, name: &str) -> Option<&DiagnosticKind> {
        self.diagnostics.get(name)
    }

    /// The action called `name`.
    pub fn action(&self, name: &str) -> Option<&ActionKind> {
        self.actions.get(name)
    }

    /// All diagnostics by name.
    pub fn diagnostics(&self) -> impl Iterator<Item = &DiagnosticKind> {
        self.diagnostics.values()
    }

    /// All actions by name.
    pub fn actions(&self) -> impl Iterator<Item = &ActionKind> {
        self.actions.values()
    }
}
