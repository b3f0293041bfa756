//! `k8s.network`: whether a Service has anybody behind it, where an Ingress leads, and which NetworkPolicies hold.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::evidence::{Evidence, Unknown, table, whole_list};
use super::k8s::{Scene, checked, fields, need, one_of};
use super::{Entry, Moment, Tools, k8s};
use crate::clients::kubernetes::selector::selector_text;
use crate::clients::kubernetes::{ListQuery, Resource};
use crate::domain::catalog::{AccessNeed, CheckedParams, DiagnosticKind, ParamsError};
use crate::domain::rule::TargetSpec;
use crate::params;

/// Backends of an Ingress whose endpoints are looked at.
const BACKENDS_MAX: usize = 10;

/// Label that an EndpointSlice carries.
const SLICE_OF: &str = "kubernetes.io/service-name";

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "k8s.network",
        summary: "Shows a Service with its ready endpoints, an Ingress with those of its backends, or a NetworkPolicy.",
        fields: &[
            ("name", "Its name."),
            (
                "ready_endpoints",
                "Addresses that take traffic; of an Ingress those of its poorest backend. Left out for a policy.",
            ),
            ("not_ready_endpoints", "Addresses that are not ready."),
            ("type", "Type of the Service."),
            ("ports", "Ports of the Service, such as `http 80→8080`."),
            ("selector", "What the Service or the policy selects. Left out where it selects nothing itself."),
            ("addresses", "Addresses by which the Service or Ingress is reached from outside."),
            ("hosts", "Hosts of the Ingress."),
            ("class", "Class of the Ingress."),
            ("backends", "Services behind the Ingress with their ready endpoints, such as `backends.api`."),
            ("missing_backends", "Services that the Ingress names and that have no endpoints at all."),
            ("tls_secrets", "Secrets with the certificates of the Ingress."),
            (
                "ingress_rules",
                "Rules of the policy for traffic to its pods. None at all, where it covers that, lets nothing in.",
            ),
            ("egress_rules", "Rules of the policy for traffic from its pods."),
            ("covers", "What the policy covers: `Ingress`, `Egress`."),
        ],
        timeout: k8s::TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `k8s.network`. Exactly one of `service`, `ingress` and `networkpolicy` says what to look at.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Namespace. Default: that of the incident's target. May hold templates.
    namespace: Option<String>,
    /// Name of a Service. May hold templates.
    service: Option<String>,
    /// Name of an Ingress. May hold templates.
    ingress: Option<String>,
    /// Name of a NetworkPolicy. May hold templates.
    networkpolicy: Option<String>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { namespace, service, ingress, networkpolicy } = params::read(params)?;
    let which = [("service", &service), ("ingress", &ingress), ("networkpolicy", &networkpolicy)];
    one_of(&which.map(|(key, text)| (key, text.is_some())))?;
    if which.iter().all(|(_, text)| text.is_none()) {
        return Err(ParamsError::at("", "name a `service`, an `ingress` or a `networkpolicy`"));
    }
    let names: Vec<(&str, Option<&str>)> =
        which.iter().chain([&("namespace", &namespace)]).map(|(key, text)| (*key, text.as_deref())).collect();
    checked(&names, None)
}

fn access(params: &Value, _: Option<&TargetSpec>) -> Vec<AccessNeed> {
    let named = |key: &str, resource: &Resource| {
        k8s::text(params, key).map(|name| need(params, resource, "", &["get"]).named(Some(name)))
    };
    let slices = || need(params, &Resource::ENDPOINT_SLICES, "", &["list"]);
    if let Some(service) = named("service", &Resource::SERVICES) {
        return vec![service, slices()];
    }
    if let Some(ingress) = named("ingress", &Resource::INGRESSES) {
        return vec![ingress, slices()];
    }
    named("networkpolicy", &Resource::NETWORK_POLICIES).into_iter().collect()
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { namespace, service, ingress, networkpolicy } = params::read(params)?;
    let scene = Scene::of(tools, moment)?;
    let namespace = scene.namespace(namespace.as_deref())?;
    if let Some(name) = service {
        let service = scene.reads.get::<Value>(&Resource::SERVICES, Some(&namespace), &name);
        let (service, endpoints) = tokio::join!(service, endpoints(scene, &namespace, &name));
        return Ok(of_service(&name, &service?, endpoints?));
    }
    if let Some(name) = ingress {
        let ingress: Value = scene.reads.get(&Resource::INGRESSES, Some(&namespace), &name).await?;
        return of_ingress(scene, &namespace, &name, &ingress).await;
    }
    let name = networkpolicy.ok_or_else(|| Unknown::new("nothing is named"))?;
    let policy: Value = scene.reads.get(&Resource::NETWORK_POLICIES, Some(&namespace), &name).await?;
    Ok(of_policy(&name, &policy))
}

/// Addresses behind a Service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Endpoints {
    ready: usize,
    not_ready: usize,
}

async fn endpoints(scene: Scene<'_>, namespace: &str, service: &str) -> Result<Endpoints, Unknown> {
    let selector = format!("{SLICE_OF}={service}");
    let query = ListQuery { labels: Some(&selector), ..ListQuery::default() };
    let mut found = Endpoints::default();
    let take = |slice: EndpointSlice| {
        for endpoint in slice.endpoints {
            // An absent condition counts as ready, as the API says.
            let ready = endpoint.conditions.and_then(|conditions| conditions.ready).unwrap_or(true);
            *(if ready { &mut found.ready } else { &mut found.not_ready }) += endpoint.addresses.len();
        }
    };
    scene.reads.each(&Resource::ENDPOINT_SLICES, Some(namespace), query, take).await?;
    Ok(found)
}

