//! Redis, as far as it is asked for its own state, and the few commands that change something.
//!
//! [`RedisReads`] has only commands that read. [`RedisHand`] is what changes something, and only `actions/` is given it.
//! One connection for each use, and one command at a time: whoever looks at a server in trouble must not hold
//! connections of it. `MONITOR`, `KEYS`, `SAVE` and `FLUSHALL` are not here at all: they harm a server in trouble.

pub mod error;

use std::collections::BTreeMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

pub use error::{Failure, RedisError};

use super::http::install_crypto_provider;
use error::failure_of;

/// Time to find the address and finish the handshakes, where the exchange has more.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// Where a server is, and as whom to speak to it.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// `redis://…` or `rediss://…`; may hold a user and a password.
    pub url: SecretString,
    /// The user, instead of the one in the address.
    pub username: Option<String>,
    /// The password, instead of the one in the address.
    pub password: Option<SecretString>,
    /// Certificates in PEM to trust instead of the system's.
    pub authorities_pem: Option<Vec<u8>>,
    /// Time for one exchange.
    pub timeout: Duration,
}

/// A connection on which nothing can be changed.
pub struct RedisReads {
    connection: MultiplexedConnection,
    place: String,
}

/// A connection on which something can be changed. It reads as well.
pub struct RedisHand(RedisReads);

impl RedisReads {
    /// Connects, signs in and chooses a database.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn connect(options: &RedisOptions, database: Option<u16>) -> Result<Self, RedisError> {
        install_crypto_provider();
        let info = info_of(options, database)?;
        let place = place_of(info.addr());
        let is_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        let fail = |error: &redis::RedisError| RedisError {
            place: place.clone(),
            failure: failure_of(error, is_tls).while_connecting(),
        };
        let client = match &options.authorities_pem {
            Some(pem) if is_tls => {
                let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem.clone()) };
                Client::build_with_tls(info.clone(), certificates)
            }
            _ => Client::open(info.clone()),
        };
        let client = client.map_err(|error| fail(&error))?;
        let connect_timeout = CONNECT_TIMEOUT.min(options.timeout);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(connect_timeout))
            .set_response_timeout(Some(options.timeout));
        // The library's own limit leaves signing in to a server that accepts and never answers without one.
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let connection = match tokio::time::timeout(options.timeout, connecting).await {
            Ok(connection) => connection.map_err(|error| fail(&error))?,
            Err(_) => return Err(RedisError { place, failure: Failure::silent(options.timeout, is_tls) }),
        };
        Ok(Self { connection, place })
    }

    /// Where it is, for people.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// How long a round trip takes.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn ping(&mut self) -> Result<Duration, RedisError> {
        let began = Instant::now();
        self.ask::<redis::Value>(&redis::cmd("PING")).await?;
        Ok(began.elapsed())
    }

    /// What the server says of itself, by name.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn info(&mut self) -> Result<BTreeMap<String, String>, RedisError> {
        let text: String = self.ask(&redis::cmd("INFO")).await?;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.trim_end().split_once(':'));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// How many subscribers each of these channels has.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn subscribers(&mut self, channels: &[String]) -> Result<Vec<(String, u64)>, RedisError> {
        self.ask(redis::cmd("PUBSUB").arg("NUMSUB").arg(channels)).await
    }

    /// How many keys the database of this connection has.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn keys(&mut self) -> Result<u64, RedisError> {
        self.ask(&redis::cmd("DBSIZE")).await
    }

    /// One step through the database of this connection: where the next begins (0 after the last), and the keys of this one
    /// that match. `count` is about how many keys the server looks at.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn scan(
        &mut self,
        cursor: u64,
        pattern: &str,
        count: u32,
    ) -> Result<(u64, Vec<Vec<u8>>), RedisError> {
        let mut command = redis::cmd("SCAN");
        command.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(count);
        self.ask(&command).await
    }

    /// When it last wrote its snapshot, in seconds since 1970.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn last_save(&mut self) -> Result<i64, RedisError> {
        self.ask(&redis::cmd("LASTSAVE")).await
    }

    /// A parameter of its configuration; none where there is none of that name.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn parameter(&mut self, name: &str) -> Result<Option<String>, RedisError> {
        let pairs: Vec<(String, String)> = self.ask(redis::cmd("CONFIG").arg("GET").arg(name)).await?;
        // The server takes patterns; only the very name counts.
        Ok(pairs.into_iter().find(|(found, _)| found == name).map(|(_, value)| value))
    }

    async fn ask<T: redis::FromRedisValue>(&mut self, command: &redis::Cmd) -> Result<T, RedisError> {
        let result = command.query_async(&mut self.connection).await;
        result.map_err(|error| RedisError { place: self.place.clone(), failure: failure_of(&error, false) })
    }
}

