//! One step: inputs in, one transaction out. The only writer of incident state.
//!
//! A step takes a whole batch of inputs, loads what they concern in a few queries, lets the pure
//! [`crate::domain::apply`] run for each event in order, and commits everything at once with version checks. When
//! somebody else wrote first, nothing of it has happened: the step loads again and judges again. Recovery after a
//! crash is this same path, entered again with the inputs that are still in the store.
//!
//! [`rehearsal`] lets the same happen for `explain`, without a store.

mod arrivals;
mod batch;
mod crowds;
mod journal;
mod judging;
mod last_moment;
mod looking_up;
mod people;
mod reading;
pub mod rehearsal;
mod touched;
mod working;

pub use touched::Touched;

use super::EngineSettings;
use super::meter::Meter;
use super::playbook::Playbook;
use super::ports::{Clock, Commit, DeadLetter, Decoder, Delivery, Finish, Ids, Store, StoreError};
use crate::domain::apply::{Refused, StartAs};
use crate::domain::decision::RemedyDecision;
use crate::domain::effect::EffectKind;
use crate::domain::event::Event;
use crate::domain::incident::IncidentId;
use crate::domain::rule::RuleHash;
use batch::Batch;
use jiff::{SignedDuration, Timestamp};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// How often a batch is tried as a whole before its inputs are tried one by one: with a few replicas the second
/// try nearly always goes through.
const BATCH_TRIES_MAX: u32 = 3;
/// How often one input is tried before it is left for later. A lease that was lost conflicts every time.
const SINGLE_TRIES_MAX: u32 = 5;

/// Something to take in.
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all inputs are events, and a box for each would cost more"
)]
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A stored delivery.
    Delivery(Delivery),
    /// An event of one incident, with the effect that it came from.
    Event {
        /// Which incident.
        incident: IncidentId,
        /// What happened; none only finishes the effect.
        event: Option<Event>,
        /// The effect that was being carried out.
        lease: Lease,
    },
}

/// What becomes of the effect that an event came from. With a lease that was lost the event counts for nothing: the
/// effect is somebody else's by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lease {
    /// The event came from no effect, or counts whatever becomes of it.
    None,
    /// It is done with this event.
    Done(Finish),
    /// It goes on after this event.
    Held(Finish),
}

/// What became of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It was taken in.
    Done,
    /// For the start of an action: how the worker goes on; none means that it must not.
    MayStart(Option<StartAs>),
    /// A person's event was refused; nothing changed.
    Refused(Refused),
    /// There is no such incident.
    NoSuchIncident,
    /// Somebody else took it, or the lease was lost; nothing changed.
    Lost,
    /// Something that is stored and that it concerns cannot be read; nothing changed.
    Unreadable(String),
}

/// How long a process relies on a text that it took for an incident, before it takes it anew: what is taken again and
/// again is never deleted as unused.
pub const TEXT_TAKEN_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Takes inputs in.
pub struct Stepper {
    pub(super) store: Arc<dyn Store>,
    pub(super) playbook: Arc<dyn Playbook>,
    pub(super) decoder: Arc<dyn Decoder>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn Ids>,
    pub(super) meter: Arc<dyn Meter>,
    pub(super) settings: Arc<EngineSettings>,
    /// Texts of rules and policies that this process knows to be stored, and when it last took them.
    kept_texts: Mutex<HashMap<RuleHash, Timestamp>>,
}

/// What a committed step brought about that the workers should know of.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct StepReport {
    /// What became of each input, in order.
    pub taken: Vec<Taken>,
    /// Kinds of effects that are due at once.
    pub due_now: HashSet<EffectKind>,
    /// Deliveries that were consumed.
    pub consumed: u64,
}

/// A step that was judged and is not written yet.
pub struct Judged {
    commit: Commit,
    report: StepReport,
    decisions: Vec<RemedyDecision>,
    /// What it reads and writes.
    pub touched: Touched,
    began: Instant,
}

impl Stepper {
    /// A stepper over these ports.
    pub fn new(
        store: Arc<dyn Store>,
        playbook: Arc<dyn Playbook>,
        decoder: Arc<dyn Decoder>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        meter: Arc<dyn Meter>,
        settings: Arc<EngineSettings>,
    ) -> Self {
        Self { store, playbook, decoder, clock, ids, meter, settings, kept_texts: Mutex::default() }
    }

    /// Takes in a batch. On a store error it is taken in at another time; what was taken in already is then lost to
    /// others, which is no harm.
    pub async fn step(&self, inputs: &[Input]) -> Result<StepReport, StoreError> {
        for _ in 0..BATCH_TRIES_MAX {
            match self.attempt(inputs).await {
                Err(StoreError::Conflict) => self.meter.step_conflicted(),
                Err(StoreError::Corrupt(_)) => break,
                other => return other,
            }
        }
        self.one_by_one(inputs).await
    }

