//! A desk: the real engine, store and rules on one manual clock, with scripted Alertmanagers and people who only listen.

use jiff::{SignedDuration, Timestamp};
use smokejumper::actions::{Actions, ActionsOptions};
use smokejumper::app;
use smokejumper::clients::http::{ProxyChoice, install_crypto_provider};
use smokejumper::diagnostics::{Diagnostics, DiagnosticsOptions, VitalsOptions};
use smokejumper::domain::Labels;
use smokejumper::domain::alert::{Alert, AlertStatus};
use smokejumper::domain::effect::EffectKind;
use smokejumper::domain::fingerprint::Fingerprint;
use smokejumper::domain::incident::{Incident, IncidentId};
use smokejumper::domain::notification::{Destination, MessageRef, Notice};
use smokejumper::domain::vitals::Sign;
use smokejumper::engine::auditing::{AuditState, Auditor};
use smokejumper::engine::commands::Commands;
use smokejumper::engine::executor::Executor;
use smokejumper::engine::intake::Intake;
use smokejumper::engine::meter::NoMeter;
use smokejumper::engine::own_alerts::Herald;
use smokejumper::engine::ports::{
    Alerting, AuditView, Claim, Clock, Decoded, Decoder, Delivered, Delivery, Held, HeldAlert, Ids,
    IncidentQuery, IncidentView, Kept, Notifier, Peer, PortFuture, Reader, Sentinel, SilenceOrder,
    SilenceRefused, Source, Store,
};
use smokejumper::engine::reconciling::{Memory, ReconcileSettings, Reconciler, Round};
use smokejumper::engine::step::Stepper;
use smokejumper::engine::stepping::{Signals, Steps};
use smokejumper::engine::watchdogs::{Keeper, Sight};
use smokejumper::rules::{BookSource, RuleBook};
use smokejumper::secret::Keyring;
use smokejumper::settings::Settings;
use smokejumper::store::{OpenOptions, SqlStore};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// When a desk hangs instead of going on. In real time, which no story waits for.
const PATIENCE: Duration = Duration::from_secs(60);

const RULES: &str = r##"
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: errors }
spec:
  matchers: ['alertname="HighErrorRate"']
  severity: P1
  groupBy: [service]
  escalation: night
---
apiVersion: smokejumper.dev/v1
kind: ResponseRule
metadata: { name: disks }
spec:
  matchers: ['alertname="DiskFull"']
  severity: "{{ labels.severity }}"
  groupBy: [service]
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: mild }
spec:
  selector: { severities: [P2, P3] }
  defer: { until: business }
  levels: [{ name: team, after: 0s, destinations: [{ slack: { channel: "#disks" } }] }]
  fallback: [{ slack: { channel: "#last" } }]
---
apiVersion: smokejumper.dev/v1
kind: Schedule
metadata: { name: business }
spec:
  timeIntervals: [{ weekdays: ['monday:friday'], times: [{ start_time: '09:00', end_time: '17:00' }] }]
---
apiVersion: smokejumper.dev/v1
kind: EscalationPolicy
metadata: { name: night }
spec:
  levels:
    - { name: on-call, after: 0s, destinations: [{ slack: { channel: "#incidents" } }] }
    - { name: lead, after: 15m, destinations: [{ slack: { channel: "#leads" } }] }
  repeat: { every: 30m, times: 3 }
  fallback: [{ slack: { channel: "#last" } }]
"##;

/// What one Alertmanager does.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// It does not answer.
    pub is_down: bool,
    /// How long it has been running.
    pub up_for: Duration,
    /// What it holds.
    pub alerts: Vec<HeldAlert>,
}

