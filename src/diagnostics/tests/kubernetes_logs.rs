//! Logs and measurements: several pods, filters, logs that break off or never end, metrics that are not served.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::clients::kubernetes::fake::{Answer, Seen, mk_reads};
use crate::domain::correlate::Target;

pub(super) fn mk_observer(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Diagnostics {
    let access = KubernetesAccess { reads: mk_reads(answer), commands: BTreeMap::new() };
    let options = DiagnosticsOptions {
        prometheus: None,
        vitals: VitalsOptions::default(),
        kubernetes: Some(access),
        connections: Default::default(),
        probe_loopback: false,
        keyring: mk_keyring(),
    };
    Diagnostics::new(options).expect("diagnostics")
}

pub(super) async fn ask(diagnostics: &Diagnostics, kind: &str, params: Value) -> Finding {
    let target = Target { kind: "Pod".to_owned(), namespace: "prod".to_owned(), name: "api-0".to_owned() };
    let spec = DiagnosticSpec { name: "evidence".to_owned(), kind: kind.to_owned(), params: Value::Null };
    let context = DiagnosisContext { target: Some(target), ..mk_context() };
    diagnostics.diagnose(&spec, params, context, TIMEOUT).await
}

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "prod"}, "spec": {"containers": [
        {"name": "main", "resources": {"limits": {"cpu": "500m", "memory": "100Mi"}}}, {"name": "proxy"}]}})
}

fn pods(names: &[&str]) -> Answer {
    let items: Vec<Value> = names.iter().map(|name| pod(name)).collect();
    Answer::Says(200, json!({"items": items}).to_string())
}

#[tokio::test]
async fn the_logs_of_all_pods_are_read_and_filtered() {
    let diagnostics = mk_observer(|seen| match seen.target.as_str() {
        path if path.starts_with("/api/v1/namespaces/prod/pods?") => pods(&["api-0", "api-1", "api-2"]),
        path if path.contains("/api-2/log") => {
            let body = json!({"kind": "Status", "message": "container \"main\" is waiting to start"});
            Answer::Says(400, body.to_string())
        }
        path => {
            assert!(path.contains("container=main") && path.contains("tailLines=500"), "{path}");
            let name = if path.contains("api-0") { "zero" } else { "one" };
            let log =
                format!("{name} fine\n{name} ERROR connection pool\npassword={SECRET}\n{name} ERROR again");
            Answer::Says(200, log)
        }
    });
    let finding = ask(&diagnostics, "k8s.logs", json!({"selector": "app=api", "grep": "ERROR"})).await;
    assert_known(&finding);
    let of = |name: &str| finding.fields[name].clone();
    assert_eq!(
        (of("lines"), of("read_lines"), of("pods"), of("failed_pods")),
        (json!(4), json!(8), json!(2), json!(1))
    );
    assert_eq!((of("truncated"), of("last")), (json!(false), json!("one ERROR again")));
    let expected = "== api-0 ==\nzero ERROR connection pool\nzero ERROR again\n\
                    == api-1 ==\none ERROR connection pool\none ERROR again\n\
                    get pods/log prod/api-2: refused (400): container \"main\" is waiting to start";
    assert_eq!(finding.text, expected);

    let all = ask(&diagnostics, "k8s.logs", json!({"selector": "app=api"})).await;
    assert!(!format!("{all:?}").contains(SECRET), "{all:?}");
    let nothing =
        ask(&diagnostics, "k8s.logs", json!({"selector": "app=api", "grep": "nothing like it"})).await;
    assert_eq!(nothing.fields["lines"], json!(0));
    assert!(nothing.text.starts_with("no line passed"), "{}", nothing.text);
}

