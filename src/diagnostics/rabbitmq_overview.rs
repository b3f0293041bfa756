//! `rabbitmq.overview`: how a RabbitMQ cluster is: nodes and alarms, connections, messages that wait, queues without
//! consumers.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::access::RabbitAccess;
use super::evidence::{Evidence, Unknown, table, whole_list};
use super::k8s::fields;
use super::{Entry, Moment, Tools};
use crate::clients::rabbitmq::RabbitError;
use crate::domain::catalog::{
    CheckedParams, DiagnosticKind, ParamsError, Reference, Slot, SlotLanguage, no_access,
};
use crate::domain::timeline::one_line;
use crate::params;

/// Longest time for one look: four questions.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Kept back from the diagnostic's time, so that the better error comes first.
const ERROR_MARGIN: Duration = Duration::from_millis(250);

/// Queues that are looked at: those with the most messages.
const QUEUES_MAX: usize = 500;

/// Queues that are kept in the finding.
const QUEUES_KEPT_MAX: usize = 50;

const SECTION: &str = "connections.rabbitmq";

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "rabbitmq.overview",
        summary: "Asks RabbitMQ's management API how the cluster is: nodes, alarms, connections, messages and queues. What \
                  the statistics do not hold yet is left out.",
        fields: &[
            ("reachable", "Whether it answers. All fields but `error` are left out where it does not."),
            ("error", "Why it does not. Left out where it does."),
            ("version", "Its version."),
            ("nodes", "How many nodes the cluster has."),
            ("running_nodes", "How many of them run."),
            ("memory_alarm", "Whether a node blocks publishers because its memory is used up."),
            ("disk_alarm", "Whether a node blocks publishers because its disk is full."),
            ("partitioned", "Whether nodes do not see each other."),
            ("connections", "Connections of clients."),
            ("channels", "Channels within them."),
            ("consumers", "Consumers."),
            ("queues", "How many queues there are, of `vhost` where it is set."),
            ("messages", "Messages that wait or are being worked on, of `vhost` where it is set."),
            ("messages_ready", "Those that wait."),
            ("messages_unacknowledged", "Those that are being worked on."),
            ("publish_per_second", "Messages that come in, over all virtual hosts."),
            ("deliver_per_second", "Messages that are handed out, over all virtual hosts."),
            ("largest_queue", "The queue with the most messages. Left out where there is none."),
            ("largest_queue_messages", "How many it has."),
            (
                "queues_without_consumers",
                "Queues with messages and nobody to take them, among the 500 largest.",
            ),
            ("down_queues", "Queues that are not running, among the 500 largest."),
            ("top", "The 50 largest queues with `name`, `vhost`, `messages`, `consumers`, `state`."),
        ],
        timeout: TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access: no_access,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `rabbitmq.overview`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Name of a cluster in the settings, under `connections.rabbitmq`.
    #[schemars(length(min = 1, max = 200))]
    connection: String,
    /// Only queues of this virtual host, such as `/`. Default: all. May hold templates.
    #[schemars(length(min = 1, max = 200))]
    vhost: Option<String>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { connection, vhost } = params::read(params)?;
    super::access::fixed_connection(&connection)?;
    let mut slots = Vec::new();
    if let Some(vhost) = &vhost {
        params::text_within("/vhost", vhost, 200)?;
        slots.push(Slot::new("/vhost", SlotLanguage::Text));
    }
    let reference = Reference::Connection { section: SECTION, name: connection, acts: false };
    Ok(CheckedParams { slots, references: vec![reference], ..CheckedParams::default() })
}

/// What was seen.
struct Seen {
    overview: Value,
    nodes: Vec<Value>,
    totals: Value,
    queues: Vec<Value>,
    count: u64,
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { connection, vhost } = params::read(params)?;
    // A step of a path that climbs leads elsewhere, however it is encoded.
    if vhost.as_deref().is_some_and(|vhost| matches!(vhost.trim(), "" | "." | "..")) {
        return Err(Unknown::new("this is no name of a virtual host"));
    }
    let access = tools.connections.rabbitmq.get(&connection).ok_or_else(|| {
        Unknown::new(format!("there is no `{connection}` under `{SECTION}` in the settings"))
    })?;
    let room = moment.timeout.saturating_sub(ERROR_MARGIN).max(ERROR_MARGIN);
    match look(access, vhost.as_deref(), access.timeout.min(room)).await {
        Ok(seen) => Ok(evidence(&seen)),
        Err(error) if error.is_down() => {
            let text = error.to_string();
            let mut fields = Map::new();
            fields.insert("reachable".to_owned(), json!(false));
            fields.insert("error".to_owned(), json!(text));
            Ok(Evidence { fields, text, chart: None })
        }
        Err(error) => Err(Unknown::new(error.to_string())),
    }
}

