//! A batch on its way from the inputs to one commit.

use super::crowds::{Crowds, Member};
use super::judging::{Gathered, Judge};
use super::looking_up::needs_ledger;
use super::reading::{Read, ReadAlert, Reading};
use super::touched::Touched;
use super::working::Working;
use super::{Input, Judged, Lease, StepReport, Stepper, Taken, arrivals, people};
use crate::domain::action::ActionId;
use crate::domain::apply::{self, Refused, Transition};
use crate::domain::correlate::CorrelationKey;
use crate::domain::decision::{Candidate, RemedyDecision};
use crate::domain::diagnosis::{ConditionOutcome, DiagnosisPurpose, Finding};
use crate::domain::effect::Wake;
use crate::domain::event::Event;
use crate::domain::guardrail::StartEnd;
use crate::domain::incident::{Incident, IncidentId};
use crate::domain::rule::RuleHash;
use crate::domain::survey::{Survey, SurveyStanding};
use crate::engine::playbook::{KeptPolicy, KeptRule};
use crate::engine::ports::{Commit, Delivery, Ledger, StoreError, Wanted};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::time::Instant;

/// Everything that one attempt at a step holds.
pub(super) struct Batch<'s> {
    pub(super) stepper: &'s Stepper,
    pub(super) now: Timestamp,
    /// Incidents that this batch works on, and the order in which they came.
    pub(super) working: HashMap<IncidentId, Working>,
    order: Vec<IncidentId>,
    /// The incident that stands for a key: open, or ended last.
    pub(super) by_key: HashMap<CorrelationKey, IncidentId>,
    pub(super) memory: arrivals::Memory,
    read: HashMap<String, Result<Read, String>>,
    pub(super) commit: Commit,
    pub(super) ledger: Option<Ledger>,
    /// Who is in trouble together, once somebody needed to know.
    pub(super) crowds: Option<Crowds>,
    /// How far back the ledger reaches, once it is there.
    pub(super) ledger_since: Timestamp,
    report: StepReport,
    decisions: Vec<RemedyDecision>,
    touched: Touched,
    /// What the step touches that is being written meanwhile.
    pub(super) ahead: Option<&'s Touched>,
}

impl<'s> Batch<'s> {
    /// Reads the inputs and loads what they concern; none where that meets what the step ahead of it touches, whose
    /// outcome is not known yet.
    pub(super) async fn load(
        stepper: &'s Stepper,
        inputs: &[Input],
        now: Timestamp,
        ahead: Option<&'s Touched>,
    ) -> Result<Option<Self>, StoreError> {
        let mut batch = Self {
            stepper,
            now,
            working: HashMap::new(),
            order: Vec::new(),
            by_key: HashMap::new(),
            memory: arrivals::Memory::default(),
            read: HashMap::new(),
            commit: Commit { at: Some(now), ..Commit::default() },
            ledger: None,
            crowds: None,
            ledger_since: Timestamp::MAX,
            report: StepReport::default(),
            decisions: Vec::new(),
            touched: Touched::default(),
            ahead,
        };
        let wanted = batch.wanted(inputs).await?;
        if ahead.is_some_and(|ahead| ahead.meets(&wanted)) {
            return Ok(None);
        }
        batch.touched = Touched::asked(&wanted);
        let loaded = stepper.store.load(wanted).await?;
        let meets = |ahead: &Touched| loaded.incidents.iter().any(|incident| ahead.meets_incident(incident));
        if ahead.is_some_and(meets) {
            return Ok(None);
        }
        batch.memory.fill(loaded.alerts);
        for incident in loaded.incidents {
            batch.stands_for_key(&incident);
            batch.adopt(incident).await?;
        }
        Ok(Some(batch))
    }

