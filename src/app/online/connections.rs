//! The connections of the settings: whether each answers, whether the credentials are accepted, and whether what `act`
//! allows can be done under the identity that would do it. Nothing is changed.

use super::{Looker, Report, Seen};
use crate::app::adapters::connections as adapters;
use crate::clients::loki::LokiError;
use crate::clients::postgres::{Failure as PgFailure, PgError, PgOptions, PgReads};
use crate::clients::rabbitmq::RabbitError;
use crate::clients::redis::{Failure, RedisOptions, RedisReads};
use crate::clients::registry::RegistryError;
use crate::settings::Postgres;

const UNSET_HELP: &str = "set what it names where the service runs";

impl Looker<'_> {
    pub(super) async fn connections(&self) -> Vec<Seen> {
        let redis = self.settings.connections.redis.iter().map(|(name, redis)| async move {
            let mut report = Report::default();
            let setting = format!("connections.redis.{name}");
            match adapters::redis_reads(name, redis, &self.keyring) {
                Ok(options) => look_at_redis(&setting, &options.now(), &mut report).await,
                Err(error) => report.bad(&setting, format!("{error:#}"), UNSET_HELP),
            }
            match adapters::redis_acts(name, redis, &self.keyring) {
                Ok(Some(access)) => {
                    let setting = format!("{setting}.act");
                    acts_on_redis(&setting, &access.options.now(), &access.config_set, &mut report).await;
                }
                Ok(None) => {}
                Err(error) => report.bad(&setting, format!("{error:#}"), UNSET_HELP),
            }
            report.0
        });
        let postgres = self.settings.connections.postgres.iter().map(|(name, database)| async move {
            let mut report = Report::default();
            let setting = format!("connections.postgres.{name}");
            match adapters::pg_reads(name, database, &self.keyring) {
                Ok(options) => look_at_postgres(&setting, &options.now(), database, &mut report).await,
                Err(error) => report.bad(&setting, format!("{error:#}"), UNSET_HELP),
            }
            match adapters::pg_acts(name, database, &self.keyring) {
                Ok(Some(access)) => {
                    let setting = format!("{setting}.act");
                    acts_on_postgres(&setting, &access.options.now(), &access.maintain, &mut report).await;
                }
                Ok(None) => {}
                Err(error) => report.bad(&setting, format!("{error:#}"), UNSET_HELP),
            }
            report.0
        });
        let (redis, postgres, loki) =
            tokio::join!(futures::future::join_all(redis), futures::future::join_all(postgres), self.loki());
        let (rabbitmq, registries) = tokio::join!(self.rabbitmq(), self.registries());
        [redis.concat(), postgres.concat(), rabbitmq, registries, loki].concat()
    }

    async fn registries(&self) -> Vec<Seen> {
        let mut report = Report::default();
        for (host, settings) in &self.settings.connections.registries {
            let setting = format!("connections.registries.{host}");
            let access = match adapters::registry(host, settings, &self.keyring) {
                Ok(access) => access,
                Err(error) => {
                    report.bad(&setting, format!("{error:#}"), UNSET_HELP);
                    continue;
                }
            };
            match access.client.now().ping(access.timeout).await {
                Ok(()) => report.good(&setting, "the registry answers"),
                Err(error) => {
                    let help = match &error {
                        RegistryError::Denied(_) => "look at basic_auth, and whether that user may pull",
                        RegistryError::Elsewhere(_) => "add the host to `token_hosts` of this registry",
                        RegistryError::Garbled(_) => {
                            "this is no registry: write its base address in `url`, without /v2"
                        }
                        RegistryError::Unreachable(_) | RegistryError::Unavailable { .. } => {
                            "look at the address, and whether this machine may reach it"
                        }
                    };
                    report.bad(&setting, error.to_string(), help);
                }
            }
        }
        report.0
    }

    async fn rabbitmq(&self) -> Vec<Seen> {
        let mut report = Report::default();
        for (name, cluster) in &self.settings.connections.rabbitmq {
            let setting = format!("connections.rabbitmq.{name}");
            let access = match adapters::rabbit(name, cluster, &self.keyring) {
                Ok(access) => access,
                Err(error) => {
                    report.bad(&setting, format!("{error:#}"), UNSET_HELP);
                    continue;
                }
            };
            match access.client.now().overview(access.timeout).await {
                Ok(overview) => {
                    let version = overview["rabbitmq_version"].as_str().unwrap_or("of an unknown version");
                    report.good(&setting, format!("RabbitMQ {version} answers"));
                }
                Err(error) => {
                    let help = match &error {
                        RabbitError::Refused(_) => {
                            "look at basic_auth, and give the user the tag `monitoring`"
                        }
                        RabbitError::Garbled(_) | RabbitError::NotFound(_) => {
                            "this is no management API: write its base address, without /api"
                        }
                        _ => "look at the address, and whether this machine may reach it",
                    };
                    report.bad(&setting, error.to_string(), help);
                }
            }
        }
        report.0
    }

    async fn loki(&self) -> Vec<Seen> {
        let Some(upstream) = &self.settings.loki else { return Vec::new() };
        let mut report = Report::default();
        let access = match adapters::loki(upstream, &self.keyring) {
            Ok(access) => access,
            Err(error) => {
                report.bad("loki", format!("{error:#}"), UNSET_HELP);
                return report.0;
            }
        };
        match access.client.now().labels(access.timeout).await {
            Ok(labels) if labels.is_empty() => {
                let help =
                    "look whether logs are sent to it, and whether `X-Scope-OrgID` names the right tenant";
                report.doubtful("loki.url", "Loki answers, and holds no logs", help);
            }
            Ok(_) => report.good("loki.url", "Loki answers"),
            Err(error) => {
                let help = match &error {
                    LokiError::Refused(_) => {
                        "set bearer_token, basic_auth or the header X-Scope-OrgID of the section"
                    }
                    LokiError::Garbled(_) | LokiError::Invalid(_) => {
                        "this is no Loki: write its base address, without /loki/api"
                    }
                    _ => "look at the address, and whether this machine may reach it",
                };
                report.bad("loki.url", error.to_string(), help);
            }
        }
        report.0
    }
}

