//! Checks of the connections: addresses of the right kind, no password in plain text, and nothing on the lists of what may
//! be done that must never be.

use super::{Findings, require_time};
use crate::actions::access::DELETE_PREFIX_CHARS_MIN;
use crate::period::Period;
use crate::settings::Settings;
use crate::settings::access::BasicAuth;
use crate::settings::connections::{Postgres, RabbitMq, Redis, Registry};
use crate::settings::values::PlainOrSecret;

/// Longest time for one exchange: a diagnostic has half a minute in all.
const EXCHANGE_TIMEOUT_MAX: Period = Period::from_secs(20);

/// Longest query.
const QUERY_BYTES_MAX: usize = 8 * 1024;

/// Parameters of Redis by which whoever sets them writes files, loads code or lets others in.
const REDIS_NEVER_SET: [&str; 11] = [
    "dir",
    "dbfilename",
    "appenddirname",
    "appendfilename",
    "aclfile",
    "requirepass",
    "masterauth",
    "masteruser",
    "protected-mode",
    "replicaof",
    "slaveof",
];

pub(super) fn check_connections(settings: &Settings, out: &mut Findings) {
    for (name, redis) in &settings.connections.redis {
        check_redis(name, redis, out);
    }
    for (name, postgres) in &settings.connections.postgres {
        check_postgres(name, postgres, out);
    }
    for (name, RabbitMq { url, basic_auth, ca_file: _, timeout }) in &settings.connections.rabbitmq {
        let at = ["connections", "rabbitmq", name];
        out.require(url.is_set(), &[&at[..], &["url"]].concat());
        check_time(*timeout, &at, out);
        check_sign_in(basic_auth.as_ref(), &at, out);
    }
    for (name, Registry { url: _, basic_auth, token_hosts, ca_file: _, timeout }) in
        &settings.connections.registries
    {
        let at = ["connections", "registries", name];
        check_time(*timeout, &at, out);
        check_sign_in(basic_auth.as_ref(), &at, out);
        if name.is_empty() || name.contains(['/', '@', ' ']) {
            out.add(&at, "this is no host as images name it")
                .help("write such as `registry.example.com:5000`");
        }
        for (index, host) in token_hosts.iter().enumerate() {
            if host.is_empty() || host.contains(['/', '@', ' ']) {
                let index = index.to_string();
                out.add(&[&at[..], &["token_hosts", &index]].concat(), "this is no host")
                    .help("write such as `auth.docker.io`, without `https://`");
            }
        }
    }
}

fn check_sign_in(basic_auth: Option<&BasicAuth>, at: &[&str], out: &mut Findings) {
    if let Some(BasicAuth { username, password }) = basic_auth {
        out.require(!username.is_empty(), &[at, &["basic_auth", "username"]].concat());
        out.require(password.is_set(), &[at, &["basic_auth", "password"]].concat());
    }
}

fn check_redis(name: &str, redis: &Redis, out: &mut Findings) {
    let at = ["connections", "redis", name];
    let Redis { url, username, password, ca_file, timeout, act } = redis;
    check_address(url, &["redis", "rediss"], "redis://host:6379", &at, out);
    check_time(*timeout, &at, out);
    if username.is_some() && !password.is_set() {
        out.add(&[&at[..], &["username"]].concat(), "a user name and a password go together");
    }
    if let (PlainOrSecret::Plain(url), true) = (url, ca_file.is_some())
        && url.starts_with("redis://")
    {
        out.add(&[&at[..], &["ca_file"]].concat(), "certificates are looked at with TLS only")
            .help("write `rediss://` in the address");
    }
    let Some(act) = act else { return };
    if act.username.is_some() && !act.password.is_set() {
        out.add(&[&at[..], &["act", "username"]].concat(), "a user name and a password go together");
    }
    for (index, prefix) in act.delete_keys.iter().enumerate() {
        let index = index.to_string();
        let path = [&at[..], &["act", "delete_keys", &index]].concat();
        let is_plain = !prefix.contains(['*', '?', '[', ']', '\\']);
        if prefix.chars().count() < DELETE_PREFIX_CHARS_MIN || !is_plain {
            out.add(&path, "expected what keys begin with, at least 3 characters and no wildcard")
                .help("write `cache:` to allow `cache:*` and all below it");
        }
    }
    for (index, parameter) in act.config_set.iter().enumerate() {
        let index = index.to_string();
        let path = [&at[..], &["act", "config_set", &index]].concat();
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if parameter.is_empty() || !parameter.chars().all(is_name) {
            out.add(&path, "this is no name of a parameter").help("write such as `maxmemory`; no pattern");
        } else if REDIS_NEVER_SET.contains(&parameter.as_str()) || parameter.starts_with("tls-") {
            out.add(&path, format!("`{parameter}` is never set from here"))
                .help("whoever sets it writes files, loads data or lets others in: leave it to people");
        }
    }
}

