//! One stage: the real engine, rules, diagnostics and actions over the simulated cluster, on one manual clock.

use serde_json::{Value, json};
use smokejumper::actions::{Actions, ActionsOptions, ClusterAccess};
use smokejumper::app;
use smokejumper::clients::http::{ProxyChoice, install_crypto_provider};
use smokejumper::clients::kubernetes::{ActHandle, ConnectOptions, ReadHandle};
use smokejumper::diagnostics::{Diagnostics, DiagnosticsOptions, KubernetesAccess, VitalsOptions};
use smokejumper::domain::Labels;
use smokejumper::domain::action::Action;
use smokejumper::domain::alert::{Alert, AlertStatus};
use smokejumper::domain::approval::Verdict;
use smokejumper::domain::fingerprint::Fingerprint;
use smokejumper::domain::incident::{Incident, IncidentId, Phase};
use smokejumper::domain::notification::{Destination, MessageRef, Notice};
use smokejumper::domain::people::{Actor as Person, Role, Via};
use smokejumper::domain::temporary::TemporaryFix;
use smokejumper::domain::vitals::{Sign, Vitals};
use smokejumper::engine::EngineSettings;
use smokejumper::engine::commands::Commands;
use smokejumper::engine::ports::{
    Clock, Delivered, Ids, IncidentQuery, IncidentView, Notifier, PortFuture, Reader, Sentinel, Store,
};
use smokejumper::rules::{BookSource, RuleBook};
use smokejumper::sandbox::kubernetes::KubernetesSandbox;
use smokejumper::sandbox::kubernetes::behaviour::Behaviour;
use smokejumper::secret::Keyring;
use smokejumper::settings::Settings;
use smokejumper::store::{OpenOptions, SqlStore};
use smokejumper::testing::stage::{self, Cast, PlainAlerts};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// When a stage hangs instead of going on. In real time, which no story waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest leap of the clock: controllers, probes and timers all take their turn within.
const LEAP_MAX: SignedDuration = SignedDuration::from_secs(5);

/// The same while nobody watches.
const UNWATCHED_LEAP_MAX: SignedDuration = SignedDuration::from_secs(60);

/// The cluster with its clock, which is everybody's, and what else there is outside.
struct Outside {
    cluster: KubernetesSandbox,
    /// What monitoring says beside the cluster's own signs.
    signs: Mutex<BTreeMap<String, Sign>>,
    /// Words that reached people.
    told: Mutex<Vec<String>>,
    ids: Mutex<u64>,
}

impl Clock for Outside {
    fn now(&self) -> Timestamp {
        let millis = self.cluster.now().as_millisecond();
        Timestamp::from_millisecond(millis).expect("it came from a time")
    }
}

impl Ids for Outside {
    fn incident(&self) -> IncidentId {
        let mut ids = self.ids.lock().expect("not poisoned");
        *ids += 1;
        IncidentId(format!("{:032x}", *ids))
    }
    fn delivery(&self) -> String {
        self.incident().0
    }
}

impl Notifier for Outside {
    fn notify<'a>(
        &'a self,
        _: &'a Destination,
        notice: &'a Notice,
        _: &'a IncidentView,
        _: Timestamp,
    ) -> PortFuture<'a, Delivered> {
        if let Notice::Reply { text, .. } = notice {
            self.told.lock().expect("not poisoned").push(text.clone());
        }
        let message = MessageRef { channel: "C".to_owned(), ts: "1.1".to_owned() };
        Box::pin(std::future::ready(Delivered::Yes { message: Some(message) }))
    }
}

/// The cluster's own signs, really taken, and those of the story.
struct Watch {
    outside: Arc<Outside>,
    diagnostics: Arc<Diagnostics>,
}

impl Sentinel for Watch {
    fn vitals(&self, now: Timestamp) -> PortFuture<'_, Vitals> {
        Box::pin(async move {
            let mut vitals = self.diagnostics.vitals(now).await;
            vitals.signs.extend(self.outside.signs.lock().expect("not poisoned").clone());
            vitals
        })
    }
}

