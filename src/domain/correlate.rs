//! Which alerts belong to one incident: one rule and one target, or one rule and the values of its group labels.

use crate::Labels;
use serde::{Deserialize, Serialize};

/// The object that an incident is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
    }
}

/// Identity of an incident while it is open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CorrelationKey(pub String);

/// Longest part of a key that is kept readable; the rest is replaced by a digest so that hostile labels cannot
/// make index rows grow.
const READABLE_BYTES: usize = 200;

impl CorrelationKey {
    /// The key of a rule with a Kubernetes target.
    pub fn for_target(rule: &str, target: &Target) -> Self {
        Self::bounded(format!("{rule}|{target}"))
    }

    /// The key of a rule without one. Absent labels count as empty, as in Alertmanager's grouping.
    pub fn for_group(rule: &str, group: &Labels) -> Self {
        let mut text = format!("{rule}|");
        for (name, value) in group {
            // Lengths make the text unambiguous whatever the values contain.
            text.push_str(&format!("{name}={}:{value},", value.len()));
        }
        Self::bounded(text)
    }

    /// What an incident of this rule is about, whatever the rule: its target or its group labels, as text.
    pub fn subject<'k>(&'k self, rule: &str) -> &'k str {
        self.0.strip_prefix(rule).and_then(|rest| rest.strip_prefix('|')).unwrap_or(&self.0)
    }

    /// The namespace of what an incident of this rule is about: of its target, or of its group labels.
    pub fn namespace<'k>(&'k self, rule: &str) -> Option<&'k str> {
        let subject = self.subject(rule);
        let found = match subject.split_once('/') {
            Some((kind, rest)) if !kind.contains('=') => rest.split('/').next(),
            _ => group_value(subject, "namespace"),
        };
        found.filter(|name| crate::dns::is_dns_label(name))
    }

    /// Between which texts the keys of a rule sort: not before the first, and before the second.
    pub fn range_of_rule(rule: &str) -> (String, String) {
        let whole = format!("{rule}|");
        let from = readable(&whole).to_owned();
        let to = format!("{from}{}", char::MAX);
        (from, to)
    }

    fn bounded(text: String) -> Self {
        if text.len() <= READABLE_BYTES {
            return Self(text);
        }
        let digest = crate::timeline::digest_of_bytes(text.as_bytes());
        Self(format!("{}…{digest}", readable(&text)))
    }
}

/// The part of a text that a key keeps readable.
fn readable(text: &str) -> &str {
    let mut end = text.len().min(READABLE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The value of a label in the text of a group: `name=length:value,` one after the other.
fn group_value<'k>(mut text: &'k str, wanted: &str) -> Option<&'k str> {
    loop {
        let (name, rest) = text.split_once('=')?;
        let (length, rest) = rest.split_once(':')?;
        let length: usize = length.parse().ok()?;
        let value = rest.get(..length)?;
        if name == wanted {
            return Some(value);
        }
        text = rest.get(length..)?.strip_prefix(',')?;
    }
}

/// The group labels of an alert: each of `group_by` with its value, empty where the alert has none.
pub fn group_labels(group_by: &[String], labels: &Labels) -> Labels {
    group_by.iter().map(|name| (name.clone(), labels.get(name).cloned().unwrap_or_default())).collect()
}

#[cfg(test)]
mod tests;
