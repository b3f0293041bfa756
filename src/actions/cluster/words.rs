//! What people are told where the cluster did not do what it was asked: the table from failures to sentences.

use super::refused;
use crate::actions::outcome::{not_applied, not_now, signed};
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
        Failure::Managed { reason: said, .. } => {
            format!("{call}: others manage fields that it would set (409), and nothing is taken over: {said}")
        }
        Failure::Budget(said) => format!("{call}: a PodDisruptionBudget forbids it for now (429): {said}"),
        Failure::Overloaded { reason, .. } => {
            format!("{call}: the API server is overloaded and took no request (429): {reason}")
        }
        _ => error.to_string(),
    }
}

/// A survey that could not be made, and whether the same look may come about later.
pub(in crate::actions) fn unseen(error: &KubernetesError) -> SurveyOutcome {
    let reason = sentence(error);
    match &error.failure {
        // The object or a budget says no to what was asked: that is an answer.
        Failure::Conflict(_) | Failure::Budget(_) => refused(reason),
        _ if error.is_passing() => SurveyOutcome::NotNow { reason, wait: signed(error.wait()) },
        _ => refused(reason),
    }
}

/// A write that certainly was not carried out, and whether the same may succeed later.
pub(in crate::actions) fn denied(error: &KubernetesError) -> ActionOutcome {
    let why = sentence(error);
    if error.is_passing() { not_now(why, error.wait()) } else { not_applied(why) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::SignedDuration;

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

    #[test]
    fn a_busy_server_says_when_it_may_be_asked_again() {
        let error = |failure| KubernetesError { call: "get deployments.apps prod/api".to_owned(), failure };
        let wait = Some(Duration::from_secs(3));
        let asked = Some(SignedDuration::from_secs(3));
        let busy = error(Failure::Overloaded { wait, reason: "no".to_owned() });
        let gone = error(Failure::Server { code: 503, wait, reason: "no".to_owned() });
        for error in [busy, gone] {
            let outcome = denied(&error);
            assert!(matches!(outcome, ActionOutcome::NotNow { wait, .. } if wait == asked), "{outcome:?}");
            let seen = unseen(&error);
            assert!(matches!(seen, SurveyOutcome::NotNow { wait, .. } if wait == asked), "{seen:?}");
        }
        for failure in [Failure::Budget("no".to_owned()), Failure::Forbidden("no".to_owned())] {
            let seen = unseen(&error(failure));
            assert!(matches!(seen, SurveyOutcome::Refused { .. }), "it is an answer: {seen:?}");
        }
    }
}