pub struct Stage {
    house: House,
    pub store: Arc<SqlStore>,
    pub commands: Commands,
    process: stage::Stage,
}

/// What one process has in common with the next.
struct House {
    outside: Arc<Outside>,
    book: Arc<RuleBook>,
    diagnostics: Arc<Diagnostics>,
    hands: Arc<Actions>,
    settings: EngineSettings,
    folder: tempfile::TempDir,
}

/// A Deployment of four replicas in `shop`.
pub fn deployment(name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "namespace": "shop" },
        "spec": {
            "replicas": 4,
            "progressDeadlineSeconds": 60,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{
                    "name": name, "image": image,
                    "resources": { "requests": { "cpu": "100m" } },
                }] },
            },
        },
    })
}

impl Stage {
    /// `api` runs well as `api:1` and crashes as `api:2`; `web` runs beside it.
    pub async fn new(rules: &str) -> Self {
        Self::under("", rules).await
    }

    /// The same under these guardrails.
    pub async fn under(guardrails: &str, rules: &str) -> Self {
        install_crypto_provider();
        let cluster = KubernetesSandbox::start(0).await.expect("a free port");
        cluster.load("{ apiVersion: v1, kind: Namespace, metadata: { name: shop } }").expect("a namespace");
        cluster.behave("api:2", Behaviour::crash_loop());
        for name in ["api", "web"] {
            cluster.put(deployment(name, &format!("{name}:1"))).expect("a deployment");
        }
        cluster.step(Duration::from_secs(60));
        let folder = tempfile::tempdir().expect("a folder");
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, cluster.kubeconfig()).expect("written");
        let file = folder.path().join("rules.yaml");
        std::fs::write(&file, rules).expect("written");
        let text = format!(
            "kubernetes: {{ kubeconfig: kubeconfig }}\n\
             slack: {{ bot_token: {{ env: BOT }}, default_channel: '#incidents' }}\n\
             guardrails: {{ {guardrails} }}\nrules: ['{}']\nmode: enforce\n",
            file.display()
        );
        let settings = Settings::from_text("s.yaml", &text, Path::new(""), &BTreeMap::new())
            .unwrap_or_else(|error| panic!("{error}"));
        let source = BookSource {
            patterns: settings.rules.0.clone(),
            catalog: Arc::new(app::catalog(&settings)),
            known: app::known(&settings),
            default_policy: None,
        };
        let book = Arc::new(RuleBook::open(source).unwrap_or_else(|errors| panic!("{errors}")));
        let line = || ConnectOptions {
            kubeconfig: Some(kubeconfig.clone()),
            timeout: Duration::from_secs(10),
            ..ConnectOptions::default()
        };
        let keyring = Keyring::new(BTreeMap::new());
        let diagnostics = DiagnosticsOptions {
            prometheus: None,
            kubernetes: Some(KubernetesAccess { reads: ReadHandle::new(line()), commands: BTreeMap::new() }),
            connections: Default::default(),
            vitals: VitalsOptions {
                nodes_percent: settings.guardrails.correlation.nodes_percent,
                ..VitalsOptions::default()
            },
            probe_loopback: true,
            keyring: keyring.clone(),
        };
        let diagnostics = Arc::new(Diagnostics::new(diagnostics).expect("diagnostics"));
        let hands = ActionsOptions {
            endpoints: BTreeMap::new(),
            proxy: ProxyChoice::default(),
            kubernetes: Some(ClusterAccess { acts: ActHandle::new(line()), commands: BTreeMap::new() }),
            connections: Default::default(),
            keyring,
        };
        let hands = Arc::new(Actions::new(hands).expect("actions"));
        let outside = Arc::new(Outside {
            cluster,
            signs: Mutex::default(),
            told: Mutex::default(),
            ids: Mutex::default(),
        });
        let settings: EngineSettings = app::engine_settings(&settings);
        Self::begin(House { outside, book, diagnostics, hands, settings, folder }).await
    }

    /// A process over what the one before has left in the store.
    async fn begin(house: House) -> Self {
        let url = format!("sqlite://{}/s.db", house.folder.path().display());
        let store = Arc::new(SqlStore::open(&url, &OpenOptions::default()).await.expect("a store"));
        store.release_all().await.expect("leases are given back");
        let House { outside, book, diagnostics, hands, settings, .. } = &house;
        let process = stage::Stage::begin(Cast {
            store: store.clone(),
            reader: store.clone(),
            playbook: book.clone(),
            diagnoser: diagnostics.clone(),
            sentinel: Arc::new(Watch { outside: outside.clone(), diagnostics: diagnostics.clone() }),
            surveyor: hands.clone(),
            actor: hands.clone(),
            alerting: None,
            notifier: outside.clone(),
            clock: outside.clone(),
            ids: outside.clone(),
            decoder: Arc::new(PlainAlerts),
            settings: settings.clone(),
        });
        Self { house, store, commands: process.commands.clone(), process }
    }

    /// The process ends, time passes without it, and the next one begins.
    pub async fn away_for(self, time: SignedDuration) -> Self {
        let Self { mut house, store, commands, process } = self;
        drop(commands);
        tokio::time::timeout(PATIENCE, process.end()).await.expect("nothing hangs");
        store.close().await;
        drop(store);
        let end = house.outside.now() + time;
        while house.outside.now() < end {
            let leap = end.duration_since(house.outside.now()).min(UNWATCHED_LEAP_MAX);
            house.outside.cluster.step(Duration::try_from(leap).expect("forward"));
        }
        house.settings.booted_at = Some(house.outside.now());
        let stage = Self::begin(house).await;
        stage.work().await;
        stage
    }

    /// The rules become others.
    pub fn change_rules(&self, rules: &str) {
        std::fs::write(self.house.folder.path().join("rules.yaml"), rules).expect("written");
        let reload = self.house.book.reload();
        assert_eq!(reload.as_str(), "loaded", "{reload:?}");
    }

    pub fn cluster(&self) -> &KubernetesSandbox {
        &self.house.outside.cluster
    }

    pub fn now(&self) -> Timestamp {
        self.house.outside.now()
    }

    /// What monitoring says from now on, by the name of the sign; none takes it back.
    pub fn sign(&self, name: &str, sign: Option<Sign>) {
        let mut signs = self.house.outside.signs.lock().expect("not poisoned");
        match sign {
            Some(sign) => signs.insert(name.to_owned(), sign),
            None => signs.remove(name),
        };
    }

    /// Words that reached people below a card.
    pub fn told(&self) -> Vec<String> {
        self.house.outside.told.lock().expect("not poisoned").clone()
    }

    /// An alert about a Deployment in `shop` begins.
    pub async fn fires(&self, alertname: &str, deployment: &str) {
        self.fires_together(&[(alertname, deployment)]).await;
    }

    /// Several begin, and come in one webhook.
    pub async fn fires_together(&self, alerts: &[(&str, &str)]) {
        let alerts = alerts.iter().map(|(alertname, deployment)| self.alert(alertname, deployment, false));
        self.post(alerts.collect()).await;
    }

    /// One ends.
    pub async fn ends(&self, alertname: &str, deployment: &str) {
        self.post(vec![self.alert(alertname, deployment, true)]).await;
    }

    fn alert(&self, alertname: &str, deployment: &str, is_over: bool) -> Alert {
        let pairs = [("alertname", alertname), ("namespace", "shop"), ("deployment", deployment)];
        let labels: Labels =
            pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Alert {
            fingerprint: Fingerprint::of_labels(&labels),
            status: if is_over { AlertStatus::Resolved } else { AlertStatus::Firing },
            labels,
            annotations: Labels::new(),
            starts_at: self.now() - SignedDuration::from_mins(1),
            ends_at: is_over.then(|| self.now()),
            generator_url: None,
        }
    }

    async fn post(&self, alerts: Vec<Alert>) {
        let posted = tokio::time::timeout(PATIENCE, self.process.post(&alerts)).await;
        posted.expect("nothing hangs").expect("they are taken in");
        self.work().await;
    }

    /// Carries out everything that is due now.
    pub async fn work(&self) {
        let worked = tokio::time::timeout(PATIENCE, self.process.work()).await;
        worked.expect("nothing hangs").expect("it is recorded");
    }

    /// Lets time pass for the cluster and for us, stopping wherever something is due.
    pub async fn pass(&self, time: SignedDuration) {
        let end = self.now() + time;
        while self.now() < end {
            let now = self.now();
            let due = self.store.next_due().await.expect("reads").unwrap_or(end);
            let leap = due.duration_since(now).clamp(SignedDuration::from_secs(1), LEAP_MAX);
            let leap = leap.min(end.duration_since(now));
            self.cluster().step(Duration::try_from(leap).expect("forward"));
            self.work().await;
        }
    }

    /// The only incident.
    pub async fn incident(&self) -> Incident {
        let mut all = self.incidents().await;
        assert_eq!(all.len(), 1, "one incident");
        all.remove(0)
    }

    /// All incidents, oldest first.
    pub async fn incidents(&self) -> Vec<Incident> {
        let query = IncidentQuery { statuses: Vec::new(), limit: 100, after: None };
        let mut all = self.store.incidents(query).await.expect("reads");
        all.reverse();
        all
    }

    /// Remedies of the only incident with where they stand, in order.
    pub async fn remedies(&self) -> Vec<String> {
        let shown = |action: &Action| format!("{}: {}", action.remedy, action.status.as_str());
        self.incident().await.actions.iter().map(shown).collect()
    }

    /// Reasons and texts of the timeline of the only incident.
    pub async fn timeline(&self) -> Vec<(String, String)> {
        let id = self.incident().await.id;
        let view = self.store.incident(&id).await.expect("reads").expect("it is there");
        view.timeline
            .iter()
            .map(|line| (line.reason.clone().unwrap_or_default(), line.text.clone()))
            .collect()
    }

    pub async fn phase(&self) -> Phase {
        self.incident().await.phase
    }

    /// One person approves what is asked for.
    pub async fn approve(&self) {
        let action = self.incident().await.actions.last().cloned().expect("an action");
        let decided = self.commands.decide(action.id, una(), Verdict::Approve, Some(action.digest), None);
        decided.await.expect("it counts");
        self.work().await;
    }

    /// Changes for a limited time that stand, as people see them.
    pub async fn fixes(&self) -> Vec<TemporaryFix> {
        self.store.temporary_fixes().await.expect("reads")
    }

    /// The service looks whether somebody has set back what stands.
    pub async fn look_at_fixes(&self) {
        self.process.executor.look_at_fixes().await.expect("it is recorded");
        self.work().await;
    }

    /// Writes that changed something, as the cluster recorded them.
    pub fn writes(&self) -> Vec<String> {
        let entries = self.cluster().writes().entries();
        let real = entries.iter().filter(|write| write.what.took_effect);
        real.map(|write| format!("{} {} {}", write.what.verb, write.what.resource, write.what.name)).collect()
    }

    pub fn image(&self, name: &str) -> Value {
        let found = self.cluster().get("deployments", "shop", name).expect("it is there");
        found["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    }

    /// Somebody puts another image into a Deployment.
    pub fn roll_out(&self, name: &str, image: &str) {
        let mut found = self.cluster().get("deployments", "shop", name).expect("it is there");
        found["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        self.cluster().put(found).expect("a new revision");
    }
}

pub fn una() -> Person {
    Person { name: "una".to_owned(), via: Via::Api, role: Role::Admin }
}
