//! Plays a history through one set of rules, or through two side by side.

use super::history::{History, HistoryError, Moment, Span};
use super::past::{Everybody, Past};
use super::report::{Counts, Difference, Report};
use super::tally::Shared;
use crate::domain::incident::IncidentId;
use crate::engine::EngineSettings;
use crate::engine::playbook::Playbook;
use crate::engine::ports::Clock;
use crate::rules::RuleBook;
use crate::store::memory::Memory;
use crate::testing::stage::{Cast, CountingIds, ManualClock, PlainAlerts, Stage, StageError};
use crate::testing::world::{Tools, World};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long an incident that is over is kept where something still waits for it, before that is looked at again.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_mins(30);

/// Why a backtest could not be played to its end.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// Prometheus cannot tell.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The engine could not go on.
    #[error("the backtest cannot go on at {at}: {error}")]
    Stage {
        /// When.
        at: Timestamp,
        /// Why.
        error: StageError,
    },
}

/// A set of rules with what the operator decides.
#[derive(Clone)]
pub struct Ground {
    /// The rules.
    pub book: Arc<RuleBook>,
    /// What the operator decides.
    pub engine: EngineSettings,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Up to which time the past was played.
    pub at: Timestamp,
    /// Alerts that began so far.
    pub episodes: u64,
}

/// One set of rules that the past is played through.
struct Player {
    clock: Arc<ManualClock>,
    store: Arc<Memory>,
    stage: Stage,
    book: Arc<RuleBook>,
    tally: Shared,
    /// Incidents that are over, by when they cannot be opened again.
    over: BTreeMap<Timestamp, Vec<(IncidentId, Timestamp)>>,
}

/// Plays the history through the rules, and through others to compare with, where there are some.
///
/// # Errors
/// Where Prometheus cannot tell, or the engine cannot go on.
pub async fn play(
    mut history: History,
    span: Span,
    rules: Ground,
    against: Option<Ground>,
    past: Arc<Past>,
    tools: Arc<Tools>,
    mut progress: impl FnMut(Progress),
) -> Result<Report, PlayError> {
    let mut player = Player::new(rules, span.from, &past, &tools);
    let mut other = against.map(|ground| Player::new(ground, span.from, &past, &tools));
    let mut episodes = 0;
    while let Some(moments) = history.next().await? {
        for moment in moments {
            episodes += moment.alerts.iter().filter(|alert| alert.ends_at.is_none()).count() as u64;
            player.moment(&moment).await?;
            if let Some(other) = &mut other {
                other.moment(&moment).await?;
            }
            progress(Progress { at: moment.at, episodes });
        }
    }
    let counts = player.end(span.to).await?;
    let difference = match other {
        Some(other) => Some(Difference::between(&other.end(span.to).await?, &counts)),
        None => None,
    };
    Ok(Report {
        from: span.from,
        to: span.to,
        step_seconds: span.step.as_secs(),
        grace_seconds: span.grace.as_secs(),
        history: history.read(),
        assumed: Vec::new(),
        evidence: past.evidence(),
        counts,
        difference,
    })
}

impl Player {
    fn new(ground: Ground, start: Timestamp, past: &Arc<Past>, tools: &Arc<Tools>) -> Self {
        let tally = Shared::default();
        let clock = Arc::new(ManualClock::at(start));
        let store = Arc::new(Memory::watched(Box::new(tally.clone())));
        let world = Arc::new(World::new(Arc::clone(&ground.book), Arc::clone(tools)));
        let stage = Stage::begin(Cast {
            store: store.clone(),
            reader: store.clone(),
            playbook: ground.book.clone(),
            diagnoser: past.clone(),
            sentinel: world.clone(),
            surveyor: world.clone(),
            actor: world,
            alerting: None,
            notifier: Arc::new(Everybody),
            clock: clock.clone(),
            ids: Arc::new(CountingIds::default()),
            decoder: Arc::new(PlainAlerts),
            settings: ground.engine,
        });
        Self { clock, store, stage, book: ground.book, tally, over: BTreeMap::new() }
    }

    async fn moment(&mut self, moment: &Moment) -> Result<(), PlayError> {
        self.pass(moment.at).await?;
        for alert in moment.alerts.iter().filter(|alert| alert.ends_at.is_none()) {
            let rules = self.book.matching(alert);
            self.tally.lock().matched(alert, rules.iter().map(|kept| kept.rule.name.as_str()));
        }
        let told = async {
            self.stage.post(&moment.alerts).await?;
            self.stage.work().await
        };
        told.await.map_err(|error| PlayError::Stage { at: moment.at, error })?;
        self.let_go(moment.at);
        Ok(())
    }

    /// Lets time pass, stopping wherever something is due.
    async fn pass(&mut self, to: Timestamp) -> Result<(), PlayError> {
        while let Some(due) = self.store.next_due().filter(|due| *due <= to) {
            self.clock.set(due.max(self.clock.now()));
            self.stage.work().await.map_err(|error| PlayError::Stage { at: due, error })?;
        }
        self.clock.set(to);
        Ok(())
    }

    /// Lets go of incidents that can neither be opened again nor have anything to do.
    fn let_go(&mut self, now: Timestamp) {
        let ended = self.tally.lock().take_ended();
        for (id, at, rule) in ended {
            let reopens = self
                .book
                .current()
                .rules()
                .iter()
                .find(|kept| kept.rule.name == *rule)
                .map_or_else(crate::domain::rule::default_reopen_within, |kept| kept.rule.reopen_within);
            self.over.entry(at.saturating_add(reopens).expect("a point in time")).or_default().push((id, at));
        }
        while let Some(entry) = self.over.first_entry().filter(|entry| *entry.key() <= now) {
            for (id, at) in entry.remove() {
                match self.store.ended(&id) {
                    Some((ended, false)) if ended == at => {
                        if let Some(incident) = self.store.forget(&id) {
                            self.tally.lock().close(&incident);
                        }
                    }
                    Some((ended, true)) if ended == at => {
                        self.over.entry(now + LOOK_AGAIN).or_default().push((id, at));
                    }
                    // It was opened again, and will be told of again when it ends.
                    _ => {}
                }
            }
        }
    }

    async fn end(mut self, at: Timestamp) -> Result<Counts, PlayError> {
        self.pass(at).await?;
        let mut tally = std::mem::take(&mut *self.tally.lock());
        for incident in self.store.rest() {
            tally.close(&incident);
        }
        self.stage.end().await;
        Ok(tally.counts())
    }
}

#[cfg(test)]
mod tests;
