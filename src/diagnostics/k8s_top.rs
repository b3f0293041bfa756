//! `k8s.top`: processor and memory in use now, and how close to their limits. Without a metrics API it is unknown.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::evidence::{Evidence, Unknown, finite, shown, table, whole_list};
use super::k8s::{By, PodChoice, Scene, checked, fields, need, need_pods};
use super::{Entry, Moment, Tools, k8s};
use crate::clients::kubernetes::quantity::Amount;
use crate::clients::kubernetes::{KubernetesError, ListQuery, Resource};
use crate::domain::catalog::{AccessNeed, CheckedParams, DiagnosticKind, ParamsError};
use crate::domain::rule::TargetSpec;
use crate::params;

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "k8s.top",
        summary: "Shows processor and memory in use by pods or nodes, and how close pods are to their limits.",
        fields: &[
            ("count", "How many pods, containers or nodes were measured."),
            ("cpu_cores", "Cores in use by all of them."),
            ("memory_bytes", "Memory in use by all of them."),
            ("cpu_max_cores", "Cores in use by the one that uses most."),
            ("memory_max_bytes", "Memory in use by the one that uses most."),
            (
                "cpu_of_limit_max",
                "The largest share of a limit on cores, 1 being all of it; for nodes of what pods may use. Left out without limits.",
            ),
            ("memory_of_limit_max", "The same of memory."),
            (
                "items",
                "Each with `name`, `container`, `cpu_cores`, `memory_bytes`, `cpu_of_limit`, `memory_of_limit`; left out where they are too many to keep.",
            ),
        ],
        timeout: k8s::TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `k8s.top`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// What is measured. Default: pods.
    #[serde(default)]
    of: Of,
    /// Namespace of the pods. Default: that of the incident's target. May hold templates.
    namespace: Option<String>,
    /// Selector over labels. Default: the pods of the incident's target, or all nodes. May hold templates.
    #[schemars(length(min = 1, max = 2048))]
    selector: Option<String>,
    /// Whether each container counts for itself. Default: false.
    #[serde(default)]
    containers: bool,
    /// What the list is sorted by. Default: memory.
    #[serde(default)]
    sort: Sort,
}

/// What is measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Of {
    /// Pods.
    #[default]
    Pods,
    /// Nodes.
    Nodes,
}

/// What comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Sort {
    /// The most memory.
    #[default]
    Memory,
    /// The most cores.
    Cpu,
}

/// An amount of both, in cores and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Use {
    cpu: f64,
    memory: f64,
}

/// One line of the list.
struct Item {
    name: String,
    container: Option<String>,
    used: Use,
    limit: Limit,
}

/// Limits, where there are any.
#[derive(Debug, Clone, Copy, Default)]
struct Limit {
    cpu: Option<f64>,
    memory: Option<f64>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { of, namespace, selector, containers, sort: _ } = params::read(params)?;
    if of == Of::Nodes && (namespace.is_some() || containers) {
        let key = if namespace.is_some() { "/namespace" } else { "/containers" };
        return Err(ParamsError::at(key, "nodes have none"));
    }
    checked(&[("namespace", namespace.as_deref())], selector.as_deref())
}

fn access(params: &Value, target: Option<&TargetSpec>) -> Vec<AccessNeed> {
    if k8s::text(params, "of") == Some("nodes") {
        let verbs = &["list"];
        return vec![
            AccessNeed::cluster("metrics.k8s.io", "nodes", verbs),
            AccessNeed::cluster("", "nodes", verbs),
        ];
    }
    let metrics = need(params, &Resource::POD_METRICS, "", &["get", "list"]);
    need_pods(params, target).into_iter().chain([metrics]).collect()
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { of, namespace, selector, containers, sort } = params::read(params)?;
    let scene = Scene::of(tools, moment)?;
    let mut items = match of {
        Of::Nodes => nodes(scene, selector.as_deref()).await?,
        Of::Pods => {
            let choice =
                PodChoice { namespace: namespace.as_deref(), selector: selector.as_deref(), pod: None };
            pods(scene, choice, containers).await?
        }
    };
    if items.is_empty() {
        return Err(Unknown::new("nothing is measured: there is none, or it is too new"));
    }
    let key = |item: &Item| if sort == Sort::Cpu { item.used.cpu } else { item.used.memory };
    items.sort_by(|a, b| key(b).total_cmp(&key(a)).then_with(|| a.name.cmp(&b.name)));
    Ok(evidence(&items))
}

/// What the metrics API says, or that there is none.
fn measured(error: KubernetesError) -> Unknown {
    if error.is_not_served() {
        return Unknown::new(format!(
            "the cluster serves no metrics, or none of this: is there a metrics server? ({error})"
        ));
    }
    error.into()
}

