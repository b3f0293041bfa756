//! The names that templates and conditions of a rule may use, so that a misspelt one is found when rules are
//! loaded and not at three in the morning.
//!
//! What may be named depends on the place: a target is rendered before there is an incident, diagnostics run
//! before there are findings. [`crate::rules::scope`] puts values behind these names.

use crate::domain::catalog::Catalog;
use crate::domain::rule::{DiagnosticSpec, ResponseRule};
use crate::yaml::nearest;
use std::collections::BTreeMap;

/// Fields of `incident` in templates and conditions.
pub const INCIDENT_FIELDS: [&str; 8] =
    ["id", "rule", "severity", "summary", "started_at", "status", "target", "runbook"];

/// Fields of `incident.target`. There are none for a rule that groups by labels.
pub const TARGET_FIELDS: [&str; 3] = ["kind", "namespace", "name"];

/// Fields that every finding has: `known` or `unknown`, a text for people, and why it is unknown.
pub const FINDING_FIELDS: [&str; 3] = ["status", "text", "reason"];

/// A name that is not known where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct UnknownName {
    /// What is wrong.
    pub message: String,
    /// The way out.
    pub help: String,
}

/// Fields of a finding beside the common ones; `None` where nobody lists them.
type Fields = Option<Vec<String>>;

/// What may be named at one place of a rule.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    incident: bool,
    findings: Option<BTreeMap<String, Fields>>,
}

impl Vocabulary {
    /// For what is rendered when an incident opens: labels and annotations.
    pub fn opening() -> Self {
        Self::default()
    }

    /// For the parameters of diagnostics: the incident as well.
    pub fn diagnosing() -> Self {
        Self { incident: true, findings: None }
    }

    /// For remedies and their conditions: the findings of the rule's diagnostics as well.
    pub fn deciding(rule: &ResponseRule, catalog: &Catalog) -> Self {
        let findings = rule
            .diagnostics
            .iter()
            .filter(|diagnostic| !diagnostic.name.is_empty())
            .map(|diagnostic| (diagnostic.name.clone(), fields(diagnostic, catalog)))
            .collect();
        Self { incident: true, findings: Some(findings) }
    }

    /// The first names that may stand here.
    pub fn roots(&self) -> Vec<&'static str> {
        let mut roots = vec!["labels", "annotations"];
        if self.incident {
            roots.push("incident");
        }
        if self.findings.is_some() {
            roots.push("findings");
        }
        roots
    }

    /// Checks a path such as `["findings", "error_ratio", "last"]`. Names of labels and annotations are free.
    ///
    /// # Errors
    /// For the first step of the path that leads nowhere.
    pub fn check(&self, path: &[&str]) -> Result<(), UnknownName> {
        let Some((root, rest)) = path.split_first() else { return Ok(()) };
        let roots = self.roots();
        if !roots.contains(root) {
            return Err(self.unknown_root(root, &roots));
        }
        match (*root, rest) {
            ("incident", ["target", field, ..]) => known(field, "incident.target", &TARGET_FIELDS),
            ("incident", [field, ..]) => known(field, "incident", &INCIDENT_FIELDS),
            ("findings", rest) => self.check_finding(rest),
            _ => Ok(()),
        }
    }

    fn unknown_root(&self, root: &str, roots: &[&'static str]) -> UnknownName {
        let message = format!("`{root}` is not known here");
        let help = match root {
            "incident" => {
                "there is no incident yet when this is rendered: use labels or annotations".to_owned()
            }
            "findings" => "there are no findings yet when this is rendered".to_owned(),
            _ => match nearest(root, roots.iter().copied()) {
                Some(close) => format!("did you mean `{close}`?"),
                None => format!("known here: {}; a text stands within quotes", roots.join(", ")),
            },
        };
        UnknownName { message, help }
    }

    fn check_finding(&self, rest: &[&str]) -> Result<(), UnknownName> {
        let Some(findings) = &self.findings else { return Ok(()) };
        let Some((name, rest)) = rest.split_first() else {
            return Err(UnknownName {
                message: "`findings` is named without a diagnostic".to_owned(),
                help: "write `findings.NAME.FIELD`".to_owned(),
            });
        };
        let Some(fields) = findings.get(*name) else {
            return Err(unknown_finding(name, findings));
        };
        match (rest.first(), fields) {
            (Some(field), Some(fields)) => {
                let mut all: Vec<&str> = fields.iter().map(String::as_str).collect();
                all.extend(FINDING_FIELDS);
                known(field, &format!("findings.{name}"), &all)
            }
            _ => Ok(()),
        }
    }
}

/// The fields of a diagnostic's kind, and those that this use of it names itself.
///
/// Parameters that the kind refuses are told where they stand, and not once more at each name.
fn fields(diagnostic: &DiagnosticSpec, catalog: &Catalog) -> Fields {
    let kind = catalog.diagnostic(&diagnostic.kind)?;
    let mut fields: Vec<String> = kind.fields.iter().map(|(name, _)| (*name).to_owned()).collect();
    fields.extend((kind.check)(&diagnostic.params).ok()?.fields);
    (!fields.is_empty()).then_some(fields)
}

fn unknown_finding(name: &str, findings: &BTreeMap<String, Fields>) -> UnknownName {
    let message = format!("there is no diagnostic `{name}` in this rule");
    let help = match nearest(name, findings.keys().map(String::as_str)) {
        Some(close) => format!("did you mean `{close}`?"),
        None if findings.is_empty() => "this rule has no diagnostics: add one under `diagnostics`".to_owned(),
        None => format!("its diagnostics: {}", findings.keys().cloned().collect::<Vec<_>>().join(", ")),
    };
    UnknownName { message, help }
}

fn known(field: &str, of: &str, fields: &[&str]) -> Result<(), UnknownName> {
    if fields.contains(&field) {
        return Ok(());
    }
    let help = match nearest(field, fields.iter().copied()) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("its fields: {}", fields.join(", ")),
    };
    Err(UnknownName { message: format!("`{of}` has no field `{field}`"), help })
}
