//! The incident: one rule and one target (or group) while something is wrong with it.
//!
//! This is the state that is stored, version-checked, and changed by [`crate::apply::apply`] alone. It holds
//! counts of its alerts, not the alerts: a group of twenty thousand must not make every later step slow.

mod untold;

use crate::Labels;
use crate::action::{Action, ActionId, ActionStatus, Task};
use crate::alert::data::{STATE_REASON, without_data};
use crate::alert::{Alert, AlertStatus};
use crate::bridge::BridgeMark;
use crate::correlate::{CorrelationKey, Target};
use crate::decision::Reason;
use crate::effect::{EffectId, Wake};
use crate::escalation::EscalationState;
use crate::guardrail::Standing;
use crate::notification::{Destination, DestinationState};
use crate::people::Actor;
use crate::rule::{RuleHash, RuleMode};
use crate::severity::Severity;
use crate::silence::{Silence, SilenceEnding, Suppressed};
use crate::timeline::{TimelineHead, digest_of};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Version of the stored form. A reader refuses what is newer than it knows.
pub const INCIDENT_FORMAT: u32 = 1;

/// How many times of reopening are remembered: more than any limit on flapping counts.
const REOPENED_MAX: usize = 32;

/// How many presses are remembered that counted. A press can be repeated for the five minutes that its signature is
/// good for, and no incident sees so many that count in that time.
const PRESSES_MAX: usize = 32;

/// Identity of an incident: a time-ordered unique text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IncidentId(pub String);

impl std::fmt::Display for IncidentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether people still have to do something. The words are part of the API, and PagerDuty's.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum IncidentStatus {
    /// Nobody has taken it.
    Triggered,
    /// Somebody has taken it.
    Acknowledged,
    /// It is over.
    Resolved,
}

impl IncidentStatus {
    /// The word used in the API, the store and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Triggered => "triggered",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }
}

/// What the machine is doing about it. The words are part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Evidence is being gathered.
    Diagnosing,
    /// A remedy is being chosen. Never stored for longer than a step takes.
    Deciding,
    /// People are asked.
    AwaitingApproval,
    /// A remedy is being carried out.
    Acting,
    /// Watching whether it helped.
    Verifying,
    /// Undoing a remedy that did not help.
    RollingBack,
    /// A remedy was carried out and helped as far as that was checked; the alerts have still to end.
    Watching,
    /// Nothing more will be tried: people go on.
    HandedOver,
    /// It is over.
    Closed,
}

impl Phase {
    /// The word used in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Diagnosing => "diagnosing",
            Self::Deciding => "deciding",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Acting => "acting",
            Self::Verifying => "verifying",
            Self::RollingBack => "rolling_back",
            Self::Watching => "watching",
            Self::HandedOver => "handed_over",
            Self::Closed => "closed",
        }
    }
}

/// How many alerts belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AlertCounts {
    /// Firing now.
    pub firing: u32,
    /// Ended.
    pub resolved: u32,
}

impl AlertCounts {
    /// All alerts that ever belonged to it.
    pub fn total(self) -> u32 {
        self.firing.saturating_add(self.resolved)
    }

    /// The status of the incident's alerts taken together.
    pub fn status(self) -> AlertStatus {
        if self.firing > 0 { AlertStatus::Firing } else { AlertStatus::Resolved }
    }
}

/// Who took it, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Who.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// Until when it counts, where it does not count until the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// The person who said so; none when its alerts ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// When.
    pub at: Timestamp,
}

