//! The ladder of a rule, and what follows the end of an incident.

use super::Surroundings;
use super::manifest;
use super::report::Report;
use super::uses;
use crate::domain::action::Tier;
use crate::domain::catalog::{ActionKind, Inverse, Performer};
use crate::domain::rule::{
    ActionSpec, Condition, OnFail, RemedySpec, ResponseRule, VerifySpec, default_approval_expiry,
};
use crate::params;
use crate::period::Period;
use crate::rules::condition::is_always_true;
use crate::rules::raw;
use crate::rules::vocabulary::Vocabulary;
use jiff::SignedDuration;
use serde_json::{Map, Value};

/// Most remedies of one rule. People stop reading a ladder long before.
const REMEDIES_MAX: usize = 16;

/// The longest cooldown: the starts that it goes by are kept for as long.
const COOLDOWN_MAX: SignedDuration = SignedDuration::from_hours(366 * 24);
const SETTLE_DEFAULT: SignedDuration = SignedDuration::from_secs(30);
const HOLD_DEFAULT: SignedDuration = SignedDuration::from_secs(60);
const WITHIN_DEFAULT: SignedDuration = SignedDuration::from_mins(10);

/// What the checks of one remedy look at.
struct Ladder<'l> {
    vocabulary: &'l Vocabulary,
    surroundings: &'l Surroundings<'l>,
    has_diagnostics: bool,
}

/// Fills in the remedies and the actions after the end.
pub(super) fn convert(
    rule: &mut ResponseRule,
    remedies: Vec<raw::Remedy>,
    on_resolve: &[Map<String, Value>],
    surroundings: &Surroundings<'_>,
    report: &mut Report<'_>,
) {
    if remedies.len() > REMEDIES_MAX {
        report.error("/spec/remedies", format!("a rule may have {REMEDIES_MAX} remedies"), None);
    }
    let vocabulary = Vocabulary::deciding(rule, surroundings.catalog);
    let ladder =
        Ladder { vocabulary: &vocabulary, surroundings, has_diagnostics: !rule.diagnostics.is_empty() };
    for (index, raw) in remedies.into_iter().enumerate() {
        let at = format!("/spec/remedies/{index}");
        if raw.name.is_empty() || rule.remedy(&raw.name).is_some() {
            let message = format!("there is another remedy `{}` in this rule", raw.name);
            let message = if raw.name.is_empty() { "this remedy has no name".to_owned() } else { message };
            report.error(&format!("{at}/name"), message, Some("give each its own name".to_owned()));
        }
        let remedy = ladder.remedy(raw, &at, report);
        rule.remedies.push(remedy);
    }
    let catalog = surroundings.catalog;
    unreachable(&rule.remedies, |kind| catalog.action(kind).is_some_and(|kind| kind.is_surveyed), report);
    for (index, map) in on_resolve.iter().enumerate() {
        let at = format!("/spec/onResolve/{index}");
        if let Some((action, kind)) = ladder.action(map, &at, report) {
            if kind.is_some_and(|kind| kind.tier_floor > Tier::T0 || kind.performer == Performer::People) {
                let help =
                    "only actions that observe or tell (T0) may follow the end of an incident".to_owned();
                report.error(&at, format!("`{}` touches the world", action.kind), Some(help));
            }
            rule.on_resolve.push(action);
        }
    }
}

impl<'l> Ladder<'l> {
    fn remedy(&self, raw: raw::Remedy, at: &str, report: &mut Report<'_>) -> RemedySpec {
        if let Some(when) = &raw.when {
            uses::condition(when, self.vocabulary, &format!("{at}/when"), report);
        }
        let found = self.action(&raw.action, &format!("{at}/action"), report);
        let kind = found.as_ref().and_then(|(_, kind)| *kind);
        let action = found
            .map_or_else(|| ActionSpec { kind: String::new(), params: Value::Null }, |(action, _)| action);
        let tier = tier(raw.tier, kind, manifest::tier(&action.params), at, report);
        let has_rollback = raw.rollback.is_some();
        let undoing = raw.rollback.and_then(|map| self.action(&map, &format!("{at}/rollback"), report));
        if let Some((spec, Some(ActionKind { is_surveyed: true, .. }))) = &undoing {
            let message =
                format!("`{}` cannot be a rollback: its target must be looked at before", spec.kind);
            let help = "leave `rollback` out where the action records its way back itself, or make it a remedy of its own";
            report.error(&format!("{at}/rollback"), message, Some(help.to_owned()));
        }
        let rollback = undoing.map(|(spec, _)| spec);
        // Nobody knows whether a misspelt action has a way back: that mistake is told already.
        let can_undo = has_rollback || kind.is_none_or(|kind| kind.inverse == Inverse::Recorded);
        let verify = raw.verify.map(|raw| self.verify(raw, can_undo, at, report));
        let undoes = verify.as_ref().is_some_and(|verify| verify.on_fail == OnFail::Rollback);
        if has_rollback && !undoes {
            let help = "add `verify` with `onFail: rollback`, or remove it".to_owned();
            report.warn(&format!("{at}/rollback"), "nothing ever asks for this rollback", Some(help));
        }
        let approval_expires = raw.approval_expires.map_or_else(default_approval_expiry, Period::signed);
        if approval_expires.is_zero() {
            report.error(&format!("{at}/approvalExpires"), "nobody can approve within no time", None);
        }
        if raw.cooldown.is_some_and(|wait| wait.signed() > COOLDOWN_MAX) {
            let help = "runs are remembered for a year: use at most 365d".to_owned();
            report.error(&format!("{at}/cooldown"), "this cooldown is too long to be kept", Some(help));
        }
        RemedySpec {
            name: raw.name,
            when: raw.when.map(Condition),
            tier,
            action,
            verify,
            rollback,
            approval_expires,
            cooldown: raw.cooldown.map(Period::signed),
        }
    }

