//! What templates and conditions see: `labels`, `annotations`, `incident` and `findings.NAME`.
//!
//! Everything here is data. A finding that is unknown has its reason and nothing else to compare with; see
//! [`crate::rules::condition`] for what that means to a condition.

use crate::domain::Labels;
use crate::domain::diagnosis::{Finding, FindingStatus};
use crate::domain::incident::Incident;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The values behind the names that a rule may use, at one moment of one incident.
#[derive(Debug, Clone, PartialEq)]
pub struct Scope {
    /// Shared: conditions keep them until they are asked.
    values: Arc<Map<String, Value>>,
}

impl Scope {
    /// Before there is an incident: labels and annotations.
    pub fn of_alert(labels: &Labels, annotations: &Labels) -> Self {
        let mut values = Map::new();
        values.insert("labels".to_owned(), labels_value(labels));
        values.insert("annotations".to_owned(), labels_value(annotations));
        Self { values: Arc::new(values) }
    }

    /// Of an incident, with the newest finding of each name.
    pub fn of_incident(incident: &Incident, findings: &[Finding]) -> Self {
        let mut scope = Self::of_alert(&incident.labels, &incident.annotations);
        let values = Arc::make_mut(&mut scope.values);
        values.insert("incident".to_owned(), incident_value(incident));
        let findings: Map<String, Value> =
            findings.iter().map(|finding| (finding.name.clone(), finding_value(finding))).collect();
        values.insert("findings".to_owned(), Value::Object(findings));
        scope
    }

    /// The same with one more name.
    pub fn with(mut self, name: &str, value: Value) -> Self {
        Arc::make_mut(&mut self.values).insert(name.to_owned(), value);
        self
    }

    /// The values by their first name.
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }
}

fn labels_value(labels: &Labels) -> Value {
    Value::Object(labels.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect())
}

/// Fields that have no value are left out, so that naming them is an error and not an empty text.
fn incident_value(incident: &Incident) -> Value {
    let mut value = json!({
        "id": incident.id.0,
        "rule": incident.rule,
        "severity": incident.severity.as_str(),
        "status": incident.status.as_str(),
        "summary": incident.summary,
        "started_at": incident.started_at.to_string(),
    });
    if let Some(runbook) = &incident.runbook {
        value["runbook"] = json!(runbook);
    }
    if let Some(target) = &incident.target {
        value["target"] = json!({ "kind": target.kind, "namespace": target.namespace, "name": target.name });
    }
    value
}

/// The fields of a finding. The common fields win over fields of the same name.
fn finding_value(finding: &Finding) -> Value {
    let mut value: Map<String, Value> = finding
        .fields
        .iter()
        .filter(|(_, field)| !field.is_null())
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    match &finding.status {
        FindingStatus::Known => {
            value.insert("status".to_owned(), json!("known"));
            value.insert("text".to_owned(), json!(finding.text));
        }
        FindingStatus::Unknown(reason) => {
            // Whatever it brought along is not to be trusted.
            value.clear();
            value.insert("status".to_owned(), json!("unknown"));
            value.insert("reason".to_owned(), json!(reason));
            value.insert("text".to_owned(), json!(format!("unknown: {reason}")));
        }
    }
    Value::Object(value)
}
