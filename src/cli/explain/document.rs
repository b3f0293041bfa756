//! What `explain` says, as one document: printed as it is for scripts, and laid out by [`super::page`] for people.
//!
//! `alerts[].fingerprint`, `.rule`, `.decisions[].remedy`, `.decision`, `.reason` and `.guardrails` are a contract.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::payload::Unread;
use crate::app::explain::Explained;
use crate::domain::Labels;
use crate::domain::action::ActionPlan;
use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::decision::{self, Candidate, Decision, RemedyDecision};
use crate::domain::diagnosis::ConditionOutcome;
use crate::domain::escalation::EscalationStep;
use crate::domain::guardrail::{Guardrail, GuardrailVerdict};
use crate::domain::rule::RuleMode;
use crate::domain::survey::SurveyStanding;
use crate::engine::step::rehearsal::{Rehearsal, Telling};
use crate::http::api::shapes::FindingShape;

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    /// The time for which it is true.
    pub(super) at: Timestamp,
    /// How many alerts Alertmanager left out of the payload.
    pub(super) truncated_alerts: u64,
    /// One entry for each alert of the payload, in order.
    pub(super) alerts: Vec<AlertEntry>,
}

/// One alert.
#[derive(Debug, Serialize)]
pub(super) struct AlertEntry {
    /// Null for an alert that cannot be read.
    pub(super) fingerprint: Option<String>,
    /// `firing`, `resolved`, or `unreadable`.
    pub(super) status: &'static str,
    /// Why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unreadable: Option<String>,
    pub(super) labels: Labels,
    /// Whether a rule of the files answers, and not the implicit one for all others.
    pub(super) matched: bool,
    /// The first rule that answers.
    #[serde(flatten)]
    pub(super) answer: RuleEntry,
    /// Further rules that answer, because those before them say `continue` or are in shadow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) also: Vec<RuleEntry>,
    /// Rules that match as well and are not reached.
    pub(super) not_reached: Vec<String>,
}

/// What one rule makes of one alert.
#[derive(Debug, Default, Serialize)]
pub(super) struct RuleEntry {
    pub(super) rule: Option<String>,
    #[serde(flatten)]
    pub(super) incident: Option<IncidentEntry>,
    pub(super) decisions: Vec<DecisionEntry>,
    pub(super) escalation: Vec<TellingEntry>,
}

/// The incident that would be opened.
#[derive(Debug, Serialize)]
pub(super) struct IncidentEntry {
    /// `live` or `shadow`.
    pub(super) mode: RuleMode,
    /// The live rule that tells people, where this one is in shadow beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) told_by: Option<String>,
    pub(super) severity: String,
    pub(super) summary: String,
    pub(super) runbook: Option<String>,
    pub(super) target: Option<String>,
    /// What makes alerts belong to it.
    pub(super) incident_key: String,
    /// Index of the alert that opens it, where that is an earlier one of this payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) joins_alert: Option<usize>,
    /// What could not be had as the rule wants it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) notes: Vec<String>,
    /// Where the machine would stand once it has decided.
    pub(super) phase: &'static str,
    pub(super) policy: Option<String>,
    pub(super) findings: Vec<FindingShape>,
}

/// What one remedy would come to.
#[derive(Debug, Serialize)]
pub(super) struct DecisionEntry {
    pub(super) remedy: String,
    /// `run`, `ask`, `simulate`, `block` or `skip`.
    pub(super) decision: &'static str,
    /// A sentence.
    pub(super) reason: String,
    /// The same as one word.
    pub(super) reason_code: &'static str,
    pub(super) tier: &'static str,
    /// The condition as the rule has it; null for a remedy that always applies.
    pub(super) when: Option<String>,
    /// `holds`, `fails` or `unknown`.
    pub(super) condition: &'static str,
    /// What it would be by itself: its condition taken to hold, and no remedy before it taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) if_it_applied: Option<Verdict>,
    /// Null where it cannot be planned; the reason says why.
    pub(super) plan: Option<PlanEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) plan_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rollback: Option<PlanEntry>,
    /// What each guardrail says; empty for what touches nothing or is done by people.
    pub(super) guardrails: Vec<GuardrailVerdict>,
    /// What the decision takes for granted, since nobody has looked at the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) assumed: Option<Assumed>,
    /// What a look at the target wants people to know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) notes: Vec<String>,
}

/// What is taken for granted of a target that nobody has looked at.
#[derive(Debug, Serialize)]
pub(super) struct Assumed {
    /// A sentence.
    pub(super) reason: String,
    /// Guardrails that cannot be judged without a look.
    pub(super) not_judged: Vec<&'static str>,
    /// What a look may add to the tier.
    pub(super) tier: &'static str,
}

