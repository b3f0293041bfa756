//! Diagnostics against servers on loopback: good answers, broken ones, and none.

mod history;
mod http;
mod kubernetes;
mod kubernetes_kubelet;
mod kubernetes_logs;
mod prom;
mod registry;
mod signs;

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::clients::http::{Credentials, ProxyChoice};
use crate::clients::prometheus::PrometheusClient;
use crate::domain::Labels;
use crate::domain::diagnosis::FindingStatus;
use crate::secret::{LiveText, SecretSource};

/// Long enough for a busy machine, short enough for a test that waits for it.
const TIMEOUT: Duration = Duration::from_secs(5);

const SECRET: &str = "planted-secret-4711";

fn mk_now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().expect("a time")
}

/// Knows [`SECRET`].
fn mk_keyring() -> Keyring {
    let keyring = Keyring::new(BTreeMap::from([("PLANTED".to_owned(), SECRET.to_owned())]));
    keyring.open(&SecretSource::Env("PLANTED".to_owned())).expect("the variable is set");
    keyring
}

/// Signs in with [`SECRET`], as the tenant `ops`.
fn mk_access(url: &str, sign_in: SignIn) -> PrometheusAccess {
    let options = HttpOptions { proxy: ProxyChoice::Direct, ..HttpOptions::configured() };
    let http = HttpClient::new(&options).expect("an HTTP client");
    let client = PrometheusClient::new(http, url, Credentials::None).expect("a client");
    let headers = vec![("X-Scope-OrgID".to_owned(), LiveText::Plain("ops".to_owned()))];
    PrometheusAccess { client, sign_in, headers, timeout: Duration::from_secs(60) }
}

fn mk_diagnostics(prometheus: Option<&str>) -> Diagnostics {
    let keyring = mk_keyring();
    let token = keyring.open(&SecretSource::Env("PLANTED".to_owned())).expect("the variable is set");
    let prometheus = prometheus.map(|url| mk_access(url, SignIn::Bearer(token)));
    let vitals = VitalsOptions::default();
    let options = DiagnosticsOptions {
        prometheus,
        kubernetes: None,
        connections: Default::default(),
        vitals,
        probe_loopback: true,
        keyring,
    };
    Diagnostics::new(options).expect("diagnostics")
}

fn mk_context() -> DiagnosisContext {
    DiagnosisContext {
        now: mk_now(),
        started_at: mk_now(),
        labels: Labels::new(),
        target: None,
        origin: None,
    }
}

async fn diagnose(diagnostics: &Diagnostics, kind: &str, params: Value, timeout: Duration) -> Finding {
    let spec = DiagnosticSpec { name: "evidence".to_owned(), kind: kind.to_owned(), params: Value::Null };
    let finding = diagnostics.diagnose(&spec, params, mk_context(), timeout).await;
    assert_eq!(
        (finding.name.as_str(), finding.kind.as_str(), finding.taken_at),
        ("evidence", kind, mk_now())
    );
    let shown = format!("{finding:?}");
    assert!(!shown.contains(SECRET), "a secret shows: {shown}");
    finding
}

/// The reason of an unknown finding, which must bring no fields along.
fn reason(finding: &Finding) -> &str {
    assert!(finding.fields.is_empty() && finding.text.is_empty(), "{finding:?}");
    match &finding.status {
        FindingStatus::Unknown(reason) => reason,
        FindingStatus::Known => panic!("known: {finding:?}"),
    }
}

#[track_caller]
fn assert_known(finding: &Finding) {
    assert_eq!(finding.status, FindingStatus::Known, "{finding:?}");
}

#[tokio::test]
async fn an_unknown_kind_and_wrong_parameters_are_unknown_findings() {
    let diagnostics = mk_diagnostics(None);
    let finding = diagnose(&diagnostics, "prom.guess", json!({}), TIMEOUT).await;
    assert_eq!(reason(&finding), "this version has no diagnostic `prom.guess`");
    let finding =
        diagnose(&diagnostics, "http.check", json!({"url": "http://h/", "timeout": 3}), TIMEOUT).await;
    assert!(reason(&finding).contains("unknown field `timeout`"), "{finding:?}");
}

#[tokio::test]
async fn links_are_filled_in_and_nothing_is_fetched() {
    let links = json!({"links": {"Logs": "http://127.0.0.1:9/x?q=%3Cb%3E", "Dashboard": "https://g.example.com/d/1"}});
    let finding = diagnose(&mk_diagnostics(None), "links.render", links, TIMEOUT).await;
    assert_known(&finding);
    assert_eq!(finding.text, "Dashboard: https://g.example.com/d/1\nLogs: http://127.0.0.1:9/x?q=%3Cb%3E");
    assert_eq!(
        (&finding.fields["count"], &finding.fields["links"]["Logs"]),
        (&json!(2), &json!("http://127.0.0.1:9/x?q=%3Cb%3E"))
    );
}

#[test]
fn every_kind_has_a_schema_and_refuses_what_it_does_not_know() {
    let kinds = kinds();
    let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
    let families = [
        "prom", "http", "links", "k8s", "backup", "redis", "pg", "tls", "logs", "rabbitmq", "history",
        "registry",
    ];
    let is_known = |name: &&str| families.iter().any(|family| name.starts_with(&format!("{family}.")));
    assert!(names.len() == 28 && names.iter().all(is_known), "{names:?}");
    for kind in kinds {
        let schema = (kind.schema)();
        assert_eq!(schema["additionalProperties"], json!(false), "{}", kind.name);
        assert!((kind.check)(&json!({"nonsense": 1})).is_err(), "{}", kind.name);
        assert!((kind.check)(&json!(null)).is_err() && (kind.check)(&json!([1])).is_err(), "{}", kind.name);
        assert!(kind.timeout <= Duration::from_secs(30), "{}", kind.name);
    }
}

#[test]
fn texts_with_templates_are_told_with_their_language() {
    use crate::domain::catalog::{Slot, SlotLanguage};
    let slots = |kind: &str, params: Value| {
        let kind = kinds().into_iter().find(|k| k.name == kind).expect("a kind");
        (kind.check)(&params).expect("good parameters").slots
    };
    let params = json!({"url": "http://h/{{ labels.a }}", "expect": {"contains": "{{ labels.b }}"}});
    let expected = [Slot::new("/url", SlotLanguage::Url), Slot::new("/expect/contains", SlotLanguage::Text)];
    assert_eq!(slots("http.check", params), expected);
    let params = json!({"expr": "up{job=\"{{ labels.job }}\"}", "window": "1h"});
    assert_eq!(slots("prom.range", params), [Slot::new("/expr", SlotLanguage::Promql)]);
    let params = json!({"links": {"a/b": "http://h/{{ labels.a }}"}});
    assert_eq!(slots("links.render", params), [Slot::new("/links/a~1b", SlotLanguage::Url)]);
}
