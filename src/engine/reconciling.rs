//! Compares what Alertmanager holds with what we hold: alerts whose end nobody told us, and alerts that nobody told us of.
//!
//! Alertmanager never tells of an end while a silence is in force, after it lost its state, or beyond `max_alerts`. What
//! is found goes the way of every webhook: a delivery in the inbox. An end is believed where the alert is gone from all
//! peers that answer, in two rounds in a row, and where Alertmanager was seen to hold it before; a peer that has just
//! started, or holds nothing at all since a short time, says nothing about what is gone. `docs/decisions/0017-reconciler.md`
//! has the reasons.

use super::intake::{Intake, IntakeError};
use super::meter::Meter;
use super::ports::{
    Alerting, Clock, Delivery, Firing, Held, HeldAlert, Ids, IncidentQuery, Peer, Reader, Source, Store,
    StoreError, Wanted,
};
use super::step::{Input, Lease};
use super::stepping::Steps;
use super::watchdogs::Watchdog;
use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::event::Event;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::incident::{IncidentId, IncidentStatus};
use crate::domain::silence::Suppressed;
use jiff::{SignedDuration, Timestamp};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Alerts of one delivery of ours.
const ALERTS_PER_DELIVERY: usize = 250;
/// Alerts that were never told are looked up in the store, at most so many a round.
const LOOKED_UP_MAX: usize = 1_000;
/// How long it is remembered that we ended an alert ourselves.
const ENDED_KEPT: SignedDuration = SignedDuration::from_hours(1);
/// Incidents that are read together when it begins.
const PAGE: u32 = 250;

/// How it is compared.
#[derive(Debug, Clone)]
pub struct ReconcileSettings {
    /// How long a peer must have been running, and holding nothing, before it is believed that something is gone.
    /// Prometheus sends again within a minute or two.
    pub grace: Duration,
    /// Name of the receiver in Alertmanager's configuration that sends to us; none leaves alerts that were never told
    /// alone.
    pub receiver: Option<String>,
    /// Whether alerts that were never told are taken in.
    pub takes_in: bool,
    /// Alerts that always fire: they are told of as a matter of course.
    pub watchdogs: Vec<Watchdog>,
    /// How long an alert must have fired before it counts as never told: Alertmanager waits for its group.
    pub missed_after: SignedDuration,
}

/// Why a round could not be played to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was found could not be stored.
    #[error(transparent)]
    Intake(#[from] IntakeError),
}

/// What one round found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// Peers that answered.
    pub answering: usize,
    /// Peers that did not.
    pub silent: usize,
    /// Alerts whose end nobody told, and which were ended now.
    pub ended: usize,
    /// Alerts that fire there for our receiver and that nobody told us of.
    pub missed: usize,
    /// Those of them that were taken in now.
    pub taken_in: usize,
}

/// Compares, round by round. What it remembers between rounds is found anew after a restart.
pub struct Reconciler {
    /// Asks Alertmanager.
    pub alerting: Arc<dyn Alerting>,
    /// What we hold.
    pub store: Arc<dyn Store>,
    /// The same, for reading.
    pub reader: Arc<dyn Reader>,
    /// Takes in what is found.
    pub intake: Intake,
    /// Tells incidents what is kept quiet.
    pub steps: Steps,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Draws identities.
    pub ids: Arc<dyn Ids>,
    /// Counts.
    pub meter: Arc<dyn Meter>,
    /// How.
    pub settings: ReconcileSettings,
    /// What it remembers.
    pub memory: Memory,
}

/// What is remembered from round to round.
#[derive(Debug, Default)]
pub struct Memory {
    /// Alerts that the last round missed at all peers, and since when.
    gone: HashMap<(IncidentId, Fingerprint), Timestamp>,
    /// Peers that hold nothing, and since when.
    empty: HashMap<String, Timestamp>,
    /// Peers that did not answer last time.
    silent: HashSet<String>,
    /// What incidents were last told to be kept quiet; none until they were read.
    suppressed: Option<HashMap<IncidentId, Suppressed>>,
    /// Alerts that the last round found untold, and whether that was said.
    missed: HashMap<Fingerprint, Missed>,
    /// Alerts that we ended ourselves, and when.
    ended: HashMap<Fingerprint, Timestamp>,
}

#[derive(Debug, Clone, Copy)]
struct Missed {
    was_said: bool,
}

/// What the peers hold together.
struct View<'p> {
    present: HashMap<Fingerprint, &'p HeldAlert>,
    /// Whether anybody may be believed that something is gone.
    knows_gone: bool,
}

impl Reconciler {
    /// Plays one round.
    ///
    /// # Errors
    /// A store that does not answer; the next round begins anew.
    pub async fn round(&mut self) -> Result<Round, ReconcileError> {
        let now = self.clock.now();
        let peers = self.alerting.held().await;
        let mut round = Round::default();
        self.note_silent(&peers, &mut round);
        let view = self.view(&peers, now);
        self.read_suppressed().await?;
        let seen = self.compare(&view, now, &mut round).await?;
        self.look_for_missed(&view, &seen, now, &mut round).await?;
        self.meter.reconciled(&round);
        Ok(round)
    }

