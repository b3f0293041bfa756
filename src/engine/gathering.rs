//! Gathers the evidence of one incident: all diagnostics of its rule at once, each within its own time, and then a look
//! at the targets of the remedies that may be next.

use super::playbook::{KeptRule, Playbook, ReadyDiagnostic};
use super::ports::{Clock, Diagnoser, DiagnosisContext, Sentinel, SurveyContext, Surveyor};
use crate::domain::decision::Candidate;
use crate::domain::diagnosis::{ConditionOutcome, Finding};
use crate::domain::incident::Incident;
use crate::domain::survey::{Survey, SurveyOutcome, SurveyStanding};
use crate::domain::vitals::{Sign, Vitals};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// What an adapter gets on top of its limit before it is cut off. It keeps the limit itself and says why; this is for
/// one that does not.
const ADAPTER_MARGIN: Duration = Duration::from_secs(1);

/// Longest time for one look at a target: a handful of reads and one rehearsed write.
const SURVEY_TIMEOUT: Duration = Duration::from_secs(20);

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
        let at = clock.now();
        let context = SurveyContext { now: at, incident: Box::new(incident.clone()) };
        let look = tokio::time::timeout(SURVEY_TIMEOUT, surveyor.survey(draft, context));
        let late = || SurveyOutcome::Refused { reason: format!("no answer within {SURVEY_TIMEOUT:?}") };
        let outcome = look.await.unwrap_or_else(|_| late());
        let goes_on = matches!(outcome, SurveyOutcome::NothingToDo { .. });
        surveys.push(Survey { remedy: candidate.remedy.clone(), draft: draft.digest(), at, outcome });
        if !goes_on {
            break;
        }
    }
    surveys
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
