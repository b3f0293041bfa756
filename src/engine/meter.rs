//! What the engine counts. The roof turns it into metrics; tests ignore it or read it.

use super::reconciling::Round;
use crate::domain::decision::RemedyDecision;
use crate::domain::effect::EffectKind;
use crate::domain::notification::Destination;
use crate::domain::scheduled::CheckReport;
use std::time::Duration;

/// Takes note of what happens in the engine. Must be cheap and must not block.
pub trait Meter: Send + Sync {
    /// Deliveries were written in one transaction.
    fn deliveries_stored(&self, _count: usize, _took: Duration) {}
    /// A step was committed with so many inputs.
    fn step_committed(&self, _inputs: usize, _took: Duration) {}
    /// A step found that somebody else wrote first.
    fn step_conflicted(&self) {}
    /// An alert was matched by a rule.
    fn matched(&self, _rule: &str) {}
    /// A delivery could not be read.
    fn dead_letter(&self) {}
    /// A remedy was judged.
    fn decided(&self, _decision: &RemedyDecision) {}
    /// An effect was carried out, or not.
    fn effect_done(&self, _kind: EffectKind, _outcome: &'static str) {}
    /// A notice reached its destination this long after it was wished.
    fn notified(&self, _destination: &Destination, _after: Duration) {}
    /// A wake of the escalation was handled this long after it was due.
    fn escalation_lag(&self, _lag: Duration) {}
    /// What Alertmanager holds was compared with what we hold.
    fn reconciled(&self, _round: &Round) {}
    /// An audit was made, and found so many incidents without a next step.
    fn audited(&self, _passed: bool, _without_step: usize) {}
    /// A scheduled check was run.
    fn checked(&self, _report: &CheckReport) {}
    /// So many watchdogs stay away.
    fn watchdogs_missing(&self, _count: usize) {}
}

/// Counts nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoMeter;

impl Meter for NoMeter {}
