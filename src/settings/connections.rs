//! Databases, brokers and registries that diagnostics look at and actions change, by names that rules use.
//!
//! A rule names a connection; it can never give an address. What actions may do at one is a list that is empty unless an
//! operator fills it, and Redis and PostgreSQL are only changed where `act` is there at all.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::BasicAuth;
use super::values::{HttpUrl, PlainOrSecret};
use crate::period::Period;
use crate::secret::SecretSources;

/// Time for one exchange: what takes longer in a database that is asked for its own state is a finding in itself.
const EXCHANGE_TIMEOUT: Period = Period::from_secs(5);

/// Databases, brokers and registries, by the names that rules use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Connections {
    /// Redis servers, by the name that rules use.
    pub redis: BTreeMap<String, Redis>,
    /// PostgreSQL databases, by the name that rules use.
    pub postgres: BTreeMap<String, Postgres>,
    /// RabbitMQ clusters, by the name that rules use.
    pub rabbitmq: BTreeMap<String, RabbitMq>,
    /// Container registries that `registry.image` may ask, by their hosts as images name them; `docker.io` for images that name none.
    pub registries: BTreeMap<String, Registry>,
}

/// A container registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Registry {
    /// Its address, where that is another than `https://` and its host.
    pub url: Option<HttpUrl>,
    /// User that may pull, and its password.
    pub basic_auth: Option<BasicAuth>,
    /// Hosts beside it that hand out its tokens and see these credentials, such as `auth.docker.io`.
    pub token_hosts: Vec<String>,
    /// Certificates in PEM to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Time for one question, at most 20s.
    pub timeout: Period,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            url: None,
            basic_auth: None,
            token_hosts: Vec::new(),
            ca_file: None,
            timeout: EXCHANGE_TIMEOUT,
        }
    }
}

/// A Redis server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Redis {
    /// `redis://host:6379`, or `rediss://…` with TLS. An address with a password is a secret.
    #[schemars(required)]
    pub url: PlainOrSecret,
    /// User of Redis' access control lists. Default: that of the address.
    pub username: Option<String>,
    /// Its password. Default: that of the address.
    pub password: SecretSources,
    /// Certificates in PEM to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Time for one exchange, at most 20s.
    pub timeout: Period,
    /// What `redis.op` may do, and as whom. Without it nothing is changed.
    pub act: Option<RedisAct>,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            url: PlainOrSecret::Plain(String::new()),
            username: None,
            password: SecretSources::default(),
            ca_file: None,
            timeout: EXCHANGE_TIMEOUT,
            act: None,
        }
    }
}

/// What `redis.op` may do at one server, and as whom.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RedisAct {
    /// User to act as. Default: the one that reads.
    pub username: Option<String>,
    /// Its password.
    pub password: SecretSources,
    /// Numbers of the databases that may be emptied. Default: none.
    pub flushdb: Vec<u16>,
    /// What keys begin with that may be deleted by a pattern, at least 3 characters, such as `cache:`. Default: none.
    pub delete_keys: Vec<String>,
    /// Whether it may be told to write its snapshot.
    pub bgsave: bool,
    /// Parameters of its configuration that may be set. Default: none.
    pub config_set: Vec<String>,
}

/// A PostgreSQL database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Postgres {
    /// `postgres://host:5432/database`. An address with a password is a secret.
    #[schemars(required)]
    pub url: PlainOrSecret,
    /// User to read as: one that can change nothing, with the role `pg_monitor`. Default: that of the address.
    pub username: Option<String>,
    /// Its password. Default: that of the address.
    pub password: SecretSources,
    /// Certificates in PEM to trust; the server must then show a good one.
    pub ca_file: Option<PathBuf>,
    /// Time for one statement, at most 20s.
    pub timeout: Period,
    /// Queries that `pg.query` may run beside its presets, by the name that rules use: one `SELECT` each.
    pub queries: BTreeMap<String, String>,
    /// What may be done here, and as whom. Without it nothing is changed.
    pub act: Option<PostgresAct>,
}

impl Default for Postgres {
    fn default() -> Self {
        Self {
            url: PlainOrSecret::Plain(String::new()),
            username: None,
            password: SecretSources::default(),
            ca_file: None,
            timeout: EXCHANGE_TIMEOUT,
            queries: BTreeMap::new(),
            act: None,
        }
    }
}

/// What may be done at one database, and as whom.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PostgresAct {
    /// User to act as: another one than the one that reads.
    #[schemars(required)]
    pub username: String,
    /// Its password.
    #[schemars(required)]
    pub password: SecretSources,
    /// Whose sessions `pg.terminate_idle` may end. Default: nobody's.
    pub terminate_idle: TerminateIdle,
    /// Tables that `pg.maintain` may work on, as `schema.table`. Default: none.
    pub maintain: Vec<String>,
}

/// Whose sessions may be ended: all of these lists must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TerminateIdle {
    /// Databases.
    pub databases: Vec<String>,
    /// Users.
    pub users: Vec<String>,
    /// What they call themselves (`application_name`). Default: anything.
    pub applications: Vec<String>,
}

/// A RabbitMQ cluster, by its management API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RabbitMq {
    /// Address of the management API, without `/api`.
    #[schemars(required)]
    pub url: HttpUrl,
    /// User with the tag `monitoring`, and its password.
    pub basic_auth: Option<BasicAuth>,
    /// Certificates in PEM to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Time for one question, at most 20s.
    pub timeout: Period,
}

impl Default for RabbitMq {
    fn default() -> Self {
        Self { url: HttpUrl::default(), basic_auth: None, ca_file: None, timeout: EXCHANGE_TIMEOUT }
    }
}
