//! `k8s.nodes`: whether the nodes are ready, and which are short of something.

use k8s_openapi::api::core::v1::Node;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::evidence::{Evidence, Unknown, table, whole_list};
use super::k8s::{Scene, ago, checked, fields};
use super::{Entry, Moment, Tools, k8s};
use crate::clients::kubernetes::{ListQuery, Resource};
use crate::domain::catalog::{AccessNeed, CheckedParams, DiagnosticKind, ParamsError};
use crate::domain::timeline::one_line;
use crate::params;

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "k8s.nodes",
        summary: "Lists nodes: ready, cordoned, or short of memory, disk or processes.",
        fields: &[
            ("count", "How many nodes there are."),
            ("ready", "How many are ready."),
            ("not_ready", "How many are not, or have not been heard of."),
            ("unschedulable", "How many take no new pods, as they are cordoned."),
            ("memory_pressure", "How many are short of memory."),
            ("disk_pressure", "How many are short of disk."),
            ("pid_pressure", "How many are short of process numbers."),
            (
                "nodes",
                "Each with `name`, `ready`, `unschedulable`, `pressure`, `version`, `cpu`, `memory`, `age_seconds`; left out where they are too many to keep.",
            ),
        ],
        timeout: k8s::TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access: |_, _| vec![AccessNeed::cluster("", "nodes", &["list"])],
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `k8s.nodes`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Selector over labels, such as `pool=batch`. Default: all nodes. May hold templates.
    #[schemars(length(min = 1, max = 2048))]
    selector: Option<String>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { selector } = params::read(params)?;
    checked(&[], selector.as_deref())
}

/// One node at a glance.
struct Glance {
    name: String,
    ready: bool,
    unschedulable: bool,
    pressure: Vec<&'static str>,
    words: String,
    value: Value,
    age_seconds: Option<i64>,
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { selector } = params::read(params)?;
    let scene = Scene::of(tools, moment)?;
    let query = ListQuery { labels: selector.as_deref(), ..ListQuery::default() };
    let mut nodes = Vec::new();
    scene.reads.each(&Resource::NODES, None, query, |node: Node| nodes.push(glance(scene, &node))).await?;
    nodes.sort_by_key(|node| (node.ready && node.pressure.is_empty(), node.name.clone()));
    Ok(evidence(&nodes))
}

fn glance(scene: Scene<'_>, node: &Node) -> Glance {
    let status = node.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let holds = |kind: &str| conditions.iter().any(|c| c.type_ == kind && c.status == "True");
    let pressures = [("memory", "MemoryPressure"), ("disk", "DiskPressure"), ("pid", "PIDPressure")];
    let pressure: Vec<&str> =
        pressures.into_iter().filter(|(_, kind)| holds(kind)).map(|(word, _)| word).collect();
    let ready = holds("Ready");
    let unready = conditions.iter().find(|c| c.type_ == "Ready" && !ready);
    let words = unready.map(|c| {
        let [reason, message] = [&c.reason, &c.message].map(|text| text.as_deref().unwrap_or_default());
        one_line(format!("{reason} {message}").trim(), 200)
    });
    let unschedulable = node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false);
    let room = |key: &str| {
        let of = status.allocatable.as_ref().and_then(|allocatable| allocatable.get(key));
        of.map(|quantity| quantity.0.clone())
    };
    let name = node.metadata.name.clone().unwrap_or_default();
    let age_seconds = scene.age_seconds(node.metadata.creation_timestamp.as_ref());
    let value = fields(json!({
        "name": name,
        "ready": ready,
        "unschedulable": unschedulable,
        "pressure": pressure,
        "version": status.node_info.map(|info| info.kubelet_version),
        "cpu": room("cpu"),
        "memory": room("memory"),
        "age_seconds": age_seconds,
    }));
    Glance {
        name,
        ready,
        unschedulable,
        pressure,
        words: words.unwrap_or_default(),
        value: Value::Object(value),
        age_seconds,
    }
}

fn evidence(nodes: &[Glance]) -> Evidence {
    let count = |is: &dyn Fn(&Glance) -> bool| nodes.iter().filter(|node| is(node)).count();
    let pressed = |word: &'static str| count(&|node| node.pressure.contains(&word));
    let ready = count(&|node| node.ready);
    let row = |node: &Glance| {
        let mut row = format!("{}  {}", node.name, if node.ready { "Ready" } else { "NotReady" });
        if node.unschedulable {
            row += "  cordoned";
        }
        for word in &node.pressure {
            row += &format!("  short of {word}");
        }
        if let Some(age) = node.age_seconds {
            row += &format!("  age {}", ago(age));
        }
        if !node.words.is_empty() {
            row += &format!("  ({})", node.words);
        }
        row
    };
    let rows: Vec<String> = nodes.iter().map(row).collect();
    let found = fields(json!({
        "count": nodes.len(),
        "ready": ready,
        "not_ready": nodes.len() - ready,
        "unschedulable": count(&|node| node.unschedulable),
        "memory_pressure": pressed("memory"),
        "disk_pressure": pressed("disk"),
        "pid_pressure": pressed("pid"),
        "nodes": whole_list(nodes.iter().map(|node| node.value.clone()).collect()),
    }));
    let head = format!("{ready} of {} nodes are ready", nodes.len());
    Evidence { fields: found, text: [head, table(&rows)].join("\n").trim_end().to_owned(), chart: None }
}
