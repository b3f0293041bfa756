//! Alerts arrive: which incidents they concern, and what each telling means there.
//!
//! An alert that fires in an open incident belongs there, whatever the rules say by now. Only an alert that is
//! news is matched; only an alert that nobody remembers becomes a tombstone when it has ended.

use super::batch::Batch;
use super::reading::{Place, ReadAlert};
use super::working::Working;
use crate::domain::action::{ActionId, PlanDigest};
use crate::domain::alert::{self, Alert, AlertRecord, AlertStatus, Observation};
use crate::domain::apply::Refused;
use crate::domain::approval::{ApprovalRefused, Ballot, Verdict};
use crate::domain::correlate::CorrelationKey;
use crate::domain::event::Event;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::incident::{Incident, IncidentId, Opening};
use crate::domain::people::Actor;
use crate::domain::rule::SeveritySpec;
use crate::engine::playbook::{KeptPolicy, KeptRule, Playbook};
use crate::engine::ports::{AlertWrite, Click, ClickVerb, SILENCE_CHOICES, StoreError, StoredAlert};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;

/// What is remembered of alerts, as stored and as changed by this batch.
#[derive(Default)]
pub(super) struct Memory {
    records: HashMap<Fingerprint, Vec<StoredAlert>>,
    writes: HashMap<(Fingerprint, Option<IncidentId>), AlertWrite>,
    order: Vec<(Fingerprint, Option<IncidentId>)>,
}

impl Memory {
    pub(super) fn fill(&mut self, alerts: Vec<StoredAlert>) {
        for alert in alerts {
            self.records.entry(alert.fingerprint).or_default().push(alert);
        }
    }

    fn of(&self, fingerprint: Fingerprint) -> &[StoredAlert] {
        self.records.get(&fingerprint).map(Vec::as_slice).unwrap_or_default()
    }

    fn remember(&mut self, alert: &Arc<Alert>, incident: Option<IncidentId>, record: AlertRecord) {
        let known = self.records.entry(alert.fingerprint).or_default();
        known.retain(|stored| stored.incident != incident);
        known.push(StoredAlert {
            fingerprint: alert.fingerprint,
            incident: incident.clone(),
            record: record.clone(),
        });
        let place = (alert.fingerprint, incident.clone());
        let write = AlertWrite { incident, record, alert: Arc::clone(alert) };
        if self.writes.insert(place.clone(), write).is_none() {
            self.order.push(place);
        }
    }

    /// What to write, in the order in which it was first remembered.
    pub(super) fn into_writes(mut self) -> Vec<AlertWrite> {
        self.order.iter().filter_map(|place| self.writes.remove(place)).collect()
    }
}

/// What is known of an alert beside what it says.
#[derive(Clone, Copy)]
struct Known {
    /// Whether its incident counts it already.
    counted: bool,
    /// Whether we found out by asking Alertmanager.
    found: bool,
}

impl Known {
    const COUNTED: Self = Self { counted: true, found: false };
}

