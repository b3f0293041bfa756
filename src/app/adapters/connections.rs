//! Databases, brokers and registries from settings and secrets: once under the identity that reads, for diagnostics, and once
//! under the one that acts, for actions alone.

use anyhow::Context as _;

use super::{authorities, headers, sign_in};
use crate::actions::access as act;
use crate::clients::http::{HttpClient, HttpOptions};
use crate::clients::loki::LokiClient;
use crate::clients::postgres::PgOptions;
use crate::clients::rabbitmq::RabbitClient;
use crate::clients::redis::RedisOptions;
use crate::clients::registry::RegistryClient;
use crate::diagnostics::{self, LokiAccess, RabbitAccess, RegistryAccess};
use crate::secret::{Fresh, Keyring, LiveText, SecretSources};
use crate::settings::{Loki, PlainOrSecret, Postgres, RabbitMq, Redis, Registry, Settings, TerminateIdle};

/// For diagnostics.
pub(in crate::app) fn reading(
    settings: &Settings,
    keyring: &Keyring,
) -> anyhow::Result<diagnostics::Connections> {
    let redis = settings.connections.redis.iter();
    let redis = redis.map(|(name, redis)| Ok((name.clone(), redis_reads(name, redis, keyring)?)));
    let postgres = settings.connections.postgres.iter();
    let postgres = postgres.map(|(name, postgres)| {
        let options = pg_reads(name, postgres, keyring)?;
        Ok((name.clone(), diagnostics::PgAccess { options, queries: postgres.queries.clone() }))
    });
    let rabbitmq = settings.connections.rabbitmq.iter();
    let rabbitmq = rabbitmq.map(|(name, rabbitmq)| Ok((name.clone(), rabbit(name, rabbitmq, keyring)?)));
    let registries = settings.connections.registries.iter();
    let registries =
        registries.map(|(host, settings)| Ok((host.clone(), registry(host, settings, keyring)?)));
    Ok(diagnostics::Connections {
        redis: redis.collect::<anyhow::Result<_>>()?,
        postgres: postgres.collect::<anyhow::Result<_>>()?,
        rabbitmq: rabbitmq.collect::<anyhow::Result<_>>()?,
        registries: registries.collect::<anyhow::Result<_>>()?,
        loki: settings.loki.as_ref().map(|upstream| loki(upstream, keyring)).transpose()?,
    })
}

/// For actions: only connections that have an `act`.
pub(super) fn acting(settings: &Settings, keyring: &Keyring) -> anyhow::Result<act::Connections> {
    let redis = settings.connections.redis.iter();
    let redis = redis.filter_map(|(name, redis)| {
        redis_acts(name, redis, keyring).transpose().map(|access| Ok((name.clone(), access?)))
    });
    let postgres = settings.connections.postgres.iter();
    let postgres = postgres.filter_map(|(name, postgres)| {
        pg_acts(name, postgres, keyring).transpose().map(|access| Ok((name.clone(), access?)))
    });
    Ok(act::Connections {
        redis: redis.collect::<anyhow::Result<_>>()?,
        postgres: postgres.collect::<anyhow::Result<_>>()?,
        alertmanager: silencing(settings, keyring)?,
    })
}

/// The Alertmanager of the settings, for silences.
fn silencing(settings: &Settings, keyring: &Keyring) -> anyhow::Result<Option<act::Silencing>> {
    let (Some(upstream), Some(alertmanagers)) =
        (&settings.alertmanager, super::alertmanagers(settings, keyring)?)
    else {
        return Ok(None);
    };
    let peers = Fresh::new(move || alertmanagers.signed_in().collect());
    Ok(Some(act::Silencing { peers, silence_max: upstream.silence_max }))
}

/// A Redis server under the identity that acts, with what it may do.
pub(in crate::app) fn redis_acts(
    name: &str,
    server: &Redis,
    keyring: &Keyring,
) -> anyhow::Result<Option<act::RedisAccess>> {
    let Some(allowed) = &server.act else { return Ok(None) };
    let (username, password) = match allowed.username {
        Some(_) => (&allowed.username, &allowed.password),
        None => (&server.username, &server.password),
    };
    Ok(Some(act::RedisAccess {
        options: redis_options(name, server, username.clone(), password, keyring)?,
        flushdb: allowed.flushdb.clone(),
        delete_keys: allowed.delete_keys.clone(),
        bgsave: allowed.bgsave,
        config_set: allowed.config_set.clone(),
    }))
}

/// A Redis server under the identity that reads.
pub(in crate::app) fn redis_reads(
    name: &str,
    server: &Redis,
    keyring: &Keyring,
) -> anyhow::Result<Fresh<RedisOptions>> {
    redis_options(name, server, server.username.clone(), &server.password, keyring)
}

fn redis_options(
    name: &str,
    server: &Redis,
    username: Option<String>,
    password: &SecretSources,
    keyring: &Keyring,
) -> anyhow::Result<Fresh<RedisOptions>> {
    let key = format!("connections.redis.{name}");
    let authorities_pem = authorities(server.ca_file.as_deref(), &format!("{key}.ca_file"))?;
    let url = address(&server.url, keyring).with_context(|| format!("`{key}.url`"))?;
    let passwords = keyring.open_all(password).with_context(|| format!("`{key}`"))?;
    let timeout = server.timeout.get();
    Ok(Fresh::new(move || RedisOptions {
        url: url.current(),
        username: username.clone(),
        password: passwords.first().map(|password| password.current()),
        authorities_pem: authorities_pem.clone(),
        timeout,
    }))
}

