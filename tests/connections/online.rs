//! `check --online` at real servers: each broken connection is found for itself, and said in words that help.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::pg_query::server;
use crate::postgres::PASSWORD;
use crate::redis::Redis;

/// What is seen of these connections.
fn look(folder: &Path, connections: &str) -> Vec<Value> {
    std::fs::write(folder.join("rules.yaml"), "").expect("written");
    let settings = format!("connections:\n{connections}\nrules: ['rules.yaml']\n");
    std::fs::write(folder.join("smokejumper.yaml"), settings).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_smokejumper"))
        .args(["check", "--config", "smokejumper.yaml", "--online", "--output", "json"])
        .current_dir(folder)
        .env("PASSWORD", PASSWORD)
        .env("WRONG", "not-the-password")
        .output()
        .expect("it runs");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!shown.contains(PASSWORD) && !shown.contains("not-the-password"), "{shown}");
    let document: Value = serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    document["online"].as_array().cloned().unwrap_or_default()
}

#[track_caller]
fn assert_seen(seen: &[Value], setting: &str, status: &str, words: &str) {
    let fits = |one: &Value| {
        let said = format!("{} / {}", one["message"], one["help"]);
        one["setting"] == setting && one["status"] == status && said.contains(words)
    };
    assert!(seen.iter().any(fits), "{setting} is not {status} with {words:?}: {seen:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_asked_whether_they_work_and_what_they_may_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let redis = Redis::start(&format!("requirepass {PASSWORD}"));
    redis.type_in(&format!("AUTH {PASSWORD}\nACL SETUSER weak on >{PASSWORD} +ping +info"));
    let url = redis.url();
    let seen = look(
        folder.path(),
        &format!(
            "  redis:\n\
             \x20   good: {{ url: '{url}', password: {{ env: PASSWORD }}, act: {{ config_set: [maxclients, maxclientz] }} }}\n\
             \x20   wrong: {{ url: '{url}', password: {{ env: WRONG }} }}\n\
             \x20   weak: {{ url: '{url}', password: {{ env: PASSWORD }}, act: {{ username: weak, password: {{ env: PASSWORD }}, config_set: [maxclients] }} }}\n\
             \x20   gone: {{ url: 'redis://127.0.0.1:1' }}\n"
        ),
    );
    assert_seen(&seen, "connections.redis.good", "good", "answers: 7");
    assert_seen(&seen, "connections.redis.good.act", "doubtful", "no parameter `maxclientz`");
    assert_seen(&seen, "connections.redis.good.act", "good", "signs in");
    assert_seen(&seen, "connections.redis.wrong", "bad", "look at the user, the password");
    assert_seen(&seen, "connections.redis.weak.act", "bad", "access control lists");
    assert_seen(&seen, "connections.redis.gone", "bad", "whether this machine may reach it");

    let database = server().database();
    let name = database.rsplit('/').next().expect("a name");
    server().psql(name, "CREATE TABLE orders (id int); GRANT ALL ON orders TO app");
    let url = format!("postgres://{}", database.rsplit('@').next().expect("an address"));
    let user = |name: &str| format!("url: '{url}', username: {name}, password: {{ env: PASSWORD }}");
    let seen = look(
        folder.path(),
        &format!(
            "  postgres:\n\
             \x20   good: {{ {}, queries: {{ one: 'SELECT 1 AS one', bad: 'SELECT * FROM gone' }}, act: {{ username: app, password: {{ env: PASSWORD }}, maintain: [public.orders, public.gone] }} }}\n\
             \x20   writes: {{ {} }}\n\
             \x20   boss: {{ {} }}\n\
             \x20   wrong: {{ url: '{url}', username: eyes, password: {{ env: WRONG }} }}\n",
            user("eyes"),
            user("app"),
            user(crate::postgres::USER)
        ),
    );
    assert_seen(&seen, "connections.postgres.good", "good", "answers: 1");
    assert_seen(&seen, "connections.postgres.good.queries.one", "good", "understood");
    assert_seen(&seen, "connections.postgres.good.queries.bad", "bad", "no such thing");
    assert_seen(&seen, "connections.postgres.good.act", "good", "signs in");
    assert_seen(&seen, "connections.postgres.good.act", "doubtful", "pg_signal_backend");
    assert_seen(&seen, "connections.postgres.good.act.maintain", "bad", "no table `public.gone`");
    assert_seen(&seen, "connections.postgres.writes", "doubtful", "may write to 1 tables");
    assert_seen(&seen, "connections.postgres.writes", "doubtful", "pg_monitor");
    assert_seen(&seen, "connections.postgres.boss", "doubtful", "superuser");
    assert_seen(&seen, "connections.postgres.wrong", "bad", "look at the user, the password");
    let good: Vec<&Value> = seen
        .iter()
        .filter(|one| one["setting"] == "connections.postgres.good" && one["status"] != "good")
        .collect();
    assert!(good.is_empty(), "{good:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registries_are_asked_whether_they_answer_and_take_the_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = crate::registry::registry(folder.path()).await;
    let other = tempfile::tempdir().expect("a folder");
    let prometheus = crate::servers::prometheus(other.path(), "").await;
    let url = registry.url();
    let user =
        |password: &str| format!("basic_auth: {{ username: puller, password: {{ env: {password} }} }}");
    let seen = look(
        folder.path(),
        &format!(
            "  registries:\n\
             \x20   registry.example.com: {{ url: '{url}', {} }}\n\
             \x20   'wrong.example.com:5000': {{ url: '{url}', {} }}\n\
             \x20   other.example.com: {{ url: '{}' }}\n\
             \x20   gone.example.com: {{ url: 'http://127.0.0.1:1' }}\n",
            user("PASSWORD"),
            user("WRONG"),
            prometheus.url()
        ),
    );
    assert_seen(&seen, "connections.registries.registry.example.com", "good", "the registry answers");
    assert_seen(&seen, "connections.registries.wrong.example.com:5000", "bad", "look at basic_auth");
    assert_seen(&seen, "connections.registries.other.example.com", "bad", "this is no registry");
    assert_seen(&seen, "connections.registries.gone.example.com", "bad", "whether this machine may reach it");
}
