//! Sets, keeps and ends silences in Alertmanager: the effect [`Effect::Silence`](crate::domain::effect::Effect).
//!
//! Alertmanager has no key that makes setting one idempotent, so our own is looked for first, by the mark in its comment:
//! an attempt whose answer was lost is found by the next one.

use super::executor::{Executor, backoff};
use super::ports::{Kept, Leased, SilenceOrder, SilenceRefused, StoreError};
use super::step::{Input, Lease};
use crate::domain::Labels;
use crate::domain::alert::AlertStatus;
use crate::domain::event::Event;
use crate::domain::silence::{SILENCE_LEASE, SilenceEnding, SilenceOutcome, SilenceWish, key};
use crate::engine::ports::IncidentView;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// Longest time for one wish, below its lease: a few exchanges for each alert.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(45);

/// A silence that Alertmanager has not taken by then is given up: whoever wanted it is told, and may press again.
const STAND_AGE_MAX: SignedDuration = SignedDuration::from_hours(1);

/// A wish that is not carried out by then is told to people, while it goes on being tried: longer than Alertmanager takes
/// to start again.
const TOLD_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// Longest wait between two attempts at an end that people know to be late. It is tried until the silence ends by itself,
/// which may be days.
const LATE_WAIT: Duration = Duration::from_secs(300);

/// How a wish stands that failed once more.
#[derive(Debug, Clone, Copy)]
struct Trying {
    goes_on: bool,
    /// Whether people know.
    is_late: bool,
    /// Until when it is tried, where that is known.
    until: Option<Timestamp>,
}

impl Executor {
    pub(super) async fn silence(
        &self,
        leased: &Leased,
        serial: u32,
        wish: SilenceWish,
    ) -> Result<(), StoreError> {
        let Some(view) = self.reader.incident(&leased.incident).await? else {
            return self.finish(leased, None).await;
        };
        let now = self.clock.now();
        let Some(order) = order(&view, serial, wish, now) else {
            return self.finish(leased, None).await;
        };
        let ending = view.incident.silences_ending.iter().find(|ending| ending.serial == serial).copied();
        if wish == SilenceWish::End && ending.is_some_and(|ending| ending.until <= now) {
            let outcome = SilenceOutcome::RanOut;
            return self.finish(leased, Some(Event::SilenceDone { serial, outcome })).await;
        }
        if wish == SilenceWish::Stand && order.alerts.is_empty() {
            let outcome = SilenceOutcome::NothingLeft;
            return self.finish(leased, Some(Event::SilenceDone { serial, outcome })).await;
        }
        let asked = tokio::time::timeout(SILENCE_TIMEOUT, self.ask(&order, wish)).await;
        let asked = asked.unwrap_or_else(|_| {
            Err(SilenceRefused { reason: format!("no answer within {SILENCE_TIMEOUT:?}"), retryable: true })
        });
        let outcome = match asked {
            Ok(outcome) => outcome,
            Err(refused) => {
                let age = now.duration_since(leased.created_at);
                let trying = match wish {
                    SilenceWish::Stand => {
                        let standing = view.incident.silence.as_ref();
                        let is_late = standing.is_some_and(|it| it.serial == serial && it.is_late);
                        Trying { goes_on: refused.retryable && age < STAND_AGE_MAX, is_late, until: None }
                    }
                    // Nobody hears of what fires under it, so no answer ends the attempts: whatever is wrong with a
                    // token or an address, people may put right.
                    SilenceWish::End => match ending {
                        Some(SilenceEnding { is_late, until, .. }) => {
                            Trying { goes_on: true, is_late, until: Some(until) }
                        }
                        // Of a version before ends were remembered.
                        None => Trying { goes_on: age < STAND_AGE_MAX, is_late: true, until: None },
                    },
                };
                if trying.goes_on {
                    return self.silence_later(leased, serial, trying, refused).await;
                }
                SilenceOutcome::Failed { reason: refused.reason }
            }
        };
        self.meter.effect_done(leased.effect.kind(), word(&outcome));
        self.finish(leased, Some(Event::SilenceDone { serial, outcome })).await
    }