/// Everything outside of the engine.
pub struct Outside {
    now: Mutex<Timestamp>,
    ids: Mutex<u64>,
    /// The Alertmanagers, by address.
    pub peers: Mutex<BTreeMap<String, Script>>,
    /// Who was told what, in order.
    told: Mutex<Vec<String>>,
    /// Destinations that take nothing, and what they answer.
    refusing: Mutex<BTreeMap<String, Delivered>>,
    /// What was asked of Alertmanager, in order: the end of a silence has no alerts in it.
    asked: Mutex<Vec<SilenceOrder>>,
    /// How it answers next; without an answer here it does what it is asked.
    answers: Mutex<VecDeque<Result<Kept, SilenceRefused>>>,
    /// What it answers to every wish about silences, while it is set.
    out_of_order: Mutex<Option<SilenceRefused>>,
}

impl Outside {
    fn answer(&self) -> Result<Kept, SilenceRefused> {
        if let Some(refused) = self.out_of_order.lock().expect("not poisoned").clone() {
            return Err(refused);
        }
        self.answers.lock().expect("not poisoned").pop_front().unwrap_or(Ok(Kept::Stands))
    }
}

impl Clock for Outside {
    fn now(&self) -> Timestamp {
        *self.now.lock().expect("not poisoned")
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

/// Bodies are alerts as JSON.
impl Decoder for Outside {
    fn decode(&self, delivery: &Delivery) -> Result<Decoded, String> {
        serde_json::from_slice(&delivery.body).map(Decoded::Alerts).map_err(|error| error.to_string())
    }
}

impl Notifier for Outside {
    fn notify<'a>(
        &'a self,
        destination: &'a Destination,
        notice: &'a Notice,
        _: &'a IncidentView,
        _: Timestamp,
    ) -> PortFuture<'a, Delivered> {
        if let Some(answer) = self.refusing.lock().expect("not poisoned").get(&destination.to_string()) {
            return Box::pin(std::future::ready(answer.clone()));
        }
        let said = match notice {
            Notice::Reply { text, .. } => format!("{destination} {text}"),
            other => format!("{destination} {}", other.kind()),
        };
        self.told.lock().expect("not poisoned").push(said);
        let message = MessageRef { channel: "C".to_owned(), ts: "1.1".to_owned() };
        Box::pin(std::future::ready(Delivered::Yes { message: Some(message) }))
    }
}

impl Alerting for Outside {
    fn held(&self) -> PortFuture<'_, Vec<Peer>> {
        let peers = self.peers.lock().expect("not poisoned").clone();
        let answer = |(address, script): (String, Script)| {
            let held = match script.is_down {
                true => Err("connection refused".to_owned()),
                false => Ok(Held { up_for: script.up_for, alerts: script.alerts }),
            };
            Peer { address, held }
        };
        Box::pin(std::future::ready(peers.into_iter().map(answer).collect()))
    }

    fn silence<'a>(&'a self, order: &'a SilenceOrder) -> PortFuture<'a, Result<Kept, SilenceRefused>> {
        self.asked.lock().expect("not poisoned").push(order.clone());
        Box::pin(std::future::ready(self.answer()))
    }

    fn end_silence<'a>(&'a self, order: &'a SilenceOrder) -> PortFuture<'a, Result<(), SilenceRefused>> {
        self.asked.lock().expect("not poisoned").push(SilenceOrder { alerts: Vec::new(), ..order.clone() });
        Box::pin(std::future::ready(self.answer().map(|_| ())))
    }
}

/// The desk.
pub struct Desk {
    pub outside: Arc<Outside>,
    pub store: Arc<SqlStore>,
    pub commands: Commands,
    intake: Intake,
    executor: Executor,
    reconciler: Reconciler,
    keeper: Keeper,
    auditor: Auditor,
    diagnostics: Arc<Diagnostics>,
    folder: tempfile::TempDir,
}

/// A firing alert of a service.
pub fn mk_alert(service: &str, starts_at: Timestamp) -> Alert {
    let labels = [("alertname", "HighErrorRate"), ("service", service)];
    let labels: Labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Alert {
        fingerprint: Fingerprint::of_labels(&labels),
        status: AlertStatus::Firing,
        labels,
        annotations: Labels::new(),
        starts_at,
        ends_at: None,
        generator_url: None,
    }
}

