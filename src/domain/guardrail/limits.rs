//! How often: rates for a target, a namespace and everything, the cooldown of a remedy, the budget of a day, and the
//! circuit breaker of a rule. All are counted over starts that the store remembers, so they hold across replicas and
//! restarts.

use super::{GuardFacts, Guardrail, GuardrailVerdict, Subject, allowed, denied};
use crate::action::ActionId;
use crate::counted::counted;
use crate::verification::after;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

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
    /// How many actions a namespace gets in 24 hours, as services get an error budget; 0 means no limit.
    pub daily_budget: u32,
    /// A rule whose last actions failed is switched off.
    pub circuit: Circuit,
}

/// When a rule is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circuit {
    /// After this many failures in a row; 0 means never.
    pub failures: u32,
    /// For this long after the last of them.
    pub open_for: SignedDuration,
}

/// The day that budgets are counted over.
const DAY: SignedDuration = SignedDuration::from_hours(24);

impl Default for Limits {
    /// One start per target in 15 minutes and three in a day, three per namespace and ten in all in ten minutes:
    /// a person who fixes things by hand does not go faster, and every known runaway did. Twenty actions a day in one
    /// namespace are no remedies any more but a way of life. A rule that failed twice in a row is wrong about the world.
    fn default() -> Self {
        let rate = |count, window| Rate { count, window };
        Self {
            per_target: vec![rate(1, SignedDuration::from_mins(15)), rate(3, DAY)],
            per_namespace: vec![rate(3, SignedDuration::from_mins(10))],
            global: vec![rate(10, SignedDuration::from_mins(10))],
            cooldown: SignedDuration::from_mins(15),
            daily_budget: 20,
            circuit: Circuit { failures: 2, open_for: DAY },
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
            .chain([self.cooldown, self.circuit.open_for, DAY])
            .max()
            .unwrap_or(DAY)
    }
}

/// One action that started, as the store remembers it for the limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Rule and remedy, as `rule/remedy`.
    pub remedy: String,
    /// What it acted on.
    pub target: String,
    /// What else it acted on, where those are several objects.
    pub others: Vec<String>,
    /// In which namespace.
    pub namespace: Option<String>,
    /// When it was allowed to start.
    pub at: Timestamp,
    /// Which action; unknown for starts of older versions, which count as ended.
    pub action: Option<ActionId>,
    /// How it ended; none while it is under way.
    pub end: Option<StartEnd>,
}

/// How a counted start ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartEnd {
    /// When.
    pub at: Timestamp,
    /// How.
    pub result: StartResult,
}

/// What became of an action, as the circuit breaker counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartResult {
    /// It was carried out, and helped where that was checked.
    Good,
    /// It failed, did not help, or nobody knows.
    Bad,
    /// It never touched the world, or only set back what was there before: it uses nothing up.
    NotStarted,
}

impl StartResult {
    /// The word used in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::NotStarted => "not_started",
        }
    }

    /// Read back from the store.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Good, Self::Bad, Self::NotStarted].into_iter().find(|result| result.as_str() == word)
    }
}

impl Start {
    /// Whether it touched the world, or may yet: what was called off at the last moment uses nothing up.
    fn counts(&self) -> bool {
        self.end.is_none_or(|end| end.result != StartResult::NotStarted)
    }

    /// Every object that it acted on.
    pub fn objects(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.target).chain(&self.others).map(String::as_str)
    }

    /// Name of the rule.
    pub fn rule(&self) -> &str {
        self.remedy.split_once('/').map_or(self.remedy.as_str(), |(rule, _)| rule)
    }
}

