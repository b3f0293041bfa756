//! Carries out one leased effect. The only `match` over what can be wished.
//!
//! IO happens here, outside any transaction and under a time limit shorter than the lease. What comes out is an
//! event for the next step, which also finishes the effect; or the effect is given back for later.

use super::gathering::{gather, survey, vitals};
use super::holds::Holds;
use super::own_alerts::Herald;
use super::playbook::{KeptRule, Playbook};
use super::ports::{
    ActionContext, Actor, Alerting, Clock, Delivered, Diagnoser, Finish, IncidentView, Leased, Notifier,
    Reader, Sending, Sentinel, Store, StoreError, Surveyor,
};
use super::step::{Input, Lease, Taken};
use super::stepping::Steps;
use crate::domain::action::{ActionId, ActionOutcome, ActionPlan, Repeatability, Step};
use crate::domain::apply::StartAs;
use crate::domain::diagnosis::{DiagnosisPurpose, Finding};
use crate::domain::effect::{Effect, Wake};
use crate::domain::event::Event;
use crate::domain::incident::Incident;
use crate::domain::notification::{Destination, Notice};
use crate::domain::survey::Survey;
use crate::domain::vitals::Vitals;
use crate::engine::meter::Meter;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// Longest time for one delivery of a notice, below its lease, and above the ten seconds that the settings allow for
/// one call: who made the call says best why it failed.
pub(super) const NOTIFY_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest time for one attempt of an action, where its kind states none.
pub const ACT_TIMEOUT: Duration = Duration::from_secs(60);
/// An urgent notice that is not delivered by then is told to the next destination as well, while it goes on being
/// tried: two minutes are most of the time that an on-call engineer has to react.
const URGENT_DELAY_MAX: SignedDuration = SignedDuration::from_secs(120);
/// A notice that is not delivered by then is given up: the incident has told its story otherwise or is over.
pub(super) const NOTICE_AGE_MAX: SignedDuration = SignedDuration::from_hours(24);
/// First wait after a failed delivery; it doubles up to the longest.
const RETRY_WAIT_FIRST: Duration = Duration::from_secs(1);
/// Longest wait between two deliveries of a notice: an outage's end is noticed within it.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(60);
/// How often an action whose end is unclear, and that may be repeated, is tried.
const REPEATS_MAX: u32 = 3;

/// Who can carry out what.
pub struct Executor {
    /// The durable side.
    pub store: Arc<dyn Store>,
    /// The reading side.
    pub reader: Arc<dyn Reader>,
    /// The rules.
    pub playbook: Arc<dyn Playbook>,
    /// Reads evidence.
    pub diagnoser: Arc<dyn Diagnoser>,
    /// Takes vital signs.
    pub sentinel: Arc<dyn Sentinel>,
    /// Looks before.
    pub surveyor: Arc<dyn Surveyor>,
    /// Touches the world.
    pub actor: Arc<dyn Actor>,
    /// Speaks to Alertmanager; none without one.
    pub alerting: Option<Arc<dyn Alerting>>,
    /// Tells people.
    pub notifier: Arc<dyn Notifier>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Counts.
    pub meter: Arc<dyn Meter>,
    /// Takes results in.
    pub steps: Steps,
    /// Raises alerts of our own.
    pub herald: Herald,
    /// Destinations that asked for patience.
    pub holds: Arc<Holds>,
}

impl Executor {
    /// Carries out one effect and records how it ended. An error means that nothing was recorded: the lease
    /// expires and the effect is claimed again.
    pub async fn execute(&self, leased: Leased) -> Result<(), StoreError> {
        match &leased.effect {
            Effect::Wake(wake) => self.wake(&leased, wake).await,
            Effect::Diagnose { purpose, round } => self.diagnose(&leased, purpose, *round).await,
            Effect::Act { action, step } => self.act(&leased, action, *step).await,
            Effect::Silence { serial, wish } => self.silence(&leased, *serial, *wish).await,
            Effect::LookAgain => self.look_again(&leased).await,
            Effect::Notify { destination, notice } => self.notify(&leased, destination, notice).await,
            Effect::Check { check, asked_by } => self.check(&leased, check, asked_by.as_deref()).await,
            Effect::Report { destination, report } => self.report(&leased, destination, report).await,
        }
    }

    async fn wake(&self, leased: &Leased, wake: &Wake) -> Result<(), StoreError> {
        self.finish(leased, Some(Event::Woken { effect: leased.id.clone(), wake: wake.clone() })).await?;
        if *wake == Wake::Escalate {
            self.meter.escalation_lag(since(leased.due_at, self.clock.now()));
        }
        Ok(())
    }

