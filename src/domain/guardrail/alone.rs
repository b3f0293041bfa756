//! When the machine must not act alone (T1), although people may still decide: somebody has the incident, it has just
//! started, the alert flaps, many targets are concerned at once, or it cannot see.

use super::{Guardrail, GuardrailVerdict, Subject, allowed, denied};
use crate::action::Tier;
use crate::counted::counted;
use crate::verification::after;
use crate::vitals::{Sign, Vitals};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// What must hold for the machine to act alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alone {
    /// How long after the start of the process nothing starts alone: a crash loop of the responder must not become a
    /// loop of actions, and what piled up meanwhile has to be read first.
    pub boot_hold: SignedDuration,
    /// An incident that was opened again this often is flapping; 0 means never.
    pub flaps: u32,
    /// Within this time.
    pub flaps_within: SignedDuration,
    /// A rule with open incidents on this many targets is about something larger; 0 means never.
    pub targets: u32,
    /// Opened within this time.
    pub targets_within: SignedDuration,
}

impl Default for Alone {
    fn default() -> Self {
        Self {
            boot_hold: SignedDuration::from_mins(2),
            flaps: 3,
            flaps_within: SignedDuration::from_hours(1),
            targets: 3,
            targets_within: SignedDuration::from_mins(15),
        }
    }
}

/// What is known about other incidents of the same rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Peers {
    /// How many targets the rule has open incidents on, this one included.
    pub targets: u32,
    /// Whether this incident is the first of them: it alone asks people.
    pub is_first: bool,
}

/// What is known about the incident itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing<'a> {
    /// Who acknowledged it.
    pub acknowledged_by: Option<&'a str>,
    /// When it was opened again, oldest first.
    pub reopened_at: &'a [Timestamp],
}

/// Whether a remedy that would run alone asks people instead: its rule is at many targets at once, and this incident is
/// the first of them.
pub fn asks_instead(limits: Alone, peers: Option<Peers>) -> bool {
    limits.targets > 0 && peers.is_some_and(|peers| peers.is_first && peers.targets >= limits.targets)
}

/// How long until another look where something larger goes on.
const CORRELATION_WAIT: SignedDuration = SignedDuration::from_mins(5);

/// Somebody works on it: two hands on one thing are one too many.
pub(super) fn acknowledged(subject: Subject<'_>, standing: Standing<'_>) -> GuardrailVerdict {
    match standing.acknowledged_by {
        Some(who) if subject.tier == Tier::T1 => denied(
            Guardrail::Acknowledged,
            format!("{who} has the incident: nothing starts without a person any more"),
            None,
        ),
        Some(who) => {
            allowed(Guardrail::Acknowledged, format!("{who} has the incident, and people decide this"))
        }
        None => allowed(Guardrail::Acknowledged, "nobody has acknowledged the incident"),
    }
}

pub(super) fn boot_hold(
    subject: Subject<'_>,
    hold: SignedDuration,
    booted_at: Option<Timestamp>,
    now: Timestamp,
) -> GuardrailVerdict {
    let Some(until) = booted_at.map(|at| after(at, hold)).filter(|until| now < *until) else {
        return allowed(Guardrail::BootHold, format!("the service has run for more than {hold:#}"));
    };
    let text = format!("the service has just started: nothing starts alone before {until}");
    if subject.tier == Tier::T1 {
        return denied(Guardrail::BootHold, text, Some(until));
    }
    allowed(Guardrail::BootHold, text)
}

pub(super) fn flapping(
    subject: Subject<'_>,
    limits: Alone,
    standing: Standing<'_>,
    now: Timestamp,
) -> GuardrailVerdict {
    let recent: Vec<Timestamp> = standing
        .reopened_at
        .iter()
        .copied()
        .filter(|at| now.duration_since(*at) < limits.flaps_within)
        .collect();
    let text = format!("opened again {} within {:#}", counted(recent.len(), "time"), limits.flaps_within);
    let flaps = limits.flaps > 0 && recent.len() >= limits.flaps as usize;
    if flaps && subject.tier == Tier::T1 {
        let until = recent.first().map(|at| after(*at, limits.flaps_within));
        return denied(Guardrail::Flapping, format!("the incident flaps: {text}"), until);
    }
    allowed(Guardrail::Flapping, text)
}

/// The same fault on many targets is not cured target by target: it stops healing, and people decide once.
pub(super) fn correlation(
    subject: Subject<'_>,
    limits: Alone,
    peers: Option<Peers>,
    vitals: Option<&Vitals>,
    now: Timestamp,
) -> GuardrailVerdict {
    let until = Some(after(now, CORRELATION_WAIT));
    let wide = vitals.and_then(|vitals| vitals.first(|sign| matches!(sign, Sign::Widespread(_))));
    if let Some((name, sign)) = wide {
        let text = format!("something larger is wrong ({name}): {}", sign.text());
        return match subject.tier {
            Tier::T1 => denied(Guardrail::Correlation, text, until),
            _ => allowed(Guardrail::Correlation, text),
        };
    }
    let Some(peers) = peers else {
        let text = "other incidents of the rule could not be counted".to_owned();
        return match subject.tier {
            Tier::T1 => denied(Guardrail::Correlation, text, until),
            _ => allowed(Guardrail::Correlation, text),
        };
    };
    let many = limits.targets > 0 && peers.targets >= limits.targets;
    let text = format!("the rule has open incidents on {}", counted(peers.targets.max(1) as usize, "target"));
    match (many, subject.tier) {
        (true, Tier::T1) => {
            denied(Guardrail::Correlation, format!("{text}: it is about something larger"), until)
        }
        (true, Tier::T2) if !peers.is_first => denied(
            Guardrail::Correlation,
            format!("{text}: people are asked once, in the first of them"),
            until,
        ),
        _ => allowed(Guardrail::Correlation, text),
    }
}

/// Who cannot see must not touch: what looks like a fault may be the monitoring that broke.
pub(super) fn blind(subject: Subject<'_>, vitals: Option<&Vitals>, now: Timestamp) -> GuardrailVerdict {
    let text = match vitals {
        None => Some("nobody has looked whether monitoring works".to_owned()),
        Some(vitals) => vitals
            .first(|sign| matches!(sign, Sign::Blind(_)))
            .map(|(name, sign)| format!("monitoring does not work ({name}): {}", sign.text())),
    };
    match text {
        None => allowed(Guardrail::Blind, "monitoring works as far as it is known"),
        Some(text) if subject.tier == Tier::T1 => {
            denied(Guardrail::Blind, text, Some(after(now, CORRELATION_WAIT)))
        }
        Some(text) => allowed(Guardrail::Blind, text),
    }
}
