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

const CPU: &str = "cpu";
const MEMORY: &str = "memory";

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "k8s.top",
        summary: "Shows processor and memory in use by pods or nodes, and how close pods are to their limits.",
        fields: &[
            ("count", "How many pods, containers or nodes were measured."),
            (
                "unread",
                "How many of them have a quantity that cannot be read; sums and largest values over such a one are left out.",
            ),
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
                "Each with `name`, `container`, `cpu_cores`, `memory_bytes`, `cpu_of_limit`, `memory_of_limit`, and `unread`, why one of these is missing; left out where they are too many to keep.",
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

/// One line of the list.
struct Item {
    name: String,
    container: Option<String>,
    cpu: Use,
    memory: Use,
}

/// What is in use of cores or bytes, and of how many.
#[derive(Debug, Clone, Default)]
struct Use {
    /// Nothing where it cannot be read, and then `unread` says why.
    used: Option<f64>,
    limit: Option<f64>,
    /// Why a quantity cannot be read. It is not counted as nothing: that would be a healthy value.
    unread: Option<String>,
}

/// The quantity under each name, where there is one, or why it cannot be read.
type Quantities = BTreeMap<&'static str, Result<f64, String>>;

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
    if let Some(why) = nothing_read(&items) {
        return Err(Unknown::new(why));
    }
    // What nobody knows may be the most of all.
    let key =
        |item: &Item| if sort == Sort::Cpu { &item.cpu } else { &item.memory }.used.unwrap_or(f64::INFINITY);
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
    let mut limits: BTreeMap<(String, String), Quantities> = BTreeMap::new();
    let mut metrics: Vec<Value> = Vec::new();
    let limits_read = scene.each_pod(&selection, |pod| {
        let name = pod.metadata.name.unwrap_or_default();
        for container in pod.spec.into_iter().flat_map(|spec| spec.containers) {
            let of = container.resources.and_then(|resources| resources.limits).unwrap_or_default();
            let limit = quantities("limit", |key| of.get(key).map(|quantity| quantity.0.as_str()));
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
            Item::of(name, container, limits.get(&(name.to_owned(), key.clone())), Some(key))
        });
        if containers {
            items.extend(each);
        } else {
            items.extend(each.reduce(sum).map(|item| Item { container: None, ..item }));
        }
    }
    Ok(items)
}

/// Two containers of one pod. What is known of the whole is what is known of both.
fn sum(a: Item, b: Item) -> Item {
    let both = |a: Use, b: Use| Use {
        used: a.used.zip(b.used).map(|(a, b)| a + b),
        limit: a.limit.zip(b.limit).map(|(a, b)| a + b),
        unread: a.unread.or(b.unread),
    };
    Item { cpu: both(a.cpu, b.cpu), memory: both(a.memory, b.memory), ..a }
}

async fn nodes(scene: Scene<'_>, selector: Option<&str>) -> Result<Vec<Item>, Unknown> {
    let query = ListQuery { labels: selector, ..ListQuery::default() };
    let mut room: BTreeMap<String, Quantities> = BTreeMap::new();
    let take = |node: Value| {
        let of = &node["status"]["allocatable"];
        let name = node["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        room.insert(name, quantities("allocatable", |key| of[key].as_str()));
    };
    scene.reads.each(&Resource::NODES, None, query, take).await?;
    let mut items = Vec::new();
    let take = |node: Value| {
        let name = node["metadata"]["name"].as_str().unwrap_or_default();
        items.push(Item::of(name, &node, room.get(name), None));
    };
    scene.reads.each(&Resource::NODE_METRICS, None, query, take).await.map_err(measured)?;
    Ok(items)
}

/// Cores and bytes out of what `text` gives for their names.
fn quantities<'t>(what: &str, text: impl Fn(&str) -> Option<&'t str>) -> Quantities {
    let read = |text: &str| Amount::parse(text).map(Amount::to_f64);
    let named = |key| Some((key, read(text(key)?).map_err(|error| format!("its {key} ({what}): {error}"))));
    [CPU, MEMORY].into_iter().filter_map(named).collect()
}