#[tokio::test]
async fn that_no_container_ended_before_is_an_answer() {
    let says = |pod: &str| {
        let text = format!("previous terminated container \"main\" in pod \"{pod}\" not found");
        Answer::Says(400, json!({ "message": text }).to_string())
    };
    let diagnostics = mk_observer(move |seen| match seen.target.as_str() {
        path if path.contains("/api-0/log") => says("api-0"),
        path if path.contains("/api-1/log") => says("api-1"),
        path if path.contains("/crashed/log") => Answer::Says(200, "the last words\n".to_owned()),
        path if path.contains("/new/log") => Answer::Says(503, "busy".to_owned()),
        path if path.contains("calm") => pods(&["api-0", "api-1"]),
        path if path.contains("half") => pods(&["api-0", "new"]),
        _ => pods(&["api-0", "crashed"]),
    });
    let finding = ask(&diagnostics, "k8s.logs", json!({"selector": "app=calm", "previous": true})).await;
    assert_known(&finding);
    let of = |finding: &Finding, name: &str| finding.fields.get(name).cloned();
    assert_eq!(finding.text, "no container ended before");
    assert_eq!((of(&finding, "lines"), of(&finding, "pods")), (Some(json!(0)), Some(json!(2))));
    assert_eq!((of(&finding, "failed_pods"), of(&finding, "last")), (Some(json!(0)), None));
    let finding = ask(&diagnostics, "k8s.logs", json!({"selector": "app=api", "previous": true})).await;
    assert_eq!(finding.text, "== crashed ==\nthe last words\nof 1 pod, no container ended before");
    // One that could not be read may have ended.
    let finding = ask(&diagnostics, "k8s.logs", json!({"selector": "app=half", "previous": true})).await;
    assert_known(&finding);
    assert_eq!(of(&finding, "failed_pods"), Some(json!(1)));
    assert!(
        finding.text.starts_with("of 1 pod, no container ended before\nget pods/log prod/new: "),
        "{}",
        finding.text
    );
    // Without `previous` the same words would be a failure like any other.
    let finding = ask(&diagnostics, "k8s.logs", json!({"selector": "app=calm"})).await;
    assert!(reason(&finding).contains("not found"), "{finding:?}");
}

#[tokio::test]
async fn a_log_that_cannot_be_read_at_all_is_unknown() {
    let diagnostics = mk_observer(|seen| match seen.target.as_str() {
        path if path.contains("/log") && path.contains("previous=true") => {
            Answer::Says(400, json!({"message": "pod api-0 does not have a host assigned"}).to_string())
        }
        path if path.contains("/log") => {
            Answer::Parts(vec![Ok(Bytes::from_static(b"a line\n")), Err(std::io::Error::other("reset"))])
        }
        _ => Answer::Says(200, pod("api-0").to_string()),
    });
    let finding = ask(&diagnostics, "k8s.logs", json!({"previous": true})).await;
    assert!(reason(&finding).contains("does not have a host"), "{finding:?}");
    let finding = ask(&diagnostics, "k8s.logs", json!({})).await;
    assert!(reason(&finding).contains("the connection broke"), "half a log is none: {finding:?}");

    let diagnostics = mk_observer(|_| pods(&[]));
    let finding = ask(&diagnostics, "k8s.logs", json!({"selector": "app=none"})).await;
    assert_eq!(reason(&finding), "no pod is selected, so there are no logs");
    let many: Vec<String> = (0..51).map(|number| format!("api-{number}")).collect();
    let diagnostics = mk_observer(move |_| pods(&many.iter().map(String::as_str).collect::<Vec<_>>()));
    let finding = ask(&diagnostics, "k8s.logs", json!({"selector": "app=api"})).await;
    assert!(reason(&finding).contains("51 pods are selected"), "{finding:?}");
}