fn of_service(name: &str, service: &Value, endpoints: Endpoints) -> Evidence {
    let spec = &service["spec"];
    let ports: Vec<String> = list(&spec["ports"])
        .map(|port| {
            let target = match &port["targetPort"] {
                Value::String(name) => name.clone(),
                Value::Null => port["port"].to_string(),
                number => number.to_string(),
            };
            let name = port["name"].as_str().map(|name| format!("{name} ")).unwrap_or_default();
            format!("{name}{}→{target}", port["port"])
        })
        .collect();
    let selector = Some(selector_text(&spec["selector"])).filter(|selector| !selector.is_empty());
    let Endpoints { ready, not_ready } = endpoints;
    let mut lines = vec![
        format!("Service {name}: {ready} endpoints are ready, {not_ready} are not"),
        format!("{}, ports {}", spec["type"].as_str().unwrap_or("ClusterIP"), ports.join(", ")),
    ];
    lines.extend(selector.as_ref().map(|selector| format!("selects {selector}")));
    let found = fields(json!({
        "name": name,
        "ready_endpoints": ready,
        "not_ready_endpoints": not_ready,
        "type": spec["type"],
        "ports": ports,
        "selector": selector,
        "addresses": addresses(service),
    }));
    Evidence { fields: found, text: lines.join("\n"), chart: None }
}

async fn of_ingress(
    scene: Scene<'_>,
    namespace: &str,
    name: &str,
    ingress: &Value,
) -> Result<Evidence, Unknown> {
    let spec = &ingress["spec"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut rows = Vec::new();
    let mut services: BTreeMap<String, Endpoints> = BTreeMap::new();
    let mut leads = |host: &str, path: &str, backend: &Value| {
        let service = &backend["service"];
        let Some(to) = service["name"].as_str() else { return };
        let port = service["port"]["name"]
            .as_str()
            .map_or_else(|| service["port"]["number"].to_string(), str::to_owned);
        rows.push((format!("{host}{path} → {to}:{port}"), to.to_owned()));
        services.insert(to.to_owned(), Endpoints::default());
    };
    leads("*", "", &spec["defaultBackend"]);
    for rule in list(&spec["rules"]) {
        let host = rule["host"].as_str().unwrap_or("*");
        for path in list(&rule["http"]["paths"]) {
            leads(host, path["path"].as_str().unwrap_or("/"), &path["backend"]);
        }
    }
    if services.len() > BACKENDS_MAX {
        let why =
            format!("{} services are behind it: more than {BACKENDS_MAX} are not looked at", services.len());
        return Err(Unknown::new(why));
    }
    for (service, found) in &mut services {
        *found = endpoints(scene, namespace, service).await?;
    }
    let missing: Vec<&String> =
        services.iter().filter(|(_, found)| **found == Endpoints::default()).map(|(name, _)| name).collect();
    let rows: Vec<String> = rows
        .iter()
        .map(|(row, to)| {
            format!("{row}  ({} endpoints ready)", services.get(to).copied().unwrap_or_default().ready)
        })
        .collect();
    let backends: Map<String, Value> =
        services.iter().map(|(name, found)| (name.clone(), json!(found.ready))).collect();
    let found = fields(json!({
        "name": name,
        "ready_endpoints": services.values().map(|found| found.ready).min(),
        "not_ready_endpoints": services.values().map(|found| found.not_ready).sum::<usize>(),
        "hosts": list(&spec["rules"]).filter_map(|rule| text(&rule["host"])).collect::<Vec<_>>(),
        "class": spec["ingressClassName"],
        "addresses": addresses(ingress),
        "backends": backends,
        "missing_backends": missing,
        "tls_secrets": list(&spec["tls"]).filter_map(|tls| text(&tls["secretName"])).collect::<Vec<_>>(),
    }));
    let head = format!("Ingress {name}");
    Ok(Evidence { fields: found, text: [head, table(&rows)].join("\n").trim_end().to_owned(), chart: None })
}

fn of_policy(name: &str, policy: &Value) -> Evidence {
    let spec = &policy["spec"];
    let selector = selector_text(&spec["podSelector"]);
    let [ingress, egress] = ["ingress", "egress"].map(|key| list(&spec[key]).count());
    let mut covers: Vec<&str> = list(&spec["policyTypes"]).filter_map(Value::as_str).collect();
    if covers.is_empty() {
        covers.push("Ingress");
    }
    let whom = if selector.is_empty() { "all pods of the namespace" } else { &selector };
    let text = format!(
        "NetworkPolicy {name} covers {} of {whom}: {ingress} rules for traffic in, {egress} for traffic out",
        covers.join(" and ")
    );
    let found = fields(json!({
        "name": name,
        "selector": Some(&selector).filter(|selector| !selector.is_empty()),
        "ingress_rules": ingress,
        "egress_rules": egress,
        "covers": whole_list(covers.into_iter().map(Value::from).collect()),
    }));
    Evidence { fields: found, text, chart: None }
}

/// Addresses that a load balancer gave.
fn addresses(object: &Value) -> Vec<String> {
    let given = list(&object["status"]["loadBalancer"]["ingress"]);
    given.filter_map(|at| at["ip"].as_str().or(at["hostname"].as_str()).map(str::to_owned)).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
