//! The handle that writes. Only `src/actions` is given it.
//!
//! One call is one attempt with exactly the values it is given. Every write names the field manager, and can be made a
//! dry run, which goes through admission and changes nothing.

use std::ops::Deref;
use std::time::Duration;

use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::connect::ConnectOptions;
use super::error::{Failure, KubernetesError};
use super::exchange::{Call, request};
use super::read::ReadHandle;
use super::resource::Resource;

/// Who owns the fields that we write.
pub const FIELD_MANAGER: &str = "smokejumper";

/// Reads and writes a cluster, under the identity that may.
#[derive(Debug, Clone)]
pub struct ActHandle {
    reads: ReadHandle,
}

/// What is to change, in one of the API's four languages.
#[derive(Debug, Clone, PartialEq)]
pub enum Patch {
    /// RFC 6902: a list of operations, with tests.
    Json(Value),
    /// RFC 7386: lists are replaced as wholes.
    Merge(Value),
    /// Kubernetes' own: lists of containers and variables are merged by their names. Not for custom resources.
    Strategic(Value),
    /// Server-side apply. Taking over fields of other managers is the caller's explicit wish.
    Apply {
        /// The object as it is to be.
        object: Value,
        /// Whether fields that others own are taken over.
        force: bool,
    },
}

/// What becomes of what a deleted object owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// It is deleted afterwards.
    Background,
    /// It is deleted first.
    Foreground,
    /// It stays.
    Orphan,
}

/// How to delete or evict. A uid keeps the hand from a new object under an old name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteRequest {
    /// Only this very object.
    pub uid: Option<String>,
    /// Only at this version.
    pub resource_version: Option<String>,
    /// Time to end in; none is the pod's own.
    pub grace_seconds: Option<u32>,
    /// What becomes of what it owns; none is the kind's own default.
    pub propagation: Option<Propagation>,
}

impl Deref for ActHandle {
    type Target = ReadHandle;

    fn deref(&self) -> &ReadHandle {
        &self.reads
    }
}

impl ActHandle {
    /// A handle that connects when it is first used.
    pub fn new(options: ConnectOptions) -> Self {
        Self { reads: ReadHandle::new(options) }
    }

    /// Acts through a client of one's own: for tests and stand-ins.
    pub fn over(client: kube::Client, timeout: Duration) -> Self {
        Self { reads: ReadHandle::over(client, timeout) }
    }

    /// Creates an object.
    ///
    /// # Errors
    /// [`KubernetesError`].
    pub async fn create<T: DeserializeOwned>(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        object: &Value,
        dry_run: bool,
    ) -> Result<T, KubernetesError> {
        let name = object.pointer("/metadata/name").and_then(Value::as_str);
        let call = Call::new("create", resource, None, namespace, name);
        let path = resource.path(namespace).map_err(|failure| call.failed(failure))?;
        self.write(&call, Method::POST, &path, &managed(dry_run), "application/json", object).await
    }

    /// Patches an object, or a part of it such as `scale`.
    ///
    /// # Errors
    /// [`KubernetesError`].
    pub async fn patch<T: DeserializeOwned>(
        &self,
        resource: &Resource,
        part: Option<&str>,
        namespace: Option<&str>,
        name: &str,
        patch: &Patch,
        dry_run: bool,
    ) -> Result<T, KubernetesError> {
        let call = Call::new("patch", resource, part, namespace, Some(name));
        let path = resource.path_of(namespace, name).map_err(|failure| call.failed(failure))?;
        let path = part.map_or(path.clone(), |part| format!("{path}/{part}"));
        let mut query = managed(dry_run);
        let (content_type, body) = match patch {
            Patch::Json(operations) => ("application/json-patch+json", operations),
            Patch::Merge(change) => ("application/merge-patch+json", change),
            Patch::Strategic(change) => ("application/strategic-merge-patch+json", change),
            Patch::Apply { object, force } => {
                query.push(("force", if *force { "true" } else { "false" }));
                // YAML is a superset of JSON, and this is the one name that all versions know.
                ("application/apply-patch+yaml", object)
            }
        };
        self.write(&call, Method::PATCH, &path, &query, content_type, body).await
    }

    /// Deletes an object. The answer is the object as it was, or a status.
    ///
    /// # Errors
    /// [`KubernetesError`]; a conflict where the object is not the one of the request.
    pub async fn delete(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        how: &DeleteRequest,
        dry_run: bool,
    ) -> Result<Value, KubernetesError> {
        let call = Call::new("delete", resource, None, namespace, Some(name));
        let path = resource.path_of(namespace, name).map_err(|failure| call.failed(failure))?;
        let body = how.options(dry_run);
        self.write(&call, Method::DELETE, &path, &[], "application/json", &body).await
    }

    /// Evicts a pod: deletes it, unless a PodDisruptionBudget forbids that.
    ///
    /// # Errors
    /// [`KubernetesError`]; [`super::Failure::Budget`] where a budget forbids it.
    pub async fn evict(
        &self,
        namespace: &str,
        pod: &str,
        how: &DeleteRequest,
        dry_run: bool,
    ) -> Result<Value, KubernetesError> {
        let resource = &Resource::PODS;
        let call = Call::new("create", resource, Some("eviction"), Some(namespace), Some(pod));
        let path = resource.path_of(Some(namespace), pod).map_err(|failure| call.failed(failure))?;
        let body = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": { "name": pod, "namespace": namespace },
            "deleteOptions": how.options(dry_run),
        });
        let path = format!("{path}/eviction");
        let answer: Value =
            self.write(&call, Method::POST, &path, &managed(dry_run), "application/json", &body).await?;
        // For a pod under two budgets the server answers 201 with a status that says failure, and does nothing.
        if answer["kind"] == "Status" && answer["status"] == "Failure" {
            let code = answer["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(500);
            let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return Err(call.failed(Failure::of_status(code, None, answer.to_string().as_bytes())));
        }
        Ok(answer)
    }

    async fn write<T: DeserializeOwned>(
        &self,
        call: &Call,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        content_type: &str,
        body: &Value,
    ) -> Result<T, KubernetesError> {
        let request = request(method, path, query, content_type, body.to_string().into_bytes());
        self.reads.link.json(call, request).await
    }
}

fn managed(dry_run: bool) -> Vec<(&'static str, &'static str)> {
    let mut query = vec![("fieldManager", FIELD_MANAGER)];
    if dry_run {
        query.push(("dryRun", "All"));
    }
    query
}

impl DeleteRequest {
    fn options(&self, dry_run: bool) -> Value {
        let mut options = Map::new();
        options.insert("apiVersion".to_owned(), json!("v1"));
        options.insert("kind".to_owned(), json!("DeleteOptions"));
        let mut preconditions = Map::new();
        preconditions.extend(self.uid.as_ref().map(|uid| ("uid".to_owned(), json!(uid))));
        preconditions.extend(
            self.resource_version.as_ref().map(|version| ("resourceVersion".to_owned(), json!(version))),
        );
        if !preconditions.is_empty() {
            options.insert("preconditions".to_owned(), Value::Object(preconditions));
        }
        options.extend(self.grace_seconds.map(|seconds| ("gracePeriodSeconds".to_owned(), json!(seconds))));
        let propagation = self.propagation.map(|propagation| match propagation {
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
            Propagation::Orphan => "Orphan",
        });
        options.extend(propagation.map(|word| ("propagationPolicy".to_owned(), json!(word))));
        if dry_run {
            options.insert("dryRun".to_owned(), json!(["All"]));
        }
        Value::Object(options)
    }
}
