//! Watchdogs: alerts that always fire. While one comes, alerting works from Prometheus to us; when it stays away, nobody
//! would be told of anything, so people are paged, and nothing acts alone.
//!
//! Each telling is a beat that is stored with the delivery it came in, so a restart forgets nothing. Being blind is judged
//! by the last beat alone, and at once; people are called only when we have listened for long enough ourselves: after a
//! start, a pause of the process, a clock that was set or a store that was away, the time counts anew.

use super::intake::{Intake, IntakeError};
use super::ports::{Clock, Delivery, Ids, Source, Store, StoreError, Wanted};
use crate::domain::Labels;
use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::fingerprint::Fingerprint;
use crate::domain::matcher::Matchers;
use crate::domain::severity::Severity;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often is looked whether one stays away.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Looks that are further apart, by the clock on the wall, tell that the process stood still or that the clock was set.
const GAP_MAX: SignedDuration = SignedDuration::from_secs(60);

/// Name of the alert that we raise ourselves.
pub const MISSING: &str = "SmokejumperWatchdogMissing";

/// An alert that always fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watchdog {
    /// Its name in the settings.
    pub name: String,
    /// Which alerts are its beats.
    pub matchers: Matchers,
    /// How long it may stay away.
    pub within: SignedDuration,
    /// How bad it is when it does.
    pub severity: Severity,
}

/// Which watchdogs stay away, for whoever must not act without seeing. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Sight(Arc<Mutex<BTreeMap<String, String>>>);

impl Sight {
    /// Why nothing can be seen, by the name of the watchdog; empty while all is well.
    pub fn missing(&self) -> BTreeMap<String, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, name: &str, missing: Option<String>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match missing {
            Some(why) => known.insert(name.to_owned(), why),
            None => known.remove(name),
        };
    }
}

/// Why a look could not be brought to its end.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was found could not be stored.
    #[error(transparent)]
    Intake(#[from] IntakeError),
}

/// Looks after the watchdogs.
pub struct Keeper {
    /// Which.
    pub watchdogs: Vec<Watchdog>,
    /// Whom to tell who must not act.
    pub sight: Sight,
    /// Holds the beats.
    pub store: Arc<dyn Store>,
    /// Takes in what is missing.
    pub intake: Intake,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Draws identities.
    pub ids: Arc<dyn Ids>,
    /// Since when we listen, and when we looked last.
    pub listening: Option<Listening>,
}

/// Why nothing acts alone before the first look: a start may follow a long time in which nobody listened.
const NOT_LOOKED_YET: &str = "nobody has looked yet whether it comes";

/// Since when we listen without a break.
#[derive(Debug, Clone, Copy)]
pub struct Listening {
    since: Timestamp,
    looked_at: Timestamp,
}

impl Keeper {
    /// Before the first look nothing is known of any of them, so that nothing acts alone.
    #[must_use]
    pub fn before_its_first_look(self) -> Self {
        for watchdog in &self.watchdogs {
            self.sight.set(&watchdog.name, Some(NOT_LOOKED_YET.to_owned()));
        }
        self
    }

    /// Looks once; returns the names of those that stay away.
    ///
    /// # Errors
    /// A store that does not answer: then nothing is known, and the time counts anew.
    pub async fn look(&mut self) -> Result<Vec<String>, LookError> {
        let now = self.clock.now();
        let looked = self.look_at(now).await;
        if looked.is_err() {
            self.listening = None;
        }
        looked
    }

    async fn look_at(&mut self, now: Timestamp) -> Result<Vec<String>, LookError> {
        let beats = self.store.beats().await?;
        let since = match self.listening {
            Some(known) if now.duration_since(known.looked_at).abs() <= GAP_MAX => known.since,
            _ => now,
        };
        self.listening = Some(Listening { since, looked_at: now });
        let mut missing = Vec::new();
        for watchdog in self.watchdogs.clone() {
            let beat = beats.get(&watchdog.name).copied();
            // In both directions: a beat from before a clock was set back says nothing.
            let is_here = beat.is_some_and(|at| now.duration_since(at).abs() < watchdog.within);
            self.sight.set(&watchdog.name, (!is_here).then(|| why(&watchdog, beat)));
            if is_here {
                self.tell(&watchdog, beat, AlertStatus::Resolved).await?;
                continue;
            }
            missing.push(watchdog.name.clone());
            if now.duration_since(since) >= watchdog.within {
                self.tell(&watchdog, beat, AlertStatus::Firing).await?;
            }
        }
        Ok(missing)
    }

    /// Raises our alert, or ends it, unless that is known. Two replicas may do so at once, which is once.
    async fn tell(
        &self,
        watchdog: &Watchdog,
        beat: Option<Timestamp>,
        status: AlertStatus,
    ) -> Result<(), LookError> {
        let alert = alert(watchdog, beat, status, self.clock.now());
        let wanted = Wanted { fingerprints: vec![alert.fingerprint], ..Wanted::default() };
        let known = self.store.load(wanted).await?.alerts;
        let fires = known.iter().any(|stored| stored.record.status == AlertStatus::Firing);
        if fires == (status == AlertStatus::Firing) {
            return Ok(());
        }
        match status {
            AlertStatus::Firing => tracing::error!(watchdog = watchdog.name, "a watchdog stays away"),
            AlertStatus::Resolved => tracing::info!(watchdog = watchdog.name, "a watchdog comes again"),
        }
        Ok(deliver(&self.intake, self.ids.as_ref(), self.clock.as_ref(), &alert).await?)
    }
}

/// Puts an alert of our own into the inbox, where it goes the way of all others.
pub(super) async fn deliver(
    intake: &Intake,
    ids: &dyn Ids,
    clock: &dyn Clock,
    alert: &Alert,
) -> Result<(), IntakeError> {
    let body = serde_json::to_vec(std::slice::from_ref(alert)).expect("an alert can be written as JSON");
    let delivery =
        Delivery { id: ids.delivery(), source: Source::Own, received_at: clock.now(), body: body.into() };
    intake.accept(delivery).await
}

fn why(watchdog: &Watchdog, beat: Option<Timestamp>) -> String {
    match beat {
        Some(at) => format!("the watchdog {} was last heard at {at}", watchdog.name),
        None => format!("the watchdog {} was never heard", watchdog.name),
    }
}

fn alert(watchdog: &Watchdog, beat: Option<Timestamp>, status: AlertStatus, now: Timestamp) -> Alert {
    let labels: Labels = [
        ("alertname", MISSING),
        ("watchdog", &watchdog.name),
        ("severity", watchdog.severity.as_str()),
        ("service", "smokejumper"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let summary = format!(
        "{}: alerts may not reach us, so nobody would hear of anything, and nothing is done alone",
        why(watchdog, beat)
    );
    Alert {
        fingerprint: Fingerprint::of_labels(&labels),
        status,
        labels,
        annotations: [("summary".to_owned(), summary)].into(),
        starts_at: now,
        ends_at: (status == AlertStatus::Resolved).then_some(now),
        generator_url: None,
    }
}
