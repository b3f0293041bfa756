//! What goes on beside the engine: rules that change, gauges, retention, forgetting what is no longer paced.

use super::gauges;
use super::permissions::Permissions;
use super::rulebook;
use super::watching::Guards;
use crate::engine::checking;
use crate::engine::clock::{ClockWatch, Jump, LastJump};
use crate::engine::executor::Executor;
use crate::engine::fixes;
use crate::engine::ports::{Clock, Store};
use crate::engine::reconciling::Reconciler;
use crate::engine::stepping::Signals;
use crate::metrics::Metrics;
use crate::notify::Notifiers;
use crate::notify::slack::directory::{self, Directory};
use crate::rules::book::RuleBook;
use crate::store::SqlStore;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How often gauges are read from the store. Scrapes come every 15 s or more; reading at each scrape would let a
/// scraper load the store.
const GAUGES_EVERY: Duration = Duration::from_secs(5);
/// How often ended incidents are looked through for those to delete.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

/// How often the clocks are compared. A part of the half minute by which an escalation may be late.
const CLOCK_EVERY: Duration = Duration::from_secs(1);

/// What upkeep needs.
pub struct Upkeep {
    /// The store.
    pub store: Arc<SqlStore>,
    /// The rules.
    pub book: Arc<RuleBook>,
    /// Where gauges are shown.
    pub metrics: Metrics,
    /// What the intake goes by.
    pub signals: Signals,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// What both clocks said when the service started.
    pub began: (Timestamp, Instant),
    /// Notes when the clock was set, for those who must not trust it.
    pub last_jump: LastJump,
    /// How long ended incidents are kept.
    pub retention: SignedDuration,
    /// Holds pacers that grow with destinations.
    pub notifiers: Arc<Notifiers>,
    /// Who is behind Slack's user ids.
    pub directory: Directory,
    /// Looks at what was changed for a limited time.
    pub executor: Arc<Executor>,
    /// Asks the cluster what it permits; none without a cluster.
    pub(super) permissions: Option<Permissions>,
    /// Compares what Alertmanager holds with what we hold, and how often; none without an Alertmanager.
    pub(super) reconciler: Option<(Reconciler, Duration)>,
    /// Watches over alerting itself.
    pub(super) guards: Option<Guards>,
}

