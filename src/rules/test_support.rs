//! A small catalog and builders for the tests of this floor. The shapes are those of the real kinds, the checks are not.

use super::compiled::CompiledRule;
use super::known::Known;
use super::load::{RuleErrors, SourceFile, load_texts};
use super::opening::open;
use super::ruleset::RuleSet;
use crate::domain::Labels;
use crate::domain::action::{Repeatability, Tier};
use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::catalog::{
    ActionKind, Catalog, CheckedParams, DiagnosticKind, Inverse, ParamsError, Performer, PlanOutline,
    Reference, Slot, SlotLanguage, no_access,
};
use crate::domain::diagnosis::{Finding, FindingStatus};
use crate::domain::fingerprint::Fingerprint;
use crate::domain::incident::{Incident, IncidentId, Opening};
use crate::domain::rule::ResponseRule;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// `prom.query`, `prom.range`, `links.render`, `http.json`; `http.call`, `human.task`,
/// `notify.slack`, `escalate`, `incident.postmortem`, `checklist.start`, `k8s.apply`.
pub(crate) fn mk_catalog() -> Catalog {
    Catalog::new(
        vec![
            mk_diagnostic(
                "prom.query",
                &[("value", "the value"), ("count", "how many series")],
                check_promql,
            ),
            mk_diagnostic(
                "prom.range",
                &[("last", "the newest value"), ("predicted", "where it leads")],
                check_promql,
            ),
            mk_diagnostic("links.render", &[], check_links),
            mk_diagnostic("http.json", &[("http_status", "the status")], check_pick),
        ],
        vec![
            mk_action("http.call", Tier::T2, Performer::Machine, check_call),
            mk_action("human.task", Tier::T3, Performer::People, check_task),
            mk_action("notify.slack", Tier::T0, Performer::Machine, check_slack),
            mk_action("escalate", Tier::T0, Performer::Machine, |_| Ok(CheckedParams::default())),
            mk_action("incident.postmortem", Tier::T0, Performer::Machine, check_titled),
            mk_action("checklist.start", Tier::T0, Performer::Machine, check_titled),
            ActionKind {
                is_surveyed: true,
                ..mk_action("k8s.apply", Tier::T2, Performer::Machine, check_manifest)
            },
        ],
    )
}

fn mk_diagnostic(
    name: &'static str,
    fields: &'static [(&'static str, &'static str)],
    check: fn(&Value) -> Result<CheckedParams, ParamsError>,
) -> DiagnosticKind {
    let schema = if name == "prom.query" { prom_schema } else { any_schema };
    DiagnosticKind {
        name,
        summary: "",
        fields,
        timeout: Duration::from_secs(5),
        check,
        schema,
        access: no_access,
    }
}

fn mk_action(
    name: &'static str,
    tier_floor: Tier,
    performer: Performer,
    check: fn(&Value) -> Result<CheckedParams, ParamsError>,
) -> ActionKind {
    ActionKind {
        name,
        summary: "",
        tier_floor,
        repeatability: Repeatability::Idempotent,
        performer,
        inverse: Inverse::FromRule,
        timeout: Duration::from_secs(5),
        is_surveyed: false,
        check,
        schema: any_schema,
        access: no_access,
        outline: |params, _| {
            Ok(PlanOutline {
                target: params["endpoint"].as_str().map(|name| format!("endpoint/{name}")),
                summary: format!("do {params}"),
                ..PlanOutline::default()
            })
        },
    }
}

fn any_schema() -> Value {
    json!({ "type": "object" })
}

fn prom_schema() -> Value {
    json!({ "type": "object", "required": ["expr"], "properties": { "expr": { "type": "string" } } })
}

fn text<'p>(params: &'p Value, key: &str) -> Result<&'p str, ParamsError> {
    params[key].as_str().ok_or_else(|| ParamsError::at("", format!("the key `{key}` is missing here")))
}

fn only(params: &Value, keys: &[&str]) -> Result<(), ParamsError> {
    let unknown = params.as_object().and_then(|map| map.keys().find(|key| !keys.contains(&key.as_str())));
    unknown.map_or(Ok(()), |key| Err(ParamsError::at(format!("/{key}"), format!("unknown key `{key}`"))))
}

fn check_manifest(params: &Value) -> Result<CheckedParams, ParamsError> {
    only(params, &["manifest", "stored"])?;
    let references = vec![Reference::Manifest(text(params, "manifest")?.to_owned())];
    Ok(CheckedParams { references, ..CheckedParams::default() })
}

fn check_promql(params: &Value) -> Result<CheckedParams, ParamsError> {
    text(params, "expr")?;
    only(params, &["expr", "window", "step", "threshold", "predict"])?;
    Ok(CheckedParams {
        slots: vec![Slot::new("/expr", SlotLanguage::Promql)],
        references: vec![Reference::Prometheus],
        ..CheckedParams::default()
    })
}