    /// One input that conflicts, or that concerns what cannot be read, must not hold up the others.
    async fn one_by_one(&self, inputs: &[Input]) -> Result<StepReport, StoreError> {
        let mut report = StepReport::default();
        for input in inputs {
            let single = self.single(input).await?;
            report.taken.extend(single.taken);
            report.due_now.extend(single.due_now);
            report.consumed += single.consumed;
        }
        Ok(report)
    }

    async fn single(&self, input: &Input) -> Result<StepReport, StoreError> {
        for _ in 0..SINGLE_TRIES_MAX {
            match self.attempt(std::slice::from_ref(input)).await {
                Err(StoreError::Conflict) => self.meter.step_conflicted(),
                Err(StoreError::Corrupt(error)) => return Ok(self.unreadable(input, error).await),
                other => return other,
            }
        }
        Ok(StepReport { taken: vec![Taken::Lost], ..StepReport::default() })
    }

    async fn unreadable(&self, input: &Input, error: String) -> StepReport {
        if let Input::Delivery(delivery) = input
            && self.set_aside(&delivery.id, &error).await
        {
            return StepReport { taken: vec![Taken::Done], consumed: 1, ..StepReport::default() };
        }
        StepReport { taken: vec![Taken::Unreadable(error)], ..StepReport::default() }
    }

    /// A delivery that can never be taken in is kept for people, among the dead letters. Where even that fails it
    /// stays where it is: then the database as a whole is not well.
    pub(super) async fn set_aside(&self, delivery: &str, error: &str) -> bool {
        let dead = DeadLetter { delivery: delivery.to_owned(), error: error.to_owned() };
        let commit = Commit { at: Some(self.clock.now()), dead: vec![dead], ..Commit::default() };
        if let Err(failure) = self.store.commit(commit).await {
            tracing::error!(delivery.id = delivery, error, failure = %failure, "a delivery cannot be taken in and waits");
            return false;
        }
        tracing::error!(
            delivery.id = delivery,
            error,
            "a delivery cannot be taken in: it is kept among the dead letters"
        );
        self.meter.dead_letter();
        true
    }

    async fn attempt(&self, inputs: &[Input]) -> Result<StepReport, StoreError> {
        match self.judge(inputs, None).await? {
            Some(judged) => self.write(judged, std::future::ready(true)).await,
            // Nothing is ahead that could be met.
            None => Err(StoreError::Conflict),
        }
    }

    /// The first half of a step: takes a batch in, and writes nothing. `ahead` is what the step touches that is being
    /// written meanwhile; none comes back where this batch has to wait for its outcome.
    pub async fn judge(
        &self,
        inputs: &[Input],
        ahead: Option<&Touched>,
    ) -> Result<Option<Judged>, StoreError> {
        let began = Instant::now();
        let now = self.clock.now();
        let Some(mut batch) = Batch::load(self, inputs, now, ahead).await? else { return Ok(None) };
        for input in inputs {
            batch.take(input).await?;
        }
        Ok(Some(batch.finish(began)))
    }

    /// The second half: writes what was judged, in one transaction. What can be prepared is prepared at once; `go` says
    /// when the store is to be written to, and whether at all.
    pub async fn write(
        &self,
        judged: Judged,
        go: impl Future<Output = bool> + Send,
    ) -> Result<StepReport, StoreError> {
        let Judged { commit, report, decisions, began, .. } = judged;
        let texts: Vec<RuleHash> = commit.texts.iter().map(|(hash, _)| hash.clone()).collect();
        let taken_at = commit.at;
        let entries = journal::entries(&commit);
        let written = self.store.commit(commit);
        if !go.await {
            return Err(StoreError::Conflict);
        }
        written.await?;
        journal::log(entries);
        if let Some(taken_at) = taken_at {
            self.remember_texts(texts, taken_at);
        }
        for decision in &decisions {
            self.meter.decided(decision);
        }
        self.meter.step_committed(report.taken.len(), began.elapsed());
        Ok(report)
    }

    /// Whether a text is stored, and was taken so lately that nobody deletes it as one that nothing needs.
    fn knows_text(&self, hash: &RuleHash, now: Timestamp) -> bool {
        let known = self.kept_texts.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(hash).is_some_and(|taken_at| now.duration_since(*taken_at) < TEXT_TAKEN_FOR)
    }

    fn remember_texts(&self, hashes: Vec<RuleHash>, taken_at: Timestamp) {
        if !hashes.is_empty() {
            let taken = hashes.into_iter().map(|hash| (hash, taken_at));
            self.kept_texts.lock().unwrap_or_else(PoisonError::into_inner).extend(taken);
        }
    }
}
