//! Gathers the evidence of one incident: all diagnostics of its rule at once, each within its own time, and then a look
//! at the targets of the remedies that may be next.

use super::playbook::{KeptRule, Playbook, ReadyDiagnostic};
use super::ports::{Clock, Diagnoser, DiagnosisContext, Origin, Sentinel, SurveyContext, Surveyor};
use crate::domain::action::ActionPlan;
use crate::domain::decision::Candidate;
use crate::domain::diagnosis::{ConditionOutcome, Finding};
use crate::domain::incident::Incident;
use crate::domain::survey::{Survey, SurveyOutcome, SurveyStanding};
use crate::domain::vitals::{Sign, Vitals};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// What an adapter gets on top of its limit before it is cut off. It keeps the limit itself and says why; this is for
/// one that does not.
const ADAPTER_MARGIN: Duration = Duration::from_secs(1);

/// Longest time for one look at a target: a handful of reads and one rehearsed write.
const SURVEY_TIMEOUT: Duration = Duration::from_secs(20);

/// Shortest time between two looks at a target in one round, however soon a server asks to come back.
const SURVEY_AGAIN_MIN: Duration = Duration::from_secs(1);

/// Longest time for all vital signs together.
const VITALS_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs all diagnostics of an incident's rule; never fails, since what cannot be had is unknown.
pub async fn gather(
    playbook: &dyn Playbook,
    diagnoser: &dyn Diagnoser,
    clock: &dyn Clock,
    rule: &KeptRule,
    incident: &Incident,
) -> Vec<Finding> {
    let context = DiagnosisContext {
        now: clock.now(),
        started_at: incident.started_at,
        labels: incident.labels.clone(),
        target: incident.target.clone(),
        origin: Some(Origin {
            incident: incident.id.clone(),
            rule: incident.rule.clone(),
            key: incident.key.clone(),
        }),
    };
    let ready = playbook.diagnostics(rule, incident);
    let runs = ready.into_iter().map(|diagnostic| run(diagnoser, clock, diagnostic, context.clone()));
    futures::future::join_all(runs).await
}

/// Takes vital signs. Where nothing comes back in time, that is a sign as well.
pub async fn vitals(sentinel: &dyn Sentinel, clock: &dyn Clock) -> Vitals {
    let now = clock.now();
    tokio::time::timeout(VITALS_TIMEOUT, sentinel.vitals(now)).await.unwrap_or_else(|_| {
        let sign = Sign::Blind(format!("no answer within {VITALS_TIMEOUT:?}"));
        Vitals { at: now, signs: BTreeMap::from([("vital signs".to_owned(), sign)]) }
    })
}

/// Looks at the targets of the remedies that may be next: of the one that is named, or else down the ladder to the first
/// that has something to do. Changes nothing.
pub async fn survey(
    playbook: &dyn Playbook,
    surveyor: &dyn Surveyor,
    clock: &dyn Clock,
    rule: &KeptRule,
    incident: &Incident,
    findings: &[Finding],
    only: Option<&str>,
) -> Vec<Survey> {
    let mut surveys = Vec::new();
    if !playbook.is_surveyed(rule) {
        return surveys;
    }
    for candidate in playbook.candidates(rule, incident, findings) {
        let is_meant = match only {
            Some(remedy) => candidate.remedy == remedy,
            None => applies(&candidate),
        };
        if !is_meant {
            continue;
        }
        // A remedy that needs no look is taken as it is, and so the ladder ends here for now.
        let (SurveyStanding::Missing, Ok(draft)) = (&candidate.survey, &candidate.plan) else { break };
        let (at, outcome) = look(surveyor, clock, draft, incident).await;
        let goes_on = matches!(outcome, SurveyOutcome::NothingToDo { .. });
        surveys.push(Survey { remedy: candidate.remedy.clone(), draft: draft.digest(), at, outcome });
        if !goes_on {
            break;
        }
    }
    surveys
}

/// One look at a target, and when. Where the cluster asks to come back it is looked again after that, within the same
/// time.
async fn look(
    surveyor: &dyn Surveyor,
    clock: &dyn Clock,
    draft: &ActionPlan,
    incident: &Incident,
) -> (Timestamp, SurveyOutcome) {
    let deadline = Instant::now() + SURVEY_TIMEOUT;
    loop {
        let at = clock.now();
        let context = SurveyContext { now: at, incident: Box::new(incident.clone()) };
        let outcome = tokio::time::timeout_at(deadline, surveyor.survey(draft, context)).await;
        let late =
            || SurveyOutcome::NotNow { reason: format!("no answer within {SURVEY_TIMEOUT:?}"), wait: None };
        let outcome = outcome.unwrap_or_else(|_| late());
        let SurveyOutcome::NotNow { wait: Some(wait), .. } = &outcome else { return (at, outcome) };
        let wait = Duration::try_from(*wait).unwrap_or_default().max(SURVEY_AGAIN_MIN);
        if Instant::now() + wait >= deadline {
            return (at, outcome);
        }
        tokio::time::sleep(wait).await;
    }
}

