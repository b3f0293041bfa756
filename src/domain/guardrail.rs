//! Guardrails: what must not happen, however right the remedy looks.
//!
//! Each guardrail is judged over facts and gives a verdict with its reason. A guardrail whose facts are missing
//! denies: acting fails closed.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Which guardrail spoke. Names are those of the settings and of metric labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guardrail {
    /// Somebody has switched actions off, globally or for a namespace.
    Pause,
    /// Only observe and tell.
    DryRun,
    /// A window in which nothing may be changed.
    FreezeWindow,
    /// At most so many actions per target.
    RateTarget,
    /// At most so many actions per namespace.
    RateNamespace,
    /// At most so many actions in all.
    RateGlobal,
    /// Least time between two runs of one remedy on one target.
    Cooldown,
}

impl Guardrail {
    /// The word used in reasons and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::DryRun => "dry_run",
            Self::FreezeWindow => "freeze_window",
            Self::RateTarget => "rate_target",
            Self::RateNamespace => "rate_namespace",
            Self::RateGlobal => "rate_global",
            Self::Cooldown => "cooldown",
        }
    }
}

/// What one guardrail says about one plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardrailVerdict {
    /// Which.
    pub guardrail: Guardrail,
    /// Whether it lets the action pass.
    pub allowed: bool,
    /// The numbers behind it, in a sentence.
    pub reason: String,
    /// When it would let it pass, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A switch that stops actions. It is kept in the store, survives restarts, and only a person lifts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The namespace it covers; none covers everything.
    pub namespace: Option<String>,
    /// Who set it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// At most `count` starts within `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how long a sliding window.
    pub window: SignedDuration,
}

/// The limits in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Per target; all must hold.
    pub per_target: Vec<Rate>,
    /// Per namespace; all must hold.
    pub per_namespace: Vec<Rate>,
    /// Over everything; all must hold.
    pub global: Vec<Rate>,
    /// Least time between two runs of one remedy on one target, where the rule says nothing.
    pub cooldown: SignedDuration,
}

impl Default for Limits {
    /// One start per target in 15 minutes and three in a day, three per namespace and ten in all in ten minutes:
    /// a person who fixes things by hand does not go faster, and every known runaway did.
    fn default() -> Self {
        let rate = |count, window| Rate { count, window };
        Self {
            per_target: vec![rate(1, SignedDuration::from_mins(15)), rate(3, SignedDuration::from_hours(24))],
            per_namespace: vec![rate(3, SignedDuration::from_mins(10))],
            global: vec![rate(10, SignedDuration::from_mins(10))],
            cooldown: SignedDuration::from_mins(15),
        }
    }
}

impl Limits {
    /// How far back starts must be known to judge these limits.
    pub fn longest_window(&self) -> SignedDuration {
        self.per_target
            .iter()
            .chain(&self.per_namespace)
            .chain(&self.global)
            .map(|rate| rate.window)
            .max()
            .unwrap_or(SignedDuration::ZERO)
            .max(self.cooldown)
    }
}

/// One action that started, as the store remembers it for the limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Rule and remedy, as `rule/remedy`.
    pub remedy: String,
    /// What it acted on.
    pub target: String,
    /// In which namespace.
    pub namespace: Option<String>,
    /// When it was allowed to start.
    pub at: Timestamp,
}

/// What the guardrails are judged over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardFacts {
    /// Pauses in force.
    pub pauses: Vec<Pause>,
    /// Whether the service or the rule only observes.
    pub dry_run: bool,
    /// The freeze window that is open now, with its end where one is known.
    pub freeze: Option<(String, Option<Timestamp>)>,
    /// Starts within the longest window.
    pub starts: Vec<Start>,
    /// The limits in force.
    pub limits: Limits,
}

/// What is to be judged.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Rule and remedy, as `rule/remedy`.
    pub remedy: &'a str,
    /// What it would act on.
    pub target: &'a str,
    /// In which namespace.
    pub namespace: Option<&'a str>,
    /// The remedy's own cooldown.
    pub cooldown: Option<SignedDuration>,
}

