//! What an alert would bring about: the same events through the same functions, and nothing is stored.
//!
//! A rehearsal opens an incident for one alert under one rule, takes in findings, decides, goes on behind remedies
//! that touch nothing, and lets the escalation run while nobody acknowledges. It has no store: nothing is paused and
//! no action has started before, unless the caller's ledger says so. It must never be handed anything that reaches
//! the world: `act` is asked for T0 alone.

use super::arrivals::{Opens, opens, told_by};
use super::judging::{Gathered, Judge};
use crate::domain::action::{ActionOutcome, ActionStatus, Step, Tier};
use crate::domain::alert::{Alert, Observation};
use crate::domain::apply::{self, Told, Transition};
use crate::domain::decision::{Candidate, Reason, RemedyDecision};
use crate::domain::diagnosis::{DiagnosisPurpose, Finding};
use crate::domain::effect::Wake;
use crate::domain::escalation::EscalationStep;
use crate::domain::event::Event;
use crate::domain::guardrail::Peers;
use crate::domain::incident::{Incident, IncidentId, Phase};
use crate::domain::survey::Survey;
use crate::domain::vitals::Vitals;
use crate::engine::EngineSettings;
use crate::engine::playbook::{KeptPolicy, KeptRule, Playbook};
use crate::engine::ports::{ActionContext, Actor, IncidentView, Ledger};
use jiff::Timestamp;
use std::sync::Arc;

/// Steps of the escalation that are walked. Levels with their reminders and a few repeats are far fewer; a policy may
/// repeat without end.
const ESCALATION_STEPS_MAX: usize = 100;

/// Identity of an incident that does not exist; it has the form of a real one, so that whatever is rendered with it
/// is as long and as valid.
const NO_INCIDENT: &str = "00000000000000000000000000000000";

/// What a rehearsal goes by.
#[derive(Clone, Copy)]
pub struct Stage<'s> {
    /// The rules.
    pub playbook: &'s dyn Playbook,
    /// What the operator decides.
    pub settings: &'s EngineSettings,
    /// Pauses and starts that guardrails are judged over.
    pub ledger: &'s Ledger,
    /// Nobody looks at targets: they are taken to allow what is planned.
    pub assumes_targets: bool,
    /// When the alert arrives.
    pub now: Timestamp,
}

/// Somebody would be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    /// When.
    pub at: Timestamp,
    /// Whom, and as what.
    pub told: Told,
}

/// An incident that one alert would open, as far as it was rehearsed.
pub struct Rehearsal<'s> {
    stage: Stage<'s>,
    rule: Arc<KeptRule>,
    policy: Option<Arc<KeptPolicy>>,
    incident: Incident,
    findings: Vec<Finding>,
    surveys: Vec<Survey>,
    /// What was said of monitoring, and what of that the decision at hand may go by.
    signs: Option<Vitals>,
    vitals: Option<Vitals>,
    candidates: Vec<Candidate>,
    decisions: Vec<RemedyDecision>,
    tellings: Vec<Telling>,
    notes: Vec<String>,
    told_by: Option<String>,
}

impl<'s> Rehearsal<'s> {
    /// The alert fires and opens an incident.
    pub fn open(stage: Stage<'s>, rule: Arc<KeptRule>, alert: &Alert) -> Self {
        let key = stage.playbook.key(&rule, alert);
        let id = IncidentId(NO_INCIDENT.to_owned());
        let Opens { opening, policy, notes } = opens(stage.playbook, id, key, &rule, alert);
        let mut rehearsal = Self {
            stage,
            rule,
            policy,
            incident: Incident::open(opening, stage.now),
            findings: Vec::new(),
            surveys: Vec::new(),
            signs: None,
            vitals: None,
            candidates: Vec::new(),
            decisions: Vec::new(),
            tellings: Vec::new(),
            notes,
            told_by: told_by(&stage.playbook.matching(alert)),
        };
        let seen = Event::AlertSeen {
            alert: Arc::new(alert.clone()),
            observation: Observation::Started,
            counted: false,
            found: false,
        };
        rehearsal.happen(seen, stage.now);
        rehearsal
    }

    /// All diagnostics of the rule have answered, and targets were looked at; the ladder is decided.
    pub fn diagnosed(&mut self, findings: Vec<Finding>, surveys: Vec<Survey>, vitals: Option<Vitals>) {
        if self.incident.phase == Phase::Diagnosing {
            self.findings.clone_from(&findings);
            self.surveys.clone_from(&surveys);
            self.signs.clone_from(&vitals);
            self.vitals.clone_from(&vitals);
            let round = self.incident.diagnosis_round;
            self.happen(
                Event::DiagnosisDone { purpose: DiagnosisPurpose::Decide, round, findings, surveys, vitals },
                self.stage.now,
            );
        }
    }

