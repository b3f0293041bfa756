//! One incident while a batch works on it.

use crate::domain::Labels;
use crate::domain::action::ActionStatus;
use crate::domain::apply::{Document, Transition};
use crate::domain::correlate::CorrelationKey;
use crate::domain::diagnosis::{DiagnosisPurpose, Finding};
use crate::domain::event::Event;
use crate::domain::guardrail::Peers;
use crate::domain::incident::{Incident, Opening};
use crate::domain::rule::{RuleHash, RuleMode};
use crate::domain::survey::Survey;
use crate::domain::timeline::TimelineLine;
use crate::domain::vitals::Vitals;
use crate::engine::playbook::{KeptPolicy, KeptRule};
use crate::engine::ports::IncidentWrite;
use std::sync::Arc;

/// An incident with its rule, and what has come together for it so far.
pub(super) struct Working {
    pub(super) incident: Incident,
    pub(super) rule: Arc<KeptRule>,
    pub(super) policy: Option<Arc<KeptPolicy>>,
    /// Findings as they stand, once somebody needed them.
    pub(super) findings: Option<Vec<Finding>>,
    /// What remedies would do to their targets, by the round of diagnostics that this batch takes in.
    pub(super) surveys: Vec<Survey>,
    /// Whether monitoring works, by the same round.
    pub(super) vitals: Option<Vitals>,
    /// How many targets are in trouble beside it, once somebody needed it.
    pub(super) peers: Option<Peers>,
    /// For an incident that this batch opens: what could not be had as the rule wants it.
    pub(super) notes: Vec<String>,
    /// For an alert that starts in an incident of a rule in shadow: the live rule that tells people of it.
    pub(super) told_by: Option<String>,
    loaded_version: u64,
    changed: bool,
    lines: Vec<TimelineLine>,
    new_findings: Vec<Finding>,
    documents: Vec<Document>,
}

impl Working {
    pub(super) fn new(incident: Incident, rule: Arc<KeptRule>, policy: Option<Arc<KeptPolicy>>) -> Self {
        // A new incident has no findings that would have to be looked up.
        let findings = incident.is_new().then(Vec::new);
        let loaded_version = incident.version;
        Self {
            incident,
            rule,
            policy,
            findings,
            surveys: Vec::new(),
            vitals: None,
            peers: None,
            notes: Vec::new(),
            told_by: None,
            loaded_version,
            changed: false,
            lines: Vec::new(),
            new_findings: Vec::new(),
            documents: Vec::new(),
        }
    }

    /// Hands the incident out without a copy of it. Whoever takes it brings the next one back with the transition, or
    /// gives up the whole batch.
    pub(super) fn take_incident(&mut self) -> Incident {
        let nothing = Opening {
            id: self.incident.id.clone(),
            key: CorrelationKey(String::new()),
            rule: String::new(),
            rule_hash: RuleHash(String::new()),
            mode: RuleMode::Live,
            severity: self.incident.severity,
            summary: String::new(),
            runbook: None,
            target: None,
            labels: Labels::new(),
            annotations: Labels::new(),
        };
        let at = self.incident.updated_at;
        std::mem::replace(&mut self.incident, Incident::open(nothing, at))
    }

    /// Takes in what a transition brought, except what belongs to the whole batch.
    pub(super) fn absorb(&mut self, transition: &mut Transition) {
        self.changed |= transition.changed;
        self.lines.append(&mut transition.lines);
        self.documents.append(&mut transition.documents);
        if !transition.findings.is_empty() {
            let known = self.findings.get_or_insert_with(Vec::new);
            for finding in &transition.findings {
                known.retain(|old| old.name != finding.name);
                known.push(finding.clone());
                self.new_findings.retain(|old| old.name != finding.name);
            }
            self.new_findings.append(&mut transition.findings);
        }
    }

    /// Whether this batch opens it.
    pub(super) fn is_new(&self) -> bool {
        self.loaded_version == 0
    }

    /// Whether an event needs the findings of the incident to be judged.
    pub(super) fn needs_findings(&self, event: &Event) -> bool {
        match event {
            Event::Decide
            | Event::Ballot { .. }
            | Event::DiagnosisDone { purpose: DiagnosisPurpose::Recheck(_), .. } => {
                !self.rule.rule.diagnostics.is_empty()
            }
            _ => false,
        }
    }

    /// Whether an event may end the incident, so that the actions that follow its end must be at hand.
    pub(super) fn may_end(&self, event: &Event) -> bool {
        if self.rule.rule.on_resolve.is_empty() {
            return false;
        }
        let last_alert = self.incident.alerts.firing <= 1;
        match event {
            Event::AlertSeen { .. } => last_alert,
            Event::Resolve { .. } | Event::Heard(_) => true,
            _ => {
                self.incident.alerts.firing == 0
                    && self.incident.actions.iter().any(|action| action.status != ActionStatus::Cancelled)
            }
        }
    }

    pub(super) fn into_write(self) -> Option<IncidentWrite> {
        self.changed.then_some(IncidentWrite {
            loaded_version: self.loaded_version,
            incident: self.incident,
            lines: self.lines,
            findings: self.new_findings,
            documents: self.documents,
        })
    }
}
