//! What actions are given of the connections of the settings: how to reach them under an identity that may change
//! something, and the lists of what may be done there. A connection without `act` is not here at all.

use std::collections::BTreeMap;

use crate::clients::alertmanager::api::AlertmanagerClient;
use crate::clients::postgres::PgOptions;
use crate::clients::redis::RedisOptions;
use crate::period::Period;
use crate::secret::Fresh;

/// Connections by name.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    /// Redis servers.
    pub redis: BTreeMap<String, RedisAccess>,
    /// PostgreSQL databases.
    pub postgres: BTreeMap<String, PgAccess>,
    /// Alertmanager.
    pub alertmanager: Option<Silencing>,
}

/// The Alertmanager of the settings, for silences.
#[derive(Debug, Clone)]
pub struct Silencing {
    /// Its peers, with credentials as they are now.
    pub peers: Fresh<Vec<AlertmanagerClient>>,
    /// Longest silence.
    pub silence_max: Period,
}

/// Fewest characters before the first wildcard of a pattern of keys, and of what the settings allow there: a lone `*` is
/// everything.
pub const DELETE_PREFIX_CHARS_MIN: usize = 3;

/// A Redis server, and what may be done there.
#[derive(Debug, Clone)]
pub struct RedisAccess {
    /// How to reach it, with secrets as they are now.
    pub options: Fresh<RedisOptions>,
    /// Databases that may be emptied.
    pub flushdb: Vec<u16>,
    /// What keys begin with that may be deleted by a pattern.
    pub delete_keys: Vec<String>,
    /// Whether it may be told to write its snapshot.
    pub bgsave: bool,
    /// Parameters that may be set.
    pub config_set: Vec<String>,
}

/// A PostgreSQL database, and what may be done there.
#[derive(Debug, Clone)]
pub struct PgAccess {
    /// How to reach it, with secrets as they are now.
    pub options: Fresh<PgOptions>,
    /// Whose sessions may be ended.
    pub terminate_idle: IdleSessions,
    /// Tables that may be worked on, as `schema.table`.
    pub maintain: Vec<String>,
}

/// Whose sessions may be ended.
#[derive(Debug, Clone, Default)]
pub struct IdleSessions {
    /// In these databases; none where empty.
    pub databases: Vec<String>,
    /// Of these users; none where empty.
    pub users: Vec<String>,
    /// Of these applications; any where empty.
    pub applications: Vec<String>,
}
