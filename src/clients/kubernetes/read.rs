//! The handle that reads: one object, all objects of a kind, and what it may do.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::connect::ConnectOptions;
use super::error::{Failure, KubernetesError};
use super::exchange::{Call, Link, get, request};
use super::exec::{ExecOutput, ExecQuery};
use super::resource::Resource;
use crate::domain::catalog::AccessNeed;

/// Objects that are asked for at once. Two pages of full pods are some megabytes, and a namespace of five hundred pods
/// takes two questions.
const PAGE_OBJECTS_MAX: usize = 250;

/// Objects of one list that are looked at. A selection beyond this is a mistake, or too large to answer in time.
pub const LIST_OBJECTS_MAX: usize = 10_000;

/// Reads a cluster, and can do nothing else to it.
#[derive(Debug, Clone)]
pub struct ReadHandle {
    pub(super) link: Link,
}

/// Which objects of a kind. An empty text is refused: it would select everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListQuery<'a> {
    /// Selector over labels, such as `app=api,tier!=cache`.
    pub labels: Option<&'a str>,
    /// Selector over fields, such as `spec.nodeName=node-1`.
    pub fields: Option<&'a str>,
}

/// One page of a list.
#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Page<T> {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(default = "Vec::new", deserialize_with = "null_is_empty")]
    items: Vec<T>,
}

#[derive(Deserialize, Default)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

/// Go writes an empty list as `null`.
fn null_is_empty<'de, T: DeserializeOwned, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(from)?.unwrap_or_default())
}

impl ReadHandle {
    /// A handle that connects when it is first used.
    pub fn new(options: ConnectOptions) -> Self {
        Self { link: Link::new(options) }
    }

    /// Reads through a client of one's own: for tests and stand-ins.
    pub fn over(client: kube::Client, timeout: Duration) -> Self {
        Self { link: Link::over(client, timeout) }
    }

    /// Connects now, as far as that needs no cluster: credentials and certificates are looked at, nothing is asked.
    ///
    /// # Errors
    /// [`Failure::Setup`] where the kubeconfig cannot be used, or what it names is not there.
    pub async fn connect(&self) -> Result<(), KubernetesError> {
        self.link.client().await.map(|_| ())
    }

    /// Asks the API server whether it is ready to work.
    ///
    /// # Errors
    /// [`KubernetesError`]; [`Failure::Server`] where it answers that it is not.
    pub async fn ready(&self) -> Result<(), KubernetesError> {
        const PATH: &str = "/readyz";
        self.link.open(&Call::of_server(PATH), get(PATH, &[])).await.map(|_| ())
    }

    /// Runs a command that only reads. Which commands those are, the settings say.
    ///
    /// # Errors
    /// [`KubernetesError`].
    pub async fn exec(&self, query: ExecQuery<'_>) -> Result<ExecOutput, KubernetesError> {
        self.link.exec(query).await
    }