async fn look_at_redis(setting: &str, options: &RedisOptions, report: &mut Report) {
    let seen = async {
        let mut redis = RedisReads::connect(options, None).await?;
        let info = redis.info().await?;
        Ok::<_, crate::clients::redis::RedisError>((redis.place().to_owned(), info))
    };
    match seen.await {
        Ok((place, info)) => {
            let version = info.get("redis_version").map(String::as_str).unwrap_or("of an unknown version");
            report.good(setting, format!("{place} answers: {version}"));
        }
        Err(error) => report.bad(setting, error.to_string(), help_of(&error.failure)),
    }
}

/// Whether the acting identity signs in and may look at the parameters that it would set.
async fn acts_on_redis(setting: &str, options: &RedisOptions, parameters: &[String], report: &mut Report) {
    let mut redis = match RedisReads::connect(options, None).await {
        Ok(redis) => redis,
        Err(error) => return report.bad(setting, error.to_string(), help_of(&error.failure)),
    };
    if let Err(error) = redis.info().await {
        return report.bad(setting, error.to_string(), help_of(&error.failure));
    }
    for parameter in parameters {
        match redis.parameter(parameter).await {
            Ok(Some(_)) => {}
            Ok(None) => {
                let message = format!("this server has no parameter `{parameter}`");
                report.doubtful(setting, message, "look at its spelling, and at the version of the server");
            }
            Err(error) => return report.bad(setting, error.to_string(), help_of(&error.failure)),
        }
    }
    report.good(setting, "the acting identity signs in");
}

fn help_of(failure: &Failure) -> &'static str {
    match failure {
        Failure::Refused(_) => {
            "look at the user, the password, and what Redis' access control lists permit it"
        }
        Failure::Setup(_) => "look at the address, `redis://` or `rediss://`, and at `ca_file`",
        Failure::Full => "raise `maxclients` of the server, or find who takes its connections",
        _ => "look at the address, and whether this machine may reach it",
    }
}

