//! From what a Redis server says of itself to fields and lines. What it does not say has no field: never zero.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::diagnostics::evidence::{Evidence, finite, shown, table, whole_list};
use crate::domain::timeline::one_line;

/// Characters of a channel's name that are shown.
const NAME_CHARS_MAX: usize = 120;

/// A part of what is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Section {
    /// Version, role, uptime.
    Server,
    /// Connected, blocked, allowed.
    Clients,
    /// Use, limit, fragmentation, evictions.
    Memory,
    /// Hits, misses, commands.
    Stats,
    /// Channels and subscribers.
    Pubsub,
    /// Snapshot and append-only file.
    Persistence,
    /// Replicas and master.
    Replication,
    /// Keys by database.
    Keyspace,
}

const ALL: [Section; 8] = [
    Section::Server,
    Section::Clients,
    Section::Memory,
    Section::Stats,
    Section::Pubsub,
    Section::Persistence,
    Section::Replication,
    Section::Keyspace,
];

/// What was seen.
pub(super) struct Report {
    pub(super) place: String,
    pub(super) ping: Option<Duration>,
    pub(super) info: BTreeMap<String, String>,
    pub(super) subscribers: Vec<(String, u64)>,
}

impl Report {
    /// The finding over these sections; all of them where none is named.
    pub(super) fn evidence(&self, sections: &[Section], now: Timestamp) -> Evidence {
        let sections = if sections.is_empty() { &ALL[..] } else { sections };
        let mut fields = Map::new();
        fields.insert("reachable".to_owned(), json!(true));
        fields.insert("full".to_owned(), json!(false));
        let ping_ms = self.ping.and_then(|ping| finite((ping.as_secs_f64() * 100_000.0).round() / 100.0));
        let mut lines = vec![match &ping_ms {
            Some(ping) => format!("{}: answers in {ping} ms", self.place),
            None => format!("{}: answers, and is loading its data", self.place),
        }];
        fields.extend(ping_ms.map(|ping| ("ping_ms".to_owned(), ping)));
        for section in sections {
            let found = self.section(*section, now);
            let known: Vec<String> = found
                .iter()
                .filter(|(_, value)| !value.is_null() && !value.is_array() && !value.is_object())
                .map(|(name, value)| format!("{name} {}", word(value)))
                .collect();
            if !known.is_empty() {
                lines.push(known.join(", "));
            }
            fields.extend(
                found
                    .into_iter()
                    .filter(|(_, value)| !value.is_null())
                    .map(|(name, value)| (name.to_owned(), value)),
            );
        }
        if sections.contains(&Section::Keyspace) {
            lines.push(table(&self.databases().iter().map(database_line).collect::<Vec<_>>()));
        }
        let channels = self.subscribers.iter();
        lines.push(table(
            &channels
                .map(|(name, count)| {
                    format!("channel {}: {count} subscribers", one_line(name, NAME_CHARS_MAX))
                })
                .collect::<Vec<_>>(),
        ));
        lines.retain(|line| !line.is_empty());
        Evidence { fields, text: lines.join("\n"), chart: None }
    }

