//! What only shows when all documents are looked at together.

use super::Parsed;
use super::report::Report;
use super::rule::matches_anything;
use crate::domain::catalog::{AccessNeed, Catalog};
use crate::domain::escalation::{EscalationPolicy, PolicySelector};
use crate::domain::matcher::{MatchOp, Matcher, Matchers};
use crate::domain::rule::{ResponseRule, SeveritySpec};
use crate::domain::severity::Severity;
use crate::params;
use crate::rules::index::{literal_values, names_its_alerts};
use crate::yaml::Place;
use std::collections::{BTreeMap, HashMap};

/// Most earlier rules of one alert that a rule is compared with: a bound on loading time for sets of thousands.
const COMPARED_MAX: usize = 500;

/// Rules that may go without the name of an alert. Trying so many costs an alert about two microseconds; with
/// thousands it would be most of the time that matching takes.
const UNINDEXED_MAX: usize = 100;

/// Complains about every second document of one kind and name.
pub(super) fn duplicates(parsed: &[Parsed<'_>], reports: &mut [Report<'_>]) {
    let mut first: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (at, document) in parsed.iter().enumerate() {
        let Some(name) = document.name.as_deref() else { continue };
        if document.kind == "ResponseTest" {
            continue;
        }
        match first.get(&(document.kind.as_str(), name)) {
            None => {
                first.insert((&document.kind, name), at);
            }
            Some(before) => {
                let place = match reports[*before].at("/metadata/name", "", None).place {
                    Place::At { file, line, .. } => format!("{file}:{line}"),
                    Place::File { .. } | Place::Environment { .. } => parsed[*before].file.to_owned(),
                };
                let message = format!("there is another {} `{name}`", document.kind);
                reports[at].error("/metadata/name", message, Some(format!("the first is at {place}")));
            }
        }
    }
}