/// Why the tier of a plan may be higher than it is shown, once somebody looks.
const TIER_MAY_RISE: &str = "at least this one: it is higher where the target keeps state, is scaled down or to zero, or \
                             belongs to Argo CD, Flux or Helm";

/// A decision that would be taken under other circumstances.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    pub(super) decision: &'static str,
    pub(super) reason: String,
}

/// An action with all its values.
#[derive(Debug, Serialize)]
pub(super) struct PlanEntry {
    pub(super) kind: String,
    pub(super) summary: String,
    pub(super) target: String,
    pub(super) namespace: Option<String>,
    pub(super) params: Value,
    /// What an approval would be for.
    pub(super) digest: String,
}

/// Somebody would be told.
#[derive(Debug, Serialize)]
pub(super) struct TellingEntry {
    pub(super) at: Timestamp,
    pub(super) level: String,
    pub(super) destinations: Vec<String>,
    /// Who is on call there, by their names.
    pub(super) on_call: Vec<String>,
    /// Levels that are off hours then, or that tell whoever is on call when nobody is.
    pub(super) skipped: Vec<String>,
    /// The same with the reasons, for people.
    #[serde(skip)]
    pub(super) skipped_why: Vec<String>,
    /// Seconds after which the same is told again, and again, until somebody acknowledges; null where it
    /// is not.
    pub(super) again_every_seconds: Option<i64>,
}

impl Document {
    /// Whether a decision rests on a target that nobody has looked at.
    pub(super) fn assumes_targets(&self) -> bool {
        let answers = self.alerts.iter().flat_map(AlertEntry::answers);
        answers.flat_map(|answer| &answer.decisions).any(|decision| decision.assumed.is_some())
    }

    /// Whether every alert could be read.
    pub(super) fn is_whole(&self) -> bool {
        self.alerts.iter().all(|alert| alert.unreadable.is_none())
    }

    /// Names of all diagnostics of the rules that answer.
    pub(super) fn diagnostics(&self) -> BTreeSet<&str> {
        let answers = self.alerts.iter().flat_map(AlertEntry::answers);
        let incidents = answers.filter_map(|answer| answer.incident.as_ref());
        incidents.flat_map(|incident| &incident.findings).map(|finding| finding.name.as_str()).collect()
    }
}

impl AlertEntry {
    pub(super) fn of(alert: &Alert, explained: &Explained<'_>) -> Self {
        let mut answers = match alert.status {
            AlertStatus::Firing => explained.rehearsals.iter().map(RuleEntry::of).collect::<Vec<_>>(),
            AlertStatus::Resolved => explained
                .rules
                .iter()
                .map(|kept| RuleEntry { rule: Some(kept.rule.name.clone()), ..RuleEntry::default() })
                .collect(),
        }
        .into_iter();
        Self {
            fingerprint: Some(alert.fingerprint.to_string()),
            status: alert.status.as_str(),
            unreadable: None,
            labels: alert.labels.clone(),
            matched: !explained.is_unmatched(),
            answer: answers.next().unwrap_or_default(),
            also: answers.collect(),
            not_reached: explained.not_reached.clone(),
        }
    }

    pub(super) fn unread(Unread(why): Unread) -> Self {
        Self {
            fingerprint: None,
            status: "unreadable",
            unreadable: Some(why),
            labels: Labels::new(),
            matched: false,
            answer: RuleEntry::default(),
            also: Vec::new(),
            not_reached: Vec::new(),
        }
    }

    pub(super) fn answers(&self) -> impl Iterator<Item = &RuleEntry> {
        std::iter::once(&self.answer).chain(&self.also)
    }

    pub(super) fn answers_mut(&mut self) -> impl Iterator<Item = &mut RuleEntry> {
        std::iter::once(&mut self.answer).chain(&mut self.also)
    }
}

impl RuleEntry {
    /// Whether the rule only records what it would do.
    pub(super) fn is_in_shadow(&self) -> bool {
        self.incident.as_ref().is_some_and(|incident| incident.mode.is_shadow())
    }

    fn of(rehearsal: &Rehearsal<'_>) -> Self {
        let incident = rehearsal.incident();
        let decisions = rehearsal
            .decisions()
            .map(|(candidate, decision)| {
                let when =
                    rehearsal.rule().rule.remedy(&candidate.remedy).and_then(|spec| spec.when.as_ref());
                DecisionEntry::of(candidate, decision, when.map(|when| when.0.clone()), incident.mode)
            })
            .collect();
        Self {
            rule: Some(incident.rule.clone()),
            incident: Some(IncidentEntry {
                mode: incident.mode,
                told_by: incident.told_by.clone(),
                severity: incident.severity.to_string(),
                summary: incident.summary.clone(),
                runbook: incident.runbook.clone(),
                target: incident.target.as_ref().map(ToString::to_string),
                incident_key: incident.key.0.clone(),
                joins_alert: None,
                notes: rehearsal.notes().to_vec(),
                phase: incident.phase.as_str(),
                policy: rehearsal.policy().map(|kept| kept.policy.name.clone()),
                findings: rehearsal.findings().iter().map(FindingShape::from).collect(),
            }),
            decisions,
            escalation: escalation(rehearsal),
        }
    }