fn check_links(params: &Value) -> Result<CheckedParams, ParamsError> {
    let links = params["links"].as_object().ok_or_else(|| ParamsError::at("/links", "expected links"))?;
    let slots = links.keys().map(|key| Slot::new(format!("/links/{key}"), SlotLanguage::Url)).collect();
    Ok(CheckedParams { slots, ..CheckedParams::default() })
}

/// Each name of `pick` becomes a field.
fn check_pick(params: &Value) -> Result<CheckedParams, ParamsError> {
    let picks = params["pick"].as_object().ok_or_else(|| ParamsError::at("/pick", "expected names"))?;
    Ok(CheckedParams { fields: picks.keys().cloned().collect(), ..CheckedParams::default() })
}

fn check_call(params: &Value) -> Result<CheckedParams, ParamsError> {
    let endpoint = text(params, "endpoint")?.to_owned();
    only(params, &["endpoint", "path", "body"])?;
    let slots = match params.get("path") {
        Some(_) => vec![Slot::new("/path", SlotLanguage::Url)],
        None => Vec::new(),
    };
    Ok(CheckedParams { slots, references: vec![Reference::Endpoint(endpoint)], ..CheckedParams::default() })
}

fn check_task(params: &Value) -> Result<CheckedParams, ParamsError> {
    text(params, "title")?;
    let steps = params["steps"].as_array().map_or(0, Vec::len);
    let mut slots = vec![Slot::new("/title", SlotLanguage::Text)];
    slots.extend((0..steps).map(|n| Slot::new(format!("/steps/{n}"), SlotLanguage::Text)));
    Ok(CheckedParams { slots, ..CheckedParams::default() })
}

/// `title`, and texts below `items`.
fn check_titled(params: &Value) -> Result<CheckedParams, ParamsError> {
    text(params, "title")?;
    let items = params["items"].as_array().map_or(0, Vec::len);
    let mut slots = vec![Slot::new("/title", SlotLanguage::Text)];
    slots.extend((0..items).map(|n| Slot::new(format!("/items/{n}"), SlotLanguage::Text)));
    Ok(CheckedParams { slots, ..CheckedParams::default() })
}

fn check_slack(params: &Value) -> Result<CheckedParams, ParamsError> {
    let channel = text(params, "channel")?.to_owned();
    text(params, "text")?;
    Ok(CheckedParams {
        slots: vec![Slot::new("/text", SlotLanguage::Text)],
        references: vec![Reference::SlackChannel(channel)],
        ..CheckedParams::default()
    })
}

/// Settings with the endpoint `waf`, the PagerDuty service `pss-nano`, Slack and Prometheus.
pub(crate) fn mk_known() -> Known {
    Known {
        endpoints: Some(["waf".to_owned()].into()),
        pagerduty_services: Some(["pss-nano".to_owned()].into()),
        ..Known::everything()
    }
}

/// Loads one file called `rules.yaml`.
pub(crate) fn load_one(text: &str) -> Result<RuleSet, RuleErrors> {
    let file = SourceFile { name: "rules.yaml".to_owned(), text: text.to_owned() };
    load_texts(vec![file], &mk_catalog(), &mk_known())
}

/// A firing alert with these labels.
pub(crate) fn mk_alert(labels: &[(&str, &str)]) -> Alert {
    let labels: Labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Alert {
        fingerprint: Fingerprint::of_labels(&labels),
        status: AlertStatus::Firing,
        labels,
        annotations: Labels::new(),
        starts_at: Timestamp::UNIX_EPOCH,
        ends_at: None,
        generator_url: None,
    }
}

/// A finding that could answer.
pub(crate) fn mk_finding(name: &str, fields: &Value, text: &str) -> Finding {
    Finding {
        fields: fields.as_object().cloned().unwrap_or_default(),
        text: text.to_owned(),
        status: FindingStatus::Known,
        ..Finding::unknown(name, "test", "", Timestamp::UNIX_EPOCH, 1)
    }
}

/// The incident that an alert opens under a rule.
pub(crate) fn mk_incident(rule: &ResponseRule, alert: &Alert) -> Incident {
    let opened = open(rule, &CompiledRule::new(rule), alert);
    let opening = Opening {
        id: IncidentId("inc-1".to_owned()),
        key: opened.key,
        rule: rule.name.clone(),
        rule_hash: rule.hash(),
        mode: Default::default(),
        severity: opened.severity,
        summary: opened.summary,
        runbook: opened.runbook,
        target: opened.target,
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
    };
    Incident::open(opening, Timestamp::UNIX_EPOCH)
}