    async fn wanted(&mut self, inputs: &[Input]) -> Result<Wanted, StoreError> {
        let mut wanted = Wanted::default();
        let mut deliveries = Vec::new();
        for input in inputs {
            match input {
                Input::Event { incident, event: Some(_), .. } => wanted.ids.push(incident.clone()),
                Input::Event { event: None, .. } => {}
                Input::Delivery(delivery) => deliveries.push(delivery.clone()),
            }
        }
        let Stepper { decoder, playbook, .. } = self.stepper;
        let reading = Reading { decoder: Arc::clone(decoder), playbook: Arc::clone(playbook) };
        for (delivery, read) in reading.all(deliveries).await? {
            match &read {
                Ok(Read::Alerts(alerts)) => {
                    for ReadAlert { alert, places, .. } in alerts {
                        wanted.fingerprints.push(alert.fingerprint);
                        wanted.keys.extend(places.iter().map(|place| place.key.clone()));
                    }
                }
                Ok(Read::Clicks(clicks)) => {
                    wanted.ids.extend(clicks.iter().map(|click| incident_of(&click.subject)));
                }
                Ok(Read::News(news)) => people::ask_about(news, &mut wanted),
                Err(_) => {}
            }
            self.read.insert(delivery, read);
        }
        wanted.ids.sort_unstable();
        wanted.ids.dedup();
        wanted.keys.sort_unstable();
        wanted.keys.dedup();
        wanted.fingerprints.sort_unstable();
        wanted.fingerprints.dedup();
        Ok(wanted)
    }

    /// An open incident stands for its key, or else the one that began last.
    fn stands_for_key(&mut self, incident: &Incident) {
        let better = self.by_key.get(&incident.key).and_then(|id| self.incident(id)).is_none_or(|known| {
            incident.is_open() || (!known.is_open() && incident.started_at >= known.started_at)
        });
        if better {
            self.by_key.insert(incident.key.clone(), incident.id.clone());
        }
    }

    /// Brings a loaded incident together with its rule and policy.
    async fn adopt(&mut self, incident: Incident) -> Result<(), StoreError> {
        let rule = self.rule_of(&incident).await?;
        let policy = self.policy_of(&incident).await?;
        self.insert(Working::new(incident, rule, policy));
        Ok(())
    }

    pub(super) fn insert(&mut self, working: Working) {
        let id = working.incident.id.clone();
        self.touched.add(&working.incident);
        if let Some(crowds) = self.crowds.as_mut().filter(|_| working.incident.is_open()) {
            crowds.add(|rule| self.stepper.playbook.role(rule), Member::of(&working.incident));
        }
        self.order.push(id.clone());
        self.working.insert(id, working);
    }

    pub(super) fn incident(&self, id: &IncidentId) -> Option<&Incident> {
        self.working.get(id).map(|working| &working.incident)
    }

    async fn rule_of(&self, incident: &Incident) -> Result<Arc<KeptRule>, StoreError> {
        if let Some(rule) = self.stepper.playbook.rule_by_hash(&incident.rule_hash) {
            return Ok(rule);
        }
        let text = self.stepper.store.text(&incident.rule_hash).await?;
        let text = text.ok_or_else(|| {
            StoreError::Corrupt(format!(
                "incident {}: the text of its rule {} is gone",
                incident.id, incident.rule
            ))
        })?;
        self.stepper
            .playbook
            .adopt_rule(text)
            .map_err(|error| StoreError::Corrupt(format!("incident {}: its rule: {error}", incident.id)))
    }

    async fn policy_of(&self, incident: &Incident) -> Result<Option<Arc<KeptPolicy>>, StoreError> {
        let Some(escalation) = &incident.escalation else { return Ok(None) };
        if let Some(policy) = self.stepper.playbook.policy_by_hash(&escalation.hash) {
            return Ok(Some(policy));
        }
        // Telling fails open: without its text the escalation goes to the destinations configured last.
        let text = self.stepper.store.text(&escalation.hash).await?;
        Ok(text.and_then(|text| self.stepper.playbook.adopt_policy(text).ok()))
    }