    fn section(&self, section: Section, now: Timestamp) -> Vec<(&'static str, Value)> {
        match section {
            Section::Server => vec![
                ("version", self.text("redis_version")),
                ("role", self.text("role")),
                ("uptime_seconds", self.number("uptime_in_seconds")),
                ("loading", self.flag("loading", "1")),
            ],
            Section::Clients => vec![
                ("connected_clients", self.number("connected_clients")),
                ("blocked_clients", self.number("blocked_clients")),
                ("maxclients", self.number("maxclients")),
                ("clients_percent", self.percent("connected_clients", "maxclients")),
            ],
            Section::Memory => vec![
                ("used_memory", self.number("used_memory")),
                ("maxmemory", self.number("maxmemory")),
                ("memory_percent", self.percent("used_memory", "maxmemory")),
                ("fragmentation_ratio", self.number("mem_fragmentation_ratio")),
                ("maxmemory_policy", self.text("maxmemory_policy")),
                ("evicted_keys", self.number("evicted_keys")),
            ],
            Section::Stats => {
                let (hits, misses) = (self.of("keyspace_hits"), self.of("keyspace_misses"));
                let ratio = hits.zip(misses).filter(|(hits, misses)| hits + misses > 0.0);
                let ratio = ratio.and_then(|(hits, misses)| finite(hits / (hits + misses)));
                vec![
                    ("hits", self.number("keyspace_hits")),
                    ("misses", self.number("keyspace_misses")),
                    ("hit_ratio", ratio.unwrap_or_default()),
                    ("rejected_connections", self.number("rejected_connections")),
                    ("ops_per_second", self.number("instantaneous_ops_per_sec")),
                ]
            }
            Section::Pubsub => {
                let counts: Map<String, Value> =
                    self.subscribers.iter().map(|(name, count)| (name.clone(), json!(count))).collect();
                let fewest = self.subscribers.iter().map(|(_, count)| *count).min();
                vec![
                    ("pubsub_channels", self.number("pubsub_channels")),
                    ("pubsub_patterns", self.number("pubsub_patterns")),
                    ("subscribers", if counts.is_empty() { Value::Null } else { Value::Object(counts) }),
                    ("subscribers_min", json!(fewest)),
                ]
            }
            Section::Persistence => {
                let age = self.of("rdb_last_save_time").map(|at| (now.as_second() - at as i64).max(0));
                let keeps_aof = self.info.get("aof_enabled").is_some_and(|on| on == "1");
                let aof = if keeps_aof { self.flag("aof_last_write_status", "ok") } else { Value::Null };
                vec![
                    ("rdb_ok", self.flag("rdb_last_bgsave_status", "ok")),
                    ("rdb_age_seconds", json!(age)),
                    ("aof_ok", aof),
                ]
            }
            Section::Replication => vec![
                ("replicas", self.number("connected_slaves")),
                ("master_link_up", self.flag("master_link_status", "up")),
            ],
            Section::Keyspace => {
                let databases = self.databases();
                let keys: u64 = databases.iter().filter_map(|database| database["keys"].as_u64()).sum();
                vec![("keys", json!(keys)), ("databases", whole_list(databases).unwrap_or_default())]
            }
        }
    }

    fn text(&self, name: &str) -> Value {
        json!(self.info.get(name))
    }

    fn of(&self, name: &str) -> Option<f64> {
        self.info.get(name)?.parse().ok()
    }

    fn number(&self, name: &str) -> Value {
        let Some(text) = self.info.get(name) else { return Value::Null };
        match text.parse::<i64>() {
            Ok(whole) => json!(whole),
            Err(_) => text.parse().ok().and_then(finite).unwrap_or_default(),
        }
    }

    fn flag(&self, name: &str, yes: &str) -> Value {
        json!(self.info.get(name).map(|value| value == yes))
    }

    fn percent(&self, part: &str, whole: &str) -> Value {
        let ratio = self.of(part).zip(self.of(whole)).filter(|(_, whole)| *whole > 0.0);
        let percent = ratio.map(|(part, whole)| (part / whole * 1_000.0).round() / 10.0);
        percent.and_then(finite).unwrap_or_default()
    }

    /// `db0:keys=5,expires=1,avg_ttl=0`.
    fn databases(&self) -> Vec<Value> {
        let of = |(name, value): (&String, &String)| {
            let number: u64 = name.strip_prefix("db")?.parse().ok()?;
            let part = |key: &str| -> Option<u64> {
                value.split(',').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
            };
            Some(json!({"db": number, "keys": part("keys")?, "expires": part("expires")}))
        };
        let mut found: Vec<Value> = self.info.iter().filter_map(of).collect();
        found.sort_by_key(|database| database["db"].as_u64());
        found
    }
}

fn database_line(database: &Value) -> String {
    format!(
        "db {}: {} keys, {} of them with an expiry",
        database["db"], database["keys"], database["expires"]
    )
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if !number.is_i64() && !number.is_u64() => shown(float),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}
