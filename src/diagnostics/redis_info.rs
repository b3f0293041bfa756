//! `redis.info`: how a Redis server is: whether it answers and how fast, its clients, memory, keys and subscribers.
//!
//! A server that refuses connections, is full or does not answer is *known* not to serve. Where it is our own side that
//! cannot tell (credentials, certificates, a name that does not resolve), the finding is unknown.

mod numbers;

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::evidence::{Evidence, Unknown};
use super::{Entry, Moment, Tools};
use crate::clients::redis::{Failure, RedisError, RedisOptions, RedisReads};
use crate::domain::catalog::{
    CheckedParams, DiagnosticKind, ParamsError, Reference, Slot, SlotLanguage, no_access,
};
use crate::params;

use numbers::{Report, Section};

/// Longest time for one look: a connection and three round trips.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Kept back from the diagnostic's time, so that the better error comes first.
const ERROR_MARGIN: Duration = Duration::from_millis(250);

/// Most channels whose subscribers are counted.
const CHANNELS_MAX: usize = 50;

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "redis.info",
        summary: "Asks a Redis server for its own state: PING, INFO and, for channels that are named, PUBSUB NUMSUB.",
        fields: &[
            (
                "reachable",
                "Whether it serves us. All fields but `error` and `full` are left out where it does not.",
            ),
            ("full", "Whether it takes no more connections."),
            ("error", "Why it does not serve us. Left out where it does."),
            ("ping_ms", "How long a round trip takes. Left out while it loads its data."),
            ("version", "Its version."),
            ("role", "`master` or `slave`, as Redis says it."),
            ("uptime_seconds", "How long it has been running."),
            ("loading", "Whether it is still loading its data."),
            ("connected_clients", "How many clients are connected."),
            ("blocked_clients", "How many of them wait for something."),
            ("maxclients", "How many may be connected."),
            ("clients_percent", "How much of that is taken."),
            ("used_memory", "Memory in use, in bytes."),
            ("maxmemory", "Memory that it may use, in bytes; 0 for any."),
            ("memory_percent", "How much of that is in use. Left out where it may use any."),
            ("fragmentation_ratio", "Memory of the process by memory in use."),
            ("maxmemory_policy", "What it does when its memory is full."),
            ("evicted_keys", "How many keys it threw out since its start."),
            ("hits", "Lookups that found a key since its start."),
            ("misses", "Lookups that found none since its start."),
            ("hit_ratio", "Share of hits among them, from 0 to 1. Left out where there were none."),
            ("rejected_connections", "How many connections it refused since its start."),
            ("ops_per_second", "Commands a second."),
            ("pubsub_channels", "Channels that have subscribers."),
            ("pubsub_patterns", "Patterns that have subscribers."),
            ("subscribers", "Subscribers of each channel of `channels`, by its name."),
            ("subscribers_min", "The fewest among them."),
            ("rdb_ok", "Whether its last snapshot was written."),
            ("rdb_age_seconds", "How old that is."),
            (
                "aof_ok",
                "Whether its last write to the append-only file succeeded. Left out where it keeps none.",
            ),
            ("replicas", "How many replicas are connected."),
            ("master_link_up", "Whether a replica hears from its master. Left out for a master."),
            ("keys", "How many keys there are in all databases."),
            ("databases", "Databases that hold keys, with `db`, `keys` and `expires`."),
        ],
        timeout: TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access: no_access,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `redis.info`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Name of a server in the settings, under `connections.redis`.
    #[schemars(length(min = 1, max = 200))]
    connection: String,
    /// What to look at. Default: everything.
    #[serde(default)]
    sections: Vec<Section>,
    /// Channels whose subscribers to count, at most 50. May hold templates.
    #[serde(default)]
    channels: Vec<String>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { connection, channels, .. } = params::read(params)?;
    super::access::fixed_connection(&connection)?;
    if !channels.is_empty() {
        params::count_within("/channels", channels.len(), CHANNELS_MAX, "channels")?;
    }
    let mut slots = Vec::new();
    for (index, channel) in channels.iter().enumerate() {
        let place = format!("/channels/{index}");
        params::text_within(&place, channel, 500)?;
        slots.push(Slot::new(place, SlotLanguage::Text));
    }
    let reference = Reference::Connection { section: "connections.redis", name: connection, acts: false };
    Ok(CheckedParams { slots, references: vec![reference], ..CheckedParams::default() })
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { connection, sections, channels } = params::read(params)?;
    let access = tools.connections.redis.get(&connection).ok_or_else(|| {
        Unknown::new(format!("there is no `{connection}` under `connections.redis` in the settings"))
    })?;
    let mut options = access.now();
    let room = moment.timeout.saturating_sub(ERROR_MARGIN).max(ERROR_MARGIN);
    options.timeout = options.timeout.min(room);
    match look(&options, &channels).await {
        Ok(report) => Ok(report.evidence(&sections, moment.now)),
        Err(error) if error.is_down() => Ok(down(&error)),
        Err(error) => Err(error.into()),
    }
}

async fn look(options: &RedisOptions, channels: &[String]) -> Result<Report, RedisError> {
    let mut redis = RedisReads::connect(options, None).await?;
    // A server that loads its data answers INFO and not PING.
    let ping = match redis.ping().await {
        Ok(ping) => Some(ping),
        Err(RedisError { failure: Failure::Busy(_), .. }) => None,
        Err(error) => return Err(error),
    };
    let info = redis.info().await?;
    let subscribers = if channels.is_empty() { Vec::new() } else { redis.subscribers(channels).await? };
    Ok(Report { place: redis.place().to_owned(), ping, info, subscribers })
}

fn down(error: &RedisError) -> Evidence {
    let text = error.to_string();
    let mut fields = Map::new();
    fields.insert("reachable".to_owned(), json!(false));
    fields.insert("full".to_owned(), json!(error.failure == Failure::Full));
    fields.insert("error".to_owned(), json!(text));
    Evidence { fields, text, chart: None }
}