/// Whether a remedy is next as far as the rule says.
fn applies(candidate: &Candidate) -> bool {
    !candidate.tried && candidate.condition == ConditionOutcome::Holds && candidate.not_set_up.is_none()
}

async fn run(
    diagnoser: &dyn Diagnoser,
    clock: &dyn Clock,
    ready: ReadyDiagnostic,
    context: DiagnosisContext,
) -> Finding {
    let ReadyDiagnostic { spec, params, timeout } = ready;
    let began = clock.now();
    let unknown = |why: String, now: Timestamp| {
        Finding::unknown(&spec.name, &spec.kind, why, now, millis_between(began, now))
    };
    let params = match params {
        Ok(params) => params,
        Err(why) => return unknown(why, began),
    };
    let run = diagnoser.diagnose(&spec, params, context, timeout);
    match tokio::time::timeout(timeout + ADAPTER_MARGIN, run).await {
        Ok(finding) => finding,
        Err(_) => unknown(format!("no answer within {timeout:?}"), clock.now()),
    }
}

fn millis_between(earlier: Timestamp, later: Timestamp) -> u64 {
    u64::try_from(later.duration_since(earlier).as_millis()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::action::Repeatability;
    use crate::domain::correlate::CorrelationKey;
    use crate::domain::incident::{IncidentId, Opening};
    use crate::domain::rule::RuleHash;
    use crate::domain::severity::Severity;
    use crate::engine::ports::PortFuture;
    use jiff::SignedDuration;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
    }

    /// Busy for so many looks.
    struct Busy {
        looks: u32,
        wait: SignedDuration,
        asked: AtomicU32,
    }

    impl Surveyor for Busy {
        fn survey<'a>(&'a self, _: &'a ActionPlan, _: SurveyContext) -> PortFuture<'a, SurveyOutcome> {
            let reason = "busy".to_owned();
            let is_busy = self.asked.fetch_add(1, Ordering::Relaxed) < self.looks;
            let outcome = match is_busy {
                true => SurveyOutcome::NotNow { reason, wait: Some(self.wait) },
                false => SurveyOutcome::NothingToDo { reason },
            };
            Box::pin(std::future::ready(outcome))
        }

        fn is_so<'a>(&'a self, _: &'a ActionPlan) -> PortFuture<'a, Option<String>> {
            Box::pin(std::future::ready(None))
        }
    }

    async fn looked(looks: u32, wait: SignedDuration) -> (u32, Duration, bool) {
        let plan = ActionPlan {
            kind: "k8s.scale".to_owned(),
            params: serde_json::Value::Null,
            target: "Deployment/prod/api".to_owned(),
            namespace: None,
            summary: String::new(),
            repeatability: Repeatability::Idempotent,
            basis: None,
            ttl: None,
        };
        let opening = Opening {
            id: IncidentId("01".to_owned()),
            key: CorrelationKey("errors|api".to_owned()),
            rule: "errors".to_owned(),
            rule_hash: RuleHash("ab12".to_owned()),
            mode: Default::default(),
            severity: Severity::P1,
            summary: "errors".to_owned(),
            runbook: None,
            target: None,
            labels: Default::default(),
            annotations: Default::default(),
        };
        let incident = Incident::open(opening, Timestamp::UNIX_EPOCH);
        let busy = Busy { looks, wait, asked: AtomicU32::new(0) };
        let began = Instant::now();
        let (_, outcome) = look(&busy, &Noon, &plan, &incident).await;
        let is_seen = matches!(outcome, SurveyOutcome::NothingToDo { .. });
        (busy.asked.into_inner(), began.elapsed(), is_seen)
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_cluster_is_looked_at_again_when_it_says_and_not_for_ever() {
        let seconds = SignedDuration::from_secs;
        assert_eq!(looked(2, seconds(3)).await, (3, Duration::from_secs(6), true));
        assert_eq!(looked(1, SignedDuration::ZERO).await, (2, SURVEY_AGAIN_MIN, true));
        assert_eq!(looked(1, seconds(3600)).await, (1, Duration::ZERO, false), "nobody waits so long");
        let (asked, waited, is_seen) = looked(u32::MAX, seconds(3)).await;
        assert!(asked < 8 && waited < SURVEY_TIMEOUT && !is_seen, "{asked} looks in {waited:?}");
    }
}