    /// Carries out what was taken and touches nothing (T0), since the ladder goes on behind it. Anything else is left
    /// as it was decided.
    pub async fn carry_out_what_touches_nothing(&mut self, actor: &dyn Actor) {
        for _ in 0..apply::ACTIONS_MAX {
            let next = self.incident.current_action().cloned();
            let Some(action) =
                next.filter(|action| action.tier == Tier::T0 && action.status == ActionStatus::Approved)
            else {
                return;
            };
            let step = Step::Apply;
            self.happen(
                Event::ActionStarting { action: action.id.clone(), step, attempt: 1 },
                self.stage.now,
            );
            let context = ActionContext {
                now: self.stage.now,
                key: format!("{}-{}", action.id, step.as_str()),
                step,
                view: Some(Box::new(self.view())),
            };
            // What was seen before the last decision is old by now, and the service keeps none of it.
            self.vitals = None;
            let outcome: ActionOutcome = actor.act(&action.plan, context).await;
            self.happen(Event::ActionEnded { action: action.id, step, outcome }, self.stage.now);
            // Where even that failed, evidence is gathered anew; it would find the same.
            self.diagnosed(self.findings.clone(), self.surveys.clone(), self.signs.clone());
        }
    }

    /// Lets time pass while nobody acknowledges, until the fallback was told once.
    pub fn escalate(&mut self) {
        for _ in 0..ESCALATION_STEPS_MAX {
            let Some(next) = self.incident.escalation.as_ref().and_then(|state| state.next) else { return };
            let wake = self
                .incident
                .wakes
                .iter()
                .find(|(wake, _)| *wake == Wake::Escalate)
                .map(|(_, id)| id.clone());
            let Some(effect) = wake else { return };
            if matches!(next.step, EscalationStep::Fallback(lap) if lap > 0) {
                return;
            }
            self.happen(Event::Woken { effect, wake: Wake::Escalate }, next.due_at);
        }
    }

    /// Lets one event happen, and the decision that it calls for.
    fn happen(&mut self, event: Event, at: Timestamp) {
        let Some(transition) = self.apply(event, at) else { return };
        let mut wants_decision = transition.wants_decision;
        while wants_decision {
            let judge = Judge {
                playbook: self.stage.playbook,
                settings: self.stage.settings,
                ledger: Some(self.stage.ledger),
                peers: Some(Peers::NONE),
                vitals: self.vitals.as_ref(),
                assumes_targets: self.stage.assumes_targets,
                asked: None,
                now: at,
            };
            let candidates = judge.ladder(&self.rule, &self.incident, &self.findings, &self.surveys);
            if self.candidates.is_empty() {
                self.candidates.clone_from(&candidates);
            }
            let Some(decided) = self.apply_with(Event::Decide, at, candidates.clone()) else { return };
            self.note(&decided.decisions, &candidates);
            wants_decision = decided.wants_decision;
        }
    }

    fn apply(&mut self, event: Event, at: Timestamp) -> Option<Transition> {
        self.apply_with(event, at, Vec::new())
    }

    fn apply_with(&mut self, event: Event, at: Timestamp, candidates: Vec<Candidate>) -> Option<Transition> {
        let gathered = Gathered {
            candidates,
            notes: self.notes.clone(),
            told_by: self.told_by.clone(),
            ..Gathered::default()
        };
        let schedules = self.stage.playbook.schedules();
        let facts = gathered.facts(
            self.stage.playbook,
            &self.rule,
            self.policy.as_deref(),
            &schedules,
            self.stage.settings,
        );
        // Only persons are refused, and there are none in a rehearsal.
        let mut transition = apply::apply(self.incident.clone(), event, &facts, at).ok()?;
        self.incident = transition.incident.clone();
        self.tellings.extend(transition.told.drain(..).map(|told| Telling { at, told }));
        Some(transition)
    }

    /// Keeps the first real decision about each remedy. Where an earlier one was taken and touched nothing, the later
    /// ones are decided again; that an earlier one was tried by then is no news.
    fn note(&mut self, decisions: &[RemedyDecision], candidates: &[Candidate]) {
        for decision in decisions {
            match self.decisions.iter_mut().find(|known| known.remedy == decision.remedy) {
                None => self.decisions.push(decision.clone()),
                Some(known) if known.reason == Reason::EarlierRemedyTaken => {
                    known.clone_from(decision);
                    // It is shown as it was judged for this decision.
                    let judged = candidates.iter().find(|one| one.remedy == decision.remedy);
                    let shown = self.candidates.iter_mut().find(|one| one.remedy == decision.remedy);
                    if let (Some(judged), Some(shown)) = (judged, shown) {
                        shown.clone_from(judged);
                    }
                }
                Some(_) => {}
            }
        }
    }

    fn view(&self) -> IncidentView {
        IncidentView {
            incident: self.incident.clone(),
            alerts: Vec::new(),
            findings: self.findings.clone(),
            documents: Vec::new(),
            timeline: Vec::new(),
        }
    }

    /// The rule.
    pub fn rule(&self) -> &Arc<KeptRule> {
        &self.rule
    }

    /// The escalation policy.
    pub fn policy(&self) -> Option<&KeptPolicy> {
        self.policy.as_deref()
    }

    /// The incident as it would stand.
    pub fn incident(&self) -> &Incident {
        &self.incident
    }

    /// What could not be had as the rule wants it.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What was found.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Each remedy of the ladder with what was decided about it, in order; none before there are findings.
    pub fn decisions(&self) -> impl Iterator<Item = (&Candidate, &RemedyDecision)> {
        self.candidates.iter().zip(&self.decisions)
    }

    /// Who would be told, in order.
    pub fn tellings(&self) -> &[Telling] {
        &self.tellings
    }
}