#[tokio::test]
async fn of_a_long_log_the_newest_lines_are_shown_and_no_part_of_a_key() {
    let parts = AtomicUsize::new(0);
    let diagnostics = mk_observer(move |seen| {
        if !seen.target.contains("/log") {
            return Answer::Says(200, pod("api-0").to_string());
        }
        parts.fetch_add(1, Ordering::Relaxed);
        let mut all: Vec<Result<Bytes, std::io::Error>> = (0..400)
            .map(|_| Ok(Bytes::from("a line of a usual length, again and again\n".repeat(1000))))
            .collect();
        let key: String = (0..60).map(|_| "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\n").collect();
        all.push(Ok(Bytes::from(format!(
            "-----BEGIN PRIVATE KEY-----\n{key}-----END PRIVATE KEY-----\nthe end\n"
        ))));
        Answer::Parts(all)
    });
    let finding = ask(&diagnostics, "k8s.logs", json!({"tail": 1_000_000, "max_bytes": 1_000_000_000})).await;
    assert_known(&finding);
    assert_eq!(finding.fields["read_lines"], json!(400_063));
    assert!(finding.text.ends_with("the end") && !finding.text.contains("MIIEvQ"), "{}", finding.text);
    assert!(finding.text.len() <= crate::domain::diagnosis::FINDING_TEXT_BYTES_MAX);

    let short = ask(&diagnostics, "k8s.logs", json!({"max_bytes": 5000})).await;
    assert_eq!(short.fields["truncated"], json!(true));
    assert!(short.text.contains("longer than `max_bytes`"), "{}", short.text);
}

#[tokio::test]
async fn lines_of_json_are_picked_by_their_values() {
    let diagnostics = mk_observer(|seen| {
        match seen.target.contains("/log") {
        false => Answer::Says(200, pod("api-0").to_string()),
        true => Answer::Says(
            200,
            "{\"level\":\"error\",\"n\":1}\n{\"level\":\"info\"}\nplain error\n{\"level\":\"error\",\"n\":2}\n".to_owned(),
        ),
    }
    });
    let finding = ask(&diagnostics, "k8s.logs", json!({"json": {"/level": "error", "/n": 2}})).await;
    assert_eq!((&finding.fields["lines"], &finding.fields["read_lines"]), (&json!(1), &json!(4)));
    for (params, complaint) in [
        (json!({"json": {"level": "error"}}), "no JSON pointer"),
        (json!({"json": {"/level": ["error"]}}), "only a text"),
        (json!({"grep": "("}), "no regular expression"),
        (json!({"grep": " "}), "empty"),
        (json!({"tail": 0}), "out of bounds"),
        (json!({"pod": "a", "selector": "a=b"}), "exclude each other"),
    ] {
        let finding = ask(&diagnostics, "k8s.logs", params).await;
        assert!(reason(&finding).contains(complaint), "{finding:?}");
    }
}

