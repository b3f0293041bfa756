//! What PagerDuty is told: one line that says what is wrong, and a table with what is known.
//!
//! Plain text throughout; PagerDuty shows no markup. Every part is bounded here, so that one long label cannot push out
//! the findings when the client cuts an event that is too large.

use serde_json::{Map, Value, json};

use crate::clients::http::Url;
use crate::clients::pagerduty::event::{Change, Link, Severity, Trigger};
use crate::domain::Labels;
use crate::domain::diagnosis::{Finding, FindingStatus};
use crate::domain::incident::Incident;
use crate::domain::redact::Redactor;
use crate::domain::severity;
use crate::engine::ports::IncidentView;
use crate::notify::words::{Words, as_it_is, cut_escaped};

/// The program's name in PagerDuty.
const CLIENT: &str = "Smokejumper";
/// UTF-16 units of the summary. PagerDuty takes 1,024 characters; phones show far fewer.
const SUMMARY_UNITS_MAX: usize = 1_000;
/// UTF-16 units of a name.
const NAME_UNITS_MAX: usize = 250;
/// UTF-16 units of a sentence or a label's value.
const SENTENCE_UNITS_MAX: usize = 500;
/// UTF-16 units of one finding.
const FINDING_UNITS_MAX: usize = 2_000;
/// Findings in one event.
const FINDINGS_MAX: usize = 20;
/// Remedies in one event, the newest ones.
const REMEDIES_MAX: usize = 10;
/// Labels in one event.
const LABELS_MAX: usize = 50;
/// Characters of an address that is linked.
const URL_CHARS_MAX: usize = 1_000;

