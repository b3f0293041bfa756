//! What is known of cert-manager's objects: their conditions, and who issues a Certificate.

use std::fmt;

use serde_json::Value;

use super::read::ReadHandle;
use super::resource::Resource;
use super::{Failure, KubernetesError};
use crate::domain::timeline::one_line;

/// Characters of what a condition says that are kept.
const WORDS_CHARS_MAX: usize = 400;

/// The condition of this type.
pub fn condition<'o>(object: &'o Value, kind: &str) -> Option<&'o Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| condition["type"] == kind)
}

/// Whether the condition of this type holds.
pub fn holds(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition["status"] == "True")
}

/// What a condition says: its reason and its message.
pub fn words(condition: &Value) -> String {
    let [reason, message] = ["reason", "message"].map(|key| condition[key].as_str().unwrap_or_default());
    one_line(format!("{reason} {message}").trim(), WORDS_CHARS_MAX)
}

/// Who issues a Certificate: of the two kinds that cert-manager brings itself. Others bring kinds of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    resource: &'static Resource,
    namespace: Option<String>,
    name: String,
}

/// What the look at an issuer came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssuerState {
    /// It can issue.
    Ready,
    /// It cannot; says why.
    NotReady(String),
    /// Nobody could look; says why.
    Unseen(String),
}

impl Issuer {
    /// The permissions that a look needs, as resources of which one object is read.
    pub const RESOURCES: [Resource; 2] = [Resource::ISSUERS, Resource::CLUSTER_ISSUERS];

    /// The one that a Certificate names.
    pub fn of(certificate: &Value) -> Option<Self> {
        let named = &certificate["spec"]["issuerRef"];
        let group = named["group"].as_str().unwrap_or_default();
        if !group.is_empty() && group != Resource::ISSUERS.group {
            return None;
        }
        let kind = named["kind"].as_str().filter(|kind| !kind.is_empty()).unwrap_or("Issuer");
        let resource = Resource::of_kind(kind).filter(|found| Self::RESOURCES.contains(found))?;
        let namespace = certificate["metadata"]["namespace"].as_str().filter(|_| resource.namespaced);
        let name = named["name"].as_str()?.to_owned();
        Some(Self { resource, namespace: namespace.map(str::to_owned), name })
    }

    /// Looks at it. That it is not there is an answer.
    ///
    /// # Errors
    /// [`KubernetesError`] of what passes by itself.
    pub async fn look(&self, reads: &ReadHandle) -> Result<IssuerState, KubernetesError> {
        let found = reads.find::<Value>(self.resource, self.namespace.as_deref(), &self.name).await;
        Ok(match found {
            Ok(None) => IssuerState::NotReady("there is none of that name".to_owned()),
            Ok(Some(issuer)) if holds(&issuer, "Ready") => IssuerState::Ready,
            Ok(Some(issuer)) => IssuerState::NotReady(match condition(&issuer, "Ready") {
                Some(condition) => words(condition),
                None => "it says nothing of being ready".to_owned(),
            }),
            Err(KubernetesError { failure: failure @ Failure::Forbidden(_), .. }) => {
                IssuerState::Unseen(failure.to_string())
            }
            Err(error) => return Err(error),
        })
    }
}

/// As people know it: `ClusterIssuer/letsencrypt`.
impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.resource.kind, self.name)
    }
}