/// A PostgreSQL database under the identity that reads.
pub(in crate::app) fn pg_reads(
    name: &str,
    database: &Postgres,
    keyring: &Keyring,
) -> anyhow::Result<Fresh<PgOptions>> {
    pg_options(name, database, database.username.clone(), &database.password, keyring)
}

/// A PostgreSQL database under the identity that acts, with what it may do.
pub(in crate::app) fn pg_acts(
    name: &str,
    database: &Postgres,
    keyring: &Keyring,
) -> anyhow::Result<Option<act::PgAccess>> {
    let Some(allowed) = &database.act else { return Ok(None) };
    let TerminateIdle { databases, users, applications } = allowed.terminate_idle.clone();
    Ok(Some(act::PgAccess {
        options: pg_options(name, database, Some(allowed.username.clone()), &allowed.password, keyring)?,
        terminate_idle: act::IdleSessions { databases, users, applications },
        maintain: allowed.maintain.clone(),
    }))
}

fn pg_options(
    name: &str,
    database: &Postgres,
    username: Option<String>,
    password: &SecretSources,
    keyring: &Keyring,
) -> anyhow::Result<Fresh<PgOptions>> {
    let key = format!("connections.postgres.{name}");
    let authorities_pem = authorities(database.ca_file.as_deref(), &format!("{key}.ca_file"))?;
    let url = address(&database.url, keyring).with_context(|| format!("`{key}.url`"))?;
    let passwords = keyring.open_all(password).with_context(|| format!("`{key}`"))?;
    let timeout = database.timeout.get();
    Ok(Fresh::new(move || PgOptions {
        url: url.current(),
        username: username.clone(),
        password: passwords.first().map(|password| password.current()),
        authorities_pem: authorities_pem.clone(),
        timeout,
    }))
}

/// The management API of a RabbitMQ cluster.
pub(in crate::app) fn rabbit(
    name: &str,
    cluster: &RabbitMq,
    keyring: &Keyring,
) -> anyhow::Result<RabbitAccess> {
    let key = format!("connections.rabbitmq.{name}");
    let authorities_pem = authorities(cluster.ca_file.as_deref(), &format!("{key}.ca_file"))?;
    let http = HttpClient::new(&HttpOptions { authorities_pem, ..HttpOptions::configured() })
        .with_context(|| format!("the HTTP client for `{key}` cannot be built"))?;
    let client = RabbitClient::new(http, cluster.url.as_str()).with_context(|| format!("`{key}`"))?;
    let sign_in = sign_in(&SecretSources::default(), cluster.basic_auth.as_ref(), keyring);
    let sign_in = sign_in.with_context(|| format!("`{key}`"))?;
    let client = Fresh::new(move || client.signed_in(sign_in.credentials()));
    Ok(RabbitAccess { client, timeout: cluster.timeout.get() })
}

/// A container registry.
pub(in crate::app) fn registry(
    host: &str,
    settings: &Registry,
    keyring: &Keyring,
) -> anyhow::Result<RegistryAccess> {
    let key = format!("connections.registries.{host}");
    let authorities_pem = authorities(settings.ca_file.as_deref(), &format!("{key}.ca_file"))?;
    let http = HttpClient::new(&HttpOptions { authorities_pem, ..HttpOptions::configured() })
        .with_context(|| format!("the HTTP client for `{key}` cannot be built"))?;
    let url = match (&settings.url, host) {
        (Some(url), _) => url.as_str().to_owned(),
        // Images name the one, and its API has the other.
        (None, "docker.io") => "https://registry-1.docker.io".to_owned(),
        (None, host) => format!("https://{host}"),
    };
    let client = RegistryClient::new(http, &url, settings.token_hosts.clone());
    let client = client.with_context(|| format!("`{key}`"))?;
    let sign_in = sign_in(&SecretSources::default(), settings.basic_auth.as_ref(), keyring);
    let sign_in = sign_in.with_context(|| format!("`{key}`"))?;
    let client = Fresh::new(move || client.signed_in(sign_in.credentials()));
    Ok(RegistryAccess { client, timeout: settings.timeout.get() })
}

/// The Loki of the settings.
pub(in crate::app) fn loki(upstream: &Loki, keyring: &Keyring) -> anyhow::Result<LokiAccess> {
    let authorities_pem = authorities(upstream.ca_file.as_deref(), "loki.ca_file")?;
    let http = HttpClient::new(&HttpOptions { authorities_pem, ..HttpOptions::configured() })
        .context("the HTTP client for `loki` cannot be built")?;
    let client = LokiClient::new(http, upstream.url.as_str()).context("`loki`")?;
    let sign_in = sign_in(&upstream.bearer_token, upstream.basic_auth.as_ref(), keyring).context("`loki`")?;
    let headers = headers(&upstream.headers, keyring).context("`loki.headers`")?;
    let client = Fresh::new(move || {
        let headers = headers.iter().map(|(name, text)| (name.clone(), text.current())).collect();
        client.signed_in(sign_in.credentials(), headers)
    });
    Ok(LokiAccess { client, timeout: upstream.timeout.get() })
}

/// An address that may be a secret as a whole.
fn address(url: &PlainOrSecret, keyring: &Keyring) -> anyhow::Result<LiveText> {
    Ok(match url {
        PlainOrSecret::Plain(text) => LiveText::Plain(text.clone()),
        PlainOrSecret::Secret(source) => LiveText::Secret(keyring.open(source)?),
    })
}