/// Writes events about one incident.
pub(super) struct Writer<'a> {
    view: &'a IncidentView,
    external_url: Option<&'a str>,
    words: Words<'a>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(view: &'a IncidentView, external_url: Option<&'a str>, redactor: &'a Redactor) -> Self {
        Self { view, external_url, words: Words::new(redactor) }
    }

    /// The event that pages. `note` says why it is sent.
    pub(super) fn trigger(&self, note: &str, episode: u32) -> Trigger {
        let incident = &self.view.incident;
        Trigger {
            dedup_key: incident.dedup_key_of(episode),
            summary: format!("{}: {}", incident.severity, self.line(&incident.summary, SUMMARY_UNITS_MAX)),
            source: self.source(),
            severity: severity_of(incident.severity),
            timestamp: Some(incident.started_at),
            component: self.first_label(&["service", "app", "job"]).or_else(|| self.target_name()),
            group: incident.namespace().map(|name| self.line(name, NAME_UNITS_MAX)),
            class: self.first_label(&["alertname"]),
            custom_details: Some(self.details(note)),
            images: Vec::new(),
            links: self.links(),
            client: Some(CLIENT.to_owned()),
            client_url: self.page(),
        }
    }

    /// The event that says what was changed.
    pub(super) fn change(&self, summary: &str, details: &Labels) -> Change {
        let mut table = self.table(details);
        table.insert("incident".to_owned(), json!(self.view.incident.id.0));
        Change {
            summary: self.line(summary, SUMMARY_UNITS_MAX),
            source: self.source(),
            timestamp: None,
            custom_details: Some(Value::Object(table)),
            links: self.links(),
        }
    }

    fn details(&self, note: &str) -> Value {
        let incident = &self.view.incident;
        let counts = incident.alerts;
        json!({
            "told": self.line(note, SENTENCE_UNITS_MAX),
            "incident": incident.id.0,
            "rule": self.line(&incident.rule_in_words(), SENTENCE_UNITS_MAX),
            "state": format!("{}, {}", incident.status.as_str(), incident.phase.as_str().replace('_', " ")),
            "alerts": format!("{} firing, {} ended", counts.firing, counts.resolved),
            "findings": self.findings(),
            "remedies": self.remedies(incident),
            "labels": self.table(&incident.labels),
        })
    }

    fn findings(&self) -> Map<String, Value> {
        let findings = self.view.findings.iter().take(FINDINGS_MAX);
        findings
            .map(|finding| (self.line(&finding.name, NAME_UNITS_MAX), json!(self.told(finding))))
            .collect()
    }

    fn told(&self, finding: &Finding) -> String {
        match &finding.status {
            FindingStatus::Unknown(why) => format!("unknown: {}", self.line(why, SENTENCE_UNITS_MAX)),
            FindingStatus::Known if finding.text.trim().is_empty() => {
                let fields: Vec<String> =
                    finding.fields.iter().map(|(name, value)| format!("{name} {value}")).collect();
                self.line(&fields.join(", "), FINDING_UNITS_MAX)
            }
            FindingStatus::Known => {
                cut_escaped(&self.words.lines(&finding.text).join("\n"), FINDING_UNITS_MAX, as_it_is)
            }
        }
    }

    fn remedies(&self, incident: &Incident) -> Vec<String> {
        let from = incident.actions.len().saturating_sub(REMEDIES_MAX);
        let told = incident.actions[from..].iter().map(|action| {
            let status = action.status.as_str().replace('_', " ");
            self.line(&format!("{}: {status} ({})", action.plan.summary, action.reason), SENTENCE_UNITS_MAX)
        });
        told.collect()
    }

    /// What it is wrong with. PagerDuty wants a source; the rule's name stands in for one.
    fn source(&self) -> String {
        let target = self.view.incident.target.as_ref();
        target
            .map(|target| self.line(&target.to_string(), NAME_UNITS_MAX))
            .or_else(|| self.first_label(&["instance", "service", "job"]))
            .unwrap_or_else(|| self.line(&self.view.incident.rule, NAME_UNITS_MAX))
    }

    fn target_name(&self) -> Option<String> {
        self.view.incident.target.as_ref().map(|target| self.line(&target.name, NAME_UNITS_MAX))
    }

    fn first_label(&self, names: &[&str]) -> Option<String> {
        let labels = &self.view.incident.labels;
        let mut lines =
            names.iter().filter_map(|name| labels.get(*name)).map(|value| self.line(value, NAME_UNITS_MAX));
        lines.find(|line| !line.is_empty())
    }

    fn table(&self, labels: &Labels) -> Map<String, Value> {
        let entry = |(name, value): (&String, &String)| {
            (self.line(name, NAME_UNITS_MAX), json!(self.line(value, SENTENCE_UNITS_MAX)))
        };
        labels.iter().take(LABELS_MAX).map(entry).collect()
    }

    fn links(&self) -> Vec<Link> {
        let runbook = self.view.incident.runbook.as_deref();
        let expression = self.view.alerts.first().and_then(|(_, alert)| alert.generator_url.as_deref());
        let page = self.page();
        // The sender chose where the expression is, so the words of its link say where it leads.
        let expression_at =
            format!("Expression at {}", expression.and_then(|at| self.host(at)).unwrap_or_default());
        let wanted =
            [(page.as_deref(), "Incident"), (runbook, "Runbook"), (expression, expression_at.as_str())];
        let link = |(address, text): (Option<&str>, &str)| {
            Some(Link { href: self.address(address?)?, text: Some(text.to_owned()) })
        };
        wanted.into_iter().filter_map(link).collect()
    }

    fn host(&self, address: &str) -> Option<String> {
        let url = Url::parse(address.trim()).ok()?;
        Some(self.line(url.host_str()?, NAME_UNITS_MAX))
    }

    fn page(&self) -> Option<String> {
        let base = self.external_url?.trim_end_matches('/');
        self.address(&format!("{base}/incidents/{}", self.view.incident.id))
    }

    /// A plain web address without a password in it, or nothing.
    fn address(&self, text: &str) -> Option<String> {
        let url = Url::parse(text.trim()).ok()?;
        let web = matches!(url.scheme(), "http" | "https");
        let bare = url.username().is_empty() && url.password().is_none();
        let written = self.words.line(url.as_str());
        (web && bare && written.chars().count() <= URL_CHARS_MAX).then_some(written)
    }

    fn line(&self, text: &str, units_max: usize) -> String {
        cut_escaped(&self.words.line(text), units_max, as_it_is)
    }
}

fn severity_of(severity: severity::Severity) -> Severity {
    match severity {
        severity::Severity::P0 => Severity::Critical,
        severity::Severity::P1 => Severity::Error,
        severity::Severity::P2 => Severity::Warning,
        severity::Severity::P3 => Severity::Info,
    }
}
