//! The ports that look at the world right before an action, and the one that touches it.

use super::{IncidentView, PortFuture};
use crate::domain::action::{ActionOutcome, ActionPlan, Step};
use crate::domain::incident::Incident;
use crate::domain::survey::SurveyOutcome;
use crate::domain::vitals::Vitals;
use jiff::Timestamp;

/// Touches the world.
pub trait Actor: Send + Sync {
    /// Carries out one plan. `key` is the same for every attempt at the same plan.
    fn act<'a>(&'a self, plan: &'a ActionPlan, context: ActionContext) -> PortFuture<'a, ActionOutcome>;
    /// An earlier attempt at this plan was interrupted: says what the world shows of it, by the context's key. Changes
    /// nothing. "Not applied" means that it certainly was not and cannot be any more.
    fn look_back<'a>(
        &'a self,
        plan: &'a ActionPlan,
        context: &'a ActionContext,
    ) -> PortFuture<'a, ActionOutcome>;
}

/// Takes vital signs: whether monitoring works, and whether something larger is wrong. Reads only.
pub trait Sentinel: Send + Sync {
    /// All signs that are configured. Never fails: a sign that cannot be had says so.
    fn vitals(&self, now: Timestamp) -> PortFuture<'_, Vitals>;
}

/// Looks at the world before an action, and fixes the values of its plan. Reads, and lets servers rehearse a write.
pub trait Surveyor: Send + Sync {
    /// What carrying out this draft would do.
    fn survey<'a>(&'a self, draft: &'a ActionPlan, context: SurveyContext) -> PortFuture<'a, SurveyOutcome>;
    /// Whether somebody else has brought about what this way back is for; says what is so. None where nobody has, and
    /// where that cannot be seen.
    fn is_so<'a>(&'a self, way_back: &'a ActionPlan) -> PortFuture<'a, Option<String>>;
}

/// What a survey may want to know about why it is made.
#[derive(Debug, Clone, PartialEq)]
pub struct SurveyContext {
    /// Now, by the engine's clock.
    pub now: Timestamp,
    /// The incident, with what was tried in it before.
    pub incident: Box<Incident>,
}

/// What an action may want to know about why it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionContext {
    /// Now, by the engine's clock.
    pub now: Timestamp,
    /// The same for every attempt at the same plan: an idempotency key for the world.
    pub key: String,
    /// Which of its plans.
    pub step: Step,
    /// The incident with everything, for documents.
    pub view: Option<Box<IncidentView>>,
}
