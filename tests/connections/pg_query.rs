//! `pg.query` at real servers: every preset, queries of the settings, hostile values, statements that try to write, and
//! servers that are full, locked, encrypted or gone.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};
use smokejumper::clients::postgres::PgOptions;
use smokejumper::diagnostics::{Connections, Diagnostics, PgAccess};
use smokejumper::domain::diagnosis::Finding;

use crate::postgres::{PASSWORD, Postgres};
use crate::world::{TIMEOUT, diagnose, fresh, known, mk_diagnostics, reason};

/// A server with the statistics of statements, shared by the tests of this process.
pub fn server() -> &'static Postgres {
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    SHARED.get_or_init(|| {
        let server = Postgres::start_with(|_| "shared_preload_libraries = 'pg_stat_statements'\n".to_owned());
        for (role, rights) in [("eyes", "IN ROLE pg_monitor"), ("blind", ""), ("app", ""), ("other", "")] {
            server.psql("postgres", &format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}' {rights}"));
        }
        server
    })
}

pub fn mk_pg(url: &str, user: Option<&str>) -> PgOptions {
    PgOptions {
        url: url.into(),
        username: user.map(str::to_owned),
        password: user.map(|_| PASSWORD.into()),
        authorities_pem: None,
        timeout: Duration::from_secs(5),
    }
}

fn mk_eyes(options: PgOptions, queries: &[(&str, &str)]) -> Diagnostics {
    let queries = queries.iter().map(|(name, sql)| ((*name).to_owned(), (*sql).to_owned())).collect();
    let access = PgAccess { options: fresh(options), queries };
    let postgres = BTreeMap::from([("shop".to_owned(), access)]);
    mk_diagnostics(Connections { postgres, ..Connections::default() })
}

async fn look(options: PgOptions, mut params: Value) -> Finding {
    params["connection"] = json!("shop");
    diagnose(&mk_eyes(options, &[]), "pg.query", params, TIMEOUT).await
}

async fn run(options: PgOptions, sql: &str, values: &[&str]) -> Finding {
    let params = json!({"connection": "shop", "query": "own", "values": values});
    diagnose(&mk_eyes(options, &[("own", sql)]), "pg.query", params, TIMEOUT).await
}

/// A database of its own, as seen by a role that reads.
fn mk_database() -> (String, PgOptions) {
    let url = server().database();
    let name = url.rsplit('/').next().expect("a name").to_owned();
    server().psql(
        &name,
        "CREATE TABLE orders (id int PRIMARY KEY, region text); \
         INSERT INTO orders SELECT n, 'north' FROM generate_series(1, 1000) AS n; \
         GRANT SELECT ON orders TO eyes; CREATE EXTENSION pg_stat_statements",
    );
    let options = mk_pg(&url, Some("eyes"));
    (name, options)
}