pub(super) fn rate(
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
            .filter(|start| start.counts() && counts(start) && now.duration_since(start.at) < rate.window)
            .map(|start| start.at)
            .collect();
        let used = recent.len();
        if used >= rate.count as usize {
            recent.sort_unstable();
            let until = recent.get(used - rate.count.max(1) as usize).map(|at| after(*at, rate.window));
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

pub(super) fn cooldown(subject: Subject<'_>, facts: &GuardFacts, now: Timestamp) -> GuardrailVerdict {
    let wait = subject.cooldown.unwrap_or(facts.limits.cooldown);
    let last = facts
        .starts
        .iter()
        .filter(|start| start.counts() && start.remedy == subject.remedy && subject.meets(start))
        .map(|start| start.at)
        .max();
    match last {
        Some(at) if now.duration_since(at) < wait => denied(
            Guardrail::Cooldown,
            format!("this remedy ran on this target at {at}; it waits {wait:#}"),
            Some(after(at, wait)),
        ),
        _ => allowed(Guardrail::Cooldown, format!("the last run was more than {wait:#} ago, or never")),
    }
}

pub(super) fn daily_budget(
    subject: Subject<'_>,
    limits: &Limits,
    starts: &[Start],
    now: Timestamp,
) -> GuardrailVerdict {
    if limits.daily_budget == 0 {
        return allowed(Guardrail::DailyBudget, "no budget is set");
    }
    let Some(namespace) = subject.namespace else {
        return allowed(Guardrail::DailyBudget, "budgets are for namespaces, and this is in none");
    };
    let mut used: Vec<Timestamp> = starts
        .iter()
        .filter(|start| start.counts() && start.namespace.as_deref() == Some(namespace))
        .filter(|start| now.duration_since(start.at) < DAY)
        .map(|start| start.at)
        .collect();
    let count = used.len();
    let text = format!("{count} of {} actions of the day are used in {namespace}", limits.daily_budget);
    if count < limits.daily_budget as usize {
        return allowed(Guardrail::DailyBudget, text);
    }
    used.sort_unstable();
    let until = used.get(count - limits.daily_budget as usize).map(|at| after(*at, DAY));
    denied(Guardrail::DailyBudget, text, until)
}

/// A rule whose last actions all failed is switched off for a while: something about it is wrong.
pub(super) fn circuit_breaker(
    subject: Subject<'_>,
    circuit: Circuit,
    starts: &[Start],
    now: Timestamp,
) -> GuardrailVerdict {
    let rule = subject.remedy.split_once('/').map_or(subject.remedy, |(rule, _)| rule);
    let mut ends: Vec<StartEnd> = starts
        .iter()
        .filter(|start| start.rule() == rule)
        .filter_map(|start| start.end)
        .filter(|end| end.result != StartResult::NotStarted)
        .collect();
    ends.sort_unstable_by_key(|end| std::cmp::Reverse(end.at));
    let failures = ends.iter().take_while(|end| end.result == StartResult::Bad).count();
    let last = ends.first().map(|end| end.at);
    match last {
        Some(last)
            if circuit.failures > 0
                && failures >= circuit.failures as usize
                && now.duration_since(last) < circuit.open_for =>
        {
            let until = after(last, circuit.open_for);
            denied(
                Guardrail::CircuitBreaker,
                format!(
                    "the last {} of the rule failed; it is switched off until {until}",
                    counted(failures, "action")
                ),
                Some(until),
            )
        }
        _ => allowed(
            Guardrail::CircuitBreaker,
            format!("{} of the rule failed in a row", counted(failures, "action")),
        ),
    }
}

/// One action at a time on one object, whoever wants it and however many it touches.
pub fn in_flight(subject: Subject<'_>, starts: &[Start], now: Timestamp) -> GuardrailVerdict {
    let other = starts.iter().find(|start| {
        // One that has been under way for a day has lost its end, and must not hold the target for ever.
        start.end.is_none()
            && start.action.is_some()
            && subject.meets(start)
            && start.action.as_ref() != subject.action
            && now.duration_since(start.at) < DAY
    });
    match other {
        None => allowed(Guardrail::InFlight, "no other action is under way on this target"),
        Some(start) => {
            let since = start.at;
            let what = match start.target == subject.target {
                true => "this target".to_owned(),
                // It meets this one in something that both touch.
                false => start.target.clone(),
            };
            let text = format!("{} is under way on {what} since {since}", start.remedy);
            // It ends by itself, nobody knows when: look again soon.
            denied(Guardrail::InFlight, text, Some(after(now, IN_FLIGHT_WAIT)))
        }
    }
}

/// How long until another look where an action is under way: most verifications end within.
const IN_FLIGHT_WAIT: SignedDuration = SignedDuration::from_mins(2);