fn check_postgres(name: &str, postgres: &Postgres, out: &mut Findings) {
    let at = ["connections", "postgres", name];
    let Postgres { url, username, password, ca_file: _, timeout, queries, act } = postgres;
    check_address(url, &["postgres", "postgresql"], "postgres://host:5432/database", &at, out);
    check_time(*timeout, &at, out);
    if username.is_some() && !password.is_set() {
        out.add(&[&at[..], &["username"]].concat(), "a user name and a password go together");
    }
    for (query, sql) in queries {
        let path = [&at[..], &["queries", query]].concat();
        if let Err(why) = check_query(sql) {
            out.add(&path, why)
                .help("write one `SELECT` without `;`, with `$1`, `$2` for the values of a rule");
        }
    }
    let Some(act) = act else { return };
    out.require(!act.username.is_empty(), &[&at[..], &["act", "username"]].concat());
    out.require(act.password.is_set(), &[&at[..], &["act", "password"]].concat());
    if username.as_ref() == Some(&act.username) {
        out.add(&[&at[..], &["act", "username"]].concat(), "this is the user that reads")
            .help("let the user that reads change nothing, and act as another one");
    }
    let idle = &act.terminate_idle;
    if idle.databases.is_empty() != idle.users.is_empty() {
        let key = if idle.users.is_empty() { "users" } else { "databases" };
        out.add(
            &[&at[..], &["act", "terminate_idle"]].concat(),
            format!("without `{key}` no session may be ended"),
        );
    }
    for (index, table) in act.maintain.iter().enumerate() {
        let parts: Vec<&str> = table.split('.').collect();
        if !matches!(parts[..], [schema, table] if !schema.is_empty() && !table.is_empty()) {
            let index = index.to_string();
            out.add(&[&at[..], &["act", "maintain", &index]].concat(), "this is no name of a table")
                .help("write `schema.table`, such as `public.orders`");
        }
    }
}

/// A query stands within a `SELECT` of ours, so it must be one itself. What it may do is decided by the role that runs it.
fn check_query(sql: &str) -> Result<(), String> {
    let begins = sql.trim_start().get(..6).unwrap_or(sql.trim_start()).to_ascii_lowercase();
    if sql.trim().is_empty() {
        return Err("this query is empty".to_owned());
    }
    if !["select", "with ", "with\n", "values", "table "].iter().any(|word| begins.starts_with(word)) {
        return Err("a query begins with SELECT, WITH, VALUES or TABLE".to_owned());
    }
    if sql.contains(';') {
        return Err("a query holds no `;`".to_owned());
    }
    if sql.len() > QUERY_BYTES_MAX {
        return Err(format!("a query has {QUERY_BYTES_MAX} bytes at most"));
    }
    Ok(())
}

fn check_time(timeout: Period, at: &[&str], out: &mut Findings) {
    let path = [at, &["timeout"]].concat();
    require_time(timeout, &path, out);
    if timeout > EXCHANGE_TIMEOUT_MAX {
        out.add(&path, format!("this time is at most {EXCHANGE_TIMEOUT_MAX}"));
    }
}