    /// Takes in one input.
    pub(super) async fn take(&mut self, input: &Input) -> Result<(), StoreError> {
        let taken = match input {
            Input::Delivery(delivery) => self.take_delivery(delivery).await?,
            Input::Event { incident, event, lease } => {
                self.take_event(incident, event.as_ref(), lease).await?
            }
        };
        self.report.taken.push(taken);
        Ok(())
    }

    async fn take_delivery(&mut self, delivery: &Delivery) -> Result<Taken, StoreError> {
        self.report.consumed += 1;
        match self.read.remove(&delivery.id) {
            Some(Ok(Read::Alerts(alerts))) => {
                let heard_at = delivery.received_at.min(self.now);
                for alert in alerts {
                    if self.is_beat(&alert.alert, heard_at) {
                        continue;
                    }
                    self.take_alert(alert).await?;
                }
            }
            Some(Ok(Read::Clicks(clicks))) => {
                for click in clicks {
                    self.take_click(click).await?;
                }
            }
            Some(Ok(Read::News(news))) => {
                self.take_news(news).await?;
            }
            Some(Err(error)) => {
                self.stepper.meter.dead_letter();
                let dead = crate::engine::ports::DeadLetter { delivery: delivery.id.clone(), error };
                self.commit.dead.push(dead);
                return Ok(Taken::Done);
            }
            None => {}
        }
        self.commit.consumed.push(delivery.id.clone());
        Ok(Taken::Done)
    }

    async fn take_event(
        &mut self,
        incident: &IncidentId,
        event: Option<&Event>,
        lease: &Lease,
    ) -> Result<Taken, StoreError> {
        match lease {
            Lease::None => {}
            Lease::Done(finish) => self.commit.finished.push(finish.clone()),
            Lease::Held(held) => self.commit.held.push(held.clone()),
        }
        match event {
            None => Ok(Taken::Done),
            Some(event) => self.happen(incident, event.clone()).await,
        }
    }

    /// The incident of this step that is known under this name elsewhere.
    pub(super) fn known_as(&self, name: &str) -> Option<IncidentId> {
        let mut working = self.working.values().map(|working| &working.incident);
        working.find(|incident| incident.bridge.as_deref() == Some(name)).map(|incident| incident.id.clone())
    }

    /// Lets an event happen, and the decision that it may call for.
    pub(super) async fn happen(&mut self, id: &IncidentId, event: Event) -> Result<Taken, StoreError> {
        let is_start = matches!(event, Event::ActionStarting { .. });
        let Some(outcome) = self.apply(id, event).await? else { return Ok(Taken::NoSuchIncident) };
        let mut transition = match outcome {
            Ok(transition) => transition,
            Err(refused) => return Ok(Taken::Refused(refused)),
        };
        let may_start = transition.may_start;
        let mut wants_decision = transition.wants_decision;
        self.absorb(id, &mut transition);
        // Each decision either starts something or hands over, so this ends; the bound is for defects.
        for _ in 0..apply::ACTIONS_MAX {
            if !wants_decision {
                break;
            }
            let Some(Ok(mut decided)) = self.apply(id, Event::Decide).await? else { break };
            wants_decision = decided.wants_decision;
            self.absorb(id, &mut decided);
        }
        Ok(if is_start { Taken::MayStart(may_start) } else { Taken::Done })
    }

