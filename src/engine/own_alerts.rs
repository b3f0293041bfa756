//! Alerts that the service raises itself: about watchdogs that stay away, audits that fail, scheduled checks that are red.
//!
//! They go through the inbox as any other alert, so rules match them and people are told of them in the same way. One that
//! fires already is not raised again, and one that does not is not ended: several replicas may say the same at once.

use super::intake::{Intake, IntakeError};
use super::ports::{Clock, Delivery, Ids, Source, Store, StoreError, Wanted};
use crate::domain::Labels;
use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::fingerprint::Fingerprint;
use std::sync::Arc;

/// Why an alert of our own could not be raised or ended.
#[derive(Debug, thiserror::Error)]
pub enum HeraldError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be stored.
    #[error(transparent)]
    Intake(#[from] IntakeError),
}

/// Raises and ends alerts of our own. Cheap to clone.
#[derive(Clone)]
pub struct Herald {
    /// Knows which fire.
    pub store: Arc<dyn Store>,
    /// Takes them in.
    pub intake: Intake,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Draws identities.
    pub ids: Arc<dyn Ids>,
}

impl Herald {
    /// Raises the alert with these labels, or ends it, unless that is known. Returns whether it was news.
    ///
    /// # Errors
    /// A store that does not answer, or an intake that is full.
    pub async fn tell(
        &self,
        labels: Labels,
        summary: String,
        status: AlertStatus,
    ) -> Result<bool, HeraldError> {
        let fingerprint = Fingerprint::of_labels(&labels);
        let wanted = Wanted { fingerprints: vec![fingerprint], ..Wanted::default() };
        let known = self.store.load(wanted).await?.alerts;
        let fires = known.iter().any(|stored| stored.record.status == AlertStatus::Firing);
        if fires == (status == AlertStatus::Firing) {
            return Ok(false);
        }
        let now = self.clock.now();
        let alert = Alert {
            fingerprint,
            status,
            labels,
            annotations: [("summary".to_owned(), summary)].into(),
            starts_at: now,
            ends_at: (status == AlertStatus::Resolved).then_some(now),
            generator_url: None,
        };
        let body = serde_json::to_vec(std::slice::from_ref(&alert)).expect("an alert can be written as JSON");
        let delivery =
            Delivery { id: self.ids.delivery(), source: Source::Own, received_at: now, body: body.into() };
        self.intake.accept(delivery).await?;
        Ok(true)
    }
}
