//! Sets, keeps and ends silences in Alertmanager: the effect [`Effect::Silence`](crate::domain::effect::Effect).
//!
//! Alertmanager has no key that makes setting one idempotent, so our own is looked for first, by the mark in its comment:
//! an attempt whose answer was lost is found by the next one.

use super::executor::{Executor, backoff};
use super::ports::{Kept, Leased, SilenceOrder, SilenceRefused, StoreError};
use crate::domain::Labels;
use crate::domain::alert::AlertStatus;
use crate::domain::event::Event;
use crate::domain::silence::{SILENCE_LEASE, SilenceOutcome, SilenceWish, key};
use crate::engine::ports::IncidentView;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// Longest time for one wish, below its lease: a few exchanges for each alert.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(45);

/// A wish that could not be carried out by then is given up: a silence without an end has ended by itself, and whoever
/// wanted one has long been told otherwise.
const WISH_AGE_MAX: SignedDuration = SignedDuration::from_hours(1);

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
        let Some(order) = order(&view, serial, wish, self.clock.now()) else {
            return self.finish(leased, None).await;
        };
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
                let age = self.clock.now().duration_since(leased.created_at);
                if refused.retryable && age < WISH_AGE_MAX {
                    self.meter.effect_done(leased.effect.kind(), "failed");
                    return self.postpone(leased, backoff(leased.attempt)).await;
                }
                SilenceOutcome::Failed { reason: refused.reason }
            }
        };
        self.meter.effect_done(leased.effect.kind(), word(&outcome));
        self.finish(leased, Some(Event::SilenceDone { serial, outcome })).await
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
        SilenceOutcome::Failed { .. } => "refused",
    }
}
