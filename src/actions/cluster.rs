//! What the actions on a Kubernetes cluster share: whom they mean, what they read of it, how one write is made, and what
//! may be said of its end.
//!
//! An action has two halves. Its *survey* reads the object, lets the server rehearse the write, and fixes every value in
//! the plan. Its *act* makes exactly that write, once; it looks whether the object is still the one of the plan, and
//! decides nothing. Reading order: [`declared`] (what an action says of itself), [`subject`] (which object), [`workload`] (what it is like), [`hanging`] (whether its rollout hangs), [`pods`] (whose pods they are), [`edit`] (one write and
//! its way back), [`waiting`] (what it waits for), [`manifest`] (several objects, and theirs), [`plan`] (from drafts to plans), [`words`] (what people are told of failures).

pub(super) mod autoscaler;
pub(super) mod container;
pub(super) mod declared;
pub(super) mod edit;
pub(super) mod hanging;
pub(super) mod jobs;
pub(super) mod manifest;
pub(super) mod plan;
pub(super) mod pods;
pub(super) mod setting;
mod standing;
pub(super) mod subject;
pub(super) mod ttl;
mod waiting;
pub(super) mod words;
pub(super) mod workload;

use serde::de::DeserializeOwned;

use super::Hands;
use crate::clients::kubernetes::ActHandle;
use crate::domain::action::ActionPlan;
use crate::domain::survey::SurveyOutcome;
use crate::params;
use subject::Subject;

/// The mark of a write: which attempt of ours made it. It is the same for every attempt at the same plan.
pub(super) const EXECUTION_ID: &str = "smokejumper.dev/execution-id";

/// What is said where the settings have no cluster.
pub(super) const NO_CLUSTER: &str = "the settings have no section `kubernetes`";

/// The hand on the cluster.
pub(super) fn hand(hands: &Hands) -> Result<&ActHandle, SurveyOutcome> {
    hands.cluster.as_ref().ok_or_else(|| refused(NO_CLUSTER))
}

/// The ladder stops and people are told.
pub(super) fn refused(reason: impl Into<String>) -> SurveyOutcome {
    SurveyOutcome::Refused { reason: reason.into() }
}

/// There is nothing that this remedy could do; the next may.
pub(super) fn nothing_to_do(reason: impl Into<String>) -> SurveyOutcome {
    SurveyOutcome::NothingToDo { reason: reason.into() }
}

/// The parameters of a draft, rendered.
pub(super) fn drafted<T: DeserializeOwned>(draft: &ActionPlan) -> Result<T, SurveyOutcome> {
    params::read(&draft.params).map_err(|error| refused(error.to_string()))
}

/// The object that a draft names in full.
pub(super) fn object_of(draft: &ActionPlan) -> Result<Subject, SurveyOutcome> {
    Subject::in_params(&draft.params).ok_or_else(|| refused("the draft names no object"))
}
