//! Short scripted stories, each about one thing that once went wrong or might.

use crate::crash::{CrashingStore, Random};
use crate::outside::Outside;
use crate::playbook::OneRule;
use crate::process::Process;
use jiff::{SignedDuration, Timestamp};
use smokejumper::domain::Labels;
use smokejumper::domain::action::ActionStatus;
use smokejumper::domain::alert::{Alert, AlertStatus};
use smokejumper::domain::approval::Verdict;
use smokejumper::domain::effect::EffectKind;
use smokejumper::domain::fingerprint::Fingerprint;
use smokejumper::domain::guardrail::{self, Guardrail};
use smokejumper::domain::incident::{Incident, IncidentStatus};
use smokejumper::domain::people::{Actor, Role, Via};
use smokejumper::engine::ports::{Clock, IncidentQuery, Leased, Reader, Store};
use smokejumper::store::{OpenOptions, SqlStore};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// When a story hangs instead of going on.
const PATIENCE: Duration = Duration::from_secs(30);

/// One process without any trouble, over a store of its own.
struct Scene {
    outside: Outside,
    store: Arc<SqlStore>,
    process: Process,
    _folder: tempfile::TempDir,
}

fn una() -> Actor {
    Actor { name: "una".to_owned(), via: Via::Api, role: Role::Admin }
}

fn mk_alert(service: &str, instance: &str, starts_at: Timestamp, ends_at: Option<Timestamp>) -> Alert {
    let labels = Labels::from([
        ("alertname".to_owned(), "Errors".to_owned()),
        ("service".to_owned(), service.to_owned()),
        ("instance".to_owned(), instance.to_owned()),
    ]);
    Alert {
        fingerprint: Fingerprint::of_labels(&labels),
        status: if ends_at.is_some() { AlertStatus::Resolved } else { AlertStatus::Firing },
        labels,
        annotations: Labels::new(),
        starts_at,
        ends_at,
        generator_url: None,
    }
}

impl Scene {
    async fn new() -> Self {
        Self::under(OneRule::new()).await
    }

    async fn under(rules: OneRule) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
        let url = format!("sqlite://{}/s.db", folder.path().display());
        let store = Arc::new(SqlStore::open(&url, &OpenOptions::default()).await.expect("a store"));
        let random = Random::new(1);
        let outside = Outside::new(random.clone());
        *outside.calm.lock().expect("not poisoned") = true;
        let calm = CrashingStore::new(store.clone(), random, 0, Arc::default());
        let process = Process::start(calm, store.clone(), outside.clone(), rules, "p".to_owned(), true).await;
        Self { outside, store, process, _folder: folder }
    }

    fn now(&self) -> Timestamp {
        self.outside.now()
    }

    /// An alert that fires since just now.
    fn firing(&self, instance: &str) -> Alert {
        mk_alert("shop", instance, self.now(), None)
    }

    /// Posts one delivery and waits until it was taken in.
    async fn post(&self, alerts: &[Alert]) {
        assert!(self.process.post(alerts).await, "it is stored");
        self.inbox_is_read().await;
    }

    /// Holds the next commit up until somebody lets it go on.
    fn slow_commit(&self) -> tokio::sync::oneshot::Sender<()> {
        let (go_on, slow) = tokio::sync::oneshot::channel();
        *self.process.store.slow.lock().expect("not poisoned") = Some(slow);
        go_on
    }

    /// Waits until so many steps were judged: each loads once.
    async fn judged(&self, count: u64) {
        let judged = async {
            while self.process.store.loads.load(Ordering::SeqCst) < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, judged).await.expect("it is judged");
    }

    async fn inbox_is_read(&self) {
        let taken = async {
            while self.store.inbox_depth().await.expect("reads") > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, taken).await.expect("a delivery is taken in");
    }

    fn wait(&self, hours: i64) {
        self.outside.advance(SignedDuration::from_hours(hours));
    }

    /// Works until the first remedy may be carried out, and claims it.
    async fn claim_the_remedy(&self) -> Leased {
        self.post(&[self.firing("a")]).await;
        for kind in [EffectKind::Diagnose, EffectKind::Act] {
            let claim = self.process.claim(kind);
            let leased = self.store.claim(claim).await.expect("claims").remove(0);
            if kind == EffectKind::Act {
                return leased;
            }
            self.process.executor.execute(leased).await.expect("it is carried out");
        }
        unreachable!("an act is claimed last")
    }

    fn acts(&self) -> usize {
        self.outside.acts.lock().expect("not poisoned").len()
    }

    async fn incidents(&self) -> Vec<Incident> {
        let query = IncidentQuery { statuses: Vec::new(), limit: 1_000, after: None };
        let mut incidents = self.store.incidents(query).await.expect("reads");
        incidents.reverse();
        incidents
    }
}

