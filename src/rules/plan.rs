//! From findings to the ladder: for each remedy its condition, its plan with all values that the rule gives, and its
//! inverse. The engine adds surveys and guardrails, and `domain::decision` chooses; nothing here acts.
//!
//! The same incident and findings always give the same plans: an approval is bound to their digest.

use super::compiled::{Compiled, CompiledLadder, CompiledRemedy};
use super::condition::{CompiledCondition, ConditionFacts};
use super::known::Known;
use super::scope::Scope;
use crate::domain::action::{ActionPlan, Tier};
use crate::domain::catalog::{Catalog, ParamsError, Performer};
use crate::domain::correlate::group_labels;
use crate::domain::decision::Candidate;
use crate::domain::diagnosis::{ConditionOutcome, Finding};
use crate::domain::incident::Incident;
use crate::domain::rule::{ActionSpec, OnFail, RemedySpec, ResponseRule};
use crate::domain::survey::SurveyStanding;
use crate::domain::timeline::cut;
use crate::engine::playbook::ReadyDiagnostic;
use std::time::Duration;

/// Longest summary of a plan: one line for people.
const SUMMARY_BYTES_MAX: usize = 500;
/// Longest name of a target that is no Kubernetes object: it is stored with every start.
const TARGET_BYTES_MAX: usize = 200;
/// For diagnostics that this build does not know, which never run.
const NO_TIME: Duration = Duration::from_secs(1);

/// One incident under its rule.
pub(super) struct Planner<'p> {
    pub(super) rule: &'p ResponseRule,
    pub(super) ladder: &'p CompiledLadder,
    pub(super) catalog: &'p Catalog,
    pub(super) known: &'p Known,
    pub(super) incident: &'p Incident,
    /// Why the incident has no target although the rule names one.
    pub(super) no_target: Option<String>,
}