    async fn diagnose(
        &self,
        leased: &Leased,
        purpose: &DiagnosisPurpose,
        round: u32,
    ) -> Result<(), StoreError> {
        let Some(view) = self.reader.incident(&leased.incident).await? else {
            return self.finish(leased, None).await;
        };
        let incident = &view.incident;
        if !incident.is_open() || incident.diagnosis_round != round {
            return self.finish(leased, None).await;
        }
        let rule = match self.playbook.rule_by_hash(&incident.rule_hash) {
            Some(rule) => Some(rule),
            None => match self.store.text(&incident.rule_hash).await? {
                Some(text) => self.playbook.adopt_rule(text).ok(),
                None => None,
            },
        };
        let (findings, surveys, vitals) = match rule {
            Some(rule) => self.look(&rule, incident, purpose).await,
            None => (Vec::new(), Vec::new(), None),
        };
        let purpose = purpose.clone();
        let done = Event::DiagnosisDone { purpose, round, findings, surveys, vitals };
        self.finish(leased, Some(done)).await
    }

    async fn look(
        &self,
        rule: &KeptRule,
        incident: &Incident,
        purpose: &DiagnosisPurpose,
    ) -> (Vec<Finding>, Vec<Survey>, Option<Vitals>) {
        let (playbook, clock) = (self.playbook.as_ref(), self.clock.as_ref());
        let gathering = gather(playbook, self.diagnoser.as_ref(), clock, rule, incident);
        // Signs are only taken where a machine may act on them.
        let decides = !matches!(purpose, DiagnosisPurpose::Verify(_)) && !rule.rule.remedies.is_empty();
        let signs = async {
            match decides {
                true => Some(vitals(self.sentinel.as_ref(), clock).await),
                false => None,
            }
        };
        let (findings, vitals) = tokio::join!(gathering, signs);
        let only = match purpose {
            DiagnosisPurpose::Verify(_) => return (findings, Vec::new(), None),
            DiagnosisPurpose::Decide => None,
            DiagnosisPurpose::Recheck(id) => incident.action(id).map(|action| action.remedy.as_str()),
        };
        let surveys = survey(playbook, self.surveyor.as_ref(), clock, rule, incident, &findings, only).await;
        (findings, surveys, vitals)
    }

    async fn act(&self, leased: &Leased, id: &ActionId, step: Step) -> Result<(), StoreError> {
        let starting = Event::ActionStarting { action: id.clone(), step, attempt: leased.attempt };
        let held = Lease::Held(Finish { id: leased.id.clone(), attempt: leased.attempt });
        let input = Input::Event { incident: leased.incident.clone(), event: Some(starting), lease: held };
        let start = match self.steps.take(input).await? {
            Taken::MayStart(Some(start)) => start,
            // Somebody else carries it out, or will: it is not ours to delete.
            Taken::Lost => return Ok(()),
            _ => return self.finish(leased, None).await,
        };
        let Some(view) = self.reader.incident(&leased.incident).await? else {
            return self.finish(leased, None).await;
        };
        let plan = view.incident.action(id).and_then(|action| match step {
            Step::Apply => Some(action.plan.clone()),
            Step::Rollback => action.inverse.clone(),
        });
        let Some(plan) = plan else { return self.finish(leased, None).await };
        let outcome = self.attempt(&plan, id, step, view, start).await;
        let outcome = after_earlier_attempts(outcome, &plan, leased.attempt);
        self.meter.effect_done(leased.effect.kind(), outcome_word(&outcome));
        if let Some(reason) = looked_into(&outcome, &plan, leased.attempt) {
            let unclear = Event::ActionUnclear { action: id.clone(), step, reason: reason.to_owned() };
            let held = Lease::Held(Finish { id: leased.id.clone(), attempt: leased.attempt });
            let input = Input::Event { incident: leased.incident.clone(), event: Some(unclear), lease: held };
            return match self.steps.take(input).await? {
                Taken::Lost => Ok(()),
                _ => self.postpone(leased, backoff(leased.attempt)).await,
            };
        }
        let ended = Event::ActionEnded { action: id.clone(), step, outcome };
        self.finish(leased, Some(ended)).await
    }