#[tokio::test]
async fn an_alert_that_outlives_its_incident_joins_the_next_one_of_its_key() {
    let scene = Scene::new().await;
    let old = scene.firing("a");
    scene.post(std::slice::from_ref(&old)).await;
    let first = scene.incidents().await.remove(0);
    scene.process.commands.resolve(first.id.clone(), una(), None).await.expect("resolved");
    scene.wait(2);
    let new = scene.firing("b");
    // The new one opens the next incident; the old one would open the first one again.
    scene.post(&[new.clone(), old.clone()]).await;
    let [first, second] = scene.incidents().await.try_into().expect("two incidents");
    assert_eq!((first.status, first.alerts.firing), (IncidentStatus::Resolved, 0));
    assert_eq!((second.status, second.alerts.firing), (IncidentStatus::Triggered, 2));
    // The same where the second one was there before.
    scene.post(std::slice::from_ref(&old)).await;
    let ended =
        |alert: &Alert| Alert { status: AlertStatus::Resolved, ends_at: Some(scene.now()), ..alert.clone() };
    scene.post(&[ended(&old), ended(&new)]).await;
    let statuses: Vec<IncidentStatus> = scene.incidents().await.iter().map(|it| it.status).collect();
    assert_eq!(statuses, [IncidentStatus::Resolved; 2]);
}

#[tokio::test]
async fn an_alert_moves_to_an_incident_that_was_there_before_it_repeats() {
    let scene = Scene::new().await;
    let old = scene.firing("a");
    scene.post(std::slice::from_ref(&old)).await;
    let first = scene.incidents().await.remove(0);
    scene.process.commands.resolve(first.id.clone(), una(), None).await.expect("resolved");
    scene.wait(2);
    scene.post(&[scene.firing("b")]).await;
    // Its own delivery, which names the first incident only by what is stored of the alert.
    scene.post(std::slice::from_ref(&old)).await;
    let [first, second] = scene.incidents().await.try_into().expect("two incidents");
    assert_eq!((first.status, first.alerts.firing), (IncidentStatus::Resolved, 0));
    assert_eq!((second.status, second.alerts.firing), (IncidentStatus::Triggered, 2));
}

#[tokio::test]
async fn hands_that_slept_do_not_start_what_others_have_claimed_since() {
    let scene = Scene::new().await;
    let slept = scene.claim_the_remedy().await;
    scene.outside.advance(SignedDuration::from_mins(2));
    let claim = scene.process.claim(EffectKind::Act);
    let later = scene.store.claim(claim).await.expect("claims").remove(0);
    assert_eq!((&later.id, later.attempt), (&slept.id, 2));
    scene.process.executor.execute(slept).await.expect("nothing to record");
    assert_eq!(scene.acts(), 0, "the lease is somebody else's");
    scene.process.executor.execute(later).await.expect("it is carried out");
    assert_eq!(scene.acts(), 1);
}

#[tokio::test]
async fn a_pause_that_comes_between_the_last_look_and_the_start_stops_it() {
    let scene = Scene::new().await;
    let leased = scene.claim_the_remedy().await;
    scene.process.store.pause_first.store(true, Ordering::SeqCst);
    scene.process.executor.execute(leased).await.expect("its end is recorded");
    assert_eq!(scene.acts(), 0, "a pause stands");
    let incident = scene.incidents().await.remove(0);
    assert_eq!(incident.actions[0].status, ActionStatus::Blocked);
}

#[tokio::test]
async fn a_restart_in_dry_run_starts_nothing_that_was_allowed_before() {
    let scene = Scene::new().await;
    scene.claim_the_remedy().await;
    let calm = CrashingStore::new(scene.store.clone(), Random::new(1), 0, Arc::default());
    let mut rules = OneRule::new();
    rules.dry_run = true;
    let (store, outside) = (scene.store.clone(), scene.outside.clone());
    let watching = Process::start(calm, store, outside, rules, "q".to_owned(), true).await;
    let claim = watching.claim(EffectKind::Act);
    let leased = scene.store.claim(claim).await.expect("claims").remove(0);
    watching.executor.execute(leased).await.expect("its end is recorded");
    assert_eq!(scene.acts(), 0);
    let incident = scene.incidents().await.remove(0);
    assert_eq!(incident.actions[0].status, ActionStatus::Simulated, "{:?}", incident.actions);
}

