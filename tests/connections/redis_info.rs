//! `redis.info` at real servers: well, loading, full, locked, encrypted, frozen, and gone.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use smokejumper::clients::redis::RedisOptions;
use smokejumper::diagnostics::{Connections, Diagnostics};
use smokejumper::domain::diagnosis::Finding;

use crate::redis::Redis;
use crate::world::{SECRET, TIMEOUT, diagnose, fresh, known, mk_diagnostics, mk_redis, reason};

fn mk_eyes(options: RedisOptions) -> Diagnostics {
    let redis = BTreeMap::from([("cache".to_owned(), fresh(options))]);
    mk_diagnostics(Connections { redis, ..Connections::default() })
}

async fn look(options: RedisOptions, mut params: Value) -> Finding {
    params["connection"] = json!("cache");
    diagnose(&mk_eyes(options), "redis.info", params, TIMEOUT).await
}

#[tokio::test]
async fn a_healthy_server_tells_everything_that_conditions_need() {
    let redis = Redis::start(
        "maxclients 100\nmaxmemory 100mb\nmaxmemory-policy allkeys-lru\nsave 3600 1\nnotify-keyspace-events \"\"",
    );
    redis.type_in("SET a 1\nSET b 2 EX 1000\nGET a\nGET gone\nGET gone\nGET gone\nSELECT 3\nSET c 3");
    let finding = look(mk_redis(&redis.url()), json!({"channels": ["orders", "a b\" *\r\nFLUSHALL"]})).await;
    let found = known(&finding);
    for (field, value) in [
        ("reachable", json!(true)),
        ("full", json!(false)),
        ("role", json!("master")),
        ("loading", json!(false)),
        ("maxclients", json!(100)),
        ("maxmemory", json!(104_857_600)),
        ("maxmemory_policy", json!("allkeys-lru")),
        ("evicted_keys", json!(0)),
        ("hits", json!(1)),
        ("misses", json!(3)),
        ("hit_ratio", json!(0.25)),
        ("rdb_ok", json!(true)),
        ("replicas", json!(0)),
        ("keys", json!(3)),
        ("subscribers", json!({"orders": 0, "a b\" *\r\nFLUSHALL": 0})),
        ("subscribers_min", json!(0)),
        ("databases", json!([{"db": 0, "keys": 2, "expires": 1}, {"db": 3, "keys": 1, "expires": 0}])),
    ] {
        assert_eq!(found.get(field), Some(&value), "{field}: {found:?}");
    }
    assert!(found["ping_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{found:?}");
    assert!(found["connected_clients"].as_u64().is_some_and(|count| count >= 1), "{found:?}");
    assert!(found["memory_percent"].as_f64().is_some_and(|percent| percent < 50.0), "{found:?}");
    assert!(found["version"].as_str().is_some_and(|version| version.starts_with('7')), "{found:?}");
    assert!(!found.contains_key("aof_ok") && !found.contains_key("master_link_up"), "{found:?}");
    assert!(
        finding.text.contains("db 3: 1 keys") && finding.text.contains("hit_ratio 0.25"),
        "{}",
        finding.text
    );
    assert_eq!(redis.type_in("DBSIZE"), ":2", "the channel's name was no command");
}

#[tokio::test]
async fn subscribers_are_counted_and_only_the_wanted_sections_are_there() {
    let redis = Redis::start("");
    let mut listener = redis.idle_client();
    std::io::Write::write_all(&mut listener, b"SUBSCRIBE orders\r\n").expect("it takes a command");
    // The answer to a later command says that the earlier one was taken.
    let mut answer = [0; 16];
    std::io::Read::read_exact(&mut listener, &mut answer).expect("an answer");
    let params = json!({"sections": ["pubsub"], "channels": ["orders"]});
    let finding = look(mk_redis(&redis.url()), params).await;
    let found = known(&finding);
    assert_eq!((&found["subscribers"]["orders"], &found["pubsub_channels"]), (&json!(1), &json!(1)));
    assert!(!found.contains_key("used_memory") && !found.contains_key("keys"), "{found:?}");
}

#[tokio::test]
async fn a_server_that_does_not_serve_is_known_to_be_down() {
    let mut redis = Redis::start("maxclients 2");
    let url = redis.url();
    let clients = [redis.idle_client(), redis.idle_client()];
    let full = look(mk_redis(&url), json!({})).await;
    assert_eq!(
        (&known(&full)["reachable"], &known(&full)["full"]),
        (&json!(false), &json!(true)),
        "{full:?}"
    );
    drop(clients);

    redis.freeze();
    let options = RedisOptions { timeout: Duration::from_millis(400), ..mk_redis(&url) };
    let frozen = look(options, json!({})).await;
    assert_eq!((&known(&frozen)["reachable"], &known(&frozen)["full"]), (&json!(false), &json!(false)));
    assert!(frozen.text.contains("timed out") && !frozen.text.contains("rediss"), "{}", frozen.text);

    redis.kill();
    let gone = look(mk_redis(&url), json!({})).await;
    assert_eq!(known(&gone)["reachable"], json!(false));
    assert!(known(&gone)["error"].as_str().is_some_and(|error| error.contains("refused")), "{gone:?}");
    assert!(!known(&gone).contains_key("keys"), "what is not known has no field");
}

#[tokio::test]
async fn what_our_own_side_cannot_tell_is_unknown() {
    let redis = Redis::start(&format!("requirepass {SECRET}"));
    let with = |password: &str| RedisOptions { password: Some(password.into()), ..mk_redis(&redis.url()) };
    assert_eq!(known(&look(with(SECRET), json!({})).await)["reachable"], json!(true));
    let none = look(mk_redis(&redis.url()), json!({})).await;
    assert!(reason(&none).contains("it refuses"), "{none:?}");
    let wrong = look(with("another-password"), json!({})).await;
    assert!(
        reason(&wrong).contains("it refuses") && !reason(&wrong).contains("another-password"),
        "{wrong:?}"
    );

    let nowhere = mk_redis(&format!("redis://{}.example:6379", "x".repeat(70)));
    assert!(reason(&look(nowhere, json!({})).await).contains("cannot be resolved"));
    for bad in ["http://127.0.0.1:6379", "redis+unix:///tmp/x", "127.0.0.1:6379", ""] {
        let finding = look(mk_redis(bad), json!({})).await;
        assert!(reason(&finding).contains("expected `redis://host:6379`"), "{bad}: {finding:?}");
    }
    let eyes = mk_eyes(mk_redis(&redis.url()));
    let other = diagnose(&eyes, "redis.info", json!({"connection": "x"}), TIMEOUT).await;
    assert!(reason(&other).contains("no `x` under `connections.redis`"));
}

#[tokio::test]
async fn a_user_without_the_right_to_look_is_unknown_and_not_healthy() {
    let redis = Redis::start("");
    redis.type_in(&format!("ACL SETUSER eyes on >{SECRET} +ping +info"));
    redis.type_in(&format!("ACL SETUSER blind on >{SECRET} +ping"));
    let user = |name: &str| RedisOptions {
        username: Some(name.to_owned()),
        password: Some(SECRET.into()),
        ..mk_redis(&redis.url())
    };
    assert_eq!(known(&look(user("eyes"), json!({})).await)["reachable"], json!(true));
    let blind = look(user("blind"), json!({})).await;
    assert!(reason(&blind).contains("it refuses"), "{blind:?}");
    let channels = look(user("eyes"), json!({"channels": ["orders"]})).await;
    assert!(reason(&channels).contains("pubsub"), "{channels:?}");
}

/// A certificate for `localhost` in files, and its authority.
fn mk_certificate(folder: &std::path::Path) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).expect("written");
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).expect("written");
    made.cert.pem().into_bytes()
}