    /// One action with its kind, where the catalog knows it.
    fn action(
        &self,
        map: &Map<String, Value>,
        at: &str,
        report: &mut Report<'_>,
    ) -> Option<(ActionSpec, Option<&'l ActionKind>)> {
        let (name, params) = uses::one_kind(map, &[], "action", at, report)?;
        let at = format!("{at}{}", params::pointer(&[name]));
        let kind = self.surroundings.catalog.action(name);
        let mut complete = params.clone();
        match kind {
            Some(kind) => {
                let checked = (kind.check)(params);
                if let Ok(checked) = &checked {
                    complete = manifest::put_in(params, kind, checked, &at, self.surroundings, report);
                }
                uses::params(params, checked, self.vocabulary, &at, self.surroundings, report);
            }
            None => {
                let known = self.surroundings.catalog.actions().map(|kind| kind.name);
                uses::unknown_kind(name, "action", known, &at, report);
            }
        }
        Some((ActionSpec { kind: name.to_owned(), params: complete }, kind))
    }

    fn verify(&self, raw: raw::Verify, can_undo: bool, remedy: &str, report: &mut Report<'_>) -> VerifySpec {
        let at = format!("{remedy}/verify");
        let spec = VerifySpec {
            settle: raw.settle.map_or(SETTLE_DEFAULT, Period::signed),
            hold: raw.hold.map_or(HOLD_DEFAULT, Period::signed),
            within: raw.within.map_or(WITHIN_DEFAULT, Period::signed),
            checks: raw.checks.into_iter().map(Condition).collect(),
            on_fail: raw.on_fail.unwrap_or(OnFail::Next),
        };
        if spec.settle + spec.hold > spec.within {
            let message = format!(
                "`settle` ({:#}) and `hold` ({:#}) take longer than `within` ({:#})",
                spec.settle, spec.hold, spec.within
            );
            report.error(&at, message, Some("no check could ever pass: raise `within`".to_owned()));
        }
        if spec.checks.is_empty() {
            let help = "add one, such as `findings.error_ratio.last < 0.05`".to_owned();
            report.error(&format!("{at}/checks"), "there is nothing to check", Some(help));
        } else if !self.has_diagnostics {
            let help = "add `diagnostics` to the rule: they are run again to verify".to_owned();
            report.error(&format!("{at}/checks"), "there are no findings to check", Some(help));
        }
        for (index, check) in spec.checks.iter().enumerate() {
            let at = format!("{at}/checks/{index}");
            let sound = uses::condition(&check.0, self.vocabulary, &at, report);
            if sound && !check.0.contains("findings") {
                report.warn(&at, "this check reads no finding, so it proves nothing", None);
            }
        }
        if spec.on_fail == OnFail::Rollback && !can_undo {
            let help = "add `rollback` with the action that undoes it, or use `onFail: next`".to_owned();
            report.error(&format!("{at}/onFail"), "there is no `rollback` to carry out", Some(help));
        }
        spec
    }
}

/// The tier that a rule states, or the floor of its action and of the stored manifest that it uses.
fn tier(
    stated: Option<Tier>,
    kind: Option<&ActionKind>,
    of_manifest: Option<Tier>,
    at: &str,
    report: &mut Report<'_>,
) -> Tier {
    let floor = kind.map_or(Tier::T0, |kind| kind.tier_floor);
    let floor = floor.max(of_manifest.unwrap_or(Tier::T0));
    let tier = stated.unwrap_or(floor);
    if let Some(kind) = kind.filter(|_| tier < floor) {
        let whose = if of_manifest == Some(floor) { " with this manifest" } else { "" };
        let message = format!("`{}`{whose} may not run below {floor}", kind.name);
        let help = format!("write `tier: {floor}` or higher, or leave it out");
        report.error(&format!("{at}/tier"), message, Some(help));
    }
    tier
}

/// Warns about remedies behind one that always applies and after which the ladder does not go on by itself.
fn unreachable(remedies: &[RemedySpec], is_surveyed: impl Fn(&str) -> bool, report: &mut Report<'_>) {
    let ends_the_ladder = |remedy: &RemedySpec| {
        let always = remedy.when.as_ref().is_none_or(|when| is_always_true(&when.0));
        let goes_on = remedy.verify.as_ref().is_some_and(|verify| verify.on_fail != OnFail::Escalate);
        // Telling people mends nothing: after a T0 remedy the ladder goes on. So it does where the look at the target finds
        // that there is nothing to do.
        always && !goes_on && remedy.tier > Tier::T0 && !is_surveyed(&remedy.action.kind)
    };
    let Some(last) = remedies.iter().position(ends_the_ladder) else { return };
    for (index, remedy) in remedies.iter().enumerate().skip(last + 1) {
        let blocker = &remedies[last].name;
        let message = format!("`{}` comes after `{blocker}`, which always applies", remedy.name);
        let help = format!("give `{blocker}` a `when` or a `verify`, or move this one up");
        report.warn(&format!("/spec/remedies/{index}/name"), message, Some(help));
    }
}