/// The same as an Alertmanager holds it, routed to us and to somebody else.
pub fn mk_held(alert: &Alert) -> HeldAlert {
    let receivers = ["team", "smokejumper"].map(str::to_owned).to_vec();
    HeldAlert { alert: alert.clone(), receivers, is_silenced: false, is_inhibited: false }
}

impl Desk {
    pub async fn new() -> Self {
        Self::under("").await
    }

    /// The same with a policy that says this as well.
    pub async fn under(terms: &str) -> Self {
        install_crypto_provider();
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("rules.yaml");
        std::fs::write(&file, RULES.replace("  levels:\n", &format!("{terms}  levels:\n"))).expect("written");
        let text = format!(
            "slack: {{ bot_token: {{ env: BOT }}, default_channel: '#incidents' }}\nalertmanager: {{ url: 'http://alertmanager:9093' }}\n\
             watchdogs: {{ prod: {{ matchers: ['alertname=\"Watchdog\"'], within: 5m, severity: P0 }} }}\nrules: ['{}']\n",
            file.display()
        );
        let settings = Settings::from_text("s.yaml", &text, Path::new(""), &BTreeMap::new())
            .unwrap_or_else(|error| panic!("{error}"));
        let source = BookSource {
            patterns: settings.rules.0.clone(),
            catalog: Arc::new(app::catalog(&settings)),
            known: app::known(&settings),
            default_policy: Some("night".to_owned()),
        };
        let book = Arc::new(RuleBook::open(source).unwrap_or_else(|errors| panic!("{errors}")));
        let outside = Arc::new(Outside {
            now: Mutex::new("2026-11-21T02:00:00Z".parse().expect("a time")),
            ids: Mutex::default(),
            peers: Mutex::default(),
            told: Mutex::default(),
            refusing: Mutex::default(),
            asked: Mutex::default(),
            answers: Mutex::default(),
            out_of_order: Mutex::default(),
        });
        let url = format!("sqlite://{}/s.db", folder.path().display());
        let store = Arc::new(SqlStore::open(&url, &OpenOptions::default()).await.expect("a store"));
        let stepper = Stepper::new(
            store.clone(),
            book.clone(),
            outside.clone(),
            outside.clone(),
            outside.clone(),
            Arc::new(NoMeter),
            Arc::new(app::engine_settings(&settings)),
        );
        let signals = Signals::default();
        let (steps, stepping) = Steps::new(Arc::new(stepper), signals.clone(), CancellationToken::new());
        let (intake, taking) = Intake::new(store.clone(), Arc::new(NoMeter), signals);
        tokio::spawn(stepping);
        tokio::spawn(taking);
        let (sight, keyring) = (Sight::default(), Keyring::new(BTreeMap::new()));
        let engine_settings = app::engine_settings(&settings);
        let diagnostics = DiagnosticsOptions {
            prometheus: None,
            kubernetes: None,
            connections: Default::default(),
            vitals: VitalsOptions { sight: sight.clone(), ..VitalsOptions::default() },
            probe_loopback: true,
            keyring: keyring.clone(),
        };
        let diagnostics = Arc::new(Diagnostics::new(diagnostics).expect("diagnostics"));
        let hands = ActionsOptions {
            endpoints: BTreeMap::new(),
            proxy: ProxyChoice::default(),
            kubernetes: None,
            connections: Default::default(),
            keyring,
        };
        let hands = Arc::new(Actions::new(hands).expect("actions"));
        let herald = Herald {
            store: store.clone(),
            intake: intake.clone(),
            clock: outside.clone(),
            ids: outside.clone(),
        };
        let executor = Executor {
            store: store.clone(),
            reader: store.clone(),
            playbook: book,
            diagnoser: diagnostics.clone(),
            sentinel: diagnostics.clone(),
            surveyor: hands.clone(),
            actor: hands,
            alerting: Some(outside.clone()),
            notifier: outside.clone(),
            clock: outside.clone(),
            meter: Arc::new(NoMeter),
            steps: steps.clone(),
            herald: herald.clone(),
            holds: Arc::default(),
        };
        let reconciler = Reconciler {
            alerting: outside.clone(),
            store: store.clone(),
            reader: store.clone(),
            intake: intake.clone(),
            steps: steps.clone(),
            clock: outside.clone(),
            ids: outside.clone(),
            meter: Arc::new(NoMeter),
            settings: ReconcileSettings {
                grace: Duration::from_secs(300),
                receiver: Some("smokejumper".to_owned()),
                takes_in: false,
                missed_after: SignedDuration::from_mins(10),
                watchdogs: engine_settings.watchdogs.clone(),
            },
            memory: Memory::default(),
        };
        let keeper =
            Keeper { watchdogs: engine_settings.watchdogs, sight, herald: herald.clone(), listening: None }
                .before_its_first_look();
        let auditor =
            Auditor { herald, steps: steps.clone(), meter: Arc::new(NoMeter), state: AuditState::default() };
        let commands = Commands::new(steps, store.clone());
        Self { outside, store, commands, intake, executor, reconciler, keeper, auditor, diagnostics, folder }
    }

