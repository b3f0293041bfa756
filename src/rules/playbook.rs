//! What the engine asks of the rules, answered from the [`RuleBook`].

use super::book::{RuleBook, UNMATCHED};
use super::condition::{CompiledCondition, ConditionFacts};
use super::opening;
use super::plan::{Planner, evaluate};
use super::scope::Scope;
use crate::domain::action::Tier;
use crate::domain::alert::Alert;
use crate::domain::catalog::Performer;
use crate::domain::correlate::CorrelationKey;
use crate::domain::decision::Candidate;
use crate::domain::diagnosis::{ConditionOutcome, Finding};
use crate::domain::escalation::{EscalationPolicy, select};
use crate::domain::incident::Incident;
use crate::domain::matcher::{MatchOp, Matchers};
use crate::domain::rule::{Condition, RemedySpec, ResponseRule, RuleHash, RuleMode};
use crate::domain::schedule::Schedule;
use crate::domain::scheduled;
use crate::domain::severity::Severity;
use crate::engine::playbook::{
    KeptCheck, KeptPolicy, KeptRule, Outline, Playbook, ReadyDiagnostic, RuleRole,
};
use crate::engine::{auditing, watchdogs};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How the names of what the service raises about itself begin.
const OWN_PREFIX: &str = "Smokejumper";

impl Playbook for RuleBook {
    fn matching(&self, alert: &Alert) -> Vec<Arc<KeptRule>> {
        let set = self.current();
        // A rule for everything, such as one that is in shadow or tells a quiet channel, was not written with the news in
        // mind that people may not be called at all.
        let about_us = matches!(alert.name(), watchdogs::MISSING | auditing::FAILED);
        let fits = |kept: &KeptRule| !about_us || names_what_we_raise(&kept.rule.matchers);
        let mut rules: Vec<Arc<KeptRule>> = set.matching_among(&alert.labels, fits).cloned().collect();
        if rules.is_empty() {
            let is_own = about_us || alert.name() == scheduled::FAILED;
            rules.push(Arc::clone(if is_own { &self.own } else { &self.unmatched }));
        }
        rules
    }

    fn is_unmatched(&self, kept: &KeptRule) -> bool {
        kept.hash == self.unmatched.hash
    }

    fn role(&self, name: &str) -> RuleRole {
        if name == UNMATCHED {
            return RuleRole::Unmatched;
        }
        match self.current().rule_by_name(name) {
            Some(kept) if kept.rule.mode.is_shadow() => RuleRole::Watches,
            Some(kept) if self.acts(kept) => RuleRole::Acts,
            _ => RuleRole::Tells,
        }
    }

    fn modes(&self) -> BTreeMap<String, RuleMode> {
        let set = self.current();
        set.rules().iter().map(|kept| (kept.rule.name.clone(), kept.rule.mode)).collect()
    }

    fn key(&self, kept: &KeptRule, alert: &Alert) -> CorrelationKey {
        opening::key(&kept.rule, &self.compiled(kept), alert)
    }

    fn outline(&self, kept: &KeptRule, alert: &Alert) -> Outline {
        let opened = opening::open(&kept.rule, &self.compiled(kept), alert);
        Outline {
            severity: opened.severity,
            summary: opened.summary,
            runbook: opened.runbook,
            target: opened.target,
            notes: opened.notes,
        }
    }

    fn policy(&self, kept: &KeptRule, severity: Severity, alert: &Alert) -> Option<Arc<KeptPolicy>> {
        // Whom to tell of alerts that nobody wrote a rule for is the settings' business alone.
        if self.is_unmatched(kept) {
            return None;
        }
        let set = self.current();
        let named = kept.rule.escalation.as_deref();
        let default = self.source.default_policy.as_deref();
        match select(set.policies(), named, default, severity, &alert.labels) {
            Some(policy) => set.kept_policy(&policy.name).cloned(),
            None => self.last_resort.as_ref()?.policy(kept.hash == self.own.hash, severity),
        }
    }

    fn schedules(&self) -> Arc<BTreeMap<String, Schedule>> {
        Arc::clone(self.current().schedules())
    }