/// Judges every guardrail, in the order in which they are named to people. All verdicts are returned, so that
/// `explain` can show the whole picture; the first that does not allow is the reason.
pub fn judge(subject: Subject<'_>, facts: &GuardFacts, now: Timestamp) -> Vec<GuardrailVerdict> {
    let limits = &facts.limits;
    vec![
        pause(subject.namespace, &facts.pauses),
        freeze(facts.freeze.as_ref()),
        rate(Guardrail::RateTarget, &limits.per_target, &facts.starts, now, |start| {
            start.target == subject.target
        }),
        rate(Guardrail::RateNamespace, &limits.per_namespace, &facts.starts, now, |start| {
            subject.namespace.is_some() && start.namespace.as_deref() == subject.namespace
        }),
        rate(Guardrail::RateGlobal, &limits.global, &facts.starts, now, |_| true),
        cooldown(subject, facts, now),
        dry_run(facts.dry_run),
    ]
}

/// The pause that covers a namespace, as a verdict.
pub fn pause(namespace: Option<&str>, pauses: &[Pause]) -> GuardrailVerdict {
    let covering =
        pauses.iter().find(|pause| pause.namespace.is_none() || pause.namespace.as_deref() == namespace);
    match covering {
        None => allowed(Guardrail::Pause, "not paused"),
        Some(pause) => {
            let what = pause
                .namespace
                .as_deref()
                .map_or("everything".to_owned(), |name| format!("namespace {name}"));
            denied(
                Guardrail::Pause,
                format!("{what} is paused by {} since {}: {}", pause.by, pause.since, pause.reason),
                None,
            )
        }
    }
}

/// The open freeze window, as a verdict.
pub fn freeze(open: Option<&(String, Option<Timestamp>)>) -> GuardrailVerdict {
    match open {
        None => allowed(Guardrail::FreezeWindow, "no freeze window is open"),
        Some((name, until)) => {
            denied(Guardrail::FreezeWindow, format!("freeze window `{name}` is open"), *until)
        }
    }
}

fn dry_run(on: bool) -> GuardrailVerdict {
    if on {
        denied(Guardrail::DryRun, "dry run: it is decided and recorded, nothing is touched".to_owned(), None)
    } else {
        allowed(Guardrail::DryRun, "actions are enforced")
    }
}

fn rate(
    guardrail: Guardrail,
    rates: &[Rate],
    starts: &[Start],
    now: Timestamp,
    counts: impl Fn(&Start) -> bool,
) -> GuardrailVerdict {
    let mut tightest = String::from("no limit is set");
    for rate in rates {
        // A start in the future (a clock that went back) counts: it must not open the door.
        let mut recent: Vec<Timestamp> = starts
            .iter()
            .filter(|start| counts(start) && now.duration_since(start.at) < rate.window)
            .map(|start| start.at)
            .collect();
        let used = recent.len();
        if used >= rate.count as usize {
            recent.sort_unstable();
            let until = recent
                .get(used - rate.count.max(1) as usize)
                .map(|at| crate::verification::after(*at, rate.window));
            return denied(
                guardrail,
                format!("{used} of {} actions in {:#} are used", rate.count, rate.window),
                until,
            );
        }
        tightest = format!("{used} of {} actions in {:#} are used", rate.count, rate.window);
    }
    allowed(guardrail, tightest)
}

fn cooldown(subject: Subject<'_>, facts: &GuardFacts, now: Timestamp) -> GuardrailVerdict {
    let wait = subject.cooldown.unwrap_or(facts.limits.cooldown);
    let last = facts
        .starts
        .iter()
        .filter(|start| start.remedy == subject.remedy && start.target == subject.target)
        .map(|start| start.at)
        .max();
    match last {
        Some(at) if now.duration_since(at) < wait => denied(
            Guardrail::Cooldown,
            format!("this remedy ran on this target at {at}; it waits {wait:#}"),
            Some(crate::verification::after(at, wait)),
        ),
        _ => allowed(Guardrail::Cooldown, format!("the last run was more than {wait:#} ago, or never")),
    }
}

/// The first verdict that does not allow.
pub fn first_denial(verdicts: &[GuardrailVerdict]) -> Option<&GuardrailVerdict> {
    verdicts.iter().find(|verdict| !verdict.allowed)
}

fn allowed(guardrail: Guardrail, reason: impl Into<String>) -> GuardrailVerdict {
    GuardrailVerdict { guardrail, allowed: true, reason: reason.into(), until: None }
}

fn denied(guardrail: Guardrail, reason: String, until: Option<Timestamp>) -> GuardrailVerdict {
    GuardrailVerdict { guardrail, allowed: false, reason, until }
}

#[cfg(test)]
mod tests;