impl Batch<'_> {
    /// Whether an alert is one that always fires. It is noted that it was heard, and it opens nothing; its end says only
    /// that it will not be heard again.
    pub(super) fn is_beat(&mut self, alert: &Alert, heard_at: Timestamp) -> bool {
        let mut is_beat = false;
        for watchdog in &self.stepper.settings.watchdogs {
            if watchdog.matchers.matches(&alert.labels) {
                is_beat = true;
                if alert.status == AlertStatus::Firing {
                    self.commit.beats.push((watchdog.name.clone(), heard_at));
                }
            }
        }
        is_beat
    }

    /// Takes in one alert.
    pub(super) async fn take_alert(&mut self, read: ReadAlert) -> Result<(), StoreError> {
        let ReadAlert { alert, places, found } = read;
        let firing_in: Vec<IncidentId> = self
            .memory
            .of(alert.fingerprint)
            .iter()
            .filter(|stored| stored.record.status == AlertStatus::Firing)
            .filter_map(|stored| stored.incident.clone())
            .collect();
        if !firing_in.is_empty() {
            for incident in firing_in {
                self.tell(&incident, &alert, found).await?;
            }
            return Ok(());
        }
        match alert.status {
            AlertStatus::Firing => self.start(alert, places, found).await,
            AlertStatus::Resolved => {
                self.bury(&alert);
                Ok(())
            }
        }
    }

    /// Tells an incident about an alert that it knows.
    async fn tell(
        &mut self,
        incident: &IncidentId,
        alert: &Arc<Alert>,
        found: bool,
    ) -> Result<(), StoreError> {
        if alert.status == AlertStatus::Firing
            && let Some(open) = self.successor(incident)
        {
            return self.move_alert(incident, &open, alert).await;
        }
        let record = self.record_in(alert.fingerprint, Some(incident)).cloned();
        let observation = alert::observe(record.as_ref(), alert, self.now);
        let is_open = self.incident(incident).is_some_and(Incident::is_open);
        // The common case, a repeat of what is known, costs nothing more.
        if observation == Observation::Repeated && is_open {
            return Ok(());
        }
        self.note(incident, Arc::clone(alert), observation, Known { counted: true, found }).await
    }

    /// The incident that is open for the key of one that is over.
    fn successor(&self, incident: &IncidentId) -> Option<IncidentId> {
        let ended = self.incident(incident).filter(|known| !known.is_open())?;
        let open = self.incident(self.by_key.get(&ended.key)?)?;
        (open.is_open() && &open.id != incident).then(|| open.id.clone())
    }

    /// An alert still fires in an incident that a person ended, and its key has got a new incident since: it belongs
    /// there from now on. To open the old one again would make two of one key.
    async fn move_alert(
        &mut self,
        from: &IncidentId,
        to: &IncidentId,
        alert: &Arc<Alert>,
    ) -> Result<(), StoreError> {
        let there = self.record_in(alert.fingerprint, Some(to)).map(|record| record.status);
        self.note(from, Arc::clone(alert), Observation::Ended, Known::COUNTED).await?;
        if there == Some(AlertStatus::Firing) {
            return Ok(());
        }
        let known = Known { counted: there.is_some(), found: false };
        let told_by = self.incident(from).and_then(|incident| incident.told_by.clone());
        self.is_told_by(to, told_by);
        self.note(to, Arc::clone(alert), Observation::Started, known).await
    }

    /// Remembers an alert in an incident and lets it happen there.
    async fn note(
        &mut self,
        incident: &IncidentId,
        alert: Arc<Alert>,
        observation: Observation,
        known: Known,
    ) -> Result<(), StoreError> {
        let record = self.record_in(alert.fingerprint, Some(incident)).cloned();
        if let Some(record) = alert::remember(record.as_ref(), &alert, observation, self.now) {
            self.memory.remember(&alert, Some(incident.clone()), record);
        }
        if observation == Observation::Started {
            self.grade(incident, &alert).await?;
        }
        let Known { counted, found } = known;
        let event = Event::AlertSeen { alert, observation, counted, found };
        self.happen(incident, event).await?;
        self.stands_again(incident);
        Ok(())
    }

    /// An incident is as bad as the worst of its alerts, by its own rule, and keeps to the policy for that.
    async fn grade(&mut self, incident: &IncidentId, alert: &Arc<Alert>) -> Result<(), StoreError> {
        let playbook = self.stepper.playbook.as_ref();
        let Some(working) = self.working.get_mut(incident) else { return Ok(()) };
        // Whoever opens one says how bad it is, and where the rule says so nothing gets worse.
        if working.incident.is_new() || matches!(working.rule.rule.severity, SeveritySpec::Fixed(_)) {
            return Ok(());
        }
        let severity = playbook.outline(&working.rule, alert).severity;
        if severity >= working.incident.severity {
            return Ok(());
        }
        if let Some(policy) = playbook.policy(&working.rule, severity, alert) {
            working.policy = Some(Arc::clone(&policy));
            self.keep_text(&policy.hash, &policy.policy);
        }
        let title = alert.title().to_owned();
        self.happen(incident, Event::Worsened { severity, title }).await.map(drop)
    }

    /// An incident that was opened again stands for its key.
    fn stands_again(&mut self, id: &IncidentId) {
        if let Some(incident) = self.incident(id).filter(|incident| incident.is_open()) {
            let key = incident.key.clone();
            self.by_key.insert(key, id.clone());
        }
    }

    /// An alert that is news: every rule that matches gets its incident.
    async fn start(&mut self, alert: Arc<Alert>, places: Vec<Place>, found: bool) -> Result<(), StoreError> {
        let remembered = self.latest_record(alert.fingerprint).cloned();
        if alert::observe(remembered.as_ref(), &alert, self.now) == Observation::LateFiring {
            return Ok(());
        }
        let live = told_by(places.iter().map(|place| &place.rule));
        for Place { rule, key } in places {
            self.stepper.meter.matched(&rule.rule.name);
            let incident = self.incident_for(&key, &rule, &alert);
            self.is_told_by(&incident, live.clone());
            let counted = self.record_in(alert.fingerprint, Some(&incident)).is_some();
            let known = Known { counted, found };
            self.note(&incident, Arc::clone(&alert), Observation::Started, known).await?;
        }
        Ok(())
    }

    /// Notes the live rule that tells people of what starts in an incident.
    fn is_told_by(&mut self, incident: &IncidentId, rule: Option<String>) {
        if let Some(working) = self.working.get_mut(incident) {
            working.told_by = rule;
        }
    }

    /// The incident of a key: the open one, the one that may be reopened, or a new one.
    fn incident_for(&mut self, key: &CorrelationKey, rule: &Arc<KeptRule>, alert: &Alert) -> IncidentId {
        if let Some(id) = self.by_key.get(key)
            && let Some(known) = self.incident(id)
            && self.still_stands(known, rule)
        {
            return id.clone();
        }
        let id = self.stepper.ids.incident();
        let playbook = self.stepper.playbook.as_ref();
        let Opens { opening, policy, notes } = opens(playbook, id.clone(), key.clone(), rule, alert);
        self.keep_text(&rule.hash, &rule.rule);
        if let Some(policy) = &policy {
            self.keep_text(&policy.hash, &policy.policy);
        }
        self.by_key.insert(key.clone(), id.clone());
        let incident = Incident::open(opening, self.now);
        let mut working = Working::new(incident, Arc::clone(rule), policy);
        working.notes = notes;
        self.insert(working);
        id
    }

    fn still_stands(&self, known: &Incident, rule: &KeptRule) -> bool {
        match &known.resolved {
            None => true,
            // Whoever was put in shadow meanwhile must not act by its old text, nor whoever was promoted go on watching.
            Some(_) if known.mode != rule.rule.mode => false,
            Some(resolution) => self.now.duration_since(resolution.at) < rule.rule.reopen_within,
        }
    }

    /// Remembers an end whose firing nobody knew, so that its late firing does not open what is over. What is known
    /// of earlier episodes stays with their incidents.
    fn bury(&mut self, alert: &Arc<Alert>) {
        let known = self.latest_record(alert.fingerprint);
        if let Some(record) = alert::remember(known, alert, Observation::AlreadyEnded, self.now) {
            self.memory.remember(alert, None, record);
        }
    }

    fn record_in(&self, fingerprint: Fingerprint, incident: Option<&IncidentId>) -> Option<&AlertRecord> {
        self.memory
            .of(fingerprint)
            .iter()
            .find(|stored| stored.incident.as_ref() == incident)
            .map(|stored| &stored.record)
    }

    fn latest_record(&self, fingerprint: Fingerprint) -> Option<&AlertRecord> {
        let records = self.memory.of(fingerprint).iter().map(|stored| &stored.record);
        records.max_by_key(|record| (record.updated_at, record.ends_at))
    }
}

