//! Wakes the workers whose kind of effect may be due.

use crate::domain::effect::EffectKind;
use std::collections::HashSet;
use tokio::sync::Notify;

/// One bell for each kind of effect, so that a flood of one kind does not send all workers to the store.
#[derive(Debug, Default)]
pub struct Doorbells {
    diagnose: Notify,
    act: Notify,
    notify: Notify,
    silence: Notify,
    wake: Notify,
}

impl Doorbells {
    /// The bell of a kind. A ring that nobody hears is kept until somebody listens.
    pub fn of(&self, kind: EffectKind) -> &Notify {
        match kind {
            EffectKind::Diagnose => &self.diagnose,
            EffectKind::Act => &self.act,
            EffectKind::Notify => &self.notify,
            EffectKind::Silence => &self.silence,
            EffectKind::Wake => &self.wake,
        }
    }

    /// Rings for these kinds.
    pub fn ring(&self, kinds: &HashSet<EffectKind>) {
        kinds.iter().for_each(|kind| self.of(*kind).notify_one());
    }

    /// Rings for all kinds: another process has written something.
    pub fn ring_all(&self) {
        EffectKind::ALL.into_iter().for_each(|kind| self.of(kind).notify_one());
    }
}
