//! The engine must not notice which store it has.

use super::super::past::{Everybody, Past};
use crate::domain::Labels;
use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::fingerprint::Fingerprint;
use crate::engine::ports::{IncidentQuery, IncidentView, IncidentWrite, Reader, Store};
use crate::store::memory::{Memory, Watcher};
use crate::store::{OpenOptions, SqlStore};
use crate::testing::platform;
use crate::testing::stage::{Cast, CountingIds, ManualClock, PlainAlerts, Stage};
use crate::testing::world::{Tools, World};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

const RULES: &str = r#"
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: crash-loop }
spec:
  matchers: ['alertname="CrashLoop"']
  severity: P1
  target: { kind: Deployment, namespace: shop, name: '{{ labels.pod }}' }
  escalation: night
  diagnostics:
    - { name: restarts, prom.query: { expr: restarts } }
  remedies:
    - { name: restart, cooldown: 1h, action: { k8s.rollout_restart: {} }, verify: { settle: 60s, hold: 2m, within: 5m, checks: ['findings.restarts.value < 1'], onFail: next } }
    - { name: by-hand, tier: T3, action: { human.task: { title: 'Mend it', steps: ['Look'] } } }
---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: latency }
spec:
  matchers: ['alertname="Latency"']
  severity: P2
  groupBy: [service]
  remedies:
    - { name: limit, action: { http.call: { endpoint: waf, path: '/' } } }
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: night }
spec:
  levels:
    - { name: on-call, after: 0s, destinations: [{ slack: { channel: '#on-call' } }] }
    - { name: lead, after: 15m, destinations: [{ slack: { channel: '#leads' } }, { pagerduty: { service: lead } }] }
  repeat: { every: 30m, times: 2 }
  fallback: [{ slack: { channel: '#on-call' } }]
"#;

fn at(minutes: i64) -> Timestamp {
    let start: Timestamp = "2026-03-10T10:00:00Z".parse().expect("a time");
    start + SignedDuration::from_mins(minutes)
}

fn mk_alert(name: &str, label: (&str, &str), from: i64, to: Option<i64>) -> Alert {
    let labels: Labels = [("alertname", name), label].map(|(name, value)| (name.into(), value.into())).into();
    Alert {
        fingerprint: Fingerprint::of_labels(&labels),
        status: if to.is_some() { AlertStatus::Resolved } else { AlertStatus::Firing },
        labels,
        annotations: Labels::new(),
        starts_at: at(from),
        ends_at: to.map(at),
        generator_url: None,
    }
}

/// What happens, by minutes.
fn story() -> Vec<(i64, Alert)> {
    vec![
        (0, mk_alert("CrashLoop", ("pod", "a"), 0, None)),
        (3, mk_alert("Latency", ("service", "web"), 3, None)),
        (3, mk_alert("Stray", ("x", "y"), 3, None)),
        (20, mk_alert("Latency", ("service", "web"), 3, Some(20))),
        (40, mk_alert("CrashLoop", ("pod", "a"), 0, Some(40))),
        // Opens again, and is within the cooldown.
        (50, mk_alert("CrashLoop", ("pod", "a"), 50, None)),
        (55, mk_alert("Latency", ("service", "web"), 55, None)),
        (70, mk_alert("CrashLoop", ("pod", "a"), 50, Some(70))),
        (200, mk_alert("CrashLoop", ("pod", "a"), 200, None)),
    ]
}

/// Plays the story; `due` says when something is due next.
async fn play<D: Future<Output = Option<Timestamp>>>(
    store: Arc<dyn Store>,
    reader: Arc<dyn Reader>,
    due: impl Fn() -> D,
) -> Vec<IncidentView> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rules.yaml");
    std::fs::write(&file, RULES).expect("the folder takes a file");
    let book = platform::read_book(&[file.display().to_string()], None).expect("rules");
    let mut engine = crate::app::engine_settings(&platform::defaults());
    engine.dry_run = false;
    let world = Arc::new(World::new(Arc::clone(&book), Arc::new(Tools::new().expect("tools"))));
    let clock = Arc::new(ManualClock::at(at(0)));
    let stage = Stage::begin(Cast {
        store,
        reader: Arc::clone(&reader),
        playbook: book,
        diagnoser: Arc::new(Past::new(BTreeMap::new(), None, 0)),
        sentinel: world.clone(),
        surveyor: world.clone(),
        actor: world,
        alerting: None,
        notifier: Arc::new(Everybody),
        clock: clock.clone(),
        ids: Arc::new(CountingIds::default()),
        decoder: Arc::new(PlainAlerts),
        settings: engine,
    });
    let pass = async |to: Timestamp| {
        while let Some(due) = due().await.filter(|due| *due <= to) {
            clock.set(due);
            stage.work().await.expect("work");
        }
        clock.set(to);
    };
    for (minute, alert) in story() {
        pass(at(minute)).await;
        stage.post(&[alert]).await.expect("taken in");
        stage.work().await.expect("work");
    }
    pass(at(400)).await;
    stage.end().await;
    let query = IncidentQuery { statuses: Vec::new(), limit: 100, after: None };
    let mut views = Vec::new();
    for incident in reader.incidents(query).await.expect("incidents").into_iter().rev() {
        views.push(reader.incident(&incident.id).await.expect("readable").expect("there"));
    }
    views
}

struct Nobody;

impl Watcher for Nobody {
    fn written(&mut self, _: &IncidentWrite) {}
}

#[tokio::test]
async fn the_engine_comes_to_the_same_incidents_as_over_the_real_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("store.db").display());
    let options = OpenOptions { durable: false, connections: 1, ..OpenOptions::default() };
    let real = Arc::new(SqlStore::open(&url, &options).await.expect("a store"));
    let due = || async { real.next_due().await.expect("a time") };
    let over_sqlite = play(real.clone(), real.clone(), due).await;
    real.close().await;

    let memory = Arc::new(Memory::whole());
    let due = || async { memory.next_due() };
    let over_memory = play(memory.clone(), memory.clone(), due).await;
    assert_eq!(over_memory.len(), 5, "the story opens as many");
    assert!(over_sqlite.iter().any(|view| view.incident.actions.len() > 1), "remedies were taken");
    assert_eq!(over_memory, over_sqlite);

    let memory = Arc::new(Memory::watched(Box::new(Nobody)));
    let due = || async { memory.next_due() };
    let watched = play(memory.clone(), memory.clone(), due).await;
    let incidents = |views: Vec<IncidentView>| views.into_iter().map(|it| it.incident).collect::<Vec<_>>();
    assert_eq!(incidents(watched), incidents(over_sqlite));
}