impl RedisHand {
    /// As [`RedisReads::connect`].
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn connect(options: &RedisOptions, database: Option<u16>) -> Result<Self, RedisError> {
        RedisReads::connect(options, database).await.map(Self)
    }

    /// What can be read.
    pub fn reads(&mut self) -> &mut RedisReads {
        &mut self.0
    }

    /// Empties the database of this connection, freeing memory in the background.
    ///
    /// # Errors
    /// [`RedisError`]; [`RedisError::maybe_sent`] says whether it may have been carried out.
    pub async fn empty(&mut self) -> Result<(), RedisError> {
        self.0.ask(redis::cmd("FLUSHDB").arg("ASYNC")).await
    }

    /// Deletes keys, freeing their memory in the background. Returns how many there were.
    ///
    /// # Errors
    /// As [`Self::empty`].
    pub async fn unlink(&mut self, keys: &[Vec<u8>]) -> Result<u64, RedisError> {
        self.0.ask(redis::cmd("UNLINK").arg(keys)).await
    }

    /// Has the server write its snapshot in the background.
    ///
    /// # Errors
    /// As [`Self::empty`].
    pub async fn save(&mut self) -> Result<(), RedisError> {
        self.0.ask::<redis::Value>(&redis::cmd("BGSAVE")).await.map(drop)
    }

    /// Sets a parameter of its configuration until the server starts anew.
    ///
    /// # Errors
    /// As [`Self::empty`].
    pub async fn set_parameter(&mut self, name: &str, value: &str) -> Result<(), RedisError> {
        self.0.ask(redis::cmd("CONFIG").arg("SET").arg(name).arg(value)).await
    }
}

fn info_of(options: &RedisOptions, database: Option<u16>) -> Result<ConnectionInfo, RedisError> {
    let invalid = |reason: &str| RedisError {
        place: "the address of the settings".to_owned(),
        failure: Failure::Setup(reason.to_owned()),
    };
    let url = options.url.expose_secret();
    let is_redis = ["redis://", "rediss://"].iter().any(|scheme| url.starts_with(scheme));
    // The library's words may quote the address, which may hold a password.
    let info = url.into_connection_info().ok().filter(|_| is_redis);
    let info = info.ok_or_else(|| invalid("expected `redis://host:6379` or `rediss://host:6379`"))?;
    let mut settings = info.redis_settings().clone().set_skip_set_lib_name();
    if let Some(username) = &options.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = &options.password {
        settings = settings.set_password(password.expose_secret());
    }
    if let Some(database) = database {
        settings = settings.set_db(i64::from(database));
    }
    Ok(info.set_redis_settings(settings))
}

/// Host and port: what may be shown of an address.
fn place_of(address: &ConnectionAddr) -> String {
    match address {
        ConnectionAddr::Tcp(host, port) => format!("Redis at {host}:{port}"),
        ConnectionAddr::TcpTls { host, port, .. } => format!("Redis at {host}:{port} (TLS)"),
        _ => "Redis".to_owned(),
    }
}
