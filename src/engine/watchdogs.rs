//! Watchdogs: alerts that always fire. While one comes, alerting works from Prometheus to us; when it stays away, nobody
//! would be told of anything, so people are paged, and nothing acts alone.
//!
//! Each telling is a beat that is stored with the delivery it came in, so a restart forgets nothing. Being blind is judged
//! by the last beat alone, and at once; people are called only when we have listened for long enough ourselves: after a
//! start, a pause of the process, a clock that was set or a store that was away, the time counts anew.

use super::own_alerts::{Herald, HeraldError};
use crate::domain::Labels;
use crate::domain::alert::AlertStatus;
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

/// Looks after the watchdogs.
pub struct Keeper {
    /// Which.
    pub watchdogs: Vec<Watchdog>,
    /// Whom to tell who must not act.
    pub sight: Sight,
    /// Says what is missing; its store holds the beats.
    pub herald: Herald,
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
    pub async fn look(&mut self) -> Result<Vec<String>, HeraldError> {
        let now = self.herald.clock.now();
        let looked = self.look_at(now).await;
        if looked.is_err() {
            self.listening = None;
        }
        looked
    }

    async fn look_at(&mut self, now: Timestamp) -> Result<Vec<String>, HeraldError> {
        let beats = self.herald.store.beats().await?;
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
    ) -> Result<(), HeraldError> {
        if !self.herald.tell(labels(watchdog), summary(watchdog, beat), status).await? {
            return Ok(());
        }
        match status {
            AlertStatus::Firing => tracing::error!(watchdog = watchdog.name, "a watchdog stays away"),
            AlertStatus::Resolved => tracing::info!(watchdog = watchdog.name, "a watchdog comes again"),
        }
        Ok(())
    }
}

fn why(watchdog: &Watchdog, beat: Option<Timestamp>) -> String {
    match beat {
        Some(at) => format!("the watchdog {} was last heard at {at}", watchdog.name),
        None => format!("the watchdog {} was never heard", watchdog.name),
    }
}

fn labels(watchdog: &Watchdog) -> Labels {
    [
        ("alertname", MISSING),
        ("watchdog", &watchdog.name),
        ("severity", watchdog.severity.as_str()),
        ("service", "smokejumper"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn summary(watchdog: &Watchdog, beat: Option<Timestamp>) -> String {
    format!(
        "{}: alerts may not reach us, so nobody would hear of anything, and nothing is done alone",
        why(watchdog, beat)
    )
}
