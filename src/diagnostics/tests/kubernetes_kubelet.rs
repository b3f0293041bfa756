//! Commands, logs and measurements against the simulated cluster, as they come over the real protocols.

use serde_json::json;

use super::kubernetes::{mk_deployment, mk_scenery, seconds};
use super::*;
use crate::sandbox::kubernetes::exec::ExecAnswer;
use crate::sandbox::kubernetes::metrics::MetricsApi;

const PING: [&str; 2] = ["redis-cli", "ping"];

#[tokio::test]
async fn a_command_of_the_settings_runs_in_a_ready_pod_and_no_other_can() {
    let scenery = mk_scenery(&mk_deployment("api", 2, "api:1").to_string()).await;
    scenery.cluster.step(seconds(30));
    scenery.cluster.answer_exec(&PING, ExecAnswer::printing(&format!("PONG\npassword={SECRET}\n")));
    let found = scenery.known("k8s.exec_ro", json!({"command": "ping"})).await;
    assert_eq!((&found.fields["ok"], &found.fields["exit_code"]), (&json!(true), &json!(0)), "{found:?}");
    assert!(found.fields["stdout"].as_str().is_some_and(|text| text.starts_with("PONG\n")), "{found:?}");
    assert!(found.fields["pod"].as_str().is_some_and(|pod| pod.starts_with("api-")), "{found:?}");

    let other = scenery.ask("k8s.exec_ro", json!({"command": "flush"})).await;
    assert!(reason(&other).contains("no command `flush`"), "{other:?}");
    let more = scenery.ask("k8s.exec_ro", json!({"command": "ping", "argv": ["rm"]})).await;
    assert!(reason(&more).contains("unknown field `argv`"), "{more:?}");
    let nobody = scenery.ask("k8s.exec_ro", json!({"command": "ping", "selector": "app=none"})).await;
    assert!(reason(&nobody).contains("no ready pod"), "{nobody:?}");
}

#[tokio::test]
async fn a_command_that_fails_is_known_and_one_without_an_end_is_not() {
    let scenery = mk_scenery(&mk_deployment("api", 1, "api:1").to_string()).await;
    scenery.cluster.step(seconds(30));
    let fails = ExecAnswer { stderr: "could not connect\n".to_owned(), code: 3, ..ExecAnswer::default() };
    scenery.cluster.answer_exec(&PING, fails);
    let found = scenery.known("k8s.exec_ro", json!({"command": "ping"})).await;
    assert_eq!((&found.fields["ok"], &found.fields["exit_code"]), (&json!(false), &json!(3)), "{found:?}");
    assert!(found.text.ends_with("could not connect"), "{}", found.text);

    let scenery = mk_scenery(&mk_deployment("api", 1, "api:1").to_string()).await;
    scenery.cluster.step(seconds(30));
    scenery.cluster.answer_exec(&PING, ExecAnswer { cut: true, ..ExecAnswer::printing("half") });
    let cut = scenery.ask("k8s.exec_ro", json!({"command": "ping"})).await;
    assert!(reason(&cut).contains("the connection broke"), "{cut:?}");
}

#[tokio::test]
async fn the_log_of_a_crashed_run_is_read() {
    let mut sick = mk_deployment("api", 1, "api:1");
    sick["spec"]["template"]["metadata"]["annotations"] = json!({
        "sandbox.smokejumper.dev/behaviour": "crash-loop after=1s exit=3",
        "sandbox.smokejumper.dev/logs": "starting\nERROR no connection pool\nstopping",
    });
    let scenery = mk_scenery(&sick.to_string()).await;
    scenery.cluster.step(seconds(20));
    let found = scenery.known("k8s.logs", json!({"previous": true, "grep": "ERROR"})).await;
    assert_eq!((&found.fields["lines"], &found.fields["read_lines"]), (&json!(1), &json!(3)), "{found:?}");
    assert_eq!(found.text, "ERROR no connection pool");
}

#[tokio::test]
async fn measurements_come_with_limits_and_without_a_server_there_are_none() {
    let scenery = mk_scenery(&mk_deployment("api", 2, "api:1").to_string()).await;
    scenery.cluster.step(seconds(30));
    scenery.cluster.set_usage("prod", "app=api", 250, 384 << 20);
    scenery.cluster.step(seconds(30));
    let found = scenery.known("k8s.top", json!({})).await;
    let of = |name: &str| found.fields[name].clone();
    assert_eq!(
        (of("count"), of("cpu_cores"), of("memory_of_limit_max")),
        (json!(2), json!(0.5), json!(0.75)),
        "{found:?}"
    );
    let nodes = scenery.known("k8s.top", json!({"of": "nodes"})).await;
    assert_eq!(nodes.fields["count"], json!(3), "{nodes:?}");
    for state in [MetricsApi::Absent, MetricsApi::Unavailable] {
        scenery.cluster.set_metrics(state);
        let finding = scenery.ask("k8s.top", json!({})).await;
        assert!(reason(&finding).contains("is there a metrics server?"), "{finding:?}");
    }
}