/// What the role is, beside its name.
const ROLE: &str = "\
SELECT current_user AS name, rolsuper AS superuser, pg_has_role(current_user, 'pg_read_all_stats', 'usage') AS sees_all,
  pg_has_role(current_user, 'pg_signal_backend', 'usage') AS ends_others,
  (SELECT count(*) FROM pg_catalog.pg_class AS class JOIN pg_catalog.pg_namespace AS space ON space.oid = relnamespace
   WHERE relkind IN ('r', 'p') AND nspname NOT IN ('pg_catalog', 'information_schema')
     AND has_table_privilege(class.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')) AS writable
FROM pg_catalog.pg_roles WHERE rolname = current_user";

async fn look_at_postgres(setting: &str, options: &PgOptions, database: &Postgres, report: &mut Report) {
    let seen = async {
        let mut pg = PgReads::connect(options).await?;
        let version = pg.row("SELECT current_setting('server_version') AS version", &[]).await?;
        let role = pg.row(ROLE, &[]).await?;
        let mut queries = Vec::new();
        for (name, sql) in &database.queries {
            queries.push((name, pg.understands(sql).await));
        }
        Ok::<_, PgError>((pg.place().to_owned(), version, role, queries))
    };
    let (place, version, role, queries) = match seen.await {
        Ok(seen) => seen,
        Err(error) => return report.bad(setting, error.to_string(), pg_help(&error.failure)),
    };
    let version = version.get("version").and_then(serde_json::Value::as_str).unwrap_or_default();
    report.good(setting, format!("{place} answers: {version}"));
    let is = |name: &str| role.get(name) == Some(&serde_json::Value::Bool(true));
    let writable = role.get("writable").and_then(serde_json::Value::as_u64).unwrap_or_default();
    if is("superuser") {
        let message = "the user that reads is a superuser: only presets are run as one";
        report.doubtful(setting, message, "read as a user that can change nothing, with the role pg_monitor");
    } else if writable > 0 {
        let message = format!("the user that reads may write to {writable} tables");
        report.doubtful(setting, message, "read as a user that can change nothing, with the role pg_monitor");
    }
    if !is("sees_all") {
        let message = "the user that reads does not see into the sessions of others";
        report.doubtful(setting, message, "grant it the role pg_monitor");
    }
    for (name, understood) in queries {
        let setting = format!("{setting}.queries.{name}");
        match understood {
            Ok(()) => report.good(&setting, "the query is understood"),
            Err(error) => report.bad(&setting, error.to_string(), pg_help(&error.failure)),
        }
    }
}

/// Whether the acting identity signs in, may do what the lists say, and is not more than it has to be.
async fn acts_on_postgres(setting: &str, options: &PgOptions, tables: &[String], report: &mut Report) {
    let seen = async {
        let mut pg = PgReads::connect(options).await?;
        let role = pg.row(ROLE, &[]).await?;
        let mut missing = Vec::new();
        for table in tables {
            let (schema, name) = table.split_once('.').unwrap_or_default();
            let values = [schema.to_owned(), name.to_owned()];
            let sql =
                "SELECT relid FROM pg_catalog.pg_stat_user_tables WHERE schemaname = $1 AND relname = $2";
            if pg.rows(sql, &values, 1).await?.rows.is_empty() {
                missing.push(table);
            }
        }
        Ok::<_, PgError>((role, missing))
    };
    let (role, missing) = match seen.await {
        Ok(seen) => seen,
        Err(error) => return report.bad(setting, error.to_string(), pg_help(&error.failure)),
    };
    report.good(setting, "the acting user signs in");
    let is = |name: &str| role.get(name) == Some(&serde_json::Value::Bool(true));
    if is("superuser") {
        report.doubtful(
            setting,
            "the acting user is a superuser",
            "act as one with the role pg_signal_backend",
        );
    } else if !is("ends_others") {
        let message = "the acting user may end its own sessions only";
        report.doubtful(setting, message, "grant it the role pg_signal_backend for `pg.terminate_idle`");
    }
    for table in missing {
        let message = format!("there is no table `{table}`");
        report.bad(&format!("{setting}.maintain"), message, "write `schema.table` as it is in the database");
    }
}

fn pg_help(failure: &PgFailure) -> &'static str {
    match failure {
        PgFailure::Refused(_) => {
            "look at the user, the password and the database, and at pg_hba.conf of the server"
        }
        PgFailure::Setup(_) => "look at the address, `sslmode` in it, and at `ca_file`",
        PgFailure::Full(_) => "raise `max_connections` of the server, or find who takes its connections",
        PgFailure::Missing(_) | PgFailure::Said(_) => "try the query with psql, as the same user",
        _ => "look at the address, and whether this machine may reach it",
    }
}