    pub fn now(&self) -> Timestamp {
        self.outside.now()
    }

    /// An Alertmanager that has been running for a day, with this address, holds these alerts.
    pub fn peer(&self, address: &str, alerts: Vec<HeldAlert>) {
        self.script(address, Script { up_for: Duration::from_secs(86_400), alerts, is_down: false });
    }

    /// It does this from now on.
    pub fn script(&self, address: &str, script: Script) {
        self.outside.peers.lock().expect("not poisoned").insert(address.to_owned(), script);
    }

    /// Nobody has said by which receiver Alertmanager sends to us.
    pub fn without_receiver(&mut self) {
        self.reconciler.settings.receiver = None;
    }

    /// Alerts that are never told are taken in from now on.
    pub fn take_in_missed(&mut self) {
        self.reconciler.settings.takes_in = true;
    }

    /// The service starts anew: what it only remembered is gone.
    pub fn restart(&mut self) {
        self.reconciler.memory = Memory::default();
        self.keeper.listening = None;
    }

    /// One round of the reconciler, and what follows from it.
    pub async fn round(&mut self) -> Round {
        let round = self.reconciler.round().await.expect("the store answers");
        self.settle().await;
        round
    }

    /// A webhook arrives.
    pub async fn post(&self, alerts: &[Alert]) {
        self.post_late(alerts, self.now()).await;
    }

    /// The same for one that came then, and is only taken in now.
    pub async fn post_late(&self, alerts: &[Alert], received_at: Timestamp) {
        let delivery = Delivery {
            id: self.outside.delivery(),
            source: Source::Alertmanager,
            received_at,
            body: serde_json::to_vec(alerts).expect("JSON").into(),
        };
        self.intake.accept(delivery).await.expect("it is stored");
        self.settle().await;
    }

    /// Waits until everything that was stored is taken in, and carries out what is due.
    pub async fn settle(&self) {
        let taken_in = async {
            while self.store.inbox_depth().await.expect("reads") > 0 {
                tokio::task::yield_now().await;
            }
            while self.work_once().await {}
        };
        tokio::time::timeout(PATIENCE, taken_in).await.expect("nothing hangs");
    }

    async fn work_once(&self) -> bool {
        let mut worked = false;
        for kind in EffectKind::ALL {
            let now = self.now();
            let claim = Claim {
                kind,
                owner: "p".to_owned(),
                now,
                lease_until: now + SignedDuration::from_mins(5),
                limit: 10,
                held: Vec::new(),
            };
            for leased in self.store.claim(claim).await.expect("claims") {
                worked = true;
                self.executor.execute(leased).await.expect("it is recorded");
            }
        }
        worked
    }

