//! Reads deliveries: what they say, and which rules their alerts match. Nothing of it depends on what is stored, so two
//! hands share a batch.

use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::bridge::BridgeNews;
use crate::domain::correlate::CorrelationKey;
use crate::engine::playbook::{KeptRule, Playbook};
use crate::engine::ports::{Click, Decoded, Decoder, Delivery, Source, StoreError, Whose};
use std::sync::Arc;

/// Deliveries from which on a second hand is worth its start.
const SHARED_MIN: usize = 16;

/// What a delivery says, for a step.
pub(super) enum Read {
    Alerts(Vec<ReadAlert>),
    Clicks(Vec<Click>),
    News(Vec<(Whose, BridgeNews)>),
}

/// An alert with the rules that match it.
pub(super) struct ReadAlert {
    pub(super) alert: Arc<Alert>,
    /// Where it belongs, should it be news; empty for one that has ended.
    pub(super) places: Vec<Place>,
    /// Whether we found out by asking Alertmanager, and nobody told us.
    pub(super) found: bool,
}

/// A rule that matches an alert, and the key of the incident.
pub(super) struct Place {
    pub(super) rule: Arc<KeptRule>,
    pub(super) key: CorrelationKey,
}

/// What reading takes.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) decoder: Arc<dyn Decoder>,
    pub(super) playbook: Arc<dyn Playbook>,
}

impl Reading {
    /// Reads a batch; what each delivery says stands beside its identity.
    pub(super) async fn all(
        &self,
        mut deliveries: Vec<Delivery>,
    ) -> Result<Vec<(String, Result<Read, String>)>, StoreError> {
        if deliveries.len() < SHARED_MIN {
            return Ok(self.each(deliveries));
        }
        let half = deliveries.split_off(deliveries.len() / 2);
        let other = self.clone();
        let others = tokio::spawn(async move { other.each(half) });
        let mut read = self.each(deliveries);
        match others.await {
            Ok(rest) => read.extend(rest),
            // A defect ends the process, as it would have done here.
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => return Err(StoreError::Unavailable(error.to_string())),
            },
        }
        Ok(read)
    }

    fn each(&self, deliveries: Vec<Delivery>) -> Vec<(String, Result<Read, String>)> {
        let read = |delivery: Delivery| {
            let read = self.decoder.decode(&delivery).map(|decoded| match decoded {
                Decoded::Alerts(alerts) => {
                    let found = delivery.source == Source::Reconciler;
                    Read::Alerts(alerts.into_iter().map(|alert| self.matched(alert, found)).collect())
                }
                Decoded::Clicks(clicks) => Read::Clicks(clicks),
                Decoded::News(news) => Read::News(news),
            });
            (delivery.id, read)
        };
        deliveries.into_iter().map(read).collect()
    }

    fn matched(&self, alert: Alert, found: bool) -> ReadAlert {
        let place = |rule: Arc<KeptRule>| Place { key: self.playbook.key(&rule, &alert), rule };
        let places = match alert.status {
            AlertStatus::Firing => self.playbook.matching(&alert).into_iter().map(place).collect(),
            AlertStatus::Resolved => Vec::new(),
        };
        ReadAlert { alert: Arc::new(alert), places, found }
    }
}