async fn look(access: &RabbitAccess, vhost: Option<&str>, timeout: Duration) -> Result<Seen, RabbitError> {
    let client = access.client.now();
    let (overview, nodes, queues) = tokio::try_join!(
        client.overview(timeout),
        client.nodes(timeout),
        client.queues(vhost, QUEUES_MAX, timeout)
    )?;
    let totals = match vhost {
        Some(vhost) => client.vhost(vhost, timeout).await?,
        None => overview["queue_totals"].clone(),
    };
    let (queues, count) = queues;
    Ok(Seen { overview, nodes, totals, queues, count })
}

/// Whether this is so at any node; nothing where no node that runs says so or not.
fn any(nodes: &[Value], is: impl Fn(&Value) -> Option<bool>) -> Value {
    let said: Vec<bool> = nodes.iter().filter_map(is).collect();
    if said.is_empty() { Value::Null } else { json!(said.contains(&true)) }
}

fn evidence(seen: &Seen) -> Evidence {
    let Seen { overview, nodes, totals, queues, count } = seen;
    let running = nodes.iter().filter(|node| node["running"] == true).count();
    let alarm = |name: &str| any(nodes, |node| node[name].as_bool());
    let partitioned = any(nodes, |node| node["partitions"].as_array().map(|list| !list.is_empty()));
    let messages = |queue: &Value| queue["messages"].as_u64();
    let name = |queue: &Value| one_line(queue["name"].as_str().unwrap_or_default(), 200);
    let largest = queues.iter().filter(|queue| messages(queue).is_some()).max_by_key(|queue| messages(queue));
    let lonely = queues.iter().filter(|queue| {
        messages(queue).is_some_and(|messages| messages > 0) && queue["consumers"].as_u64() == Some(0)
    });
    let down = queues.iter().filter(|queue| {
        queue["state"].as_str().is_some_and(|state| !matches!(state, "running" | "idle" | "flow"))
    });
    let rate = |name: &str| overview["message_stats"][format!("{name}_details")]["rate"].clone();
    let list: Vec<Value> = queues
        .iter()
        .take(QUEUES_KEPT_MAX)
        .map(|queue| {
            json!({
                "name": name(queue), "vhost": queue["vhost"], "messages": queue["messages"],
                "consumers": queue["consumers"], "state": queue["state"],
            })
        })
        .collect();
    let found = fields(json!({
        "reachable": true,
        "version": overview["rabbitmq_version"],
        "nodes": nodes.len(),
        "running_nodes": running,
        "memory_alarm": alarm("mem_alarm"),
        "disk_alarm": alarm("disk_free_alarm"),
        "partitioned": partitioned,
        "connections": overview["object_totals"]["connections"],
        "channels": overview["object_totals"]["channels"],
        "consumers": overview["object_totals"]["consumers"],
        "queues": count,
        "messages": totals["messages"],
        "messages_ready": totals["messages_ready"],
        "messages_unacknowledged": totals["messages_unacknowledged"],
        "publish_per_second": rate("publish"),
        "deliver_per_second": rate("deliver_get"),
        "largest_queue": largest.map(name),
        "largest_queue_messages": largest.and_then(messages),
        "queues_without_consumers": lonely.count(),
        "down_queues": down.count(),
        "top": whole_list(list),
    }));
    let head = ["version", "nodes", "running_nodes", "connections", "queues", "messages", "messages_ready"];
    let shown = head.iter().filter_map(|name| Some(format!("{name} {}", word(found.get(*name)?))));
    let mut lines = vec![shown.collect::<Vec<_>>().join(", ")];
    for (field, words) in [
        ("memory_alarm", "a node blocks publishers: its memory is used up"),
        ("disk_alarm", "a node blocks publishers: its disk is full"),
        ("partitioned", "nodes do not see each other"),
    ] {
        if found.get(field) == Some(&json!(true)) {
            lines.push(words.to_owned());
        }
    }
    let rows: Vec<String> = queues
        .iter()
        .filter(|queue| messages(queue).is_some_and(|messages| messages > 0))
        .map(|queue| {
            format!("{}: {} messages, {} consumers", name(queue), queue["messages"], queue["consumers"])
        })
        .collect();
    if !rows.is_empty() {
        lines.push(table(&rows));
    }
    Evidence { fields: found, text: lines.join("\n"), chart: None }
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