    /// One object.
    ///
    /// # Errors
    /// [`KubernetesError`]; [`KubernetesError::is_not_found`] where there is none.
    pub async fn get<T: DeserializeOwned>(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<T, KubernetesError> {
        self.get_part(resource, None, namespace, name).await
    }

    /// A subresource of one object, such as `scale`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn get_part<T: DeserializeOwned>(
        &self,
        resource: &Resource,
        part: Option<&str>,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<T, KubernetesError> {
        let call = Call::new("get", resource, part, namespace, Some(name));
        let path = resource.path_of(namespace, name).map_err(|failure| call.failed(failure))?;
        let path = part.map_or(path.clone(), |part| format!("{path}/{part}"));
        self.link.json(&call, get(&path, &[])).await
    }

    /// One object, or `None` where there is none.
    ///
    /// # Errors
    /// As [`Self::get`] otherwise.
    pub async fn find<T: DeserializeOwned>(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<T>, KubernetesError> {
        match self.get(resource, namespace, name).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Hands all objects that are asked for to `take`, page by page, so that only one page is in memory.
    ///
    /// # Errors
    /// [`KubernetesError`]; [`Failure::TooLarge`] stands for more objects than [`LIST_OBJECTS_MAX`] as well.
    pub async fn each<T: DeserializeOwned>(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        query: ListQuery<'_>,
        mut take: impl FnMut(T),
    ) -> Result<(), KubernetesError> {
        let call = Call::new("list", resource, None, namespace, None);
        let path = resource.path(namespace).map_err(|failure| call.failed(failure))?;
        let limit = PAGE_OBJECTS_MAX.to_string();
        let mut next: Option<String> = None;
        let mut seen = 0;
        loop {
            let mut pairs: Vec<(&str, &str)> = vec![("limit", limit.as_str())];
            for (name, selector) in [("labelSelector", query.labels), ("fieldSelector", query.fields)] {
                let Some(selector) = selector else { continue };
                if selector.trim().is_empty() {
                    let why = "an empty selector would select everything";
                    return Err(call.failed(Failure::Refused(why.to_owned())));
                }
                pairs.push((name, selector));
            }
            pairs.extend(next.as_deref().map(|next| ("continue", next)));
            let page: Result<Page<T>, _> = self.link.json(&call, get(&path, &pairs)).await;
            // A mark that the server no longer knows (410) says nothing about whether there is such a list.
            let page = page.map_err(|error| match next {
                Some(_) if error.is_not_found() => call.failed(Failure::Server {
                    code: 410,
                    wait: None,
                    reason: "the list was read for longer than the server remembers it: ask again".to_owned(),
                }),
                _ => error,
            })?;
            seen += page.items.len();
            page.items.into_iter().for_each(&mut take);
            next = page.metadata.next.filter(|next| !next.is_empty());
            if next.is_none() {
                return Ok(());
            }
            if seen >= LIST_OBJECTS_MAX {
                let why = format!("more than {LIST_OBJECTS_MAX} objects are selected: narrow the selection");
                return Err(call.failed(Failure::Refused(why)));
            }
        }
    }

    /// All objects that are asked for.
    ///
    /// # Errors
    /// As [`Self::each`].
    pub async fn list<T: DeserializeOwned>(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        query: ListQuery<'_>,
    ) -> Result<Vec<T>, KubernetesError> {
        let mut all = Vec::new();
        self.each(resource, namespace, query, |object| all.push(object)).await?;
        Ok(all)
    }

    /// Whether this identity has one permission in `namespace` (none means the cluster), as the cluster itself judges.
    /// All verbs and names of `need` must be allowed; its own scope is not looked at.
    ///
    /// # Errors
    /// [`KubernetesError`].
    pub async fn may(&self, need: &AccessNeed, namespace: Option<&str>) -> Result<bool, KubernetesError> {
        let review = Resource {
            group: "authorization.k8s.io".into(),
            version: "v1".into(),
            kind: "SelfSubjectAccessReview".into(),
            plural: "selfsubjectaccessreviews".into(),
            namespaced: false,
        };
        let call = Call::new("create", &review, None, None, None);
        let path = review.path(None).map_err(|failure| call.failed(failure))?;
        let (resource, part) = need.resource.split_once('/').unwrap_or((&need.resource, ""));
        let any = [String::new()];
        let names = if need.names.is_empty() { &any[..] } else { &need.names };
        let asked: Vec<_> =
            need.verbs.iter().flat_map(|verb| names.iter().map(move |name| (verb, name))).collect();
        for (verb, name) in asked {
            let body = json!({
                "apiVersion": review.api_version(),
                "kind": review.kind,
                "spec": { "resourceAttributes": {
                    "namespace": namespace.unwrap_or_default(),
                    "group": need.group,
                    "resource": resource,
                    "subresource": part,
                    "verb": verb,
                    "name": name,
                }},
            });
            // Asking about oneself changes nothing, though it is a POST.
            let request =
                request(http::Method::POST, &path, &[], "application/json", body.to_string().into_bytes());
            let answer: Value = self.link.json(&call, request).await?;
            if answer.pointer("/status/allowed") != Some(&Value::Bool(true)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