/// An address of one of these kinds, without a password in plain text.
fn check_address(url: &PlainOrSecret, schemes: &[&str], such_as: &str, at: &[&str], out: &mut Findings) {
    let PlainOrSecret::Plain(text) = url else { return };
    let path = [at, &["url"]].concat();
    out.require(!text.is_empty(), &path);
    if text.is_empty() {
        return;
    }
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    let parsed = crate::clients::http::Url::parse(text).ok().filter(|url| url.has_host());
    match parsed {
        Some(url) if url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password") => {
            out.add(&path, "the address holds a password")
                .help("write `url: { env: NAME }` and set that variable to the whole address, or use `password`")
                .hide_value();
        }
        Some(_) if scheme.is_some_and(|scheme| schemes.contains(&scheme)) => {}
        _ => {
            out.add(&path, format!("expected an address such as `{such_as}`"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use crate::settings::Settings;

    /// What is said of these connections; nothing where they are good.
    fn complaint(connections: &str) -> String {
        let text = format!("connections:\n  {connections}\n");
        match Settings::from_text("s.yaml", &text, Path::new(""), &BTreeMap::new()) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn addresses_are_of_the_right_kind_and_hold_no_password() {
        for good in [
            "redis: { a: { url: 'redis://h:6379' } }",
            "redis: { a: { url: 'rediss://h', ca_file: ca.pem } }",
            "redis: { a: { url: { env: URL } } }",
            "postgres: { a: { url: 'postgresql://reader@h/db?sslmode=verify-full' } }",
        ] {
            assert_eq!(complaint(good), "", "{good}");
        }
        for (bad, words) in [
            ("redis: { a: { } }", "required"),
            ("redis: { a: { url: 'http://h:6379' } }", "redis://host:6379"),
            ("redis: { a: { url: 'redis://:hunter2@h' } }", "holds a password"),
            ("redis: { a: { url: 'redis://h', ca_file: ca.pem } }", "with TLS only"),
            ("redis: { a: { url: 'redis://h', username: u } }", "go together"),
            ("redis: { a: { url: 'redis://h', password: hunter2 } }", "plain text"),
            ("redis: { a: { url: 'redis://h', timeout: 1h } }", "at most 20s"),
            ("postgres: { a: { url: 'mysql://h/db' } }", "postgres://host:5432/database"),
            ("postgres: { a: { url: 'postgres://u:hunter2@h/db' } }", "holds a password"),
            ("postgres: { a: { url: 'postgres://h/db?password=hunter2' } }", "holds a password"),
        ] {
            let shown = complaint(bad);
            assert!(shown.contains(words) && !shown.contains("hunter2"), "{bad}: {shown}");
        }
    }

    #[test]
    fn lists_of_what_may_be_done_cannot_hold_what_must_never_be() {
        for name in ["dir", "dbfilename", "requirepass", "aclfile", "replicaof", "tls-port", "max*", "", "A"]
        {
            let shown = complaint(&format!(
                "redis: {{ a: {{ url: 'redis://h', act: {{ config_set: ['{name}'] }} }} }}"
            ));
            assert!(
                shown.contains("never set") || shown.contains("no name of a parameter"),
                "{name}: {shown}"
            );
        }
        for prefix in ["", "*", "a", "ab", "cache:*", "c[a]che", "cach?"] {
            let shown = complaint(&format!(
                "redis: {{ a: {{ url: 'redis://h', act: {{ delete_keys: ['{prefix}'] }} }} }}"
            ));
            assert!(shown.contains("what keys begin with"), "{prefix}: {shown}");
        }
        let postgres =
            |more: &str| complaint(&format!("postgres: {{ a: {{ url: 'postgres://h/db', {more} }} }}"));
        let user = "username: reader, password: { env: P }";
        assert_eq!(
            postgres(&format!(
                "{user}, act: {{ username: hand, password: {{ env: Q }}, maintain: [public.orders] }}"
            )),
            ""
        );
        for (more, words) in [
            ("act: {}", "required"),
            (&*format!("{user}, act: {{ username: reader, password: {{ env: P }} }}"), "the user that reads"),
            ("act: { username: hand, password: { env: P }, maintain: [orders] }", "schema.table"),
            (
                "act: { username: hand, password: { env: P }, terminate_idle: { users: [app] } }",
                "without `databases` no session",
            ),
        ] {
            let shown = postgres(more);
            assert!(shown.contains(words), "{more}: {shown}");
        }
    }

    #[test]
    fn a_query_is_one_select() {
        let query = |sql: &str| {
            complaint(&format!(
                "postgres: {{ a: {{ url: 'postgres://h/db', queries: {{ q: \"{sql}\" }} }} }}"
            ))
        };
        for good in ["SELECT 1", " with x AS (SELECT 1) TABLE x", "VALUES (1)", "TABLE orders"] {
            assert_eq!(query(good), "", "{good}");
        }
        for bad in
            ["", "  ", "DELETE FROM x", "SELECT 1; DROP TABLE x", "SET x = 1", "COPY x TO PROGRAM 'a'", "é"]
        {
            assert!(query(bad).contains("query"), "{bad}");
        }
    }
}