/// The first live rule for an alert: it tells people, so that those in shadow beside it need not.
pub(super) fn told_by<'r>(rules: impl IntoIterator<Item = &'r Arc<KeptRule>>) -> Option<String> {
    let mut live = rules.into_iter().filter(|kept| kept.rule.mode.is_live());
    live.next().map(|kept| kept.rule.name.clone())
}

/// How an alert opens an incident under a rule.
pub(super) struct Opens {
    pub(super) opening: Opening,
    pub(super) policy: Option<Arc<KeptPolicy>>,
    /// What could not be had as the rule wants it.
    pub(super) notes: Vec<String>,
}

/// What opening an incident for an alert under a rule needs to know.
pub(super) fn opens(
    playbook: &dyn Playbook,
    id: IncidentId,
    key: CorrelationKey,
    rule: &KeptRule,
    alert: &Alert,
) -> Opens {
    let outline = playbook.outline(rule, alert);
    let policy = playbook.policy(rule, outline.severity, alert);
    let opening = Opening {
        id,
        key,
        rule: rule.rule.name.clone(),
        rule_hash: rule.hash.clone(),
        mode: rule.rule.mode,
        severity: outline.severity,
        summary: outline.summary,
        runbook: outline.runbook,
        target: outline.target,
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
    };
    Opens { opening, policy, notes: outline.notes }
}