    async fn attempt(
        &self,
        plan: &ActionPlan,
        id: &ActionId,
        step: Step,
        view: IncidentView,
        start: StartAs,
    ) -> ActionOutcome {
        let context = ActionContext {
            now: self.clock.now(),
            key: format!("{id}-{}", step.as_str()),
            step,
            view: Some(Box::new(view)),
        };
        let attempt = async {
            if start != StartAs::Act {
                let seen = self.actor.look_back(plan, &context).await;
                let did_nothing =
                    matches!(seen, ActionOutcome::NotApplied { .. } | ActionOutcome::NotNow { .. });
                if start == StartAs::LookOnly || !did_nothing {
                    return seen;
                }
            }
            self.actor.act(plan, context).await
        };
        match tokio::time::timeout(ACT_TIMEOUT, attempt).await {
            Ok(outcome) => outcome,
            Err(_) => ActionOutcome::Unknown { reason: format!("no answer within {ACT_TIMEOUT:?}") },
        }
    }

    async fn notify(
        &self,
        leased: &Leased,
        destination: &Destination,
        notice: &Notice,
    ) -> Result<(), StoreError> {
        let Some(view) = self.reader.incident(&leased.incident).await? else {
            return self.finish(leased, None).await;
        };
        let shown_version = view.incident.visible_version;
        let now = self.clock.now();
        let telling = self.notifier.deliver(Sending::of(leased), destination, notice, &view, now);
        let delivered = tokio::time::timeout(NOTIFY_TIMEOUT, telling).await.unwrap_or(Delivered::Later {
            wait: None,
            reason: format!("no answer within {NOTIFY_TIMEOUT:?}"),
            failed: true,
        });
        match delivered {
            Delivered::Yes { message } => {
                self.meter.effect_done(leased.effect.kind(), "delivered");
                self.meter.notified(destination, since(leased.created_at, self.clock.now()));
                let event = Event::NoticeSent {
                    destination: destination.clone(),
                    notice: notice.clone(),
                    message,
                    shown_version,
                };
                self.finish(leased, Some(event)).await
            }
            Delivered::Never { reason } => {
                self.meter.effect_done(leased.effect.kind(), "refused");
                self.finish(leased, Some(notice_failed(destination, notice, reason, true))).await
            }
            Delivered::Paced { wait, reason } => {
                if let Some(queue) = &leased.queue {
                    self.holds.hold(queue, wait);
                }
                self.notify_later(leased, destination, notice, &view, Some(wait), reason, false).await
            }
            Delivered::Later { wait, reason, failed } => {
                self.notify_later(leased, destination, notice, &view, wait, reason, failed).await
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one call site; a struct would only rename the arguments")]
    async fn notify_later(
        &self,
        leased: &Leased,
        destination: &Destination,
        notice: &Notice,
        view: &IncidentView,
        wait: Option<Duration>,
        reason: String,
        failed: bool,
    ) -> Result<(), StoreError> {
        self.meter.effect_done(leased.effect.kind(), if failed { "failed" } else { "paced" });
        if failed && leased.attempt.is_power_of_two() {
            tracing::warn!(
                incident.id = %leased.incident,
                destination = %destination,
                attempt = leased.attempt,
                reason,
                "a message could not be delivered; it will be tried again"
            );
        }
        let age = self.clock.now().duration_since(leased.created_at);
        if age >= NOTICE_AGE_MAX {
            return self.finish(leased, Some(notice_failed(destination, notice, reason, true))).await;
        }
        let known = view.incident.destination(destination).is_some_and(|state| state.replaced);
        let presses = leased.urgent && !known && view.incident.is_untold_without(destination, notice);
        if presses && age >= URGENT_DELAY_MAX {
            let event = notice_failed(destination, notice, reason, false);
            let input =
                Input::Event { incident: leased.incident.clone(), event: Some(event), lease: Lease::None };
            self.steps.take(input).await?;
        }
        let backoff = if failed { backoff(leased.attempt) } else { Duration::ZERO };
        let mut wait = wait.unwrap_or_default().max(backoff);
        if presses {
            // However long the destination asks for, the others must be told in time.
            let left = Duration::try_from(URGENT_DELAY_MAX - age).unwrap_or_default();
            wait = wait.min(left.max(RETRY_WAIT_FIRST));
        }
        self.postpone(leased, wait).await
    }

    pub(super) async fn finish(&self, leased: &Leased, event: Option<Event>) -> Result<(), StoreError> {
        let lease = Lease::Done(Finish { id: leased.id.clone(), attempt: leased.attempt });
        let input = Input::Event { incident: leased.incident.clone(), event, lease };
        self.steps.take(input).await.map(|_| ())
    }

    pub(super) async fn postpone(&self, leased: &Leased, wait: Duration) -> Result<(), StoreError> {
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::from_secs(60));
        let until = self.clock.now().checked_add(wait).unwrap_or(Timestamp::MAX);
        let finish = Finish { id: leased.id.clone(), attempt: leased.attempt };
        self.store.postpone(finish, until).await
    }
}

fn notice_failed(destination: &Destination, notice: &Notice, error: String, given_up: bool) -> Event {
    Event::NoticeFailed { destination: destination.clone(), notice: notice.clone(), error, given_up }
}

/// Why the end of an attempt is unclear, where it is looked up or tried once more before people are called.
fn looked_into<'o>(outcome: &'o ActionOutcome, plan: &ActionPlan, attempt: u32) -> Option<&'o str> {
    let ActionOutcome::Unknown { reason } = outcome else { return None };
    // What may be done once only goes to people at once, with what is known of it.
    (plan.repeatability == Repeatability::Idempotent && attempt < REPEATS_MAX).then_some(reason)
}