    /// Lets time pass, stopping wherever something is due.
    pub async fn pass(&self, time: SignedDuration) {
        let end = self.now() + time;
        while self.now() < end {
            let due = self.store.next_due().await.expect("reads").unwrap_or(end);
            let next = due.clamp(self.now() + SignedDuration::from_millis(1), end);
            *self.outside.now.lock().expect("not poisoned") = next;
            self.settle().await;
        }
    }

    /// The clock is set, or nobody worked for a while: nothing is carried out meanwhile.
    pub fn leap(&self, by: SignedDuration) {
        let mut now = self.outside.now.lock().expect("not poisoned");
        *now += by;
    }

    /// One look after the watchdogs, and what follows from it.
    pub async fn look(&mut self) {
        self.keeper.look().await.expect("the store answers");
        self.settle().await;
    }

    /// The sign that keeps everything from acting alone, where a watchdog stays away.
    pub async fn is_blind(&self) -> Option<Sign> {
        self.diagnostics.vitals(self.now()).await.signs.remove("watchdog prod")
    }

    /// One audit. What is due is not carried out before it.
    pub async fn audit(&self) -> AuditView {
        let found = self.auditor.audit().await.expect("the store answers");
        let taken_in = async {
            while self.store.inbox_depth().await.expect("reads") > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, taken_in).await.expect("nothing hangs");
        found
    }

    pub fn audit_passed(&self) -> bool {
        self.auditor.state.has_passed(self.now())
    }

    /// Somebody changes the database by hand.
    pub fn damage(&self, sql: &str) {
        let file = self.folder.path().join("s.db");
        rusqlite::Connection::open(file).expect("it opens").execute_batch(sql).expect("it is done");
    }

    /// All incidents.
    pub async fn incidents(&self) -> Vec<Incident> {
        let query = IncidentQuery { statuses: Vec::new(), limit: 100, after: None };
        self.store.incidents(query).await.expect("reads")
    }

    /// The newest incident of a rule.
    pub async fn incident_of(&self, rule: &str) -> Incident {
        let all = self.incidents().await;
        all.into_iter().find(|incident| incident.rule == rule).unwrap_or_else(|| panic!("none of {rule}"))
    }

    /// The only incident.
    pub async fn incident(&self) -> Incident {
        let mut all = self.incidents().await;
        assert_eq!(all.len(), 1, "one incident");
        all.remove(0)
    }

    /// What was asked of Alertmanager since the last time.
    pub fn asked(&self) -> Vec<SilenceOrder> {
        std::mem::take(&mut self.outside.asked.lock().expect("not poisoned"))
    }

    /// How Alertmanager answers next.
    pub fn answers(&self, answers: impl IntoIterator<Item = Result<Kept, SilenceRefused>>) {
        self.outside.answers.lock().expect("not poisoned").extend(answers);
    }

    /// From now on Alertmanager answers so to every wish about silences; none mends it.
    pub fn out_of_order(&self, answer: Option<SilenceRefused>) {
        *self.outside.out_of_order.lock().expect("not poisoned") = answer;
    }

    /// From now on this destination takes nothing, and answers so.
    pub fn refuses(&self, destination: &str, answer: Delivered) {
        self.outside.refusing.lock().expect("not poisoned").insert(destination.to_owned(), answer);
    }

    /// From now on this destination takes what it is told.
    pub fn answers_again(&self, destination: &str) {
        self.outside.refusing.lock().expect("not poisoned").remove(destination);
    }

    /// Who was told what since the last time.
    pub fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.outside.told.lock().expect("not poisoned"))
    }

    /// Whether there is an incident at all.
    pub async fn has_incident(&self) -> bool {
        !self.incidents().await.is_empty()
    }

    /// The last line with this reason in the timeline of the only incident.
    pub async fn line(&self, reason: &str) -> Option<String> {
        let id = self.incident().await.id;
        let view = self.store.incident(&id).await.expect("reads").expect("it is there");
        let found = view.timeline.iter().rfind(|line| line.reason.as_deref() == Some(reason));
        found.map(|line| line.text.clone())
    }
}