#[tokio::test]
async fn the_next_step_is_judged_while_one_is_written_and_only_where_they_do_not_meet() {
    let scene = Scene::new().await;
    let go_on = scene.slow_commit();
    assert!(scene.process.post(&[mk_alert("one", "a", scene.now(), None)]).await, "it is stored");
    scene.judged(1).await;
    assert!(scene.process.post(&[mk_alert("two", "a", scene.now(), None)]).await, "it is stored");
    scene.judged(2).await;
    assert_eq!(scene.incidents().await.len(), 0, "nothing is written yet");
    go_on.send(()).expect("the commit waits");
    scene.post(&[mk_alert("one", "b", scene.now(), None)]).await;
    let incidents = scene.incidents().await;
    let firing: Vec<u32> = incidents.iter().map(|incident| incident.alerts.firing).collect();
    assert_eq!(firing, [2, 1], "what met the first step was judged after it");
}

#[tokio::test]
async fn a_step_that_waited_long_to_be_written_is_judged_anew() {
    let scene = Scene::new().await;
    let store = &scene.process.store;
    let go_on = scene.slow_commit();
    for (number, service) in (1..).zip(["one", "two"]) {
        assert!(scene.process.post(&[mk_alert(service, "a", scene.now(), None)]).await, "it is stored");
        scene.judged(number).await;
    }
    // Time goes by for the process, though nobody waits for it; again and again, since judging takes a moment.
    for _ in 0..50 {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(2)).await;
        tokio::time::resume();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    go_on.send(()).expect("the commit waits");
    scene.inbox_is_read().await;
    assert_eq!(scene.incidents().await.len(), 2);
    assert_eq!(store.loads.load(Ordering::SeqCst), 3, "the second one is judged twice");
}

#[tokio::test]
async fn the_text_of_a_rule_is_taken_anew_for_an_incident_days_later() {
    let scene = Scene::new().await;
    scene.post(&[mk_alert("one", "a", scene.now(), None)]).await;
    let first = scene.incidents().await.remove(0);
    scene.process.commands.resolve(first.id, una(), None).await.expect("resolved");
    scene.wait(60);
    scene.post(&[mk_alert("two", "a", scene.now(), None)]).await;
    let an_hour_before = scene.now().checked_sub(SignedDuration::from_hours(1)).expect("a time");
    assert_eq!(scene.store.prune(an_hour_before).await.expect("pruned"), 1, "the first is long over");
    let second = scene.incidents().await.remove(0);
    assert_eq!(second.rule_hash, first.rule_hash);
    let text = scene.store.text(&second.rule_hash).await.expect("readable");
    assert!(text.is_some(), "the second keeps to it");
}

#[tokio::test]
async fn who_counts_neighbours_counts_those_that_are_being_written() {
    let scene = Scene::under(OneRule::asking_once()).await;
    let go_on = scene.slow_commit();
    for (number, service) in (1..).zip(["one", "two"]) {
        assert!(scene.process.post(&[mk_alert(service, "a", scene.now(), None)]).await, "it is stored");
        scene.judged(number).await;
    }
    go_on.send(()).expect("the commit waits");
    scene.inbox_is_read().await;
    let mut asked: Vec<_> = scene.incidents().await.iter().map(|it| it.actions[0].status).collect();
    asked.sort_unstable_by_key(|status| *status != ActionStatus::AwaitingApproval);
    assert_eq!(asked, [ActionStatus::AwaitingApproval, ActionStatus::Blocked], "people are asked once");
}