#[tokio::test]
async fn use_is_shown_against_limits_and_absent_metrics_are_unknown() {
    let metrics = json!({"metadata": {"name": "api-0"}, "containers": [
        {"name": "main", "usage": {"cpu": "250m", "memory": "96Mi"}},
        {"name": "proxy", "usage": {"cpu": "1500n", "memory": "4Mi"}}]});
    let diagnostics = mk_observer(move |seen| match seen.target.as_str() {
        "/apis/metrics.k8s.io/v1beta1/namespaces/prod/pods/api-0" => Answer::Says(200, metrics.to_string()),
        "/api/v1/namespaces/prod/pods/api-0" => Answer::Says(200, pod("api-0").to_string()),
        "/apis/metrics.k8s.io/v1beta1/nodes?limit=250" => {
            let node = json!({"metadata": {"name": "n"}, "usage": {"cpu": "2", "memory": "2Gi"}});
            Answer::Says(200, json!({"items": [node]}).to_string())
        }
        "/api/v1/nodes?limit=250" => {
            let node =
                json!({"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "4", "memory": "16Gi"}}});
            Answer::Says(200, json!({"items": [node]}).to_string())
        }
        other => panic!("{other}"),
    });
    let each = ask(&diagnostics, "k8s.top", json!({"containers": true})).await;
    assert_known(&each);
    assert_eq!((&each.fields["count"], &each.fields["memory_of_limit_max"]), (&json!(2), &json!(0.96)));
    assert_eq!(each.fields["cpu_of_limit_max"], json!(0.5));
    assert!(
        each.text.starts_with("api-0/main  0.25 cores (50 % of its limit)  96 MiB (96 % of its limit)"),
        "{}",
        each.text
    );
    let whole = ask(&diagnostics, "k8s.top", json!({})).await;
    assert_eq!(whole.fields["count"], json!(1));
    assert!(!whole.fields.contains_key("memory_of_limit_max"), "one container has no limit: {whole:?}");
    let nodes = ask(&diagnostics, "k8s.top", json!({"of": "nodes"})).await;
    assert_eq!(
        (&nodes.fields["cpu_of_limit_max"], &nodes.fields["memory_of_limit_max"]),
        (&json!(0.5), &json!(0.125))
    );

    for status in [404, 503] {
        let diagnostics = mk_observer(move |seen| match seen.target.contains("metrics.k8s.io") {
            true => Answer::Says(status, "404 page not found".to_owned()),
            false => Answer::Says(200, pod("api-0").to_string()),
        });
        let finding = ask(&diagnostics, "k8s.top", json!({})).await;
        assert!(reason(&finding).contains("is there a metrics server?"), "{finding:?}");
    }
}

#[tokio::test]
async fn a_quantity_that_cannot_be_read_is_unknown_and_no_sum_is_too_small() {
    let container = |name: &str, cpu: &str| json!({"name": name, "usage": {"cpu": cpu, "memory": "4Mi"}});
    let broken = |first: &str, limit: &str| {
        let metrics = json!({"metadata": {"name": "api-0"},
            "containers": [container("main", first), container("proxy", "100m")]});
        let mut pod = pod("api-0");
        pod["spec"]["containers"][0]["resources"]["limits"]["cpu"] = json!(limit);
        mk_observer(move |seen| match seen.target.contains("metrics.k8s.io") {
            true => Answer::Says(200, metrics.to_string()),
            false => Answer::Says(200, pod.to_string()),
        })
    };
    for containers in [false, true] {
        let found = ask(&broken("lots", "500m"), "k8s.top", json!({"containers": containers})).await;
        assert_known(&found);
        for field in ["cpu_cores", "cpu_max_cores", "cpu_of_limit_max"] {
            assert!(!found.fields.contains_key(field), "{field}: {found:?}");
        }
        assert_eq!(
            (&found.fields["unread"], &found.fields["memory_bytes"]),
            (&json!(1), &json!(8_388_608.0))
        );
        let first = &found.fields["items"][0];
        assert_eq!(first.get("cpu_cores"), None, "{first}");
        let why = "its cpu (in use): `lots` is no quantity";
        assert!(first["unread"].as_str().is_some_and(|said| said.starts_with(why)), "{first}");
        assert!(found.text.contains("unknown cores") && found.text.contains(why), "{}", found.text);
    }
    // A limit that cannot be read hides how close its container is, and nothing else.
    let found = ask(&broken("400m", "half"), "k8s.top", json!({"containers": true})).await;
    assert_eq!((&found.fields["cpu_cores"], found.fields.get("cpu_of_limit_max")), (&json!(0.5), None));
    assert!(found.text.contains("its cpu (limit): `half` is no quantity"), "{}", found.text);

    let diagnostics = mk_observer(|seen| match seen.target.contains("metrics.k8s.io") {
        true => Answer::Says(
            200,
            r#"{"metadata": {"name": "api-0"}, "containers": [{"name": "main"}]}"#.to_owned(),
        ),
        false => Answer::Says(200, pod("api-0").to_string()),
    });
    let finding = ask(&diagnostics, "k8s.top", json!({})).await;
    assert!(reason(&finding).contains("api-0: its cpu (in use): not measured"), "{finding:?}");
}
