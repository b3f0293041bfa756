//! One `EscalationPolicy`: levels in rising order, and a fallback that can be reached whatever the hour.

use super::Surroundings;
use super::report::Report;
use super::rule::{matchers, matches_anything, object_name};
use super::uses;
use crate::domain::escalation::{EscalationPolicy, Level, PolicySelector, Repeat};
use crate::domain::notification::Destination;
use crate::period::Period;
use crate::rules::raw;
use jiff::SignedDuration;

/// Shortest time between two tellings. Below it a page is noise.
const EVERY_MIN: SignedDuration = SignedDuration::from_mins(1);

pub(super) fn convert(
    name: String,
    raw: raw::Policy,
    surroundings: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> EscalationPolicy {
    object_name(&name, report);
    let levels = levels(raw.levels, surroundings, report);
    check_fallback(&raw.fallback, surroundings, report);
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
        levels,
        repeat,
        fallback: raw.fallback,
    }
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

fn levels(raw: Vec<raw::Level>, surroundings: &Surroundings<'_>, report: &mut Report<'_>) -> Vec<Level> {
    let mut levels: Vec<Level> = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let at = format!("/spec/levels/{index}");
        if levels.iter().any(|level| level.name == raw.name) {
            let message = format!("there is another level `{}`", raw.name);
            report.error(&format!("{at}/name"), message, Some("give each its own name".to_owned()));
        }
        if let Some(before) = levels.last().filter(|before| raw.after.signed() <= before.after) {
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
        warn_unreachable(&raw.destinations, &format!("{at}/destinations"), surroundings, report);
        levels.push(Level {
            name: raw.name,
            after: raw.after.signed(),
            hours: raw.hours,
            destinations: raw.destinations,
        });
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

/// The fallback is the promise that somebody hears: one of its destinations must be there.
fn check_fallback(fallback: &[Destination], surroundings: &Surroundings<'_>, report: &mut Report<'_>) {
    if fallback.is_empty() {
        let help = "name somebody who can always be reached, such as a PagerDuty service".to_owned();
        report.error("/spec/fallback", "the fallback tells nobody", Some(help));
        return;
    }
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
        report.error("/spec/fallback", message, Some(help));
    } else {
        warn_unreachable(fallback, "/spec/fallback", surroundings, report);
    }
}

fn warn_unreachable(
    destinations: &[Destination],
    at: &str,
    surroundings: &Surroundings<'_>,
    report: &mut Report<'_>,
) {
    if surroundings.known.tells_nobody() {
        return;
    }
    for (index, destination) in destinations.iter().enumerate() {
        if let Err(why) = uses::reachable(destination, surroundings) {
            report.warn(&format!("{at}/{index}"), why, Some("others are told instead".to_owned()));
        }
    }
}
