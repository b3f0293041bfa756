//! What people ask of the engine through the API and the command line.

use super::checking;
use super::ports::{PauseChange, Store, StoreError};
use super::step::{Input, Lease, Taken};
use super::stepping::Steps;
use crate::domain::action::{ActionId, PlanDigest};
use crate::domain::apply::Refused;
use crate::domain::approval::{Ballot, Verdict};
use crate::domain::event::Event;
use crate::domain::guardrail::Pause;
use crate::domain::incident::IncidentId;
use crate::domain::people::Actor;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no such incident, or no incident has such an action.
    #[error("there is no such incident")]
    NoSuchIncident,
    /// It does not fit the state; nothing changed.
    #[error(transparent)]
    Refused(Refused),
    /// Temporary.
    #[error(transparent)]
    Store(StoreError),
}

/// Carries out what people ask for. Cheap to clone.
#[derive(Clone)]
pub struct Commands {
    steps: Steps,
    store: Arc<dyn Store>,
}

impl Commands {
    /// Commands over these.
    pub fn new(steps: Steps, store: Arc<dyn Store>) -> Self {
        Self { steps, store }
    }

    /// Takes an incident in somebody's name.
    pub async fn acknowledge(
        &self,
        incident: IncidentId,
        actor: Actor,
        reason: Option<String>,
    ) -> Result<(), CommandError> {
        self.happen(incident, Event::Acknowledge { actor, reason }).await
    }

    /// Ends an incident in somebody's name.
    pub async fn resolve(
        &self,
        incident: IncidentId,
        actor: Actor,
        reason: Option<String>,
    ) -> Result<(), CommandError> {
        self.happen(incident, Event::Resolve { actor, episode: None, reason }).await
    }

    /// Stops the automation of an incident in somebody's name.
    pub async fn take_over(
        &self,
        incident: IncidentId,
        actor: Actor,
        reason: Option<String>,
    ) -> Result<(), CommandError> {
        self.happen(incident, Event::TakeOver { actor, reason }).await
    }

    /// Calls the next level in somebody's name.
    pub async fn escalate(
        &self,
        incident: IncidentId,
        actor: Actor,
        reason: Option<String>,
    ) -> Result<(), CommandError> {
        self.happen(incident, Event::Escalate { actor, seen: None, reason }).await
    }

    /// Silences the alerts of an incident in somebody's name; none means until it is over.
    pub async fn silence(
        &self,
        incident: IncidentId,
        actor: Actor,
        lasts: Option<SignedDuration>,
        reason: Option<String>,
    ) -> Result<(), CommandError> {
        self.happen(incident, Event::Silence { actor, lasts, reason }).await
    }

    /// Lifts that silence in somebody's name.
    pub async fn unsilence(
        &self,
        incident: IncidentId,
        actor: Actor,
        reason: Option<String>,
    ) -> Result<(), CommandError> {
        self.happen(incident, Event::Unsilence { actor, reason }).await
    }

    /// Decides about an action in the name of a known person.
    pub async fn decide(
        &self,
        action: ActionId,
        actor: Actor,
        verdict: Verdict,
        digest: Option<PlanDigest>,
        reason: Option<String>,
    ) -> Result<(), CommandError> {
        self.vote(action, Ballot { actor, member: None, is_named: true, verdict, digest, reason }).await
    }

    /// The same for somebody of whom more than a name may be known.
    pub async fn vote(&self, action: ActionId, ballot: Ballot) -> Result<(), CommandError> {
        let incident = IncidentId(action.0.split_once("-a").map_or("", |(incident, _)| incident).to_owned());
        self.happen(incident, Event::Ballot { action, ballot }).await
    }

    /// Ticks off an item of a task; none means all items.
    pub async fn item_done(
        &self,
        incident: IncidentId,
        task: usize,
        item: Option<usize>,
        actor: Actor,
    ) -> Result<(), CommandError> {
        self.happen(incident, Event::TaskItemDone { task, item, actor }).await
    }

    /// Stops actions, everywhere or in one namespace, until somebody lifts it.
    pub async fn pause(
        &self,
        namespace: Option<String>,
        by: &Actor,
        reason: String,
        since: Timestamp,
    ) -> Result<(), CommandError> {
        let pause = Pause { namespace, by: by.name.clone(), reason, since };
        self.store.set_pause(PauseChange::Set(pause)).await.map_err(CommandError::Store)
    }

    /// Lifts a pause.
    pub async fn resume(&self, namespace: Option<String>) -> Result<(), CommandError> {
        self.store.set_pause(PauseChange::Lift { namespace }).await.map_err(CommandError::Store)
    }

    /// Runs a scheduled check now, in somebody's name.
    pub async fn run_check(&self, check: &str, by: &Actor, now: Timestamp) -> Result<(), CommandError> {
        checking::ask_for(self.store.as_ref(), check, &by.name, now).await.map_err(CommandError::Store)
    }

    async fn happen(&self, incident: IncidentId, event: Event) -> Result<(), CommandError> {
        let input = Input::Event { incident, event: Some(event), lease: Lease::None };
        match self.steps.take(input).await.map_err(CommandError::Store)? {
            Taken::Done | Taken::MayStart(_) => Ok(()),
            Taken::Refused(refused) => Err(CommandError::Refused(refused)),
            Taken::NoSuchIncident => Err(CommandError::NoSuchIncident),
            Taken::Lost => Err(CommandError::Store(StoreError::Conflict)),
            Taken::Unreadable(error) => Err(CommandError::Store(StoreError::Corrupt(error))),
        }
    }
}
