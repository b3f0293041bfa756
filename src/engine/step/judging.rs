//! What one event is judged over: the ladder of a rule over findings and guardrails, and the facts around it.
//!
//! Batches and rehearsals both come here, so that what `explain` says is what the service does.

use crate::domain::action::{Action, Tier};
use crate::domain::apply::Facts;
use crate::domain::decision::Candidate;
use crate::domain::diagnosis::{ConditionOutcome, Finding};
use crate::domain::guardrail::{self, GuardFacts, GuardrailVerdict, Peers, Subject};
use crate::domain::incident::Incident;
use crate::domain::schedule::Schedule;
use crate::domain::survey::Survey;
use crate::domain::vitals::Vitals;
use crate::engine::EngineSettings;
use crate::engine::playbook::{KeptPolicy, KeptRule, OWN_RULE, Playbook};
use crate::engine::ports::Ledger;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Facts of one event, owned while [`crate::domain::apply`] borrows them.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) candidates: Vec<Candidate>,
    pub(super) checks: Vec<ConditionOutcome>,
    pub(super) last_moment: Vec<GuardrailVerdict>,
    pub(super) on_resolve: Vec<Candidate>,
    pub(super) notes: Vec<String>,
    pub(super) told_by: Option<String>,
}

impl Gathered {
    /// The facts for one event of an incident under this rule and policy.
    pub(super) fn facts<'f>(
        &'f self,
        playbook: &dyn Playbook,
        rule: &'f KeptRule,
        policy: Option<&'f KeptPolicy>,
        schedules: &'f BTreeMap<String, Schedule>,
        settings: &'f EngineSettings,
    ) -> Facts<'f> {
        Facts {
            rule: &rule.rule,
            policy: policy.map(|kept| &kept.policy),
            policy_hash: policy.map(|kept| &kept.hash),
            schedules,
            default_destinations: if rule.rule.name == OWN_RULE && settings.default_destinations.is_empty() {
                // What is wrong with the service itself must reach somebody.
                &settings.fallback_destinations
            } else if playbook.is_unmatched(rule) {
                &settings.unmatched_destinations
            } else {
                &settings.default_destinations
            },
            fallback_destinations: &settings.fallback_destinations,
            candidates: &self.candidates,
            checks: &self.checks,
            last_moment: &self.last_moment,
            on_resolve: &self.on_resolve,
            looks_first: looks_first(playbook, rule),
            silence_max: settings.silence_max,
            told_by: self.told_by.as_deref(),
            notes: &self.notes,
        }
    }
}

/// Whether every decision about a rule's incidents needs a look at the world right before it.
fn looks_first(playbook: &dyn Playbook, rule: &KeptRule) -> bool {
    let runs_alone = rule.rule.remedies.iter().any(|remedy| remedy.tier == Tier::T1);
    runs_alone || playbook.is_surveyed(rule)
}

/// What ladders are judged by.
pub(super) struct Judge<'j> {
    pub(super) playbook: &'j dyn Playbook,
    pub(super) settings: &'j EngineSettings,
    /// None where it could not be read: nothing is judged then, and what is not judged is not done.
    pub(super) ledger: Option<&'j Ledger>,
    /// Other open incidents; none where they could not be counted.
    pub(super) peers: Option<Peers>,
    /// Whether monitoring works; none where nobody has looked.
    pub(super) vitals: Option<&'j Vitals>,
    /// Whether targets that nobody has looked at are taken to allow what is planned: in rehearsals alone.
    pub(super) assumes_targets: bool,
    /// The action that people answer about: it stays theirs to decide, even where the machine might do it alone by now.
    pub(super) asked: Option<&'j Action>,
    pub(super) now: Timestamp,
}

impl Judge<'_> {
    /// The ladder of an incident's rule, judged over findings and guardrails.
    pub(super) fn ladder(
        &self,
        rule: &KeptRule,
        incident: &Incident,
        findings: &[Finding],
        surveys: &[Survey],
    ) -> Vec<Candidate> {
        let facts = self.guard_facts(rule);
        let mut candidates = self.playbook.candidates(rule, incident, findings);
        for candidate in &mut candidates {
            candidate.take_survey(surveys);
            if self.assumes_targets {
                candidate.assume_survey();
            }
            if let Some(asked) = self.asked.filter(|asked| asked.remedy == candidate.remedy) {
                candidate.tier = candidate.tier.max(asked.tier);
            }
            if candidate.survey.is_refused() {
                candidate.guardrails.extend(guardrail::dark_cluster(self.vitals, self.now));
            }
            if !candidate.is_guarded() {
                continue;
            }
            let alone = self.settings.alone;
            if candidate.tier == Tier::T1 && guardrail::asks_instead(alone, self.peers, self.vitals) {
                candidate.tier = Tier::T2;
            }
            if let Some(facts) = &facts {
                candidate.guardrails = self.guard(rule, incident, candidate, facts);
            }
        }
        candidates
    }

    fn guard(
        &self,
        rule: &KeptRule,
        incident: &Incident,
        candidate: &Candidate,
        facts: &GuardFacts,
    ) -> Vec<GuardrailVerdict> {
        let Ok(plan) = &candidate.plan else { return Vec::new() };
        let subject = Subject {
            remedy: &format!("{}/{}", rule.rule.name, candidate.remedy),
            target: &plan.target,
            namespace: plan.namespace.as_deref(),
            cooldown: rule.rule.remedy(&candidate.remedy).and_then(|remedy| remedy.cooldown),
            tier: candidate.tier,
            touch: candidate.touch(),
            action: None,
            standing: incident.standing(),
        };
        guardrail::judge(subject, facts, self.now)
    }

    fn guard_facts(&self, rule: &KeptRule) -> Option<GuardFacts> {
        let ledger = self.ledger?;
        Some(GuardFacts {
            pauses: ledger.pauses.clone(),
            dry_run: self.settings.dry_run || rule.rule.dry_run,
            mode: rule.rule.mode,
            freeze: self.settings.open_freeze(self.now),
            starts: ledger.starts.clone(),
            limits: self.settings.limits.clone(),
            scope: self.settings.scope.clone(),
            radius: self.settings.radius,
            alone: self.settings.alone,
            booted_at: self.settings.booted_at,
            peers: self.peers,
            vitals: self.vitals.cloned(),
        })
    }
}