/// An attempt that certainly was not carried out says nothing about the one before it, whose end nobody knew, unless
/// that one was looked up.
fn after_earlier_attempts(outcome: ActionOutcome, plan: &ActionPlan, attempt: u32) -> ActionOutcome {
    match outcome {
        ActionOutcome::NotApplied { reason } | ActionOutcome::NotNow { reason, .. }
            if attempt > 1 && plan.repeatability == Repeatability::Idempotent && !plan.leaves_a_mark() =>
        {
            let reason =
                format!("an earlier attempt may have been carried out; the last one was not: {reason}");
            ActionOutcome::Unknown { reason }
        }
        other => other,
    }
}

fn outcome_word(outcome: &ActionOutcome) -> &'static str {
    match outcome {
        ActionOutcome::Applied { .. } => "applied",
        ActionOutcome::AlreadySo { .. } => "already_so",
        ActionOutcome::HandedToPeople { .. } => "handed_to_people",
        ActionOutcome::NotApplied { .. } => "not_applied",
        ActionOutcome::NotNow { .. } => "not_now",
        ActionOutcome::Failed { .. } => "failed",
        ActionOutcome::Unknown { .. } => "unknown",
    }
}

/// Doubles from the first wait up to the longest.
pub(super) fn backoff(attempt: u32) -> Duration {
    RETRY_WAIT_FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(6)).min(RETRY_WAIT_MAX)
}

fn since(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_plan(repeatability: Repeatability) -> ActionPlan {
        ActionPlan {
            kind: "http.call".to_owned(),
            params: serde_json::Value::Null,
            target: "endpoint:waf".to_owned(),
            namespace: None,
            summary: String::new(),
            repeatability,
            basis: None,
            ttl: None,
        }
    }

    fn after(attempt: u32, repeatability: Repeatability) -> ActionOutcome {
        let outcome = ActionOutcome::NotApplied { reason: "refused".to_owned() };
        after_earlier_attempts(outcome, &mk_plan(repeatability), attempt)
    }

    #[test]
    fn what_may_be_done_once_only_goes_to_people_with_its_first_reason() {
        let unknown = ActionOutcome::Unknown { reason: "it does not say how it ended".to_owned() };
        let mut once = mk_plan(Repeatability::AtMostOnce);
        let mut again = mk_plan(Repeatability::Idempotent);
        for basis in [None, Some(serde_json::json!({"pod": "u1"}))] {
            (once.basis, again.basis) = (basis.clone(), basis);
            assert_eq!(looked_into(&unknown, &once, 1), None);
            assert_eq!(looked_into(&unknown, &again, 1), Some("it does not say how it ended"));
            assert_eq!(looked_into(&unknown, &again, REPEATS_MAX), None);
        }
        let refused = ActionOutcome::NotApplied { reason: "refused".to_owned() };
        assert_eq!(looked_into(&refused, &again, 1), None);
    }

    #[test]
    fn a_repetition_that_is_refused_does_not_deny_the_attempt_before_it() {
        let refused = ActionOutcome::NotApplied { reason: "refused".to_owned() };
        assert_eq!(after(1, Repeatability::Idempotent), refused);
        assert!(matches!(after(2, Repeatability::Idempotent), ActionOutcome::Unknown { .. }));
        // What may not be repeated was not: its second lease is its first attempt.
        assert_eq!(after(2, Repeatability::AtMostOnce), refused);
    }
}
