//! Claims effects that are due and has them carried out, each kind with its own number of hands.
//!
//! A slow messenger must not hold up timers, and a flood of diagnostics must not hold up pages: every kind has its
//! own loop and its own limit. A loop sleeps until something is due, at most [`POLL_EVERY`].

use super::doorbells::Doorbells;
use super::executor::Executor;
use super::ports::{Claim, Leased};
use super::stepping::Signals;
use crate::domain::effect::EffectKind;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest sleep between two looks for due effects. A tenth of the half minute within which a page must go out.
pub const POLL_EVERY: Duration = Duration::from_millis(500);
/// Wait after a store error.
const STORE_RETRY_WAIT: Duration = Duration::from_millis(500);

/// How one kind of effect is worked on.
#[derive(Debug, Clone, Copy)]
struct Lane {
    kind: EffectKind,
    /// Effects carried out at the same time.
    hands: usize,
    /// How long a claim stands: longer than the longest time that carrying out may take.
    lease: SignedDuration,
}

const LANES: [Lane; 5] = [
    // Wakes do no IO of their own; many of them share one step. Three batches: one is written, one is judged, and one
    // is being claimed.
    Lane { kind: EffectKind::Wake, hands: 3_072, lease: SignedDuration::from_secs(15) },
    // Pages must be claimable again within the half minute that escalation may lag.
    Lane { kind: EffectKind::Notify, hands: 32, lease: SignedDuration::from_secs(20) },
    // A few exchanges for each alert.
    Lane { kind: EffectKind::Silence, hands: 4, lease: SignedDuration::from_secs(60) },
    Lane { kind: EffectKind::Diagnose, hands: 16, lease: SignedDuration::from_secs(60) },
    Lane { kind: EffectKind::Act, hands: 8, lease: SignedDuration::from_secs(90) },
];

/// Runs all workers of a process until `stop` is cancelled; then waits for what is under way.
pub async fn run(executor: Arc<Executor>, signals: Signals, owner: String, stop: CancellationToken) {
    let tracker = TaskTracker::new();
    for lane in LANES {
        let worker = Worker {
            lane,
            executor: Arc::clone(&executor),
            owner: owner.clone(),
            doorbells: Arc::clone(&signals.effects),
            hands: Arc::new(Semaphore::new(lane.hands)),
            under_way: TaskTracker::new(),
        };
        tracker.spawn(worker.run(stop.clone()));
    }
    tracker.close();
    tracker.wait().await;
}

struct Worker {
    lane: Lane,
    executor: Arc<Executor>,
    owner: String,
    doorbells: Arc<Doorbells>,
    hands: Arc<Semaphore>,
    under_way: TaskTracker,
}

impl Worker {
    async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let claimed = self.claim_and_start().await;
            if claimed > 0 {
                continue;
            }
            tokio::select! {
                () = self.doorbells.of(self.lane.kind).notified() => {}
                () = tokio::time::sleep_until(self.next_look()) => {}
                () = stop.cancelled() => {}
            }
        }
        self.under_way.close();
        self.under_way.wait().await;
    }

    /// Claims as many effects as there are free hands; returns how many were started.
    async fn claim_and_start(&self) -> usize {
        // At least one hand must be free before anything is claimed: a claim that waits wastes its lease.
        let Ok(first) = Arc::clone(&self.hands).acquire_owned().await else { return 0 };
        let mut permits = vec![first];
        while let Ok(permit) = Arc::clone(&self.hands).try_acquire_owned() {
            permits.push(permit);
        }
        let leased = match self.executor.store.claim(self.wanted(permits.len())).await {
            Ok(leased) => leased,
            Err(error) => {
                tracing::warn!(error = %error, kind = self.lane.kind.as_str(), "effects could not be claimed");
                tokio::time::sleep(STORE_RETRY_WAIT).await;
                return 0;
            }
        };
        let count = leased.len();
        for (effect, permit) in leased.into_iter().zip(permits) {
            let executor = Arc::clone(&self.executor);
            let (doorbells, kind) = (Arc::clone(&self.doorbells), self.lane.kind);
            self.under_way.spawn(async move {
                carry_out(&executor, effect).await;
                drop(permit);
                // The next effect of the same lane may have become claimable.
                doorbells.of(kind).notify_one();
            });
        }
        count
    }

    /// When to look without being told to: a hold may end before the next poll.
    fn next_look(&self) -> Instant {
        let poll = Instant::now() + POLL_EVERY;
        self.executor.holds.next_end().map_or(poll, |end| end.min(poll))
    }

    fn wanted(&self, limit: usize) -> Claim {
        let now = self.executor.clock.now();
        Claim {
            kind: self.lane.kind,
            owner: self.owner.clone(),
            now,
            lease_until: now.checked_add(self.lane.lease).unwrap_or(Timestamp::MAX),
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
            held: self.executor.holds.held(),
        }
    }
}

async fn carry_out(executor: &Executor, effect: Leased) {
    let (id, incident, kind) = (effect.id.clone(), effect.incident.clone(), effect.effect.kind());
    if let Err(error) = executor.execute(effect).await {
        tracing::warn!(
            effect.id = %id,
            incident.id = %incident,
            effect.kind = kind.as_str(),
            error = %error,
            "an effect's end could not be recorded; it is claimed again when its lease expires",
        );
    }
}
