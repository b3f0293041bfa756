//! What people are told where the cluster did not do what it was asked: the table from failures to sentences.

use super::refused;
use crate::actions::outcome::{not_applied, not_now};
use crate::clients::kubernetes::{Failure, KubernetesError};
use crate::domain::action::ActionOutcome;
use crate::domain::survey::SurveyOutcome;

/// One sentence, with the way out where there is one.
pub(in crate::actions) fn sentence(error: &KubernetesError) -> String {
    let call = &error.call;
    match &error.failure {
        Failure::Forbidden(said) => {
            format!("{call}: not permitted (403): {said}; `smokejumper rbac` prints the role that is missing")
        }
        Failure::NotFound(said) => format!("{call}: the target is gone (404): {said}"),
        Failure::Conflict(said) => format!("{call}: somebody changed it in between (409): {said}"),
        Failure::Managed(said) => {
            format!("{call}: others manage fields that it would set (409), and nothing is taken over: {said}")
        }
        Failure::Budget(said) => format!("{call}: a PodDisruptionBudget forbids it for now (429): {said}"),
        Failure::Overloaded { reason, .. } => {
            format!("{call}: the API server is overloaded and took no request (429): {reason}")
        }
        _ => error.to_string(),
    }
}

/// A survey that could not be made.
pub(in crate::actions) fn unseen(error: &KubernetesError) -> SurveyOutcome {
    refused(sentence(error))
}

/// A write that certainly was not carried out, and whether the same may succeed later.
pub(in crate::actions) fn denied(error: &KubernetesError) -> ActionOutcome {
    let why = sentence(error);
    if error.is_passing() { not_now(why) } else { not_applied(why) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        let is_passing = |failure| {
            let error = KubernetesError { call: "patch deployments.apps prod/api".to_owned(), failure };
            matches!(denied(&error), ActionOutcome::NotNow { .. })
        };
        let said = || "no".to_owned();
        assert!(is_passing(Failure::NotReached(said())));
        assert!(is_passing(Failure::Conflict(said())));
        assert!(is_passing(Failure::Overloaded { wait: None, reason: said() }));
        assert!(!is_passing(Failure::Forbidden(said())));
        assert!(!is_passing(Failure::NotFound(said())));
        assert!(!is_passing(Failure::Invalid { code: 422, reason: said() }));
    }
}