impl Planner<'_> {
    /// The diagnostics with their parameters rendered.
    pub(super) fn diagnostics(&self) -> Vec<ReadyDiagnostic> {
        let scope = Scope::of_incident(self.incident, &[]);
        self.rule
            .diagnostics
            .iter()
            .zip(&self.ladder.diagnostics)
            .map(|(spec, compiled)| {
                let params = compiled.as_ref().map_err(Clone::clone).and_then(|checked| {
                    let rendered = self.ladder.templates.render_params(&checked.slots, &spec.params, &scope);
                    rendered.map_err(|error| error.to_string())
                });
                let timeout = self.catalog.diagnostic(&spec.kind).map_or(NO_TIME, |kind| kind.timeout);
                ReadyDiagnostic { spec: spec.clone(), params, timeout }
            })
            .collect()
    }

    /// The ladder over the findings.
    pub(super) fn candidates(&self, findings: &[Finding]) -> Vec<Candidate> {
        let scope = Scope::of_incident(self.incident, findings);
        let facts = ConditionFacts::new(&scope);
        self.rule
            .remedies
            .iter()
            .zip(&self.ladder.remedies)
            .map(|(spec, compiled)| self.candidate(spec, compiled, &scope, &facts))
            .collect()
    }

    fn candidate(
        &self,
        spec: &RemedySpec,
        compiled: &CompiledRemedy,
        scope: &Scope,
        facts: &ConditionFacts,
    ) -> Candidate {
        let kind = self.catalog.action(&spec.action.kind);
        // A floor that rose since the rule was stored holds as well.
        let tier = kind.map_or(spec.tier, |kind| spec.tier.max(kind.tier_floor));
        let performer = kind.map_or(Performer::Machine, |kind| kind.performer);
        let condition = compiled.when.as_ref().map_or(ConditionOutcome::Holds, |when| evaluate(when, facts));
        let inverse = match (&spec.rollback, &compiled.rollback) {
            (Some(rollback), Some(compiled)) => Some(self.plan(rollback, compiled, scope)),
            _ => None,
        };
        let (plan, touches) = match (self.planned(&spec.action, &compiled.action, scope), &inverse) {
            (_, Some(Err(why))) if must_undo(spec) => {
                (Err(format!("its rollback could not be planned: {why}")), Vec::new())
            }
            (Ok((plan, touches)), _) => (Ok(plan), touches),
            (Err(why), _) => (Err(why), Vec::new()),
        };
        let is_surveyed = kind.is_some_and(|kind| kind.is_surveyed);
        Candidate {
            remedy: spec.name.clone(),
            tier,
            performer,
            condition,
            not_set_up: self.missing([Some(&compiled.action), compiled.rollback.as_ref()]),
            plan,
            inverse: inverse.and_then(Result::ok),
            touches,
            survey: if is_surveyed { SurveyStanding::Missing } else { SurveyStanding::NotNeeded },
            guardrails: Vec::new(),
            tried: self.incident.tried_remedies().any(|tried| tried == spec.name),
        }
    }

    /// The actions that follow the end of the incident.
    pub(super) fn on_resolve(&self, findings: &[Finding]) -> Vec<Candidate> {
        let scope = Scope::of_incident(self.incident, findings);
        self.rule
            .on_resolve
            .iter()
            .zip(&self.ladder.on_resolve)
            .enumerate()
            .map(|(index, (spec, compiled))| {
                let kind = self.catalog.action(&spec.kind);
                Candidate {
                    remedy: format!("on-resolve-{}", index + 1),
                    tier: kind.map_or(Tier::T0, |kind| kind.tier_floor),
                    performer: kind.map_or(Performer::Machine, |kind| kind.performer),
                    condition: ConditionOutcome::Holds,
                    not_set_up: None,
                    plan: self
                        .missing([Some(compiled)])
                        .map_or_else(|| self.plan(spec, compiled, &scope), Err),
                    inverse: None,
                    touches: Vec::new(),
                    survey: SurveyStanding::NotNeeded,
                    guardrails: Vec::new(),
                    // A reopened incident may end again.
                    tried: false,
                }
            })
            .collect()
    }

    /// The checks of a remedy's verification, in the order of the rule. Empty for a remedy that is not there: fewer
    /// answers than checks prove nothing.
    pub(super) fn checks(&self, remedy: &str, findings: &[Finding]) -> Vec<ConditionOutcome> {
        let position = self.rule.remedies.iter().position(|spec| spec.name == remedy);
        let Some(compiled) = position.and_then(|at| self.ladder.remedies.get(at)) else { return Vec::new() };
        let facts = ConditionFacts::new(&Scope::of_incident(self.incident, findings));
        compiled.checks.iter().map(|check| evaluate(check, &facts)).collect()
    }

    /// What the settings lack of what these uses need.
    fn missing<'u>(&self, uses: impl IntoIterator<Item = Option<&'u Compiled>>) -> Option<String> {
        let checked = uses.into_iter().flatten().filter_map(|compiled| compiled.as_ref().ok());
        checked.flat_map(|checked| &checked.references).find_map(|reference| self.known.missing(reference))
    }

    fn plan(&self, spec: &ActionSpec, compiled: &Compiled, scope: &Scope) -> Result<ActionPlan, String> {
        self.planned(spec, compiled, scope).map(|(plan, _)| plan)
    }

    /// A plan, and what it would change where that is not its target alone.
    fn planned(
        &self,
        spec: &ActionSpec,
        compiled: &Compiled,
        scope: &Scope,
    ) -> Result<(ActionPlan, Vec<String>), String> {
        let checked = compiled.as_ref().map_err(Clone::clone)?;
        let kind =
            self.catalog.action(&spec.kind).ok_or_else(|| format!("this build knows no `{}`", spec.kind))?;
        let params = self
            .ladder
            .templates
            .render_params(&checked.slots, &spec.params, scope)
            .map_err(|error| error.to_string())?;
        let target = self.incident.target.as_ref();
        // Where the labels gave no target, that is why the action has none.
        let why = |error: ParamsError| match &self.no_target {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        };
        let outline = self.catalog.outline(kind, &params, target).map_err(why)?;
        let plan = ActionPlan {
            kind: spec.kind.clone(),
            params: outline.params.unwrap_or(params),
            target: outline.target.unwrap_or_else(|| self.own_target()),
            namespace: outline.namespace.or_else(|| self.incident.namespace().map(str::to_owned)),
            summary: cut(outline.summary, SUMMARY_BYTES_MAX),
            repeatability: outline.repeatability,
            basis: None,
            ttl: outline.ttl,
        };
        Ok((plan, outline.touches))
    }

    /// The incident's object, or the labels that it was grouped by.
    fn own_target(&self) -> String {
        if let Some(target) = &self.incident.target {
            return target.to_string();
        }
        let group = group_labels(&self.rule.group_by, &self.incident.labels);
        let text: Vec<String> = group.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let text = if text.is_empty() { self.incident.key.0.clone() } else { text.join(",") };
        cut(text, TARGET_BYTES_MAX)
    }
}

fn must_undo(spec: &RemedySpec) -> bool {
    spec.verify.as_ref().is_some_and(|verify| verify.on_fail == OnFail::Rollback)
}

pub(super) fn evaluate(
    condition: &Result<CompiledCondition, String>,
    facts: &ConditionFacts,
) -> ConditionOutcome {
    match condition {
        Ok(condition) => condition.evaluate(facts),
        Err(why) => ConditionOutcome::Unknown(why.clone()),
    }
}

#[cfg(test)]
mod tests;
