//! What the engine asks of the rules: which match, what an incident under them looks like, what could be done.
//!
//! Implemented by `rules/`; a trait here so that the engine can be tested with rules written as values.

use crate::domain::alert::Alert;
use crate::domain::correlate::{CorrelationKey, Target};
use crate::domain::decision::Candidate;
use crate::domain::diagnosis::{ConditionOutcome, Finding};
use crate::domain::escalation::EscalationPolicy;
use crate::domain::incident::Incident;
use crate::domain::rule::{DiagnosticSpec, ResponseRule, RuleHash, RuleMode};
use crate::domain::schedule::Schedule;
use crate::domain::scheduled::ScheduledCheck;
use crate::domain::severity::Severity;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Name of the rule for what the service raises about itself, where the rules say nothing of it.
pub const OWN_RULE: &str = "(smokejumper)";

/// A rule with the digest of its text, as incidents keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRule {
    /// The rule.
    pub rule: ResponseRule,
    /// Digest of its text.
    pub hash: RuleHash,
}

impl KeptRule {
    /// A rule with its digest computed.
    pub fn new(rule: ResponseRule) -> Self {
        let hash = rule.hash();
        Self { rule, hash }
    }
}

/// A policy with the digest of its text, as incidents keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPolicy {
    /// The policy.
    pub policy: EscalationPolicy,
    /// Digest of its text.
    pub hash: RuleHash,
}

impl KeptPolicy {
    /// A policy with its digest computed.
    pub fn new(policy: EscalationPolicy) -> Self {
        let hash = policy.hash();
        Self { policy, hash }
    }
}

/// A scheduled check with the rule that gathers its evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptCheck {
    /// The check.
    pub check: ScheduledCheck,
    /// What looks at the same, as a rule.
    pub looks: KeptRule,
}

impl KeptCheck {
    /// A check with its rule made.
    pub fn new(check: ScheduledCheck) -> Self {
        let looks = KeptRule::new(check.as_rule());
        Self { check, looks }
    }
}

/// What a rule says about an incident that an alert opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// How bad.
    pub severity: Severity,
    /// One line: what is wrong.
    pub summary: String,
    /// Link to the human document, rendered.
    pub runbook: Option<String>,
    /// The object it is about.
    pub target: Option<Target>,
    /// What could not be had as the rule wants it, such as a severity that no label gives.
    pub notes: Vec<String>,
}

/// A diagnostic that is ready to run, or why it is not.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadyDiagnostic {
    /// As the rule has it.
    pub spec: DiagnosticSpec,
    /// Its parameters, rendered, or why they could not be.
    pub params: Result<Value, String>,
    /// Longest time it may take.
    pub timeout: Duration,
}

/// What a rule is for, as far as incidents of other rules have to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleRole {
    /// It is the last resort for alerts that nobody wrote a rule for.
    Unmatched,
    /// It is in shadow: for others it is not there.
    Watches,
    /// It only tells people, or leaves the work to them.
    Tells,
    /// It has remedies that a machine may carry out.
    Acts,
}

/// The rules as they stand, and as incidents keep them.
pub trait Playbook: Send + Sync {
    /// The rules for an alert, in order. Never empty: the last resort is the rule for unmatched alerts.
    fn matching(&self, alert: &Alert) -> Vec<Arc<KeptRule>>;
    /// Whether it is the last resort: alerts that nobody wrote a rule for are told to others.
    fn is_unmatched(&self, kept: &KeptRule) -> bool;
    /// What the rule of this name is for, as it stands now; one that is not there any more only tells.
    fn role(&self, name: &str) -> RuleRole;
    /// Whether rules act or are in shadow, by name, as they stand now.
    fn modes(&self) -> BTreeMap<String, RuleMode> {
        BTreeMap::new()
    }
    /// What makes an alert belong to one incident of a rule rather than another.
    fn key(&self, kept: &KeptRule, alert: &Alert) -> CorrelationKey;
    /// What the rule says about an incident that this alert opens.
    fn outline(&self, kept: &KeptRule, alert: &Alert) -> Outline;
    /// The policy for a new incident.
    fn policy(&self, kept: &KeptRule, severity: Severity, alert: &Alert) -> Option<Arc<KeptPolicy>>;
    /// Schedules by name, as they stand now.
    fn schedules(&self) -> Arc<BTreeMap<String, Schedule>>;
    /// Scheduled checks by name, as they stand now.
    fn scheduled_checks(&self) -> Arc<BTreeMap<String, Arc<KeptCheck>>> {
        Arc::default()
    }
    /// What the items of a check expect, judged over fresh findings: one for each item, none where it expects nothing.
    fn expectations(
        &self,
        _check: &KeptCheck,
        _run: &Incident,
        _findings: &[Finding],
    ) -> Vec<Option<ConditionOutcome>> {
        Vec::new()
    }
    /// A rule that is known by digest.
    fn rule_by_hash(&self, hash: &RuleHash) -> Option<Arc<KeptRule>>;
    /// A policy that is known by digest.
    fn policy_by_hash(&self, hash: &RuleHash) -> Option<Arc<KeptPolicy>>;
    /// Takes back a rule that an incident keeps, from its stored text.
    fn adopt_rule(&self, text: Value) -> Result<Arc<KeptRule>, String>;
    /// Takes back a policy that an incident keeps, from its stored text.
    fn adopt_policy(&self, text: Value) -> Result<Arc<KeptPolicy>, String>;
    /// The diagnostics of an incident's rule, rendered.
    fn diagnostics(&self, kept: &KeptRule, incident: &Incident) -> Vec<ReadyDiagnostic>;
    /// Whether a remedy of the rule needs a survey before it is decided.
    fn is_surveyed(&self, kept: &KeptRule) -> bool;
    /// The ladder of an incident's rule over its findings: conditions judged, drafts planned. Surveys and guardrails are
    /// not asked here.
    fn candidates(&self, kept: &KeptRule, incident: &Incident, findings: &[Finding]) -> Vec<Candidate>;
    /// The actions that follow the end of an incident.
    fn on_resolve(&self, kept: &KeptRule, incident: &Incident, findings: &[Finding]) -> Vec<Candidate>;
    /// The checks of a remedy's verification, judged over fresh findings.
    fn checks(
        &self,
        kept: &KeptRule,
        remedy: &str,
        incident: &Incident,
        findings: &[Finding],
    ) -> Vec<ConditionOutcome>;
}