    async fn apply(
        &mut self,
        id: &IncidentId,
        event: Event,
    ) -> Result<Option<Result<Transition, Refused>>, StoreError> {
        let Some(working) = self.working.get_mut(id) else { return Ok(None) };
        if let Event::DiagnosisDone { surveys, vitals, .. } = &event {
            // For the decision that follows in this batch. Later ones have looks of their own.
            working.surveys.clone_from(surveys);
            working.vitals.clone_from(vitals);
        }
        let gathered = self.gather(id, &event).await?;
        let schedules = self.stepper.playbook.schedules();
        let Some(working) = self.working.get_mut(id) else { return Ok(None) };
        // Only what a person wants can be refused, and leaves the incident as it was.
        let is_machine = matches!(event, Event::AlertSeen { .. } | Event::Worsened { .. } | Event::Decide);
        let incident = if is_machine { working.take_incident() } else { working.incident.clone() };
        let policy = working.policy.as_deref();
        let facts = gathered.facts(
            self.stepper.playbook.as_ref(),
            &working.rule,
            policy,
            &schedules,
            &self.stepper.settings,
        );
        let outcome = apply::apply(incident, event, &facts, self.now);
        match outcome {
            Err(refused) if is_machine => Err(StoreError::Corrupt(format!(
                "incident {id}: what nobody asked for was refused: {refused}"
            ))),
            outcome => Ok(Some(outcome)),
        }
    }

    fn absorb(&mut self, id: &IncidentId, transition: &mut Transition) {
        let Some(working) = self.working.get_mut(id) else { return };
        working.absorb(transition);
        std::mem::swap(&mut working.incident, &mut transition.incident);
        for effect in &transition.effects {
            if effect.due_at <= self.now {
                self.report.due_now.insert(effect.effect.kind());
            }
        }
        self.commit.effects.append(&mut transition.effects);
        self.cancel(std::mem::take(&mut transition.cancelled));
        self.decisions.append(&mut transition.decisions);
        if transition.may_start.is_some()
            && let Some(ledger) = &self.ledger
        {
            // A pause that is set between this look and the commit makes the commit fail.
            self.commit.ledger_version = Some(ledger.version);
        }
        self.commit.temporary.append(&mut transition.temporary);
        self.ended(std::mem::take(&mut transition.ends));
        if let Some(start) = transition.start.take() {
            if let Some(ledger) = &mut self.ledger {
                self.commit.ledger_version = Some(ledger.version);
                ledger.starts.push(start.clone());
            }
            self.commit.starts.push(start);
        }
    }

    fn ended(&mut self, ends: Vec<(ActionId, StartEnd)>) {
        for (action, end) in ends {
            let known = self.ledger.iter_mut().flat_map(|ledger| &mut ledger.starts);
            for start in known.chain(&mut self.commit.starts) {
                if start.action.as_ref() == Some(&action) {
                    start.end = Some(end);
                }
            }
            self.commit.ends.push((action, end));
        }
    }

    /// An effect that is wished and cancelled within one batch is never written.
    fn cancel(&mut self, cancelled: Vec<crate::domain::effect::EffectId>) {
        for id in cancelled {
            let before = self.commit.effects.len();
            self.commit.effects.retain(|effect| effect.id != id);
            if self.commit.effects.len() == before {
                self.commit.cancelled.push(id);
            }
        }
    }

