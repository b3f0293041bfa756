//! Guardrails: what must not happen, however right the remedy looks.
//!
//! Each guardrail is judged over facts and gives a verdict with its reason. A guardrail whose facts are missing
//! denies: acting fails closed.
//!
//! Reading order: [`judge`], then `limits` (how often), `scope` (where), `impact` (how much), `alone` (when the machine
//! must leave it to people).

mod alone;
mod impact;
mod limits;
mod scope;
pub(crate) mod stored;
mod told;

pub use alone::{Alone, Crowd, Peers, Standing, asks_instead, dark_cluster};
pub use impact::BlastRadius;
pub use limits::{Circuit, Limits, Rate, Start, StartEnd, StartResult, in_flight};
pub use scope::{Own, SYSTEM_NAMESPACES, Scope};
pub use told::{in_short, told};

use crate::action::{ActionId, Tier};
use crate::rule::RuleMode;
use crate::survey::Touch;
use crate::vitals::Vitals;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Which guardrail spoke. Names are those of the settings and of metric labels.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Guardrail {
    /// Somebody has switched actions off, globally or for a namespace.
    Pause,
    /// Only observe and tell.
    DryRun,
    /// The rule only decides, beside those who act.
    Shadow,
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
    /// At most so many actions per namespace in a day.
    DailyBudget,
    /// A rule whose last actions failed is switched off.
    CircuitBreaker,
    /// One action at a time on one target.
    InFlight,
    /// Only some namespaces and kinds of objects.
    AllowList,
    /// Never the responder itself.
    OwnWorkload,
    /// So many workloads and replicas at one time.
    BlastRadius,
    /// Nothing during a rollout that makes progress.
    Rollout,
    /// A person has the incident.
    Acknowledged,
    /// The service has just started.
    BootHold,
    /// The incident opens again and again.
    Flapping,
    /// Many targets are concerned at once.
    Correlation,
    /// Monitoring does not work.
    Blind,
}

impl Guardrail {
    /// The word used in reasons and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::DryRun => "dry_run",
            Self::Shadow => "shadow",
            Self::FreezeWindow => "freeze_window",
            Self::RateTarget => "rate_target",
            Self::RateNamespace => "rate_namespace",
            Self::RateGlobal => "rate_global",
            Self::Cooldown => "cooldown",
            Self::DailyBudget => "daily_budget",
            Self::CircuitBreaker => "circuit_breaker",
            Self::InFlight => "in_flight",
            Self::AllowList => "allow_list",
            Self::OwnWorkload => "own_workload",
            Self::BlastRadius => "blast_radius",
            Self::Rollout => "rollout",
            Self::Acknowledged => "acknowledged",
            Self::BootHold => "boot_hold",
            Self::Flapping => "flapping",
            Self::Correlation => "correlation",
            Self::Blind => "blind",
        }
    }

    /// Whether what it forbids is recorded as what would have happened, and not as forbidden.
    pub fn only_simulates(self) -> bool {
        matches!(self, Self::DryRun | Self::Shadow)
    }

    /// Whether it never lets pass by itself: somebody has to do something first.
    pub fn waits_for_people(self) -> bool {
        matches!(
            self,
            Self::Pause | Self::AllowList | Self::OwnWorkload | Self::BlastRadius | Self::Acknowledged
        )
    }

    /// Whether nobody knows when it lets pass, so that it is looked at again and again.
    pub fn is_polled(self) -> bool {
        matches!(self, Self::Rollout | Self::InFlight | Self::Correlation | Self::Blind)
    }

    /// Whether it is judged over what a look at the target has found.
    pub fn needs_a_look(self) -> bool {
        matches!(self, Self::BlastRadius | Self::Rollout)
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
    pub reason: Cow<'static, str>,
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

/// What the guardrails are judged over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardFacts {
    /// Pauses in force.
    pub pauses: Vec<Pause>,
    /// Whether the service or the rule only observes.
    pub dry_run: bool,
    /// Whether the rule acts.
    pub mode: RuleMode,
    /// The freeze window that is open now, with its end where one is known.
    pub freeze: Option<(String, Option<Timestamp>)>,
    /// Starts within the longest window.
    pub starts: Vec<Start>,
    /// The limits in force.
    pub limits: Limits,
    /// Where actions may touch something.
    pub scope: Scope,
    /// What one action may take away.
    pub radius: BlastRadius,
    /// What must hold for the machine to act alone.
    pub alone: Alone,
    /// When the service started.
    pub booted_at: Option<Timestamp>,
    /// Other open incidents; none where they could not be counted.
    pub peers: Option<Peers>,
    /// Whether monitoring works; none where nobody has looked.
    pub vitals: Option<Vitals>,
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
    /// Tier at which it would run.
    pub tier: Tier,
    /// How it touches a cluster.
    pub touch: Touch<'a>,
    /// Which action it is, once it is one.
    pub action: Option<&'a ActionId>,
    /// What is known about its incident.
    pub standing: Standing<'a>,
}