    fn scheduled_checks(&self) -> Arc<BTreeMap<String, Arc<KeptCheck>>> {
        Arc::clone(self.current().checks())
    }

    fn expectations(
        &self,
        kept: &KeptCheck,
        run: &Incident,
        findings: &[Finding],
    ) -> Vec<Option<ConditionOutcome>> {
        let facts = ConditionFacts::new(&Scope::of_incident(run, findings));
        let judge = |condition: &Condition| {
            // Compiled anew: a check runs a few times a day.
            let compiled = CompiledCondition::compile(&condition.0).map_err(|error| error.to_string());
            evaluate(&compiled, &facts)
        };
        kept.check.items.iter().map(|item| item.expect.as_ref().map(judge)).collect()
    }

    fn rule_by_hash(&self, hash: &RuleHash) -> Option<Arc<KeptRule>> {
        self.find_rule(hash)
    }

    fn policy_by_hash(&self, hash: &RuleHash) -> Option<Arc<KeptPolicy>> {
        self.find_policy(hash)
    }

    fn adopt_rule(&self, text: Value) -> Result<Arc<KeptRule>, String> {
        let rule: ResponseRule = serde_json::from_value(text).map_err(|error| error.to_string())?;
        let kept = Arc::new(KeptRule::new(rule));
        self.remember_rule(&kept);
        Ok(kept)
    }

    fn adopt_policy(&self, text: Value) -> Result<Arc<KeptPolicy>, String> {
        let policy: EscalationPolicy = serde_json::from_value(text).map_err(|error| error.to_string())?;
        let kept = Arc::new(KeptPolicy::new(policy));
        self.remember_policy(&kept);
        Ok(kept)
    }

    fn diagnostics(&self, kept: &KeptRule, incident: &Incident) -> Vec<ReadyDiagnostic> {
        self.plan_for(kept, incident, |planner| planner.diagnostics())
    }

    fn is_surveyed(&self, kept: &KeptRule) -> bool {
        let kinds = kept.rule.remedies.iter().map(|spec| spec.action.kind.as_str());
        kinds.filter_map(|kind| self.catalog().action(kind)).any(|kind| kind.is_surveyed)
    }

    fn candidates(&self, kept: &KeptRule, incident: &Incident, findings: &[Finding]) -> Vec<Candidate> {
        self.plan_for(kept, incident, |planner| planner.candidates(findings))
    }

    fn on_resolve(&self, kept: &KeptRule, incident: &Incident, findings: &[Finding]) -> Vec<Candidate> {
        self.plan_for(kept, incident, |planner| planner.on_resolve(findings))
    }

    fn checks(
        &self,
        kept: &KeptRule,
        remedy: &str,
        incident: &Incident,
        findings: &[Finding],
    ) -> Vec<ConditionOutcome> {
        self.plan_for(kept, incident, |planner| planner.checks(remedy, findings))
    }
}

impl RuleBook {
    /// Whether a machine may carry out a remedy of this rule.
    fn acts(&self, kept: &KeptRule) -> bool {
        let touches = |spec: &RemedySpec| {
            let kind = self.catalog().action(&spec.action.kind);
            spec.tier > Tier::T0 && kind.is_some_and(|kind| kind.performer == Performer::Machine)
        };
        kept.rule.remedies.iter().any(touches)
    }

    fn plan_for<T>(&self, kept: &KeptRule, incident: &Incident, ask: impl FnOnce(&Planner<'_>) -> T) -> T {
        let compiled = self.compiled(kept);
        let catalog = self.catalog();
        let ladder = compiled.ladder(&kept.rule, catalog);
        let no_target = opening::no_target(&kept.rule, &compiled, incident);
        ask(&Planner { rule: &kept.rule, ladder, catalog, known: &self.source.known, incident, no_target })
    }
}
/// Whether a rule was written for what the service raises about itself: it asks for such a name.
fn names_what_we_raise(matchers: &Matchers) -> bool {
    let mut names = matchers.iter().filter(|matcher| matcher.name() == "alertname");
    names.any(|matcher| {
        matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex) && matcher.value().contains(OWN_PREFIX)
    })
}