    /// Tells people once that it takes long, and tries again later.
    async fn silence_later(
        &self,
        leased: &Leased,
        serial: u32,
        trying: Trying,
        refused: SilenceRefused,
    ) -> Result<(), StoreError> {
        self.meter.effect_done(leased.effect.kind(), "failed");
        let now = self.clock.now();
        let is_due = now.duration_since(leased.created_at) >= TOLD_AFTER || !refused.retryable;
        if is_due && !trying.is_late {
            let reason = refused.reason;
            tracing::warn!(incident.id = %leased.incident, reason, "a silence in Alertmanager is not as it was wished");
            let event = Some(Event::SilenceDone { serial, outcome: SilenceOutcome::Late { reason } });
            let incident = leased.incident.clone();
            self.steps.take(Input::Event { incident, event, lease: Lease::None }).await?;
        }
        let wait = if trying.is_late { LATE_WAIT } else { backoff(leased.attempt) };
        let left = trying.until.and_then(|until| Duration::try_from(until.duration_since(now)).ok());
        self.postpone(leased, left.map_or(wait, |left| left.min(wait))).await
    }

    async fn ask(&self, order: &SilenceOrder, wish: SilenceWish) -> Result<SilenceOutcome, SilenceRefused> {
        let Some(alerting) = &self.alerting else {
            let reason = "no Alertmanager is set up".to_owned();
            return Err(SilenceRefused { reason, retryable: false });
        };
        let alerts = u32::try_from(order.alerts.len()).unwrap_or(u32::MAX);
        match wish {
            SilenceWish::Stand => Ok(match alerting.silence(order).await? {
                Kept::Stands => SilenceOutcome::Stands { until: order.until, alerts },
                Kept::Lifted => SilenceOutcome::Lifted,
            }),
            SilenceWish::End => alerting.end_silence(order).await.map(|()| SilenceOutcome::Ended),
        }
    }
}

/// What is asked of Alertmanager by now; none where nobody wishes it any more.
fn order(view: &IncidentView, serial: u32, wish: SilenceWish, now: Timestamp) -> Option<SilenceOrder> {
    let incident = &view.incident;
    let silence = incident.silence.as_ref().filter(|silence| silence.serial == serial);
    let alerts = |fits: &dyn Fn(AlertStatus, Timestamp) -> bool| -> Vec<Labels> {
        let fitting = view.alerts.iter().filter(|(record, _)| fits(record.status, record.updated_at));
        fitting.map(|(_, alert)| alert.labels.clone()).collect()
    };
    let (until, alerts, by, why) = match (wish, silence) {
        (SilenceWish::Stand, None) => return None,
        (SilenceWish::Stand, Some(silence)) => {
            let lease = now.checked_add(SILENCE_LEASE).unwrap_or(Timestamp::MAX);
            let until = silence.until.unwrap_or(lease);
            // Only what the person saw.
            let seen = alerts(&|status, since| status == AlertStatus::Firing && since <= silence.at);
            // One for a time stays in Alertmanager as it is, and one whose incident is about to end is ended with it.
            let is_left_alone = silence.until.is_some() || incident.alerts.firing == 0;
            if until <= now || (seen.is_empty() && is_left_alone) {
                return None;
            }
            (until, seen, silence.actor.name.clone(), silence.reason.clone())
        }
        (SilenceWish::End, _) => (now, alerts(&|_, _| true), String::new(), None),
    };
    Some(SilenceOrder {
        key: key(&incident.id, serial),
        alerts,
        now,
        until,
        held_until: silence.and_then(|silence| silence.held_until),
        by,
        why,
    })
}

fn word(outcome: &SilenceOutcome) -> &'static str {
    match outcome {
        SilenceOutcome::Stands { .. } => "stands",
        SilenceOutcome::Lifted => "lifted",
        SilenceOutcome::NothingLeft => "nothing_left",
        SilenceOutcome::Ended => "ended",
        SilenceOutcome::RanOut => "ran_out",
        SilenceOutcome::Late { .. } => "late",
        SilenceOutcome::Failed { .. } => "refused",
    }
}
