//! One `EscalationPolicy`: levels in rising order, and a fallback that can be reached whatever the hour.

use super::Surroundings;
use super::contact::{self, Told};
use super::report::Report;
use super::rule::{matchers, matches_anything, object_name};
use super::uses;
use crate::domain::escalation::{EscalationPolicy, Level, Objectives, PolicySelector, Repeat};
use crate::domain::notification::Destination;
use crate::period::Period;
use crate::rules::raw::{self, Whom};
use jiff::SignedDuration;

/// Shortest time between two tellings. Below it a page is noise.
const EVERY_MIN: SignedDuration = SignedDuration::from_mins(1);

const FALLBACK_HELP: &str = "name somebody who can always be reached, such as a PagerDuty service";

pub(super) fn convert(
    name: String,
    raw: raw::Policy,
    surroundings: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> EscalationPolicy {
    object_name(&name, report);
    let objectives = raw.objectives.map(|objectives| Objectives {
        rto: objectives.rto.signed(),
        rpo: objectives.rpo.map(Period::signed),
    });
    if objectives.is_some_and(|objectives| objectives.rto < EVERY_MIN) {
        let help = "give people time to bring it back, such as `4h`".to_owned();
        report.error("/spec/objectives/rto", format!("this is shorter than {EVERY_MIN:#}"), Some(help));
    }
    let levels = levels(raw.levels, objectives, surroundings, report);
    // Who waits for the morning need not be reached at any hour.
    let severities = raw.selector.iter().flat_map(|selector| &selector.severities);
    let is_mild =
        severities.clone().next().is_some() && !severities.clone().any(|severity| severity.is_urgent());
    let fallback = fallback(&raw.fallback, is_mild, surroundings, report);
    let acknowledge_within = raw.acknowledge_within.map(Period::signed);
    if acknowledge_within.is_some_and(|within| within < EVERY_MIN) {
        let message = format!("this is shorter than {EVERY_MIN:#}");
        report.error("/spec/acknowledgeWithin", message, Some("give people time to wake up".to_owned()));
    }
    let repeat = raw.repeat.map(|repeat| Repeat { every: repeat.every.signed(), times: repeat.times });
    if repeat.is_some_and(|repeat| repeat.every < EVERY_MIN) {
        report.error("/spec/repeat/every", format!("this is shorter than {EVERY_MIN:#}"), None);
    }
    EscalationPolicy {
        name,
        selector: raw.selector.map(|raw| selector(raw, report)),
        acknowledge_within,
        acknowledgement_expires_after: raw.acknowledgement.map(|terms| expires_after(terms, report)),
        defer_until: raw.defer.map(|defer| {
            uses::schedule(&defer.until, surroundings, "/spec/defer/until", report);
            defer.until
        }),
        objectives,
        levels,
        repeat,
        fallback,
    }
}

fn expires_after(terms: raw::AcknowledgementTerms, report: &mut Report<'_>) -> SignedDuration {
    let time = terms.expires_after.signed();
    if time < EVERY_MIN {
        let message = format!("this is shorter than {EVERY_MIN:#}");
        let help = "leave people time to work on it, such as `30m`".to_owned();
        report.error("/spec/acknowledgement/expiresAfter", message, Some(help));
    }
    time
}

fn selector(raw: raw::Selector, report: &mut Report<'_>) -> PolicySelector {
    let matchers = matchers(&raw.matchers, "/spec/selector/matchers", report);
    if !report.matchers_are_broken && raw.severities.is_empty() && matchers.iter().all(matches_anything) {
        let help =
            "say which incidents it is for, or leave `selector` out and name the policy in rules".to_owned();
        report.warn("/spec/selector", "this selects every incident", Some(help));
    }
    PolicySelector { severities: raw.severities, matchers }
}

/// When a level is due, counted from the incident's start.
fn due(
    due: raw::Due,
    objectives: Option<Objectives>,
    pointer: &str,
    report: &mut Report<'_>,
) -> SignedDuration {
    match (due, objectives) {
        (raw::Due::After(period), _) => period.signed(),
        (raw::Due::OfRto(percent), Some(objectives)) => {
            SignedDuration::from_secs(objectives.rto.as_secs().saturating_mul(i64::from(percent)) / 100)
        }
        (raw::Due::OfRto(percent), None) => {
            let help = "add `objectives: { rto: 4h }` to the policy, or write a length of time".to_owned();
            report.error(pointer, "this policy has no recovery time objective", Some(help));
            // Rising, so that the order of levels is not complained about as well.
            SignedDuration::from_hours(i64::from(percent))
        }
    }
}

fn levels(
    raw: Vec<raw::Level>,
    objectives: Option<Objectives>,
    surroundings: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Vec<Level> {
    let mut levels: Vec<Level> = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let at = format!("/spec/levels/{index}");
        if levels.iter().any(|level| level.name == raw.name) {
            let message = format!("there is another level `{}`", raw.name);
            report.error(&format!("{at}/name"), message, Some("give each its own name".to_owned()));
        }
        let after = due(raw.after, objectives, &format!("{at}/after"), report);
        if let Some(before) = levels.last().filter(|before| after <= before.after) {
            let message = format!("`{}` is not due after `{}`", raw.name, before.name);
            let help = "`after` counts from the incident's start and rises from level to level".to_owned();
            report.error(&format!("{at}/after"), message, Some(help));
        }
        if let Some(hours) = &raw.hours {
            uses::schedule(hours, surroundings, &format!("{at}/hours"), report);
        }
        if raw.destinations.is_empty() {
            report.error(&format!("{at}/destinations"), "this level tells nobody", None);
        }
        let Told { destinations, on_call } =
            contact::whom(&raw.destinations, &format!("{at}/destinations"), surroundings, report);
        contact::warn_unreachable(&raw.destinations, &format!("{at}/destinations"), surroundings, report);
        levels.push(Level { name: raw.name, after, hours: raw.hours, destinations, on_call });
    }
    if levels.is_empty() {
        report.warn("/spec", "without levels only the fallback is told", None);
    } else if levels.iter().all(|level| level.hours.is_some()) {
        let help = "leave `hours` out of the first level".to_owned();
        report.warn(
            "/spec/levels",
            "outside of the hours of all levels only the fallback is told",
            Some(help),
        );
    }
    if let Some(first) = levels.first().filter(|first| !first.after.is_zero()) {
        let message = format!("nobody is told in the first {:#}", first.after);
        report.warn("/spec/levels/0/after", message, Some("write `after: 0s`".to_owned()));
    }
    levels
}

/// The fallback is the promise that somebody hears: one of its destinations must be there. Whoever is on call may be
/// nobody, so they cannot be part of it.
fn fallback(
    list: &[Whom],
    is_mild: bool,
    surroundings: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Vec<Destination> {
    let Told { destinations, on_call } = contact::whom(list, "/spec/fallback", surroundings, report);
    if let Some(schedule) = on_call.first() {
        let message =
            format!("the fallback cannot be whoever is on call in `{schedule}`: there may be nobody");
        report.error("/spec/fallback", message, Some(FALLBACK_HELP.to_owned()));
    } else if destinations.is_empty() {
        report.error("/spec/fallback", "the fallback tells nobody", Some(FALLBACK_HELP.to_owned()));
    } else if check_fallback(&destinations, is_mild, surroundings, report) {
        contact::warn_unreachable(list, "/spec/fallback", surroundings, report);
    }
    destinations
}

/// Whether one of them can be reached.
fn check_fallback(
    fallback: &[Destination],
    is_mild: bool,
    surroundings: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> bool {
    let refusals: Vec<String> =
        fallback.iter().filter_map(|destination| uses::reachable(destination, surroundings).err()).collect();
    if surroundings.known.tells_nobody() {
        let help =
            "incidents are recorded and shown; set up `slack` or `pagerduty` in the settings".to_owned();
        report.warn(
            "/spec/fallback",
            "nobody can be told: neither Slack nor PagerDuty is set up",
            Some(help),
        );
    } else if refusals.len() == fallback.len() {
        let message = format!("nobody in the fallback can be reached: {}", refusals.join("; "));
        let help = "set one of them up in the settings".to_owned();
        if is_mild {
            report.warn("/spec/fallback", message, Some(help));
        } else {
            report.error("/spec/fallback", message, Some(help));
        }
        return false;
    }
    true
}