/// The event that a click stands for.
pub(super) fn event_of(click: Click) -> Event {
    let Click { subject, verb, actor, member, digest, reason, press: _, spot: _ } = click;
    let decided = |verdict, actor, reason| {
        let digest = digest.clone().map(PlanDigest);
        let ballot = Ballot { actor, member, is_named: false, verdict, digest, reason };
        Event::Ballot { action: ActionId(subject), ballot }
    };
    match verb {
        ClickVerb::Acknowledge => Event::Acknowledge { actor, reason },
        ClickVerb::Approve => decided(Verdict::Approve, actor, reason),
        ClickVerb::Reject => decided(Verdict::Reject, actor, reason),
        ClickVerb::TakeOver => Event::TakeOver { actor, reason },
        ClickVerb::Escalate => Event::Escalate { actor, seen: digest, reason },
        ClickVerb::Resolve => Event::Resolve { actor, episode: episode_of(digest.as_deref()), reason },
        ClickVerb::Silence => Event::Silence { actor, lasts: chosen(digest.as_deref()), reason },
        ClickVerb::Unsilence => Event::Unsilence { actor, reason },
    }
}

/// The episode that a button was drawn in; none for buttons of before it stood there.
fn episode_of(digest: Option<&str>) -> Option<u32> {
    u32::from_str_radix(digest?, 16).ok()
}

/// Whether a press is refused for having counted before: the same person has done just this.
pub(super) fn said_before(refused: &Refused, verb: ClickVerb, actor: &Actor) -> bool {
    match (refused, verb) {
        (Refused::AlreadyAcknowledged(who), ClickVerb::Acknowledge)
        | (Refused::AlreadyTakenOver(who), ClickVerb::TakeOver) => *who == actor.name,
        (Refused::Approval(ApprovalRefused::AlreadyDecided { verdict, who }), ClickVerb::Approve) => {
            *verdict == Verdict::Approve.past() && *who == actor.name
        }
        (Refused::Approval(ApprovalRefused::AlreadyDecided { verdict, who }), ClickVerb::Reject) => {
            *verdict == Verdict::Reject.past() && *who == actor.name
        }
        _ => false,
    }
}

/// For how long was chosen; none means until it is over. Only what stands in the menu gets here.
fn chosen(word: Option<&str>) -> Option<SignedDuration> {
    SILENCE_CHOICES.into_iter().find(|(known, _)| Some(*known) == word).and_then(|(_, lasts)| lasts)
}
