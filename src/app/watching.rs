//! Wires what watches over alerting itself: whether Alertmanager and we hold the same.

use crate::alerting::Alertmanagers;
use crate::engine::intake::Intake;
use crate::engine::meter::Meter;
use crate::engine::ports::{Clock, Ids};
use crate::engine::reconciling::{Memory, ReconcileSettings, Reconciler};
use crate::engine::stepping::Steps;
use crate::settings::{Reconcile, Settings};
use crate::store::SqlStore;
use std::sync::Arc;
use std::time::Duration;

/// What the reconciler is made of.
pub(super) struct Reconciling<'h> {
    pub(super) settings: &'h Settings,
    pub(super) store: &'h Arc<SqlStore>,
    pub(super) intake: &'h Intake,
    pub(super) steps: &'h Steps,
    pub(super) clock: &'h Arc<dyn Clock>,
    pub(super) ids: &'h Arc<dyn Ids>,
    pub(super) meter: Arc<dyn Meter>,
}

impl Reconciling<'_> {
    /// The reconciler and how often it looks, where there is an Alertmanager to ask.
    pub(super) fn reconciler(
        self,
        alertmanagers: Option<Arc<Alertmanagers>>,
    ) -> Option<(Reconciler, Duration)> {
        let Reconcile { enabled, every, grace, receiver, take_in_missed, missed_after } =
            self.settings.alertmanager.as_ref()?.reconcile.clone();
        let alerting = alertmanagers.filter(|_| enabled)?;
        let reconciler = Reconciler {
            alerting,
            store: self.store.clone(),
            reader: self.store.clone(),
            intake: self.intake.clone(),
            steps: self.steps.clone(),
            clock: Arc::clone(self.clock),
            ids: Arc::clone(self.ids),
            meter: self.meter,
            settings: ReconcileSettings {
                grace: grace.get(),
                receiver,
                takes_in: take_in_missed,
                missed_after: missed_after.signed(),
            },
            memory: Memory::default(),
        };
        Some((reconciler, every.get()))
    }
}