/// Waits until the server sees a session as it should be.
pub fn await_session(condition: &str) {
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE {condition}");
    for _ in 0..600 {
        if server().psql("postgres", &sql) != "0" {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("no session fits: {condition}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_counted_by_what_they_do() {
    let (name, options) = mk_database();
    let mut sessions = [
        server().session("app", &name, "shop-idle", "SELECT 1;"),
        server().session("app", &name, "shop-open", "BEGIN; SELECT 1;"),
        server().session("app", &name, "shop-busy", "SELECT pg_sleep(60);"),
    ];
    for (application, state) in
        [("shop-idle", "idle"), ("shop-open", "idle in transaction"), ("shop-busy", "active")]
    {
        await_session(&format!("application_name = '{application}' AND state = '{state}'"));
    }
    let finding = look(options.clone(), json!({"preset": "activity", "limit": 100})).await;
    let found = known(&finding);
    for field in ["connections", "active", "idle", "idle_in_transaction"] {
        assert!(found[field].as_u64().is_some_and(|count| count >= 1), "{field}: {found:?}");
    }
    assert_eq!((&found["hidden"], &found["max_connections"]), (&json!(0), &json!(100)));
    assert!(found["used_percent"].as_f64().is_some_and(|percent| percent > 0.0 && percent < 100.0));
    assert!(found["longest_query_seconds"].is_u64() && found["longest_transaction_seconds"].is_u64());
    let rows = found["rows"].as_array().expect("rows");
    let busy = rows.iter().find(|row| row["application"] == "shop-busy").expect("it is there");
    assert_eq!((&busy["user"], &busy["state"]), (&json!("app"), &json!("active")));
    assert!(finding.text.contains("pg_sleep"), "{}", finding.text);

    let idle = look(options.clone(), json!({"preset": "idle", "idle_for": "1s", "limit": 100})).await;
    assert!(
        !known(&idle)["rows"].as_array().expect("rows").iter().any(|row| row["application"] == "shop-busy")
    );
    let none = look(options, json!({"preset": "idle", "idle_for": "1d"})).await;
    assert_eq!((&known(&none)["count"], known(&none).get("longest_idle_seconds")), (&json!(0), None));

    // Who may not see into sessions knows how many there are, and nothing of what they do.
    let blind = mk_pg(&server().url(&name), Some("blind"));
    let finding = look(blind.clone(), json!({"preset": "activity"})).await;
    let found = known(&finding);
    assert!(
        found["hidden"].as_u64().is_some_and(|hidden| hidden >= 3) && found.get("idle").is_none(),
        "{found:?}"
    );
    assert!(found["connections"].is_u64() && finding.text.contains("pg_read_all_stats"), "{}", finding.text);
    let finding = look(blind, json!({"preset": "idle"})).await;
    assert!(reason(&finding).contains("pg_read_all_stats"), "{finding:?}");
    for session in &mut sessions {
        session.kill().expect("it is ended");
        session.wait().expect("it ends");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_statements_and_replication_are_shown() {
    let (name, options) = mk_database();
    server()
        .psql(&name, "DELETE FROM orders WHERE id <= 400; SELECT pg_stat_force_next_flush(); ANALYZE orders");
    let sizes = look(options.clone(), json!({"preset": "table_sizes"})).await;
    let rows = known(&sizes)["rows"].as_array().expect("rows").clone();
    assert_eq!((&rows[0]["schema"], &rows[0]["table"]), (&json!("public"), &json!("orders")));
    assert!(rows[0]["bytes"].as_u64().is_some_and(|bytes| bytes > 8192), "{rows:?}");
    assert!(known(&sizes)["database_bytes"].as_u64().is_some_and(|bytes| bytes > 1_000_000));

    let dead = look(options.clone(), json!({"preset": "dead_tuples"})).await;
    assert!(known(&dead)["dead_max"].as_u64().is_some_and(|dead| dead >= 400), "{dead:?}");
    assert!(known(&dead)["dead_max_percent"].as_f64().is_some_and(|percent| percent > 30.0), "{dead:?}");

    server().psql(&name, "SELECT count(*) FROM orders WHERE region = 'planted-literal'");
    let top = look(options.clone(), json!({"preset": "top_queries", "limit": 100})).await;
    assert!(known(&top)["slowest_mean_ms"].is_number() && top.text.contains("mean_ms"), "{top:?}");
    assert!(!format!("{top:?}").contains("planted-literal"), "values of statements are not shown");

    let replication = look(options.clone(), json!({"preset": "replication"})).await;
    let found = known(&replication);
    assert_eq!((&found["is_standby"], &found["replicas"]), (&json!(false), &json!(0)));
    assert!(!found.contains_key("lag_bytes_max") && !found.contains_key("lag_seconds"), "{found:?}");

    let bare = server().database();
    let finding = look(mk_pg(&bare, Some("eyes")), json!({"preset": "top_queries"})).await;
    assert!(reason(&finding).contains("CREATE EXTENSION pg_stat_statements"), "{finding:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_whom_is_shown() {
    let (name, options) = mk_database();
    server().psql(&name, "GRANT ALL ON orders TO app");
    let quiet = look(options.clone(), json!({"preset": "locks"})).await;
    assert_eq!(known(&quiet)["blocked"], json!(0), "{quiet:?}");
    let mut holder =
        server().session("app", &name, "holder", "BEGIN; UPDATE orders SET region = 'x' WHERE id = 1;");
    await_session("application_name = 'holder' AND state = 'idle in transaction'");
    let mut waiter = server().session("app", &name, "waiter", "UPDATE orders SET region = 'y' WHERE id = 1;");
    await_session("application_name = 'waiter' AND wait_event_type = 'Lock'");
    let finding = look(options, json!({"preset": "locks"})).await;
    let found = known(&finding);
    assert_eq!(found["blocked"], json!(1), "{found:?}");
    assert!(found["longest_wait_seconds"].is_u64(), "{found:?}");
    let row = &found["rows"][0];
    assert_eq!(row["application"], json!("waiter"));
    assert!(row["blockers"].as_str().is_some_and(|text| text.contains("idle in transaction")), "{row:?}");
    for session in [&mut holder, &mut waiter] {
        session.kill().expect("it is ended");
        session.wait().expect("it ends");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_of_the_settings_takes_values_that_are_never_code() {
    let (name, options) = mk_database();
    let sql = "SELECT count(*) AS open FROM orders WHERE region = $1 -- a comment";
    let finding = run(options.clone(), sql, &["north"]).await;
    assert_eq!((&known(&finding)["value"], &known(&finding)["count"]), (&json!(1000), &json!(1)));
    for hostile in ["' OR '1'='1", "north'; DROP TABLE orders; --", "$1", "\\'; SELECT 1; --", "\u{1f600}\"`"]
    {
        let finding = run(options.clone(), sql, &[hostile]).await;
        assert_eq!(known(&finding)["value"], json!(0), "{hostile}: {finding:?}");
    }
    let typed = run(options.clone(), "SELECT id FROM orders WHERE id < $1::int ORDER BY id", &["4"]).await;
    assert_eq!(known(&typed)["rows"], json!([{"id": 1}, {"id": 2}, {"id": 3}]));
    let words = run(options.clone(), "SELECT id FROM orders WHERE id < $1::int", &["4 OR true"]).await;
    assert!(reason(&words).contains("invalid input syntax"), "{words:?}");
    let many = run(options.clone(), "SELECT id FROM orders", &[]).await;
    assert_eq!((&known(&many)["count"], &known(&many)["truncated"]), (&json!(20), &json!(true)));
    let missing = run(options, "SELECT * FROM gone", &[]).await;
    assert!(reason(&missing).contains("there is no such thing"), "{missing:?}");
    assert_eq!(server().psql(&name, "SELECT count(*) FROM orders"), "1000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_that_try_to_write_change_nothing() {
    let (name, options) = mk_database();
    // Even a role that may write: what keeps it from writing is the transaction.
    server().psql(&name, "GRANT ALL ON orders TO eyes; GRANT ALL ON SCHEMA public TO eyes; CREATE SEQUENCE numbers; GRANT ALL ON SEQUENCE numbers TO eyes");
    server().psql(&name, "CREATE FUNCTION wipe() RETURNS int LANGUAGE sql AS 'DELETE FROM orders; SELECT 1'");
    for sql in [
        "DELETE FROM orders RETURNING id",
        "WITH gone AS (DELETE FROM orders RETURNING id) SELECT * FROM gone",
        "SELECT wipe()",
        "SELECT nextval('numbers')",
        "SELECT 1) AS found; DELETE FROM orders; SELECT row_to_json(found)::text FROM (SELECT 1",
        "SELECT 1) AS found; COMMIT; DELETE FROM orders; --",
        "SELECT * INTO copied FROM orders",
        "SELECT id FROM orders FOR UPDATE",
        "UPDATE orders SET region = ''",
        "COPY orders TO PROGRAM 'true'",
        "CREATE TABLE more (id int)",
        "COMMIT",
        "SET default_transaction_read_only = off",
    ] {
        let finding = run(options.clone(), sql, &[]).await;
        assert!(!reason(&finding).is_empty(), "{sql}");
    }
    assert_eq!(server().psql(&name, "SELECT count(*), min(region) FROM orders"), "1000|north");
    assert_eq!(server().psql(&name, "SELECT is_called FROM numbers"), "f");
    let superuser = mk_pg(&server().url(&name), None);
    let finding = run(superuser.clone(), "SELECT 1 AS one", &[]).await;
    assert!(reason(&finding).contains("superuser"), "{finding:?}");
    assert_eq!(known(&look(superuser, json!({"preset": "activity"})).await)["reachable"], json!(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_too_long_is_cancelled_by_the_server() {
    let (_, options) = mk_database();
    let short = PgOptions { timeout: Duration::from_millis(300), ..options };
    let finding = run(short, "SELECT pg_sleep(30)", &[]).await;
    assert!(reason(&finding).contains("took too long"), "{finding:?}");
    await_session("pid = pg_backend_pid()");
    let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active' AND pid <> pg_backend_pid()";
    assert_eq!(server().psql("postgres", running), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_and_names_are_unknown() {
    let (name, options) = mk_database();
    let url = server().url(&name);
    let wrong = PgOptions { password: Some("wrong-password".into()), ..options.clone() };
    let finding = look(wrong, json!({"preset": "activity"})).await;
    assert!(
        reason(&finding).contains("it refuses") && !reason(&finding).contains("wrong-password"),
        "{finding:?}"
    );
    let nobody = look(mk_pg(&url, Some("nobody")), json!({"preset": "activity"})).await;
    assert!(reason(&nobody).contains("it refuses"), "{nobody:?}");
    let gone =
        look(mk_pg(&server().url("no_such_database"), Some("eyes")), json!({"preset": "activity"})).await;
    assert!(reason(&gone).contains("does not exist"), "{gone:?}");
    let nowhere = mk_pg(&format!("postgres://{}.example/x", "x".repeat(70)), Some("eyes"));
    assert!(reason(&look(nowhere, json!({"preset": "activity"})).await).contains("cannot be resolved"));
    for bad in ["mysql://127.0.0.1/x", "127.0.0.1", ""] {
        let finding = look(mk_pg(bad, None), json!({"preset": "activity"})).await;
        assert!(reason(&finding).contains("expected `postgres://"), "{bad}: {finding:?}");
    }
    let params = json!({"connection": "shop", "query": "own"});
    let finding = diagnose(&mk_eyes(options, &[]), "pg.query", params, TIMEOUT).await;
    assert!(reason(&finding).contains("no query `own`"), "{finding:?}");
}

/// Takes the only place of a server. Whoever asks takes it for a moment as well, so it may need more than one try.
fn take_the_place(server: &Postgres) -> std::process::Child {
    for _ in 0..60 {
        let mut taken = server.session("eyes", "postgres", "taker", "SELECT 1;");
        std::thread::sleep(Duration::from_millis(300));
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'taker'";
        if server.psql("postgres", sql) == "1" {
            return taken;
        }
        taken.kill().expect("it is ended");
        taken.wait().expect("it ends");
    }
    panic!("the only place was never free");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_full_or_gone_is_known_not_to_serve() {
    let mut small = tokio::task::spawn_blocking(|| {
        let small = Postgres::start_with(|_| {
            "max_connections = 4\nsuperuser_reserved_connections = 3\nmax_wal_senders = 0\n".to_owned()
        });
        small.psql("postgres", &format!("CREATE ROLE eyes LOGIN PASSWORD '{PASSWORD}'"));
        small
    })
    .await
    .expect("a server");
    let options = mk_pg(&small.url("postgres"), Some("eyes"));
    assert_eq!(known(&look(options.clone(), json!({"preset": "activity"})).await)["full"], json!(false));
    let mut taken = take_the_place(&small);
    let full = look(options.clone(), json!({"preset": "activity"})).await;
    assert_eq!(
        (&known(&full)["reachable"], &known(&full)["full"]),
        (&json!(false), &json!(true)),
        "{full:?}"
    );
    assert!(!known(&full).contains_key("idle"), "what is not known has no field");
    taken.kill().expect("it is ended");
    taken.wait().expect("it ends");
    small.stop_immediately();
    let gone = look(options, json!({"preset": "activity"})).await;
    assert_eq!(
        (&known(&gone)["reachable"], &known(&gone)["full"]),
        (&json!(false), &json!(false)),
        "{gone:?}"
    );

    // A server that accepts and never answers.
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!("postgres://{}/x", silent.local_addr().expect("an address"));
    let options = PgOptions { timeout: Duration::from_millis(400), ..mk_pg(&url, Some("eyes")) };
    let finding = look(options, json!({"preset": "activity"})).await;
    assert_eq!(known(&finding)["reachable"], json!(false), "{finding:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_tls_only_is_reached_with_tls() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let pem = made.cert.pem();
    let key = made.signing_key.serialize_pem();
    let certificate = pem.clone();
    let server = tokio::task::spawn_blocking(move || {
        Postgres::start_with(move |folder| {
            use std::os::unix::fs::PermissionsExt;
            let write = |name: &str, text: &str| {
                let path = folder.join(name);
                std::fs::write(&path, text).expect("written");
                std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("a mode");
            };
            write("server.crt", &certificate);
            write("server.key", &key);
            write("pg_hba.conf", "hostssl all all all scram-sha-256\n");
            "ssl = on\n".to_owned()
        })
    })
    .await
    .expect("a server");
    let url = server.url("postgres").replace("127.0.0.1", "localhost");
    let trusting = PgOptions { authorities_pem: Some(pem.into_bytes()), ..mk_pg(&url, None) };
    let finding = look(trusting, json!({"preset": "activity"})).await;
    assert_eq!(known(&finding)["reachable"], json!(true));
    let strange =
        look(mk_pg(&format!("{url}?sslmode=verify-full"), None), json!({"preset": "activity"})).await;
    assert!(reason(&strange).contains("TLS does not come about"), "{strange:?}");
    let plain = look(mk_pg(&format!("{url}?sslmode=disable"), None), json!({"preset": "activity"})).await;
    assert!(reason(&plain).contains("no encryption"), "{plain:?}");
}