async fn pods(scene: Scene<'_>, choice: PodChoice<'_>, containers: bool) -> Result<Vec<Item>, Unknown> {
    let selection = scene.selection(choice).await?;
    let place = Some(selection.namespace.as_str());
    let mut limits: BTreeMap<(String, String), Limit> = BTreeMap::new();
    let mut metrics: Vec<Value> = Vec::new();
    let limits_read = scene.each_pod(&selection, |pod| {
        let name = pod.metadata.name.unwrap_or_default();
        for container in pod.spec.into_iter().flat_map(|spec| spec.containers) {
            let of = container.resources.and_then(|resources| resources.limits).unwrap_or_default();
            let amount = |key: &str| Some(Amount::parse(&of.get(key)?.0).ok()?.to_f64());
            let limit = Limit { cpu: amount("cpu"), memory: amount("memory") };
            limits.insert((name.clone(), container.name), limit);
        }
    });
    limits_read.await?;
    match &selection.by {
        By::Name(name) => {
            metrics.push(scene.reads.get(&Resource::POD_METRICS, place, name).await.map_err(measured)?);
        }
        By::Labels(labels) => {
            let query = ListQuery { labels: Some(labels), ..ListQuery::default() };
            let read = scene.reads.each(&Resource::POD_METRICS, place, query, |pod| metrics.push(pod));
            read.await.map_err(measured)?;
        }
    }
    let mut items = Vec::new();
    for pod in &metrics {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let list = pod["containers"].as_array().into_iter().flatten();
        let each = list.map(|container| {
            let key = container["name"].as_str().unwrap_or_default().to_owned();
            let limit = limits.get(&(name.to_owned(), key.clone())).copied().unwrap_or_default();
            Item { name: name.to_owned(), container: Some(key), used: usage(container), limit }
        });
        if containers {
            items.extend(each);
        } else {
            items.extend(each.reduce(sum).map(|item| Item { container: None, ..item }));
        }
    }
    Ok(items)
}

/// Two containers of one pod. A limit of the whole is known only where both have one.
fn sum(a: Item, b: Item) -> Item {
    let both = |a: Option<f64>, b: Option<f64>| Some(a? + b?);
    Item {
        used: Use { cpu: a.used.cpu + b.used.cpu, memory: a.used.memory + b.used.memory },
        limit: Limit { cpu: both(a.limit.cpu, b.limit.cpu), memory: both(a.limit.memory, b.limit.memory) },
        ..a
    }
}

async fn nodes(scene: Scene<'_>, selector: Option<&str>) -> Result<Vec<Item>, Unknown> {
    let query = ListQuery { labels: selector, ..ListQuery::default() };
    let mut room: BTreeMap<String, Limit> = BTreeMap::new();
    let take = |node: Value| {
        let amount = |key: &str| {
            let of = node.pointer(&format!("/status/allocatable/{key}"))?.as_str()?;
            Some(Amount::parse(of).ok()?.to_f64())
        };
        let name = node["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        room.insert(name, Limit { cpu: amount("cpu"), memory: amount("memory") });
    };
    scene.reads.each(&Resource::NODES, None, query, take).await?;
    let mut items = Vec::new();
    let take = |node: Value| {
        let name = node["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let limit = room.get(&name).copied().unwrap_or_default();
        items.push(Item { name, container: None, used: usage(&node), limit });
    };
    scene.reads.each(&Resource::NODE_METRICS, None, query, take).await.map_err(measured)?;
    Ok(items)
}

fn usage(measured: &Value) -> Use {
    let amount = |key: &str| {
        let text = measured["usage"][key].as_str().unwrap_or("0");
        Amount::parse(text).map(Amount::to_f64).unwrap_or_default()
    };
    Use { cpu: amount("cpu"), memory: amount("memory") }
}

impl Item {
    fn cpu_share(&self) -> Option<f64> {
        self.limit.cpu.filter(|limit| *limit > 0.0).map(|limit| self.used.cpu / limit)
    }

    fn memory_share(&self) -> Option<f64> {
        self.limit.memory.filter(|limit| *limit > 0.0).map(|limit| self.used.memory / limit)
    }
}

fn evidence(items: &[Item]) -> Evidence {
    let most = |of: fn(&Item) -> f64| items.iter().map(of).max_by(f64::total_cmp).and_then(finite);
    let most_of =
        |of: fn(&Item) -> Option<f64>| items.iter().filter_map(of).max_by(f64::total_cmp).and_then(finite);
    let value = |item: &Item| {
        Value::Object(fields(json!({
            "name": item.name,
            "container": item.container,
            "cpu_cores": finite(item.used.cpu),
            "memory_bytes": finite(item.used.memory),
            "cpu_of_limit": item.cpu_share().and_then(finite),
            "memory_of_limit": item.memory_share().and_then(finite),
        })))
    };
    let percent =
        |share: Option<f64>| share.map(|s| format!(" ({:.0} % of its limit)", s * 100.0)).unwrap_or_default();
    let row = |item: &Item| {
        let container = item.container.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
        format!(
            "{}{container}  {} cores{}  {} MiB{}",
            item.name,
            shown(item.used.cpu),
            percent(item.cpu_share()),
            shown((item.used.memory / 1_048_576.0).round()),
            percent(item.memory_share()),
        )
    };
    let found = fields(json!({
        "count": items.len(),
        "cpu_cores": finite(items.iter().map(|item| item.used.cpu).sum()),
        "memory_bytes": finite(items.iter().map(|item| item.used.memory).sum()),
        "cpu_max_cores": most(|item| item.used.cpu),
        "memory_max_bytes": most(|item| item.used.memory),
        "cpu_of_limit_max": most_of(Item::cpu_share),
        "memory_of_limit_max": most_of(Item::memory_share),
        "items": whole_list(items.iter().map(value).collect()),
    }));
    let rows: Vec<String> = items.iter().map(row).collect();
    Evidence { fields: found, text: table(&rows) }
}
