//! How much: what an action may take away at one time, and that nobody's rollout is disturbed.

use super::{Guardrail, GuardrailVerdict, Subject, allowed, denied};
use crate::action::Tier;
use crate::survey::{Impact, Rollout, Touch};
use crate::verification::after;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// What one action may take away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlastRadius {
    /// How many workloads it may touch.
    pub workloads: u32,
    /// How many available replicas of a workload may be missing at one time, in percent of those that it is meant to
    /// have. One is always allowed where others are left.
    pub replicas_percent: u32,
    /// How many replicas must stay available.
    pub min_available: u32,
}

impl Default for BlastRadius {
    /// One workload and a quarter of its replicas, as a rolling update takes by default; one must always be left to
    /// answer.
    fn default() -> Self {
        Self { workloads: 1, replicas_percent: 25, min_available: 1 }
    }
}

impl BlastRadius {
    /// How many replicas may be missing at one time.
    fn replicas_max(self, replicas: u32) -> u32 {
        let share = u64::from(replicas) * u64::from(self.replicas_percent) / 100;
        u32::try_from(share).unwrap_or(u32::MAX).max(1)
    }
}

/// What is said where nobody has looked at the target: in rehearsals alone.
const NOT_JUDGED: &str = "not judged: nobody has looked at its target";

/// How long until another look at a rollout that makes progress.
const ROLLOUT_WAIT: SignedDuration = SignedDuration::from_mins(2);

/// Two people may do what no machine and no single person may: a plan of tier T3 is theirs to judge.
pub(super) fn blast_radius(subject: Subject<'_>, radius: BlastRadius) -> GuardrailVerdict {
    let impact = match subject.touch {
        Touch::Nothing => return allowed(Guardrail::BlastRadius, "it touches no workload"),
        Touch::Unseen(_) => return allowed(Guardrail::BlastRadius, NOT_JUDGED),
        Touch::Seen(impact) => impact,
    };
    let text = format!(
        "{} of {} available replicas at one time, {} wanted",
        impact.disrupted, impact.available, impact.replicas
    );
    match too_much(impact, radius) {
        Some(why) if subject.tier < Tier::T3 => denied(
            Guardrail::BlastRadius,
            format!("it would take {text}: {why}; as tier T3 two people could decide it"),
            None,
        ),
        Some(why) => {
            allowed(Guardrail::BlastRadius, format!("it takes {text}: {why}, which two people decide"))
        }
        None => allowed(Guardrail::BlastRadius, format!("it takes {text}")),
    }
}

fn too_much(impact: &Impact, radius: BlastRadius) -> Option<String> {
    if impact.workloads > radius.workloads {
        return Some(format!("{} workloads are more than {}", impact.workloads, radius.workloads));
    }
    // What is down already cannot be taken away: the remedy for it must not be held up.
    let disrupted = impact.disrupted.min(impact.available);
    if disrupted == 0 {
        return None;
    }
    let allowed = radius.replicas_max(impact.replicas);
    if disrupted > allowed {
        return Some(format!("more than {allowed} ({} %)", radius.replicas_percent));
    }
    let left = impact.available - disrupted;
    // A rollout that is put to an end goes back to what worked; waiting keeps what does not.
    if left < radius.min_available && !impact.ends_rollout {
        return Some(format!("fewer than {} would stay available", radius.min_available));
    }
    None
}

/// Nobody's healthy rollout is disturbed. One that hangs must not protect itself.
pub(super) fn rollout(subject: Subject<'_>, now: Timestamp) -> GuardrailVerdict {
    let impact = match subject.touch {
        Touch::Nothing => return allowed(Guardrail::Rollout, "it touches no workload"),
        Touch::Unseen(_) => return allowed(Guardrail::Rollout, NOT_JUDGED),
        Touch::Seen(impact) => impact,
    };
    match &impact.rollout {
        Rollout::Settled => allowed(Guardrail::Rollout, "no rollout is under way"),
        Rollout::Stuck { reason } => {
            allowed(Guardrail::Rollout, format!("the rollout that is under way hangs: {reason}"))
        }
        Rollout::UnderWay { status } => {
            let until = after(now, ROLLOUT_WAIT);
            denied(Guardrail::Rollout, format!("a rollout is under way: {status}"), Some(until))
        }
    }
}
