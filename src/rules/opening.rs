//! What a rule says about an incident that an alert opens, and which incident an alert belongs to.
//!
//! Always gives an answer: telling people fails open. What cannot be rendered is replaced by something plainer, and
//! the notes say so.

use super::compiled::CompiledRule;
use super::render::{RenderError, is_dns_label, is_link};
use super::scope::Scope;
use super::template::used_names;
use crate::domain::Labels;
use crate::domain::alert::Alert;
use crate::domain::catalog::SlotLanguage;
use crate::domain::correlate::{CorrelationKey, Target, group_labels};
use crate::domain::incident::Incident;
use crate::domain::rule::{ResponseRule, SeveritySpec, TargetSpec, Template};
use crate::domain::severity::Severity;
use crate::domain::timeline::cut;
use std::cell::OnceCell;

/// Longest summary. PagerDuty takes 1,024 characters, a Slack header 150; more is not read anyway.
const SUMMARY_BYTES_MAX: usize = 500;

/// What a rule says about an incident that an alert opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// How bad. P1 where the rule's template yields no severity.
    pub severity: Severity,
    /// One line: what is wrong.
    pub summary: String,
    /// Link to the human document.
    pub runbook: Option<String>,
    /// The object it is about; `None` for rules without a target, and where the labels give no valid names.
    pub target: Option<Target>,
    /// What makes alerts belong to the same incident.
    pub key: CorrelationKey,
    /// What could not be had as the rule wants it, for people.
    pub notes: Vec<String>,
}

/// Reads an alert through a rule.
pub fn open(rule: &ResponseRule, compiled: &CompiledRule, alert: &Alert) -> Opened {
    let reader = Reader::new(compiled, &alert.labels, &alert.annotations);
    let mut notes = Vec::new();
    let severity = reader.severity(&rule.severity).unwrap_or_else(|note| {
        notes.push(note);
        Severity::P1
    });
    let target = match rule.target.as_ref().map(|spec| reader.target(spec)) {
        Some(Ok(target)) => Some(target),
        Some(Err(note)) => {
            notes.push(note);
            None
        }
        None => None,
    };
    let summary = reader.summary(rule, alert, &mut notes);
    let runbook = reader.runbook(rule, alert, &mut notes);
    let key = key_for(rule, target.as_ref(), alert);
    Opened { severity, summary, runbook, target, key, notes }
}

/// What makes an alert belong to one incident of a rule rather than another; the same as [`open`] says.
pub fn key(rule: &ResponseRule, compiled: &CompiledRule, alert: &Alert) -> CorrelationKey {
    let reader = Reader::new(compiled, &alert.labels, &alert.annotations);
    let target = rule.target.as_ref().and_then(|spec| reader.target(spec).ok());
    key_for(rule, target.as_ref(), alert)
}

/// Why an incident has no target although its rule names one; none where it has one, or the rule names none.
pub fn no_target(rule: &ResponseRule, compiled: &CompiledRule, incident: &Incident) -> Option<String> {
    let spec = rule.target.as_ref().filter(|_| incident.target.is_none())?;
    Reader::new(compiled, &incident.labels, &incident.annotations).target(spec).err()
}

fn key_for(rule: &ResponseRule, target: Option<&Target>, alert: &Alert) -> CorrelationKey {
    match (target, &rule.target) {
        (Some(target), _) => CorrelationKey::for_target(&rule.name, target),
        (None, None) => CorrelationKey::for_group(&rule.name, &group_labels(&rule.group_by, &alert.labels)),
        // Without valid names, the labels that should have given them still tell one incident from the other.
        (None, Some(spec)) => {
            let mut labels = vec!["alertname".to_owned()];
            for template in [&spec.namespace, &spec.name] {
                labels.extend(used_names(&template.0, "labels").into_iter().map(str::to_owned));
            }
            CorrelationKey::for_group(&rule.name, &group_labels(&labels, &alert.labels))
        }
    }
}

struct Reader<'r> {
    compiled: &'r CompiledRule,
    labels: &'r Labels,
    annotations: &'r Labels,
    /// What templates see, once there is one.
    scope: OnceCell<Scope>,
}

impl<'r> Reader<'r> {
    fn new(compiled: &'r CompiledRule, labels: &'r Labels, annotations: &'r Labels) -> Self {
        Self { compiled, labels, annotations, scope: OnceCell::new() }
    }

    fn render(&self, template: &Template, language: SlotLanguage) -> Result<String, RenderError> {
        let scope = || Scope::of_alert(self.labels, self.annotations);
        self.compiled.opening.render(&template.0, language, self.scope.get_or_init(scope))
    }

    fn severity(&self, spec: &SeveritySpec) -> Result<Severity, String> {
        let template = match spec {
            SeveritySpec::Fixed(severity) => return Ok(*severity),
            SeveritySpec::Template(template) => template,
        };
        let text = self
            .render(template, SlotLanguage::Text)
            .map_err(|error| format!("severity unknown, taken as P1: {error}"))?;
        text.parse().map_err(|error: crate::domain::severity::UnknownSeverity| {
            format!("severity taken as P1: {}", cut(error.to_string(), SUMMARY_BYTES_MAX))
        })
    }

    fn target(&self, spec: &TargetSpec) -> Result<Target, String> {
        let name = |what: &str, template: &Template| {
            self.render(template, SlotLanguage::KubernetesName)
                .map_err(|error| format!("no target: {what} `{}`: {error}", template.0))
        };
        let namespace = name("namespace", &spec.namespace)?;
        if !is_dns_label(&namespace) {
            return Err(format!("no target: `{namespace}` cannot be a namespace"));
        }
        Ok(Target { kind: spec.kind.clone(), namespace, name: name("name", &spec.name)? })
    }

    fn summary(&self, rule: &ResponseRule, alert: &Alert, notes: &mut Vec<String>) -> String {
        let rendered = rule.summary.as_ref().and_then(|template| {
            self.render(template, SlotLanguage::Text)
                .map_err(|error| notes.push(format!("summary `{}`: {error}", template.0)))
                .ok()
        });
        let candidates =
            [rendered.as_deref(), alert.annotations.get("summary").map(String::as_str), Some(alert.name())];
        let text = candidates.into_iter().flatten().map(one_line).find(|text| !text.is_empty());
        cut(text.unwrap_or_else(|| "an alert without a name".to_owned()), SUMMARY_BYTES_MAX)
    }

    /// The rule's link, else the alert's own `runbook_url`, which is shown and never fetched.
    fn runbook(&self, rule: &ResponseRule, alert: &Alert, notes: &mut Vec<String>) -> Option<String> {
        let rendered = rule.runbook.as_ref().and_then(|template| {
            self.render(template, SlotLanguage::Url)
                .map_err(|error| notes.push(format!("runbook `{}`: {error}", template.0)))
                .ok()
        });
        rendered.or_else(|| alert.annotations.get("runbook_url").filter(|url| is_link(url)).cloned())
    }
}

/// A text on one line, without control characters.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests;