#[tokio::test]
async fn what_was_stored_first_is_told_first_even_when_its_write_fails() {
    let scene = Scene::new().await;
    let store = &scene.process.store;
    let began = mk_alert("one", "a", scene.now(), None);
    scene.post(std::slice::from_ref(&began)).await;
    scene.outside.advance(SignedDuration::from_mins(5));
    // The alert ends and begins again; the write of the end fails while the new beginning waits behind it.
    let go_on = scene.slow_commit();
    store.fails.store(true, Ordering::SeqCst);
    let before = store.loads.load(Ordering::SeqCst);
    let ended = Alert { status: AlertStatus::Resolved, ends_at: Some(scene.now()), ..began.clone() };
    assert!(scene.process.post(&[ended]).await, "it is stored");
    scene.judged(before + 1).await;
    scene.outside.advance(SignedDuration::from_mins(1));
    assert!(scene.process.post(&[mk_alert("one", "a", scene.now(), None)]).await, "it is stored");
    // Lets the second be read, which meets the first and has to wait.
    tokio::time::sleep(Duration::from_millis(50)).await;
    go_on.send(()).expect("the commit waits");
    scene.inbox_is_read().await;
    let incident = scene.incidents().await.remove(0);
    assert_eq!((incident.is_open(), incident.alerts.firing), (true, 1), "it fires, and nobody forgot it");
}

#[tokio::test]
async fn what_was_approved_starts_with_its_values_although_the_evidence_is_fresh() {
    let scene = Scene::under(OneRule::asking()).await;
    scene.post(&[scene.firing("a")]).await;
    while scene.process.work().await {}
    let asked = scene.incidents().await.remove(0).actions.remove(0);
    assert_eq!(asked.status, ActionStatus::AwaitingApproval);
    scene.outside.advance(SignedDuration::from_mins(1));
    let approved = scene.process.commands.decide(asked.id, una(), Verdict::Approve, Some(asked.digest), None);
    approved.await.expect("it counts");
    while scene.process.work().await {}
    assert_eq!(scene.acts(), 1, "the values are those that were approved");
}

#[tokio::test]
async fn a_defect_in_a_write_ends_the_stepping_instead_of_being_tried_for_ever() {
    let mut scene = Scene::new().await;
    scene.process.store.panics.store(true, Ordering::SeqCst);
    assert!(scene.process.post(&[scene.firing("a")]).await, "it is stored");
    let ended = tokio::time::timeout(PATIENCE, scene.process.steps_panicked()).await;
    assert!(ended.expect("the task ends"));
}

#[tokio::test]
async fn a_cooldown_of_days_is_kept() {
    let scene = Scene::under(OneRule::with_cooldown(SignedDuration::from_hours(48))).await;
    let leased = scene.claim_the_remedy().await;
    scene.process.executor.execute(leased).await.expect("it is carried out");
    scene
        .process
        .commands
        .resolve(scene.incidents().await[0].id.clone(), una(), None)
        .await
        .expect("resolved");
    scene.wait(30);
    scene.post(&[mk_alert("shop", "b", scene.now(), None)]).await;
    let claim = scene.process.claim(EffectKind::Diagnose);
    let diagnosis = scene.store.claim(claim).await.expect("claims").remove(0);
    scene.process.executor.execute(diagnosis).await.expect("it is gathered");
    let second = scene.incidents().await.remove(1);
    let blocked = guardrail::first_denial(&second.actions[0].guardrails).expect("a guardrail denies");
    assert_eq!(blocked.guardrail, Guardrail::Cooldown);
}

/// Every order of `things`.
fn orders<T: Clone>(things: &[T]) -> Vec<Vec<T>> {
    if things.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for index in 0..things.len() {
        let mut rest = things.to_vec();
        let first = rest.remove(index);
        all.extend(orders(&rest).into_iter().map(|mut order| {
            order.insert(0, first.clone());
            order
        }));
    }
    all
}

#[tokio::test]
async fn two_episodes_of_an_alert_are_over_in_whatever_order_they_are_told() {
    let scene = Scene::new().await;
    let at = |minute: i64| scene.now().checked_add(SignedDuration::from_mins(minute - 60)).expect("in range");
    let tellings = [(1, None), (1, Some(5)), (10, None), (10, Some(12))];
    for (number, order) in orders(&tellings).into_iter().enumerate() {
        let service = format!("s{number}");
        for (starts, ends) in &order {
            scene.post(&[mk_alert(&service, "a", at(*starts), ends.map(at))]).await;
            scene.outside.advance(SignedDuration::from_millis(1));
        }
        let open: Vec<Incident> =
            scene.incidents().await.into_iter().filter(|incident| incident.is_open()).collect();
        assert_eq!(open.len(), 0, "told as {order:?}");
    }
}
