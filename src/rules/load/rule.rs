//! One `ResponseRule`: its own values, and the checks that need nothing but itself and its surroundings.

use super::Surroundings;
use super::remedies;
use super::report::Report;
use super::uses;
use crate::domain::catalog::SlotLanguage;
use crate::domain::matcher::{MatchOp, Matchers, ParseMode, parse};
use crate::domain::rule::{
    DiagnosticSpec, ResponseRule, SeveritySpec, TargetSpec, Template, default_reopen_within,
};
use crate::domain::severity::Severity;
use crate::params;
use crate::period::Period;
use crate::rules::raw;
use crate::rules::render::is_dns_subdomain;
use crate::rules::template::is_template;
use crate::rules::vocabulary::Vocabulary;
use serde_json::{Map, Value};

/// Most diagnostics of one rule: all run at once, against systems that are in trouble already.
const DIAGNOSTICS_MAX: usize = 32;

/// The rule as a value. Where the report got errors, the value is only good for finding more of them.
pub(super) fn convert(
    name: String,
    raw: raw::Rule,
    surroundings: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> ResponseRule {
    object_name(&name, report);
    let opening = Vocabulary::opening();
    let matchers = matchers(&raw.matchers, "/spec/matchers", report);
    lint_matchers(&matchers, report);
    if let Some(text) = &raw.runbook {
        uses::text(text, SlotLanguage::Url, &opening, "/spec/runbook", report);
    }
    if let Some(text) = &raw.summary {
        uses::text(text, SlotLanguage::Text, &opening, "/spec/summary", report);
    }
    if let Some(policy) = &raw.escalation {
        uses::policy(policy, surroundings, "/spec/escalation", report);
    }
    if raw.mode.is_shadow() && raw.dry_run {
        let help = "remove `dryRun`: a rule in shadow carries nothing out".to_owned();
        report.warn("/spec/dryRun", "this changes nothing in a rule in shadow", Some(help));
    }
    let group_by = group_by(&raw, report);
    let mut rule = ResponseRule {
        name,
        procedures: raw.procedures,
        runbook: raw.runbook.map(Template),
        summary: raw.summary.map(Template),
        priority: raw.priority,
        continues: raw.continues,
        matchers,
        severity: severity(&raw.severity, &opening, report),
        target: raw.target.map(|target| convert_target(target, &opening, report)),
        group_by,
        escalation: raw.escalation,
        diagnostics: diagnostics(&raw.diagnostics, surroundings, report),
        remedies: Vec::new(),
        on_resolve: Vec::new(),
        dry_run: raw.dry_run,
        mode: raw.mode,
        reopen_within: raw.reopen_within.map_or_else(default_reopen_within, Period::signed),
    };
    remedies::convert(&mut rule, raw.remedies, &raw.on_resolve, surroundings, report);
    uses::lacking(&rule, report);
    rule
}

/// Checks `metadata.name`, which appears in keys, links and metrics.
pub(super) fn object_name(name: &str, report: &mut Report<'_>) {
    if !is_dns_subdomain(name) {
        let help = "use lower-case letters, digits, `-` and `.`, such as `pss-nano-high-latency`".to_owned();
        report.error("/metadata/name", format!("`{name}` cannot be a name"), Some(help));
    }
}

/// Reads a list of matchers; each entry at its own place.
pub(super) fn matchers(texts: &[String], pointer: &str, report: &mut Report<'_>) -> Matchers {
    let mut all = Matchers::default();
    for (index, text) in texts.iter().enumerate() {
        let at = format!("{pointer}/{index}");
        match parse(text, ParseMode::Fallback) {
            Ok(matchers) => {
                for warning in matchers.warnings() {
                    report.warn(&at, warning.to_string(), None);
                }
                all.append(matchers);
            }
            Err(error) => {
                report.error(&at, format!("{} (character {} of it)", error.problem, error.column), None);
                report.matchers_are_broken = true;
            }
        }
    }
    all
}

fn lint_matchers(matchers: &Matchers, report: &mut Report<'_>) {
    if !report.matchers_are_broken && matchers.iter().all(matches_anything) {
        let help = "say which alerts it is for, such as `alertname=\"HighErrorRate\"`".to_owned();
        report.warn("/spec/matchers", "this rule matches every alert", Some(help));
    }
    for (index, matcher) in matchers.iter().enumerate() {
        if matcher.op() == MatchOp::Equal && matcher.value().is_empty() {
            let message = format!("`{matcher}` matches alerts without the label `{}`", matcher.name());
            report.warn(&format!("/spec/matchers/{index}"), message, None);
        }
    }
}

/// Whether a matcher lets every alert pass.
pub(super) fn matches_anything(matcher: &crate::domain::matcher::Matcher) -> bool {
    matcher.op() == MatchOp::Regex && matches!(matcher.value(), ".*" | "(.*)" | "^.*$")
}

fn severity(text: &str, opening: &Vocabulary, report: &mut Report<'_>) -> SeveritySpec {
    if is_template(text) {
        uses::text(text, SlotLanguage::Text, opening, "/spec/severity", report);
        return SeveritySpec::Template(Template(text.to_owned()));
    }
    match text.parse() {
        Ok(severity) => SeveritySpec::Fixed(severity),
        Err(error) => {
            let error: crate::domain::severity::UnknownSeverity = error;
            report.error("/spec/severity", error.to_string(), None);
            SeveritySpec::Fixed(Severity::P1)
        }
    }
}

fn convert_target(raw: raw::Target, opening: &Vocabulary, report: &mut Report<'_>) -> TargetSpec {
    let is_kind = raw.kind.starts_with(|c: char| c.is_ascii_uppercase())
        && raw.kind.bytes().all(|b| b.is_ascii_alphanumeric());
    if !is_kind {
        let help = "write a Kubernetes kind, such as `Deployment`".to_owned();
        report.error("/spec/target/kind", format!("`{}` is no kind", raw.kind), Some(help));
    }
    for (text, key) in [(&raw.namespace, "namespace"), (&raw.name, "name")] {
        uses::text(text, SlotLanguage::KubernetesName, opening, &format!("/spec/target/{key}"), report);
    }
    TargetSpec { kind: raw.kind, namespace: Template(raw.namespace), name: Template(raw.name) }
}

fn group_by(raw: &raw::Rule, report: &mut Report<'_>) -> Vec<String> {
    match (&raw.target, raw.group_by.is_empty()) {
        (Some(_), false) => {
            let help = "an incident is about a target or about a group: keep one of the two".to_owned();
            report.error("/spec/groupBy", "this rule has a `target` as well", Some(help));
        }
        (None, true) => {
            let help = "write `groupBy: [alertname]`, or more labels for more incidents".to_owned();
            report.warn(
                "/spec",
                "without `target` and `groupBy` all its alerts make one incident",
                Some(help),
            );
            return vec!["alertname".to_owned()];
        }
        _ => {}
    }
    for (index, label) in raw.group_by.iter().enumerate() {
        if label.is_empty() || raw.group_by[..index].contains(label) {
            let message = format!("the label `{label}` stands here in vain");
            report.error(&format!("/spec/groupBy/{index}"), message, Some("remove it".to_owned()));
        }
    }
    raw.group_by.clone()
}

fn diagnostics(
    raw: &[Map<String, Value>],
    surroundings: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Vec<DiagnosticSpec> {
    if raw.len() > DIAGNOSTICS_MAX {
        let message = format!("a rule may have {DIAGNOSTICS_MAX} diagnostics; all run at once");
        report.error("/spec/diagnostics", message, None);
    }
    let mut specs: Vec<DiagnosticSpec> = Vec::new();
    for (index, entry) in raw.iter().enumerate() {
        let at = format!("/spec/diagnostics/{index}");
        let before: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        let name = finding_name(entry, &before, "diagnostic", &at, report);
        specs.push(diagnostic(name, entry, &["name"], &at, surroundings, report));
    }
    specs
}

/// One use of a diagnostic, in a map that has `others` beside it.
pub(super) fn diagnostic(
    name: String,
    entry: &Map<String, Value>,
    others: &[&str],
    at: &str,
    surroundings: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> DiagnosticSpec {
    let Some((kind, params)) = uses::one_kind(entry, others, "diagnostic", at, report) else {
        // The name stays known, so that conditions that use it are not complained about as well.
        return DiagnosticSpec { name, kind: String::new(), params: Value::Null };
    };
    let at = format!("{at}{}", params::pointer(&[kind]));
    match surroundings.catalog.diagnostic(kind) {
        Some(known) => {
            let vocabulary = Vocabulary::diagnosing();
            uses::params(params, (known.check)(params), &vocabulary, &at, surroundings, report);
        }
        None => {
            let known = surroundings.catalog.diagnostics().map(|kind| kind.name);
            uses::unknown_kind(kind, "diagnostic", known, &at, report);
        }
    }
    DiagnosticSpec { name, kind: kind.to_owned(), params: params.clone() }
}

/// The name of what brings a finding, `what`: an identifier, since conditions read it as `findings.NAME`.
pub(super) fn finding_name(
    entry: &Map<String, Value>,
    before: &[&str],
    what: &str,
    at: &str,
    report: &mut Report<'_>,
) -> String {
    let Some(name) = entry.get("name").and_then(Value::as_str) else {
        let help = "add a name for its finding, such as `name: error_ratio`".to_owned();
        report.error(at, format!("this {what} has no name"), Some(help));
        return String::new();
    };
    let is_identifier = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !is_identifier || RESERVED.contains(&name) {
        let help = "use lower-case letters, digits and `_`: conditions say `findings.NAME`".to_owned();
        report.error(&format!("{at}/name"), format!("`{name}` cannot name a finding"), Some(help));
    } else if before.contains(&name) {
        let message = format!("there is another {what} `{name}` in this document");
        report.error(&format!("{at}/name"), message, Some("give each its own name".to_owned()));
    }
    name.to_owned()
}

/// Words of CEL and of templates that cannot be read as the name of a field.
const RESERVED: [&str; 10] = ["true", "false", "null", "none", "in", "is", "and", "or", "not", "if"];