    fn note_silent(&mut self, peers: &[Peer], round: &mut Round) {
        for peer in peers {
            match &peer.held {
                Ok(_) => {
                    round.answering += 1;
                    if self.memory.silent.remove(&peer.address) {
                        tracing::info!(alertmanager = peer.address, "Alertmanager answers again");
                    }
                }
                Err(reason) => {
                    round.silent += 1;
                    if self.memory.silent.insert(peer.address.clone()) {
                        tracing::warn!(alertmanager = peer.address, reason, "Alertmanager cannot be asked");
                    }
                }
            }
        }
    }

    fn view<'p>(&mut self, peers: &'p [Peer], now: Timestamp) -> View<'p> {
        let mut view = View { present: HashMap::new(), knows_gone: false };
        for peer in peers {
            let Ok(held) = &peer.held else { continue };
            view.knows_gone |= self.is_witness(&peer.address, held, now);
            for alert in &held.alerts {
                // Where one peer keeps an alert quiet and another does not, silences have yet to reach the other.
                let known = view.present.entry(alert.alert.fingerprint).or_insert(alert);
                if alert.is_silenced || alert.is_inhibited {
                    *known = alert;
                }
            }
        }
        view
    }

    /// Whether a peer knows what is gone: it had the time to hear of everything that fires.
    fn is_witness(&mut self, address: &str, held: &Held, now: Timestamp) -> bool {
        if !held.alerts.is_empty() {
            self.memory.empty.remove(address);
            return held.up_for >= self.settings.grace;
        }
        let since = *self.memory.empty.entry(address.to_owned()).or_insert(now);
        let empty_for = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        held.up_for >= self.settings.grace && empty_for >= self.settings.grace
    }

    /// After a start, what incidents were told before.
    async fn read_suppressed(&mut self) -> Result<(), StoreError> {
        if self.memory.suppressed.is_some() {
            return Ok(());
        }
        let mut known = HashMap::new();
        let statuses = vec![IncidentStatus::Triggered, IncidentStatus::Acknowledged];
        let mut query = IncidentQuery { statuses, limit: PAGE, after: None };
        loop {
            let page = self.reader.incidents(query.clone()).await?;
            query.after = page.last().map(|incident| incident.id.clone());
            let is_last = page.len() < PAGE as usize;
            known.extend(page.into_iter().filter_map(|it| Some((it.id, it.suppressed?))));
            if is_last {
                break;
            }
        }
        self.memory.suppressed = Some(known);
        Ok(())
    }

    /// Looks at every alert of ours that fires in an open incident; returns them all.
    async fn compare(
        &mut self,
        view: &View<'_>,
        now: Timestamp,
        round: &mut Round,
    ) -> Result<HashSet<Fingerprint>, ReconcileError> {
        let mut seen = HashSet::new();
        let mut gone = HashMap::new();
        let mut suppressed: HashMap<IncidentId, Suppressed> = HashMap::new();
        let (mut after, mut ended) = (None, Vec::new());
        loop {
            let page = self.store.firing(after.as_ref()).await?;
            let mut confirmed = Vec::new();
            for firing in page.alerts {
                seen.insert(firing.alert.fingerprint);
                let place = (firing.incident.clone(), firing.alert.fingerprint);
                match view.present.get(&firing.alert.fingerprint) {
                    Some(held) => {
                        let quiet = suppressed.entry(firing.incident).or_default();
                        quiet.silenced += u32::from(held.is_silenced);
                        quiet.inhibited += u32::from(held.is_inhibited && !held.is_silenced);
                        if !firing.confirmed {
                            confirmed.push(place);
                        }
                    }
                    None if firing.confirmed && view.knows_gone => match self.memory.gone.get(&place) {
                        Some(since) => ended.push(gone_since(firing, *since)),
                        None => {
                            gone.insert(place, now);
                        }
                    },
                    None => {}
                }
            }
            if !confirmed.is_empty() {
                self.store.confirm(confirmed, now).await?;
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        round.ended = ended.len();
        self.memory.ended.retain(|_, at| now.duration_since(*at) < ENDED_KEPT);
        self.memory.ended.extend(ended.iter().map(|alert| (alert.fingerprint, now)));
        for alert in &ended {
            tracing::info!(
                alert.name = alert.name(),
                alert.fingerprint = %alert.fingerprint,
                "an alert is gone from Alertmanager, and nobody said so: it is ended"
            );
        }
        self.deliver(ended).await?;
        // Only now: what could not be stored is ended in the next round.
        self.memory.gone = gone;
        if !view.present.is_empty() || view.knows_gone {
            self.tell_suppressed(suppressed).await?;
        }
        Ok(seen)
    }

    /// Tells incidents whose alerts are kept quiet, or are not any more.
    async fn tell_suppressed(&mut self, mut now: HashMap<IncidentId, Suppressed>) -> Result<(), StoreError> {
        now.retain(|_, quiet| quiet.some().is_some());
        let before = self.memory.suppressed.take().unwrap_or_default();
        let changed: Vec<(IncidentId, Suppressed)> = before
            .keys()
            .chain(now.keys())
            .collect::<HashSet<_>>()
            .into_iter()
            .map(|id| (id.clone(), now.get(id).copied().unwrap_or_default()))
            .filter(|(id, quiet)| before.get(id).copied().unwrap_or_default() != *quiet)
            .collect();
        let told = changed.into_iter().map(|(incident, suppressed)| {
            let event = Some(Event::SuppressedThere { suppressed });
            self.steps.take(Input::Event { incident, event, lease: Lease::None })
        });
        let results = futures::future::join_all(told).await;
        // What could not be told is told after the incidents were read again.
        results.into_iter().collect::<Result<Vec<_>, _>>()?;
        self.memory.suppressed = Some(now);
        Ok(())
    }

    /// Alerts that fire there for our receiver, and of which nobody told us.
    async fn look_for_missed(
        &mut self,
        view: &View<'_>,
        seen: &HashSet<Fingerprint>,
        now: Timestamp,
        round: &mut Round,
    ) -> Result<(), ReconcileError> {
        let receiver = self.settings.receiver.clone();
        if receiver.is_none() && self.memory.ended.is_empty() {
            return Ok(());
        }
        // Whatever we ended was told to us before, whichever receiver that came by.
        let is_ours = |held: &HeldAlert| {
            receiver.as_ref().is_some_and(|receiver| held.receivers.contains(receiver))
                || self.memory.ended.contains_key(&held.alert.fingerprint)
        };
        let waits = self.settings.missed_after;
        let is_watchdog =
            |alert: &Alert| self.settings.watchdogs.iter().any(|it| it.matchers.matches(&alert.labels));
        let is_due = |held: &&&HeldAlert| {
            !held.is_silenced
                && !held.is_inhibited
                && is_ours(held)
                && now.duration_since(held.alert.starts_at) >= waits
                && !seen.contains(&held.alert.fingerprint)
                && !is_watchdog(&held.alert)
        };
        let due: Vec<&HeldAlert> =
            view.present.values().filter(is_due).take(LOOKED_UP_MAX).copied().collect();
        let unknown = self.unknown(&due).await?;
        let before = std::mem::take(&mut self.memory.missed);
        let mut taken_in = Vec::new();
        for held in due.into_iter().filter(|held| unknown.contains(&held.alert.fingerprint)) {
            let fingerprint = held.alert.fingerprint;
            let known = before.get(&fingerprint).copied();
            self.memory.missed.insert(fingerprint, Missed { was_said: known.is_some() });
            let Some(Missed { was_said }) = known else { continue };
            round.missed += 1;
            if !was_said {
                tracing::warn!(
                    alert.name = held.alert.name(),
                    alert.fingerprint = %fingerprint,
                    "an alert fires in Alertmanager for our receiver, and nobody told us of it"
                );
            }
            // What we ended ourselves must not stay ended while it fires.
            if self.settings.takes_in || self.memory.ended.contains_key(&fingerprint) {
                taken_in.push(held.alert.clone());
            }
        }
        round.taken_in = taken_in.len();
        self.deliver(taken_in).await
    }

    /// Which of these alerts are recorded as firing nowhere.
    async fn unknown(&self, due: &[&HeldAlert]) -> Result<HashSet<Fingerprint>, StoreError> {
        let mut unknown: HashSet<Fingerprint> = due.iter().map(|held| held.alert.fingerprint).collect();
        if unknown.is_empty() {
            return Ok(unknown);
        }
        let wanted = Wanted { fingerprints: unknown.iter().copied().collect(), ..Wanted::default() };
        for stored in self.store.load(wanted).await?.alerts {
            if stored.record.status == AlertStatus::Firing {
                unknown.remove(&stored.fingerprint);
            }
        }
        Ok(unknown)
    }

    /// Puts what was found into the inbox.
    async fn deliver(&self, alerts: Vec<Alert>) -> Result<(), ReconcileError> {
        for some in alerts.chunks(ALERTS_PER_DELIVERY) {
            let body = serde_json::to_vec(some).expect("alerts can be written as JSON").into();
            let (id, received_at) = (self.ids.delivery(), self.clock.now());
            self.intake.accept(Delivery { id, source: Source::Reconciler, received_at, body }).await?;
        }
        Ok(())
    }
}

/// The alert as one that ended when it was first seen to be gone.
fn gone_since(firing: Firing, since: Timestamp) -> Alert {
    let Firing { alert, .. } = firing;
    Alert { status: AlertStatus::Resolved, ends_at: Some(since.max(alert.starts_at)), ..alert }
}