impl Upkeep {
    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let guards = self.guards.take().map(|guards| guards.run(&stop));
        let permissions = self.permissions.take().map(|permissions| permissions.follow(stop.clone()));
        let reconciling = self.reconciler.take().map(|(it, every)| reconcile(it, every, &stop));
        tokio::join!(
            futures::future::OptionFuture::from(permissions),
            futures::future::OptionFuture::from(reconciling),
            futures::future::OptionFuture::from(guards),
            rulebook::follow(Arc::clone(&self.book), self.metrics.clone(), stop.clone()),
            self.refresh_gauges(&stop),
            self.prune(&stop),
            self.watch_clock(&stop),
            self.look_at_fixes(&stop),
            self.look_at_checks(&stop),
            self.ask_who_is_who(&stop),
        );
    }

    async fn refresh_gauges(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let now = self.clock.now();
            if let Err(error) = gauges::refresh(self.store.as_ref(), &self.metrics, &self.signals, now).await
            {
                tracing::warn!(error = %error, "gauges could not be read from the store");
            }
            pause(GAUGES_EVERY, stop).await;
        }
    }

    /// Timers are points in time. When the clock is set forward they are due at once; when it is set back they would
    /// be late by as much, so they are moved.
    async fn watch_clock(&self, stop: &CancellationToken) {
        // The first look belongs to the start: a clock that is set right after the doors open must not be the first that
        // is seen.
        let (wall, began) = self.began;
        let mut watch = ClockWatch::default();
        watch.look(wall, Duration::ZERO);
        let mut waits: Option<SignedDuration> = None;
        while !stop.is_cancelled() {
            let jump = watch.look(self.clock.now(), began.elapsed());
            if jump.is_some() {
                self.last_jump.note(self.clock.now());
            }
            match jump {
                None => {}
                Some(Jump::Forward(by)) => {
                    tracing::warn!(
                        seconds = by.as_secs(),
                        "the clock was set forward: what is due by now is done now"
                    );
                    self.metrics.clock_jumped("forward");
                }
                Some(Jump::Back(by)) => {
                    tracing::error!(
                        seconds = by.as_secs(),
                        "the clock was set back: timers are moved with it"
                    );
                    self.metrics.clock_jumped("back");
                    waits = Some(waits.map_or(by, |before| before + by));
                }
            }
            if waits.is_some() {
                match self.store.clock_went_back(self.clock.now(), waits).await {
                    Ok(effects) => {
                        tracing::info!(effects, "timers were moved");
                        waits = None;
                    }
                    Err(error) => tracing::warn!(error = %error, "timers could not be moved yet"),
                }
            }
            pause(CLOCK_EVERY, stop).await;
        }
    }

    /// People set workarounds back by hand, and the list of what stands has to notice.
    async fn look_at_fixes(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.executor.look_at_fixes().await {
                tracing::warn!(error = %error, "temporary fixes could not be looked at");
            }
            pause(fixes::LOOK_EVERY, stop).await;
        }
    }

    /// Scheduled checks come and go with the rules, and their next runs with them.
    async fn look_at_checks(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.executor.look_at_checks().await {
                tracing::warn!(error = %error, "scheduled checks could not be planned");
            }
            pause(checking::LOOK_EVERY, stop).await;
        }
    }

    /// Presses are judged without waiting for Slack, so it is asked ahead of time.
    async fn ask_who_is_who(&self, stop: &CancellationToken) {
        let Some(slack) = self.notifiers.slack.as_ref().filter(|_| self.directory.is_needed()) else {
            return;
        };
        while !stop.is_cancelled() {
            self.directory.refresh(slack).await;
            pause(directory::ASK_EVERY, stop).await;
        }
    }

    async fn prune(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            self.forget_paces();
            let ended_before = self.clock.now().checked_sub(self.retention);
            if let Ok(ended_before) = ended_before {
                match self.store.prune(ended_before).await {
                    Ok(0) => {}
                    Ok(count) => {
                        tracing::info!(incidents = count, "incidents past their retention were deleted")
                    }
                    Err(error) => tracing::warn!(error = %error, "old incidents could not be deleted"),
                }
            }
            pause(PRUNE_EVERY, stop).await;
        }
    }
}

impl Upkeep {
    /// Pacers remember every channel and key that they ever saw; the old ones go.
    fn forget_paces(&self) {
        if let Some(slack) = &self.notifiers.slack {
            slack.prune();
        }
        if let Some(pagerduty) = &self.notifiers.pagerduty {
            pagerduty.prune();
        }
        if let Some(webhooks) = &self.notifiers.webhooks {
            webhooks.prune();
        }
        if let Some(teams) = &self.notifiers.teams {
            teams.prune();
        }
    }
}

/// The first round comes at once, so that what happened while nobody was here is found soon.
async fn reconcile(mut reconciler: Reconciler, every: Duration, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = reconciler.round().await {
            tracing::warn!(error = %error, "what Alertmanager holds could not be compared with what is stored");
        }
        pause(every, stop).await;
    }
}

pub(super) async fn pause(time: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = stop.cancelled() => {}
    }
}

/// Cancels `stop` at SIGTERM or SIGINT.
pub fn stop_on_signal(stop: CancellationToken) {
    tokio::spawn(async move {
        let (Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            tracing::error!("signals cannot be listened to; only SIGKILL stops this process");
            return;
        };
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM"),
            _ = interrupt.recv() => tracing::info!("SIGINT"),
        }
        stop.cancel();
    });
}