/// Why there is nothing to tell; `None` where something was read.
fn nothing_read(items: &[Item]) -> Option<String> {
    let uses = || items.iter().flat_map(|item| [(item, &item.cpu), (item, &item.memory)]);
    if uses().any(|(_, one)| one.used.is_some()) {
        return None;
    }
    uses().find_map(|(item, one)| Some(format!("{}: {}", item.shown(), one.unread.as_ref()?)))
}

impl Item {
    fn of(name: &str, measured: &Value, limits: Option<&Quantities>, container: Option<String>) -> Self {
        let used = quantities("in use", |key| measured["usage"][key].as_str());
        let one = |key: &str| {
            let used =
                used.get(key).cloned().unwrap_or_else(|| Err(format!("its {key} (in use): not measured")));
            let limit = limits.and_then(|limits| limits.get(key)).cloned().transpose();
            let unread = used.as_ref().err().or(limit.as_ref().err()).cloned();
            Use { used: used.ok(), limit: limit.ok().flatten(), unread }
        };
        Self { name: name.to_owned(), container, cpu: one(CPU), memory: one(MEMORY) }
    }

    fn shown(&self) -> String {
        let container = self.container.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
        format!("{}{container}", self.name)
    }

    fn unread(&self) -> Option<String> {
        let why: Vec<&str> =
            [&self.cpu, &self.memory].into_iter().filter_map(|one| one.unread.as_deref()).collect();
        (!why.is_empty()).then(|| why.join("; "))
    }
}

impl Use {
    fn share(&self) -> Option<f64> {
        Some(self.used? / self.limit.filter(|limit| *limit > 0.0)?)
    }
}

fn evidence(items: &[Item]) -> Evidence {
    // Over one that nobody knows there is neither a sum nor a largest: they would be too small.
    let whole =
        |of: fn(&Item) -> &Use| -> Option<Vec<f64>> { items.iter().map(|item| of(item).used).collect() };
    let sum = |of| whole(of).and_then(|all| finite(all.into_iter().sum()));
    let most = |of| whole(of).and_then(|all| finite(all.into_iter().max_by(f64::total_cmp)?));
    let most_of = |of: fn(&Item) -> &Use| {
        let all_read = items.iter().all(|item| of(item).unread.is_none());
        let shares = items.iter().filter_map(|item| of(item).share());
        shares.max_by(f64::total_cmp).filter(|_| all_read).and_then(finite)
    };
    let cpu: fn(&Item) -> &Use = |item| &item.cpu;
    let memory: fn(&Item) -> &Use = |item| &item.memory;
    let value = |item: &Item| {
        Value::Object(fields(json!({
            "name": item.name,
            "container": item.container,
            "cpu_cores": item.cpu.used.and_then(finite),
            "memory_bytes": item.memory.used.and_then(finite),
            "cpu_of_limit": item.cpu.share().and_then(finite),
            "memory_of_limit": item.memory.share().and_then(finite),
            "unread": item.unread(),
        })))
    };
    let percent =
        |share: Option<f64>| share.map(|s| format!(" ({:.0} % of its limit)", s * 100.0)).unwrap_or_default();
    let amount = |used: Option<f64>| used.map_or_else(|| "unknown".to_owned(), shown);
    let row = |item: &Item| {
        let unread = item.unread().map(|why| format!(": {why}")).unwrap_or_default();
        format!(
            "{}  {} cores{}  {} MiB{}{unread}",
            item.shown(),
            amount(item.cpu.used),
            percent(item.cpu.share()),
            amount(item.memory.used.map(|bytes| (bytes / 1_048_576.0).round())),
            percent(item.memory.share()),
        )
    };
    let found = fields(json!({
        "count": items.len(),
        "unread": items.iter().filter(|item| item.unread().is_some()).count(),
        "cpu_cores": sum(cpu),
        "memory_bytes": sum(memory),
        "cpu_max_cores": most(cpu),
        "memory_max_bytes": most(memory),
        "cpu_of_limit_max": most_of(cpu),
        "memory_of_limit_max": most_of(memory),
        "items": whole_list(items.iter().map(value).collect()),
    }));
    let rows: Vec<String> = items.iter().map(row).collect();
    Evidence { fields: found, text: table(&rows), chart: None }
}