#[tokio::test]
async fn a_server_with_tls_only_is_reached_with_tls_and_its_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let pem = mk_certificate(folder.path());
    let at = |name: &str| folder.path().join(name).display().to_string();
    let redis = Redis::start(&format!(
        "tls-port {{port}}\ntls-auth-clients no\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}",
        at("cert.pem"),
        at("key.pem"),
        at("cert.pem")
    ));
    let encrypted = format!("rediss://localhost:{}", redis.port);
    let trusting = RedisOptions { authorities_pem: Some(pem), ..mk_redis(&encrypted) };
    assert_eq!(known(&look(trusting.clone(), json!({})).await)["reachable"], json!(true));
    let strange = look(mk_redis(&encrypted), json!({})).await;
    assert!(reason(&strange).contains("TLS does not come about"), "{strange:?}");
    let by_address = RedisOptions { url: format!("rediss://127.0.0.1:{}", redis.port).into(), ..trusting };
    let misnamed = look(by_address, json!({})).await;
    assert!(reason(&misnamed).contains("TLS does not come about"), "{misnamed:?}");
    // Without TLS the server hangs up: it serves nobody that way, and the words say what to write.
    let plain = look(mk_redis(&redis.url()), json!({})).await;
    assert_eq!(known(&plain)["reachable"], json!(false));
    assert!(plain.text.contains("rediss://"), "{}", plain.text);

    // And one without TLS waits for the rest of what it takes for a command.
    let without = Redis::start("");
    let options = RedisOptions { timeout: Duration::from_millis(600), ..mk_redis(&without.url()) };
    let options = RedisOptions { url: format!("rediss://127.0.0.1:{}", without.port).into(), ..options };
    let finding = look(options, json!({})).await;
    assert_eq!(known(&finding)["reachable"], json!(false));
    assert!(finding.text.contains("without TLS"), "{}", finding.text);
}

#[tokio::test]
async fn a_server_that_loads_its_data_says_so() {
    // It waits for each key, and answers every five keys or so: slow enough to be met, quick enough to be asked.
    let redis =
        Redis::start("key-load-delay 20000\nloading-process-events-interval-bytes 1024\nrdbcompression no");
    redis.type_in(&format!("SET big {}\nDEBUG POPULATE 20000 key 200\nSAVE", "x".repeat(2_000)));
    let mut busy = std::net::TcpStream::connect(("127.0.0.1", redis.port)).expect("a connection");
    std::io::Write::write_all(&mut busy, b"DEBUG RELOAD NOSAVE\r\n").expect("it takes a command");
    let eyes = mk_eyes(mk_redis(&redis.url()));
    let mut tries = 0;
    let finding = loop {
        let finding = diagnose(&eyes, "redis.info", json!({"connection": "cache"}), TIMEOUT).await;
        if known(&finding).get("loading") == Some(&json!(true)) {
            break finding;
        }
        tries += 1;
        assert!(tries < 200, "it never loaded: {finding:?}");
    };
    let found = known(&finding);
    assert!(!found.contains_key("ping_ms") && found["reachable"] == json!(true), "{found:?}");
    assert!(finding.text.contains("loading its data"), "{}", finding.text);
}