impl<'a> Subject<'a> {
    /// Every object that it would act on: its target, and others.
    fn objects(&self) -> impl Iterator<Item = &'a str> {
        std::iter::once(self.target).chain(self.touch.objects())
    }

    /// Whether it would act on something that this action has acted on.
    fn meets(&self, start: &Start) -> bool {
        self.objects().any(|object| start.objects().any(|other| other == object))
    }
}

/// Judges every guardrail, in the order in which they are named to people. All verdicts are returned, so that
/// `explain` can show the whole picture; the first that does not allow is the reason.
pub fn judge(subject: Subject<'_>, facts: &GuardFacts, now: Timestamp) -> Vec<GuardrailVerdict> {
    let GuardFacts { limits, starts, alone: rules, .. } = facts;
    let vitals = facts.vitals.as_ref();
    let mut verdicts = vec![
        pause(subject.namespace, &facts.pauses),
        freeze(facts.freeze.as_ref()),
        scope::allow_list(subject, &facts.scope),
        scope::own(subject, facts.scope.own.as_ref()),
        impact::blast_radius(subject, facts.radius),
        impact::rollout(subject, now),
        limits::in_flight(subject, starts, now),
        limits::rate(Guardrail::RateTarget, &limits.per_target, starts, now, |start| subject.meets(start)),
        limits::rate(Guardrail::RateNamespace, &limits.per_namespace, starts, now, |start| {
            subject.namespace.is_some() && start.namespace.as_deref() == subject.namespace
        }),
        limits::rate(Guardrail::RateGlobal, &limits.global, starts, now, |_| true),
        limits::daily_budget(subject, limits, starts, now),
        limits::cooldown(subject, facts, now),
        limits::circuit_breaker(subject, limits.circuit, starts, now),
        alone::acknowledged(subject, subject.standing),
        alone::boot_hold(subject, rules.boot_hold, facts.booted_at, now),
        alone::flapping(subject, *rules, subject.standing, now),
        alone::correlation(subject, *rules, facts.peers, vitals, now),
        alone::blind(subject, vitals, now),
        dry_run(facts.dry_run),
    ];
    verdicts.extend(shadow(facts.mode));
    verdicts
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

/// Whether anything is carried out at all, as a verdict.
pub fn dry_run(on: bool) -> GuardrailVerdict {
    if on {
        denied(Guardrail::DryRun, "dry run: it is decided and recorded, nothing is touched".to_owned(), None)
    } else {
        allowed(Guardrail::DryRun, "actions are enforced")
    }
}

/// What stops a rule in shadow, as a verdict; a live rule has none, since there is nothing to weigh.
pub fn shadow(mode: RuleMode) -> Option<GuardrailVerdict> {
    let reason = "the rule is in shadow: it is decided and recorded, nothing is carried out";
    mode.is_shadow().then(|| denied(Guardrail::Shadow, reason, None))
}

/// When all that denies would let pass, where that is known and needs nobody; and whether that is only a time to look
/// again.
pub fn passes_at(verdicts: &[GuardrailVerdict]) -> Option<(Timestamp, bool)> {
    let denials = || verdicts.iter().filter(|verdict| !verdict.allowed);
    if denials().any(|verdict| verdict.guardrail.waits_for_people()) {
        return None;
    }
    let last = denials().filter(|verdict| verdict.until.is_some()).max_by_key(|verdict| verdict.until)?;
    Some((last.until?, last.guardrail.is_polled()))
}

/// The first verdict that does not allow.
pub fn first_denial(verdicts: &[GuardrailVerdict]) -> Option<&GuardrailVerdict> {
    verdicts.iter().find(|verdict| !verdict.allowed)
}

fn allowed(guardrail: Guardrail, reason: impl Into<Cow<'static, str>>) -> GuardrailVerdict {
    GuardrailVerdict { guardrail, allowed: true, reason: reason.into(), until: None }
}

fn denied(
    guardrail: Guardrail,
    reason: impl Into<Cow<'static, str>>,
    until: Option<Timestamp>,
) -> GuardrailVerdict {
    GuardrailVerdict { guardrail, allowed: false, reason: reason.into(), until }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wider_tests;