/// Warns about rules that can never match, because an earlier one without `continue` takes all of their alerts.
///
/// Conservative: only what equality and lists of literals prove is said. `rules` are in matching order.
///
/// A rule with a matcher that cannot be read is left out: without it the rule looks wider than it is.
pub(super) fn shadowed(rules: &[(usize, ResponseRule)], reports: &mut [Report<'_>]) {
    // Rules that end the search, by the alert that they are for; `None` for those that name none.
    let mut ending: HashMap<Option<&str>, Vec<&ResponseRule>> = HashMap::new();
    for (at, rule) in rules {
        if reports[*at].matchers_are_broken || reports[*at].is_partial() {
            continue;
        }
        let alertname = rule.matchers.required_equal("alertname");
        let same_alert = alertname.and_then(|name| ending.get(&Some(name))).into_iter().flatten();
        let any_alert = ending.get(&None).into_iter().flatten();
        let by = same_alert.take(COMPARED_MAX).chain(any_alert.take(COMPARED_MAX));
        if let Some(by) = by.into_iter().find(|earlier| covers(&earlier.matchers, &rule.matchers)) {
            let message = format!("this rule never matches: `{}` takes all of its alerts first", by.name);
            let help =
                format!("raise its `priority`, or give `{}` `continue: true` or narrower matchers", by.name);
            reports[*at].warn("/spec/matchers", message, Some(help));
        }
        if rule.ends_the_search() {
            ending.entry(alertname).or_default().push(rule);
        }
    }
}

/// Warns of urgent rules whose incidents nobody would hear of: no policy can be for them, and the settings tell nobody
/// by default.
pub(super) fn untold<'p>(
    rules: &[(usize, ResponseRule)],
    policies: impl Iterator<Item = &'p EscalationPolicy> + Clone,
    reports: &mut [Report<'_>],
) {
    for (at, rule) in rules.iter().filter(|(_, rule)| rule.escalation.is_none()) {
        let urgent: Vec<Severity> = match rule.severity {
            SeveritySpec::Fixed(severity) => vec![severity],
            SeveritySpec::Template(_) => vec![Severity::P0, Severity::P1],
        };
        let untold = urgent.into_iter().filter(|severity| severity.is_urgent()).find(|severity| {
            let mut selectors = policies.clone().filter_map(|policy| policy.selector.as_ref());
            !selectors.any(|selector| may_select(selector, *severity, &rule.matchers))
        });
        if let Some(severity) = untold {
            let message =
                format!("nobody would be told of its {severity} incidents: no escalation policy is for them");
            let help = "name a policy with `escalation`, give one a `selector`, or set \
                        `escalation.default_policy` or `slack.default_channel` in the settings";
            reports[*at].warn("/spec/severity", message, Some(help.to_owned()));
        }
    }
}

/// Whether a policy could be for some incident of a rule. Labels that an alert may have or not are taken to fit.
fn may_select(selector: &PolicySelector, severity: Severity, matchers: &Matchers) -> bool {
    let severity_fits = selector.severities.is_empty() || selector.severities.contains(&severity);
    let excluded = |wanted: &Matcher| {
        let given = matchers.iter().filter(|given| given.name() == wanted.name());
        given.filter(|given| given.op() == MatchOp::Equal).any(|given| !wanted.matches_value(given.value()))
    };
    severity_fits && !selector.matchers.iter().any(excluded)
}

/// Warns of what would be permitted to read secrets beyond one namespace: RBAC has no way to permit less than their values.
pub(super) fn wide_secrets(rules: &[(usize, ResponseRule)], catalog: &Catalog, reports: &mut [Report<'_>]) {
    for (at, rule) in rules {
        for (index, spec) in rule.diagnostics.iter().enumerate() {
            let Some(kind) = catalog.diagnostic(&spec.kind) else { continue };
            let needs = (kind.access)(&spec.params, rule.target.as_ref());
            let is_wide = |need: &&AccessNeed| {
                need.group.is_empty() && need.resource == "secrets" && need.namespace_in(rule).is_none()
            };
            let Some(need) = needs.iter().find(is_wide) else { continue };
            let which = match need.names.as_slice() {
                [name] => format!("Secrets called `{name}` in every namespace"),
                _ => "every Secret of the cluster, as its name comes from labels".to_owned(),
            };
            let message = format!("this needs permission to read {which}, with their values");
            let help = "fix the namespace: write it as it is, here or in `target`, or match it with \
                        `namespace=\"…\"`, in one rule for each; a name without a template narrows it to one Secret";
            let pointer = format!("/spec/diagnostics/{index}{}", params::pointer(&[&spec.kind]));
            reports[*at].warn(&pointer, message, Some(help.to_owned()));
        }
    }
}

/// Warns once where many rules name no alert: they are tried one after the other for every alert that comes in.
pub(super) fn unindexed(rules: &[(usize, ResponseRule)], reports: &mut [Report<'_>]) {
    let mut others = rules
        .iter()
        .filter(|(at, rule)| !reports[*at].matchers_are_broken && !names_its_alerts(&rule.matchers));
    let Some((first, _)) = others.next() else { return };
    let count = 1 + others.count();
    if count > UNINDEXED_MAX {
        let message = format!("this rule and {} others name no alert", count - 1);
        let help = "each is tried for every alert; with `alertname=\"…\"` a rule is found by name".to_owned();
        reports[*first].warn("/spec/matchers", message, Some(help));
    }
}

/// Whether every alert that `narrow` matches is matched by `wide` as well, as far as that can be proved.
fn covers(wide: &Matchers, narrow: &Matchers) -> bool {
    wide.iter()
        .all(|required| matches_anything(required) || narrow.iter().any(|given| implies(given, required)))
}

/// Whether whatever passes `given` passes `required`.
fn implies(given: &Matcher, required: &Matcher) -> bool {
    if given == required {
        return true;
    }
    if given.name() != required.name() {
        return false;
    }
    match given.op() {
        MatchOp::Equal => required.matches_value(given.value()),
        MatchOp::Regex => literal_values(given)
            .is_some_and(|values| values.into_iter().all(|value| required.matches_value(value))),
        MatchOp::NotEqual | MatchOp::NotRegex => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk(text: &str) -> Matchers {
        crate::domain::matcher::parse(text, crate::domain::matcher::ParseMode::Fallback).expect("matchers")
    }

    #[test]
    fn a_list_covers_what_it_provably_lets_pass() {
        for (wide, narrow, expected) in [
            ("{}", "{a=\"b\"}", true),
            ("{a=\"b\"}", "{a=\"b\"}", true),
            ("{a=\"b\"}", "{a=\"b\",c=\"d\"}", true),
            ("{a=\"b\",c=\"d\"}", "{a=\"b\"}", false),
            ("{a=~\"b|c\"}", "{a=\"b\"}", true),
            ("{a=~\"b|c\"}", "{a=~\"c|b\"}", true),
            ("{a=~\"b|c\"}", "{a=~\"b|d\"}", false),
            ("{a=~\"b.*\"}", "{a=\"bcd\"}", true),
            ("{a=~\"b.*\"}", "{a=~\"b.*\"}", true),
            ("{a=~\"b.*\"}", "{a=~\"bc.*\"}", false),
            ("{a!=\"b\"}", "{a=\"c\"}", true),
            ("{a!=\"b\"}", "{a!=\"c\"}", false),
            ("{a!~\"b|c\"}", "{a=~\"d|e\"}", true),
            ("{a=~\".*\"}", "{b=\"c\"}", true),
            ("{a=~\".+\"}", "{b=\"c\"}", false),
            ("{a=\"\"}", "{b=\"c\"}", false),
        ] {
            assert_eq!(covers(&mk(wide), &mk(narrow)), expected, "{wide} over {narrow}");
        }
    }
}