/// One incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Version of this stored form.
    pub format: u32,
    /// Identity.
    pub id: IncidentId,
    /// Counts every stored change; the fence between concurrent writers.
    pub version: u64,
    /// Counts changes that people can see on a card.
    pub visible_version: u64,
    /// What makes alerts belong to it.
    pub key: CorrelationKey,
    /// Name of its rule.
    pub rule: String,
    /// Digest of the rule's text that it keeps to.
    pub rule_hash: RuleHash,
    /// Whether its rule acts, or only records what it would do.
    #[serde(default, skip_serializing_if = "RuleMode::is_live")]
    pub mode: RuleMode,
    /// The live rule that tells people of its alerts, where this one is in shadow beside it: nobody is told twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_by: Option<String>,
    /// Whether people still have to do something.
    pub status: IncidentStatus,
    /// What the machine is doing.
    pub phase: Phase,
    /// How bad.
    pub severity: Severity,
    /// One line: what is wrong. May quote labels.
    pub summary: String,
    /// Link to the human document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runbook: Option<String>,
    /// The object it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Labels of the alert that opened it.
    pub labels: Labels,
    /// Annotations of the alert that opened it.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub annotations: Labels,
    /// When we learnt of it. Escalation counts from here.
    pub started_at: Timestamp,
    /// Last stored change.
    pub updated_at: Timestamp,
    /// Its alerts.
    pub alerts: AlertCounts,
    /// What Alertmanager keeps quiet of them, as it said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<Suppressed>,
    /// What a person silenced through us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence: Option<Silence>,
    /// Silences that nobody wants any more, and that Alertmanager may still have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silences_ending: Vec<SilenceEnding>,
    /// Number of silences so far.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub silences: u32,
    /// Number of the current round of diagnostics.
    #[serde(default)]
    pub diagnosis_round: u32,
    /// How often it was decided again because a guardrail blocked.
    #[serde(default)]
    pub redecisions: u32,
    /// Remedies that were judged or taken, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Action>,
    /// Lists of things for people to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<Task>,
    /// Where the escalation stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<EscalationState>,
    /// Who took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
    /// Its identity in PagerDuty, as its webhooks name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
    /// The last news from PagerDuty that counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge_heard: Option<BridgeMark>,
    /// Its priority in PagerDuty, as people named and set it there. Shown beside the severity, which it does not change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge_priority: Option<String>,
    /// When a person last passed it on: who took it elsewhere before that has it no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_on_at: Option<Timestamp>,
    /// Presses on buttons that counted, the last ones, oldest first: each counts once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub presses: Vec<String>,
    /// Who goes on by hand: nothing more is tried, undone or proposed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_over: Option<Acknowledgement>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolution>,
    /// How often it was opened again, or paged again after somebody had it; part of the PagerDuty dedup key.
    #[serde(default)]
    pub episode: u32,
    /// When it was opened again, the last times, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reopened_at: Vec<Timestamp>,
    /// What each destination knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<DestinationState>,
    /// Wakes that are outstanding. A wake that is not listed here is stale.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wakes: Vec<(Wake, EffectId)>,
    /// Number of effects so far.
    #[serde(default)]
    pub effect_seq: u64,
    /// Where the audit trail stands.
    pub timeline: TimelineHead,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands it in like this")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What opening an incident needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Its identity, drawn by the caller.
    pub id: IncidentId,
    /// What makes alerts belong to it.
    pub key: CorrelationKey,
    /// Name of its rule.
    pub rule: String,
    /// Digest of the rule's text.
    pub rule_hash: RuleHash,
    /// Whether the rule acts.
    pub mode: RuleMode,
    /// How bad.
    pub severity: Severity,
    /// One line: what is wrong.
    pub summary: String,
    /// Link to the human document, rendered.
    pub runbook: Option<String>,
    /// The object it is about.
    pub target: Option<Target>,
    /// Labels of the alert that opens it.
    pub labels: Labels,
    /// Annotations of the alert that opens it.
    pub annotations: Labels,
}

impl Incident {
    /// A new incident, before its first event.
    pub fn open(opening: Opening, now: Timestamp) -> Self {
        Self {
            format: INCIDENT_FORMAT,
            id: opening.id,
            version: 0,
            visible_version: 0,
            key: opening.key,
            rule: opening.rule,
            rule_hash: opening.rule_hash,
            mode: opening.mode,
            told_by: None,
            status: IncidentStatus::Triggered,
            phase: Phase::Diagnosing,
            severity: opening.severity,
            summary: opening.summary,
            runbook: opening.runbook,
            target: opening.target,
            labels: opening.labels,
            annotations: opening.annotations,
            started_at: now,
            updated_at: now,
            alerts: AlertCounts::default(),
            suppressed: None,
            silence: None,
            silences_ending: Vec::new(),
            silences: 0,
            diagnosis_round: 0,
            redecisions: 0,
            actions: Vec::new(),
            tasks: Vec::new(),
            escalation: None,
            acknowledged: None,
            bridge: None,
            bridge_heard: None,
            bridge_priority: None,
            passed_on_at: None,
            presses: Vec::new(),
            taken_over: None,
            resolved: None,
            episode: 0,
            reopened_at: Vec::new(),
            destinations: Vec::new(),
            wakes: Vec::new(),
            effect_seq: 0,
            timeline: TimelineHead::default(),
        }
    }

    /// Notes that it was opened again.
    pub(crate) fn note_reopened(&mut self, now: Timestamp) {
        self.begin_episode();
        self.reopened_at.push(now);
        let surplus = self.reopened_at.len().saturating_sub(REOPENED_MAX);
        self.reopened_at.drain(..surplus);
    }

    /// From here on PagerDuty is told under a new name.
    pub(crate) fn begin_episode(&mut self) {
        self.episode = self.episode.saturating_add(1);
        self.bridge_priority = None;
    }

    /// Notes that a press counted.
    pub fn note_press(&mut self, press: String) {
        self.presses.push(press);
        let surplus = self.presses.len().saturating_sub(PRESSES_MAX);
        self.presses.drain(..surplus);
    }

