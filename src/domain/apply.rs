//! Where one event meets one incident: `apply(incident, event, facts, now) -> Transition`.
//!
//! Total: every event in every state has an answer, if only "nothing changes" or a refusal with its reason. The
//! caller gathers [`Facts`] beforehand and writes the [`Transition`] afterwards in one transaction; nothing here
//! knows how.
//!
//! Reading order: [`alerts`] → [`worsening`] → [`deciding`] → [`acting`] → [`verifying`] → [`restoring`] → [`telling`] → [`arriving`] → [`waiting`] →
//! [`people`] → [`silencing`]; [`draft`]
//! collects what comes out.

mod acting;
mod alerts;
mod arriving;
mod deciding;
mod draft;
mod hearing;
mod people;
mod restoring;
mod showing;
mod silencing;
mod telling;
mod verifying;
mod waiting;
mod worsening;

#[cfg(test)]
mod tests;

pub use draft::{Document, StartAs, Told, Transition};

use crate::approval::ApprovalRefused;
use crate::decision::Candidate;
use crate::diagnosis::ConditionOutcome;
use crate::escalation::EscalationPolicy;
use crate::event::Event;
use crate::guardrail::GuardrailVerdict;
use crate::incident::Incident;
use crate::notification::Destination;
use crate::rule::{ResponseRule, RuleHash};
use crate::schedule::Schedule;
use draft::Draft;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// How often an incident is decided again because a guardrail blocked it, for each remedy that was carried out meanwhile. As
/// looks that nobody knows a better time for grow apart, they reach over half a day; what is forbidden for longer is a
/// matter for people alone.
pub const REDECISIONS_MAX: u32 = 16;

/// How many actions one incident may hold, judged ones included. A bound for the stored state; no ladder is so long.
pub const ACTIONS_MAX: usize = 64;

/// Everything that a transition may need to know beside the incident and the event.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The rule that the incident keeps to.
    pub rule: &'a ResponseRule,
    /// The policy that the incident keeps to, or would start with.
    pub policy: Option<&'a EscalationPolicy>,
    /// Digest of its text, where it was drawn already: drawing it takes longer than opening an incident.
    pub policy_hash: Option<&'a RuleHash>,
    /// Schedules by name, as they stand now.
    pub schedules: &'a BTreeMap<String, Schedule>,
    /// Who is told where neither rule nor policy says.
    pub default_destinations: &'a [Destination],
    /// Who is told when a destination fails and the policy's own fallback has failed as well.
    pub fallback_destinations: &'a [Destination],
    /// For [`Event::Decide`], [`Event::Ballot`] and the evidence about an approved action: the ladder, judged.
    pub candidates: &'a [Candidate],
    /// For [`Event::DiagnosisDone`] of a verification: its checks, judged.
    pub checks: &'a [ConditionOutcome],
    /// For [`Event::ActionStarting`]: the guardrails that hold at the last moment (pause, freeze, dry run, and for what
    /// sets something back whether another action is under way).
    pub last_moment: &'a [GuardrailVerdict],
    /// For events after which the incident may be over: the actions to take then, planned.
    pub on_resolve: &'a [Candidate],
    /// Whether a remedy of the rule needs a survey, or runs alone and so needs vital signs: every decision then follows a
    /// round of diagnostics.
    pub looks_first: bool,
    /// How long people may silence alerts in Alertmanager; none where there is no Alertmanager to do it in.
    pub silence_max: Option<SignedDuration>,
    /// For an alert that starts in an incident of a rule in shadow: the live rule that has it as well, and tells people.
    pub told_by: Option<&'a str>,
    /// For the alert that opens the incident: what could not be had as the rule wants it.
    pub notes: &'a [String],
}