    /// Notes the alert that opens the incident, which is this one where none came before it.
    pub(super) fn joins(&mut self, first_of: &mut BTreeMap<String, usize>, index: usize) {
        if let Some(incident) = &mut self.incident {
            let first = *first_of.entry(incident.incident_key.clone()).or_insert(index);
            incident.joins_alert = (first != index).then_some(first);
        }
    }
}

impl DecisionEntry {
    fn of(candidate: &Candidate, decided: &RemedyDecision, when: Option<String>, mode: RuleMode) -> Self {
        let if_it_applied = (decided.decision == Decision::Skip).then(|| {
            let free = Candidate { condition: ConditionOutcome::Holds, tried: false, ..candidate.clone() };
            let (decision, reason) = decision::judge(&free, mode);
            Verdict { decision: decision.as_str(), reason: reason.to_string() }
        });
        Self {
            remedy: decided.remedy.clone(),
            decision: decided.decision.as_str(),
            reason: decided.reason.to_string(),
            reason_code: decided.reason.word(),
            tier: candidate.tier.as_str(),
            when,
            condition: match &candidate.condition {
                ConditionOutcome::Holds => "holds",
                ConditionOutcome::Fails => "fails",
                ConditionOutcome::Unknown(_) => "unknown",
            },
            if_it_applied,
            plan: candidate.plan.as_ref().ok().map(PlanEntry::of),
            plan_error: candidate.plan.as_ref().err().cloned(),
            rollback: candidate.inverse.as_ref().map(PlanEntry::of),
            guardrails: candidate.guardrails.clone(),
            assumed: Assumed::of(candidate),
            notes: candidate.notes().to_vec(),
        }
    }
}

impl Assumed {
    fn of(candidate: &Candidate) -> Option<Self> {
        let (SurveyStanding::Assumed, Ok(plan)) = (&candidate.survey, &candidate.plan) else { return None };
        // What a manifest would put in place is told by its objects; of what is selected only the selection is known.
        let named = candidate.touches.iter().all(|object| object.contains('/'));
        let objects = match candidate.touches.as_slice() {
            [] => plan.target.clone(),
            _ if !named => plan.target.clone(),
            objects => objects.join(", "),
        };
        let reason =
            format!("nobody has looked at {objects}: the cluster is taken to allow this as it is planned");
        let verdicts = candidate.guardrails.iter().map(|verdict| verdict.guardrail);
        let not_judged = verdicts.filter(|one| one.needs_a_look()).map(Guardrail::as_str).collect();
        Some(Self { reason, not_judged, tier: TIER_MAY_RISE })
    }
}

impl PlanEntry {
    fn of(plan: &ActionPlan) -> Self {
        Self {
            kind: plan.kind.clone(),
            summary: plan.summary.clone(),
            target: plan.target.clone(),
            namespace: plan.namespace.clone(),
            params: plan.params.clone(),
            digest: plan.digest().0,
        }
    }
}

/// Who is told, in order. The rehearsal ends with the first fallback; what follows is the same again.
fn escalation(rehearsal: &Rehearsal<'_>) -> Vec<TellingEntry> {
    let mut entries: Vec<TellingEntry> = rehearsal.tellings().iter().map(TellingEntry::of).collect();
    let next = rehearsal.incident().escalation.as_ref().and_then(|state| state.next);
    let repeats = next.filter(|next| matches!(next.step, EscalationStep::Fallback(lap) if lap > 0));
    if let (Some(last), Some(next)) = (entries.last_mut(), repeats) {
        last.again_every_seconds = Some(next.due_at.duration_since(last.at).as_secs());
    }
    entries
}

impl TellingEntry {
    fn of(telling: &Telling) -> Self {
        Self {
            at: telling.at,
            level: telling.told.name.clone(),
            destinations: telling.told.destinations.iter().map(ToString::to_string).collect(),
            on_call: telling.told.on_call.clone(),
            skipped: telling.told.skipped.iter().map(|skipped| skipped.name.clone()).collect(),
            skipped_why: telling.told.skipped.iter().map(ToString::to_string).collect(),
            again_every_seconds: None,
        }
    }
}