    /// Whether one of our messages of it stands in this channel, or may stand there by now.
    pub fn is_shown_in(&self, channel: &str) -> bool {
        let mut channels =
            self.destinations.iter().filter(|state| matches!(state.destination, Destination::Slack { .. }));
        channels.any(|state| match &state.message {
            Some(message) => message.channel == channel,
            None => state.failure.is_none(),
        })
    }

    /// What guardrails want to know of it.
    pub fn standing(&self) -> Standing<'_> {
        Standing {
            acknowledged_by: self.acknowledged.as_ref().map(|ack| ack.actor.name.as_str()),
            reopened_at: &self.reopened_at,
            without_data: self.without_data(),
        }
    }

    /// Why the alert that opened it, or opened it again, has no data behind it.
    fn without_data(&self) -> Option<&str> {
        without_data(&self.labels, &self.annotations)
    }

    /// Takes over from the alert that opens it again whether there is data behind it. Everything else stays as the first
    /// one said it.
    pub(crate) fn take_data_state(&mut self, alert: &Alert) {
        match without_data(&alert.labels, &alert.annotations) {
            Some(reason) => drop(self.annotations.insert(STATE_REASON.to_owned(), reason.to_owned())),
            None => drop(self.annotations.remove(STATE_REASON)),
        }
    }

    /// Whether it is not over.
    pub fn is_open(&self) -> bool {
        self.status != IncidentStatus::Resolved
    }

    /// Whether nothing of it was stored yet.
    pub fn is_new(&self) -> bool {
        self.version == 0
    }

    /// The action called `id`.
    pub fn action(&self, id: &ActionId) -> Option<&Action> {
        self.actions.iter().find(|action| &action.id == id)
    }

    /// The remedy that is under way, where one is. What is set back after its time holds nothing up.
    pub fn current_action(&self) -> Option<&Action> {
        self.actions.iter().rev().find(|action| !action.status.is_final() && action.restores.is_none())
    }

    /// Until when telling people waits for the start of business hours; none while it does not.
    pub fn deferred_until(&self) -> Option<Timestamp> {
        self.escalation.as_ref().and_then(|state| state.deferred_until)
    }

    /// When the escalation goes on; none when it does not.
    pub fn next_escalation_at(&self) -> Option<Timestamp> {
        self.escalation.as_ref().and_then(|state| state.next).map(|next| next.due_at)
    }

    /// Where the escalation stands, as a word that changes with every step. A wish to go further holds for what was seen: of
    /// two people who press at once, or of one press that arrives twice, the second moves nothing.
    pub fn escalation_mark(&self) -> String {
        digest_of(&(self.episode, self.status, &self.escalation))
    }

    /// What a destination knows of it.
    pub fn destination(&self, destination: &Destination) -> Option<&DestinationState> {
        self.destinations.iter().find(|state| &state.destination == destination)
    }

    /// The namespace that pauses and limits look at.
    pub fn namespace(&self) -> Option<&str> {
        self.target
            .as_ref()
            .map(|target| target.namespace.as_str())
            .or_else(|| self.labels.get("namespace").map(String::as_str))
            .filter(|name| !name.is_empty())
    }

    /// PagerDuty's dedup key: stable within an episode, new after a reopening, since an alert that was resolved
    /// there would otherwise open a second incident under an old name.
    pub fn dedup_key(&self) -> String {
        self.dedup_key_of(self.episode)
    }

    /// PagerDuty's dedup key of one episode, which may have ended.
    pub fn dedup_key_of(&self, episode: u32) -> String {
        format!("smokejumper/{}/{episode}", self.id)
    }

    /// The incident and the episode that a dedup key of ours names; none for a key of somebody else's.
    pub fn of_dedup_key(key: &str) -> Option<(IncidentId, u32)> {
        let (id, episode) = key.strip_prefix("smokejumper/")?.rsplit_once('/')?;
        let id = Some(id).filter(|id| !id.is_empty())?;
        Some((IncidentId(id.to_owned()), episode.parse().ok()?))
    }

    /// Names of remedies that were taken in this incident, or would have been in shadow. What was blocked, simulated, or
    /// called off before it began because the incident ended or a person took over, was not: it may pass later.
    pub fn tried_remedies(&self) -> impl Iterator<Item = &str> {
        let was_taken = |action: &&Action| match action.status {
            ActionStatus::Blocked | ActionStatus::Simulated => matches!(action.reason, Reason::Shadow(_)),
            ActionStatus::Cancelled => {
                let was_called_off = matches!(
                    action.reason,
                    Reason::IncidentResolved | Reason::TakenOver(_) | Reason::Stale(_)
                );
                !was_called_off || action.outcome.is_some()
            }
            _ => true,
        };
        self.actions.iter().filter(was_taken).map(|action| action.remedy.as_str())
    }
}