/// Why an event that a person sent was not taken. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The incident is over.
    #[error("the incident is resolved")]
    AlreadyResolved,
    /// Somebody took it before.
    #[error("already acknowledged by {0}")]
    AlreadyAcknowledged(String),
    /// Somebody else went further before, or time did.
    #[error("the escalation has moved on since this was shown")]
    AlreadyEscalated,
    /// It ended and began again since it was shown.
    #[error("it ended and began again since this was shown")]
    BeganAgain,
    /// Somebody goes on by hand already.
    #[error("{0} has taken over already")]
    AlreadyTakenOver(String),
    /// There is nothing to silence it in.
    #[error("no Alertmanager is set up to silence alerts in")]
    NoAlertmanager,
    /// None of its alerts fires.
    #[error("none of its alerts fires")]
    NothingFires,
    /// More alerts than are silenced one by one.
    #[error("{0} alerts fire: silence them in Alertmanager, where one silence can be for all of them")]
    TooManyAlerts(u32),
    /// Longer than the settings allow.
    #[error("a silence lasts at most {0:#}")]
    TooLong(SignedDuration),
    /// Somebody did so before.
    #[error("already silenced by {0}, {1}")]
    AlreadySilenced(String, String),
    /// There is no silence to be lifted.
    #[error("nobody has silenced it here")]
    NotSilenced,
    /// There is no such action.
    #[error("this incident has no such action")]
    NoSuchAction,
    /// There is no such task or item.
    #[error("this incident has no such task or item")]
    NoSuchTask,
    /// The caller's role does not reach.
    #[error("{who} has the role {role}, and this needs {needed}")]
    NotAllowed {
        /// Who tried.
        who: String,
        /// Their role.
        role: &'static str,
        /// The role it takes.
        needed: &'static str,
    },
    /// A decision about an action did not count.
    #[error(transparent)]
    Approval(#[from] ApprovalRefused),
}

/// Lets one event happen to one incident.
pub fn apply(
    incident: Incident,
    event: Event,
    facts: &Facts<'_>,
    now: Timestamp,
) -> Result<Transition, Refused> {
    let mut draft = Draft::new(incident, now);
    match event {
        Event::AlertSeen { alert, observation, counted, found } => {
            alerts::seen(&mut draft, &alert, observation, alerts::Telling { counted, found }, facts);
        }
        Event::Worsened { severity, title } => worsening::worsened(&mut draft, severity, &title, facts),
        Event::SuppressedThere { suppressed } => alerts::suppressed(&mut draft, suppressed),
        Event::DiagnosisDone { purpose, round, findings, .. } => {
            verifying::diagnosis_done(&mut draft, purpose, round, findings, facts);
        }
        Event::Decide => deciding::decide(&mut draft, facts),
        Event::Ballot { action, ballot } => deciding::ballot(&mut draft, &action, &ballot, facts)?,
        Event::ActionStarting { action, step, attempt } => {
            acting::starting(&mut draft, &action, step, attempt, facts);
        }
        Event::ActionUnclear { action, step, reason } => {
            acting::unclear(&mut draft, &action, step, reason);
        }
        Event::ActionEnded { action, step, outcome } => {
            acting::ended(&mut draft, &action, step, outcome, facts);
        }
        Event::FoundSetBack { action, detail } => restoring::found_set_back(&mut draft, &action, &detail),
        Event::Woken { effect, wake } => telling::woken(&mut draft, &effect, &wake, facts),
        Event::Acknowledge { actor, reason } => people::acknowledge(&mut draft, actor, reason, facts)?,
        Event::TakeOver { actor, reason } => people::take_over(&mut draft, actor, reason, facts)?,
        Event::Escalate { actor, seen, reason } => {
            people::escalate(&mut draft, &actor, seen.as_deref(), reason, facts)?;
        }
        Event::Resolve { actor, episode, reason } => {
            people::resolve(&mut draft, actor, episode, reason, facts)?;
        }
        Event::Heard(news) => hearing::heard(&mut draft, news, facts),
        Event::StepMissing => waiting::step_missing(&mut draft, facts),
        Event::Silence { actor, lasts, reason } => {
            silencing::silence(&mut draft, actor, lasts, reason, facts)?;
        }
        Event::Unsilence { actor, reason } => silencing::unsilence(&mut draft, &actor, reason, facts)?,
        Event::SilenceDone { serial, outcome } => silencing::done(&mut draft, serial, outcome, facts),
        Event::PressRefused { channel, user, why } => telling::press_refused(&mut draft, &channel, user, why),
        Event::TaskItemDone { task, item, actor } => {
            people::item_done(&mut draft, task, item, &actor, facts)?
        }
        Event::NoticeSent { destination, notice, message, shown_version } => {
            arriving::sent(&mut draft, &destination, &notice, message, shown_version);
        }
        Event::NoticeFailed { destination, notice, error, given_up } => {
            arriving::failed(&mut draft, &destination, notice, error, given_up, facts);
        }
    }
    Ok(draft.finish())
}
