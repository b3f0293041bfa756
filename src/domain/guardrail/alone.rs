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
    /// Only those that were opened within this time; none means all, whenever they were opened.
    pub targets_within: Option<SignedDuration>,
    /// A namespace with open incidents on this many targets has a cause of its own, whatever the rules are; 0 means never.
    pub targets_in_namespace: u32,
    /// So many targets everywhere have one, whatever the rules and namespaces are; 0 means never.
    pub targets_in_all: u32,
    /// Opened within this time, for what is counted over all rules.
    pub all_rules_within: SignedDuration,
}

impl Default for Alone {
    fn default() -> Self {
        Self {
            boot_hold: SignedDuration::from_mins(2),
            flaps: 3,
            flaps_within: SignedDuration::from_hours(1),
            targets: 3,
            targets_within: None,
            targets_in_namespace: 3,
            targets_in_all: 10,
            all_rules_within: SignedDuration::from_mins(5),
        }
    }
}

/// Targets that are in trouble together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowd {
    /// How many there are, that of this incident included.
    pub targets: u32,
    /// Whether this incident is the first of those in which a machine might act: it alone asks people.
    pub is_first: bool,
}

/// What is known about other open incidents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peers {
    /// Of the same rule.
    pub of_rule: Crowd,
    /// In the same namespace, whatever the rule.
    pub in_namespace: Crowd,
    /// Everywhere.
    pub in_all: Crowd,
}

impl Peers {
    /// There are no others.
    pub const NONE: Self = {
        let alone = Crowd { targets: 1, is_first: true };
        Self { of_rule: alone, in_namespace: alone, in_all: alone }
    };
}

/// What is known about the incident itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing<'a> {
    /// Who acknowledged it.
    pub acknowledged_by: Option<&'a str>,
    /// When it was opened again, oldest first.
    pub reopened_at: &'a [Timestamp],
    /// Where its alert says that data is missing, and not that something is wrong: in whose words.
    pub without_data: Option<&'a str>,
}

/// Something larger than one target.
struct Larger {
    /// For people: what.
    text: String,
    /// Whether the incident at hand is the one that asks people.
    is_first: bool,
}

/// What larger thing is wrong, the widest first.
fn larger(limits: Alone, peers: Peers, vitals: Option<&Vitals>) -> Option<Larger> {
    let wide = vitals.and_then(|vitals| vitals.first(|sign| matches!(sign, Sign::Widespread(_))));
    if let Some((name, sign)) = wide {
        let text = format!("something larger is wrong ({name}): {}", sign.text());
        return Some(Larger { text, is_first: peers.in_all.is_first });
    }
    let is_many = |crowd: Crowd, limit: u32| limit > 0 && crowd.targets >= limit;
    let targets = |crowd: Crowd| counted(crowd.targets as usize, "target");
    let Alone { targets_in_all, targets_in_namespace, all_rules_within: within, .. } = limits;
    let (text, crowd) = if is_many(peers.in_all, targets_in_all) {
        let text = format!("incidents were opened on {} within {within:#}", targets(peers.in_all));
        (text, peers.in_all)
    } else if is_many(peers.in_namespace, targets_in_namespace) {
        let of = targets(peers.in_namespace);
        (format!("incidents were opened on {of} of the namespace within {within:#}"), peers.in_namespace)
    } else if is_many(peers.of_rule, limits.targets) {
        (format!("the rule has open incidents on {}", targets(peers.of_rule)), peers.of_rule)
    } else {
        return None;
    };
    Some(Larger { text: format!("{text}: it is about something larger"), is_first: crowd.is_first })
}

/// Whether somebody else's incident of the same rule asks for all of them.
fn is_asked_elsewhere(limits: Alone, peers: Peers) -> bool {
    limits.targets > 0 && peers.of_rule.targets >= limits.targets && !peers.of_rule.is_first
}

/// Whether a remedy that would run alone asks people instead: something larger is wrong, and this incident is the first
/// of it.
pub fn asks_instead(limits: Alone, peers: Option<Peers>, vitals: Option<&Vitals>) -> bool {
    peers.is_some_and(|peers| {
        larger(limits, peers, vitals).is_some_and(|larger| larger.is_first)
            && !is_asked_elsewhere(limits, peers)
    })
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

/// What has one cause is not cured target by target: it stops healing, and people decide once.
pub(super) fn correlation(
    subject: Subject<'_>,
    limits: Alone,
    peers: Option<Peers>,
    vitals: Option<&Vitals>,
    now: Timestamp,
) -> GuardrailVerdict {
    let until = Some(after(now, CORRELATION_WAIT));
    let Some(peers) = peers else {
        let text = "other incidents could not be counted".to_owned();
        return match subject.tier {
            Tier::T1 => denied(Guardrail::Correlation, text, until),
            _ => allowed(Guardrail::Correlation, text),
        };
    };
    let Some(Larger { text, .. }) = larger(limits, peers, vitals) else {
        let targets = counted(peers.of_rule.targets.max(1) as usize, "target");
        return allowed(Guardrail::Correlation, format!("the rule has open incidents on {targets}"));
    };
    match subject.tier {
        Tier::T1 => denied(Guardrail::Correlation, text, until),
        Tier::T2 if is_asked_elsewhere(limits, peers) => {
            let text = format!("{text}; people are asked once, in the first incident");
            denied(Guardrail::Correlation, text, until)
        }
        _ => allowed(Guardrail::Correlation, text),
    }
}

/// Who cannot see must not touch: what looks like a fault may be the monitoring that broke.
pub(super) fn blind(subject: Subject<'_>, vitals: Option<&Vitals>, now: Timestamp) -> GuardrailVerdict {
    // Whoever decides it: nobody knows what is wrong, if anything is.
    if let Some(words) = subject.standing.without_data {
        let text = format!("its alert says that data is missing ({words}), and not that something is wrong");
        return denied(Guardrail::Blind, text, None);
    }
    let in_cluster = subject.touch.kind().is_some();
    let is_dark = |sign: &Sign| match sign {
        Sign::Blind(_) => true,
        Sign::BlindInCluster(_) => in_cluster,
        Sign::Good(_) | Sign::Widespread(_) => false,
    };
    let text = match vitals {
        None => Some("nobody has looked whether monitoring works".to_owned()),
        Some(vitals) => vitals
            .first(is_dark)
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

/// The verdict on a plan that could not be made because the cluster cannot be seen, whoever would decide it: it may be
/// made once the cluster answers again. None where the cluster answers.
pub fn dark_cluster(vitals: Option<&Vitals>, now: Timestamp) -> Option<GuardrailVerdict> {
    let why = vitals?.cluster_is_dark()?;
    let text = format!("its target could not be looked at: {why}");
    Some(denied(Guardrail::Blind, text, Some(after(now, CORRELATION_WAIT))))
}
