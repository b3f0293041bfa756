//! What a request asks for: its verb, resource, namespace, name and subresource, read from method, path and query.

use std::collections::BTreeMap;

use http::Method;

use super::resource::{self, Resource};

/// The options of a request. The last of several values counts, except for `command`, which repeats.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    values: BTreeMap<String, Vec<String>>,
}

impl Query {
    pub(super) fn read(query: &str) -> Self {
        let mut values = BTreeMap::<String, Vec<String>>::new();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            values.entry(key.into_owned()).or_default().push(value.into_owned());
        }
        Self { values }
    }

    /// A value; empty where there is none.
    pub(super) fn text(&self, key: &str) -> &str {
        self.values.get(key).and_then(|values| values.last()).map_or("", String::as_str)
    }

    pub(super) fn all(&self, key: &str) -> &[String] {
        self.values.get(key).map_or(&[], Vec::as_slice)
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        matches!(self.text(key), "true" | "1" | "True" | "TRUE" | "t" | "T")
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.text(key).parse().ok()
    }
}

/// A request for a resource.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: &'static str,
    pub group: String,
    pub version: String,
    /// The plural, as the path says it.
    pub plural: String,
    /// Empty for what lies in no namespace, and for all namespaces.
    pub namespace: String,
    /// Empty for a collection.
    pub name: String,
    /// Such as `scale`; empty for the object itself.
    pub subresource: String,
    pub query: Query,
}

impl Asked {
    /// Reads a path below `/api` or `/apis`; nothing for what asks for no resource.
    pub(super) fn read(method: &Method, path: &str, query: &str) -> Option<Self> {
        let mut parts: Vec<String> = path.trim_matches('/').split('/').map(decoded).collect();
        let skipped = match parts.first().map(String::as_str) {
            Some("api") if parts.len() > 2 => 1,
            Some("apis") if parts.len() > 3 => 2,
            _ => return None,
        };
        let group = if skipped == 2 { parts[1].clone() } else { String::new() };
        let version = parts[skipped].clone();
        parts.drain(..=skipped);
        let mut namespace = String::new();
        let in_namespace = parts.len() > 2 && !matches!(parts[2].as_str(), "status" | "finalize");
        if parts[0] == "namespaces" && in_namespace {
            namespace = parts[1].clone();
            parts.drain(..2);
        }
        let mut parts = parts.into_iter();
        let plural = parts.next()?;
        let name = parts.next().unwrap_or_default();
        let subresource = parts.next().unwrap_or_default();
        if parts.next().is_some() {
            return None;
        }
        let query = Query::read(query);
        let verb = verb(method, &name, &query)?;
        Some(Self { verb, group, version, plural, namespace, name, subresource, query })
    }

    /// The resource, where it is one that is stored.
    pub(super) fn resource(&self) -> Option<&'static Resource> {
        resource::named(&self.group, &self.version, &self.plural)
    }

    /// `deployments` or `deployments/scale`.
    pub(super) fn target(&self) -> String {
        if self.subresource.is_empty() {
            self.plural.clone()
        } else {
            format!("{}/{}", self.plural, self.subresource)
        }
    }

    /// Whether it only asks what would be.
    pub(super) fn is_dry_run(&self) -> bool {
        self.query.all("dryRun").iter().any(|value| value == "All")
    }

    /// Whether it changes something, or asks what would change. A command is taken to.
    pub(super) fn is_write(&self) -> bool {
        let is_review = self.group == super::reviews::GROUP;
        let reads = matches!(self.verb, "get" | "list" | "watch");
        !is_review && (!reads || self.subresource == "exec")
    }
}

fn decoded(part: &str) -> String {
    // A `+` means itself in a path, and a space only in a query.
    let part = part.replace('+', "%2B");
    let pair = format!("a={part}");
    form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn verb(method: &Method, name: &str, query: &Query) -> Option<&'static str> {
    Some(match *method {
        Method::GET | Method::HEAD if query.flag("watch") => "watch",
        Method::GET | Method::HEAD if name.is_empty() => "list",
        Method::GET | Method::HEAD => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if name.is_empty() => "deletecollection",
        Method::DELETE => "delete",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &Method, path: &str) -> String {
        let asked = Asked::read(method, path, "").expect("a request for a resource");
        format!("{} {}|{}|{}|{}", asked.verb, asked.group, asked.namespace, asked.target(), asked.name)
    }

    #[test]
    fn paths_are_read_as_the_api_reads_them() {
        for (method, path, expected) in [
            (Method::GET, "/api/v1/pods", "list ||pods|"),
            (Method::GET, "/api/v1/namespaces", "list ||namespaces|"),
            (Method::GET, "/api/v1/namespaces/a", "get ||namespaces|a"),
            (Method::PUT, "/api/v1/namespaces/a/finalize", "update ||namespaces/finalize|a"),
            (Method::DELETE, "/api/v1/namespaces/a/pods", "deletecollection |a|pods|"),
            (Method::POST, "/api/v1/namespaces/a/pods/b/eviction", "create |a|pods/eviction|b"),
            (
                Method::PATCH,
                "/apis/apps/v1/namespaces/a/deployments/b/scale",
                "patch apps|a|deployments/scale|b",
            ),
            (Method::GET, "/apis/apps/v1/deployments", "list apps||deployments|"),
            (Method::DELETE, "/apis/batch/v1/namespaces/a/jobs/b%2Fc", "delete batch|a|jobs|b/c"),
        ] {
            assert_eq!(asked(&method, path), expected, "{path}");
        }
        for none in ["/", "/version", "/api", "/api/v1", "/apis/apps", "/apis/apps/v1"] {
            assert!(Asked::read(&Method::GET, none, "").is_none(), "{none}");
        }
    }
}