    async fn gather(&mut self, id: &IncidentId, event: &Event) -> Result<Gathered, StoreError> {
        let mut gathered = Gathered::default();
        let has_remedies = self.working.get(id).is_some_and(|it| !it.rule.rule.remedies.is_empty());
        if has_remedies && needs_ledger(event) {
            self.ensure_ledger(id).await?;
            if !matches!(event, Event::ActionStarting { .. }) {
                self.ensure_peers(id).await?;
            }
        }
        let ends = self.working.get(id).is_some_and(|working| working.may_end(event));
        if ends || self.working.get(id).is_some_and(|working| working.needs_findings(event)) {
            self.ensure_findings(id).await?;
        }
        let Some(working) = self.working.get(id) else { return Ok(gathered) };
        match event {
            Event::AlertSeen { .. } => {
                gathered.notes.clone_from(&working.notes);
                gathered.told_by.clone_from(&working.told_by);
            }
            Event::Decide => {
                let findings = working.findings.as_deref().unwrap_or_default();
                gathered.candidates = self.judge(working, findings, &working.surveys, None);
            }
            Event::Ballot { action, .. } => {
                let findings = working.findings.as_deref().unwrap_or_default();
                gathered.candidates = self.judge(working, findings, &working.surveys, Some(action));
            }
            Event::DiagnosisDone { purpose: DiagnosisPurpose::Recheck(id), findings, surveys, .. } => {
                gathered.candidates = self.judge(working, findings, surveys, Some(id));
                // The condition is judged over what was found just now; the values stay those that were approved. What
                // was surveyed is compared by its basis.
                let before = working.findings.as_deref().unwrap_or_default();
                let asked_over = self.judge(working, before, &[], Some(id));
                let both = gathered.candidates.iter_mut().zip(asked_over);
                for (candidate, asked) in both.filter(|(it, _)| it.survey == SurveyStanding::NotNeeded) {
                    candidate.plan = asked.plan;
                    candidate.inverse = asked.inverse;
                }
            }
            Event::ActionStarting { action, .. } => {
                gathered.last_moment = self.last_moment(working, action);
            }
            Event::DiagnosisDone { purpose: DiagnosisPurpose::Verify(action), findings, .. } => {
                gathered.checks = self.checks(working, action, findings);
            }
            Event::Woken { wake: Wake::Verify(action), .. } if working.rule.rule.diagnostics.is_empty() => {
                gathered.checks = self.checks(working, action, &[]);
            }
            _ => {}
        }
        if ends {
            let findings = working.findings.as_deref().unwrap_or_default();
            gathered.on_resolve =
                self.stepper.playbook.on_resolve(&working.rule, &working.incident, findings);
        }
        Ok(gathered)
    }

    /// The ladder, judged over findings and guardrails; where people answer, for the action that they were asked about.
    fn judge(
        &self,
        working: &Working,
        findings: &[Finding],
        surveys: &[Survey],
        asked: Option<&ActionId>,
    ) -> Vec<Candidate> {
        let judge = Judge {
            playbook: self.stepper.playbook.as_ref(),
            settings: &self.stepper.settings,
            ledger: self.ledger.as_ref(),
            peers: working.peers,
            vitals: working.vitals.as_ref(),
            assumes_targets: false,
            asked: asked.and_then(|id| working.incident.action(id)),
            now: self.now,
        };
        judge.ladder(&working.rule, &working.incident, findings, surveys)
    }

    fn checks(&self, working: &Working, action: &ActionId, findings: &[Finding]) -> Vec<ConditionOutcome> {
        let Some(action) = working.incident.action(action) else { return Vec::new() };
        self.stepper.playbook.checks(&working.rule, &action.remedy, &working.incident, findings)
    }

    /// Makes sure that the text of a rule or policy is stored with the incident that keeps to it.
    pub(super) fn keep_text(&mut self, hash: &RuleHash, text: &impl Serialize) {
        let queued = self.commit.texts.iter().any(|(known, _)| known == hash);
        if queued || self.stepper.knows_text(hash, self.now) {
            return;
        }
        let value = serde_json::to_value(text).expect("rules and policies serialize to JSON");
        self.commit.texts.push((hash.clone(), value));
    }

    /// Everything to write, and what to tell afterwards.
    pub(super) fn finish(mut self, began: Instant) -> Judged {
        for id in std::mem::take(&mut self.order) {
            let Some(working) = self.working.remove(&id) else { continue };
            if working.incident.is_open() && working.is_new() {
                self.touched.open(&working.incident);
            }
            if let Some(write) = working.into_write() {
                self.commit.incidents.push(write);
            }
        }
        self.commit.alerts = self.memory.into_writes();
        Judged {
            commit: self.commit,
            report: self.report,
            decisions: self.decisions,
            touched: self.touched,
            began,
        }
    }
}

/// The incident that a button's subject or an action's identity belongs to: `<incident>` or `<incident>-a<n>`.
pub(super) fn incident_of(subject: &str) -> IncidentId {
    IncidentId(subject.split_once("-a").map_or(subject, |(incident, _)| incident).to_owned())
}
