//! One life of a process over the shared store: the real engine, from intake to workers' calls.

use crate::crash::CrashingStore;
use crate::outside::{Hands, Outside};
use crate::playbook::OneRule;
use jiff::SignedDuration;
use smokejumper::domain::alert::Alert;
use smokejumper::domain::effect::EffectKind;
use smokejumper::engine::EngineSettings;
use smokejumper::engine::commands::Commands;
use smokejumper::engine::executor::Executor;
use smokejumper::engine::intake::Intake;
use smokejumper::engine::meter::NoMeter;
use smokejumper::engine::ports::{Claim, Clock, Delivery, Ids, Leased, Reader, Source, Store};
use smokejumper::engine::step::Stepper;
use smokejumper::engine::stepping::{Signals, Steps};
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub struct Process {
    pub store: CrashingStore,
    outside: Outside,
    intake: Intake,
    pub commands: Commands,
    pub executor: Arc<Executor>,
    tasks: Vec<JoinHandle<()>>,
    name: String,
    /// What was claimed by hands that have fallen asleep: their leases may be over when they wake up.
    asleep: Mutex<Vec<Leased>>,
}

impl Process {
    /// Starts a process. One that is alone first takes back what the last one had claimed; replicas wait for leases.
    pub async fn start(
        store: CrashingStore,
        reader: Arc<dyn Reader>,
        outside: Outside,
        rules: OneRule,
        name: String,
        alone: bool,
    ) -> Self {
        let shared: Arc<dyn Store> = Arc::new(store.clone());
        if alone {
            let _ = shared.release_all().await;
        }
        // A world in which much fails must not end with every rule switched off: starts are what is to be judged.
        let silence_max = Some(SignedDuration::from_hours(7 * 24));
        let mut settings =
            EngineSettings { dry_run: rules.dry_run, silence_max, ..EngineSettings::default() };
        settings.alone.targets = rules.crowd;
        let rules = Arc::new(rules);
        settings.alone.targets_in_namespace = 0;
        settings.alone.targets_in_all = 0;
        settings.limits.circuit.failures = 0;
        let stepper = Arc::new(Stepper::new(
            Arc::clone(&shared),
            rules.clone(),
            Arc::new(outside.clone()),
            Arc::new(outside.clone()),
            Arc::new(outside.clone()),
            Arc::new(NoMeter),
            Arc::new(settings),
        ));
        let signals = Signals::default();
        let (steps, stepping) = Steps::new(stepper, signals.clone(), CancellationToken::new());
        let (intake, taking) = Intake::new(Arc::clone(&shared), Arc::new(NoMeter), signals);
        let executor = Arc::new(Executor {
            store: Arc::clone(&shared),
            reader,
            playbook: rules,
            diagnoser: Arc::new(outside.clone()),
            sentinel: Arc::new(Hands { outside: outside.clone(), store: store.clone() }),
            surveyor: Arc::new(Hands { outside: outside.clone(), store: store.clone() }),
            actor: Arc::new(Hands { outside: outside.clone(), store: store.clone() }),
            alerting: Some(Arc::new(outside.clone())),
            notifier: Arc::new(outside.clone()),
            clock: Arc::new(outside.clone()),
            meter: Arc::new(NoMeter),
            steps: steps.clone(),
            holds: Arc::default(),
        });
        let tasks = vec![tokio::spawn(stepping), tokio::spawn(taking)];
        let commands = Commands::new(steps, shared);
        Self { store, outside, intake, commands, executor, tasks, name, asleep: Mutex::default() }
    }

    /// Posts a webhook; true means that the sender was told "stored".
    pub async fn post(&self, alerts: &[Alert]) -> bool {
        let delivery = Delivery {
            id: self.outside.delivery(),
            source: Source::Alertmanager,
            received_at: self.outside.now(),
            body: serde_json::to_vec(alerts).expect("JSON").into(),
        };
        self.intake.accept(delivery).await.is_ok()
    }

    /// Works on everything that is due; false when nothing was.
    pub async fn work(&self) -> bool {
        let mut worked = self.wake_up().await;
        for kind in EffectKind::ALL {
            let Ok(leased) = self.store.claim(self.claim(kind)).await else { return false };
            for effect in leased {
                worked = true;
                if self.outside.trouble(12) {
                    self.outside.outage();
                    self.asleep.lock().expect("not poisoned").push(effect);
                } else {
                    let _ = self.executor.execute(effect).await;
                }
            }
        }
        worked
    }

    /// Asks for a few effects of a kind.
    pub fn claim(&self, kind: EffectKind) -> Claim {
        let now = self.outside.now();
        Claim {
            kind,
            owner: self.name.clone(),
            now,
            lease_until: now.checked_add(SignedDuration::from_secs(20)).expect("in range"),
            limit: 3,
            held: Vec::new(),
        }
    }

    /// Hands that slept go on as if no time had passed.
    async fn wake_up(&self) -> bool {
        if self.outside.trouble(2) {
            return false;
        }
        let slept = std::mem::take(&mut *self.asleep.lock().expect("not poisoned"));
        let woke = !slept.is_empty();
        for effect in slept {
            let _ = self.executor.execute(effect).await;
        }
        woke
    }

    /// Waits until the stepping task has ended, and says whether a panic ended it.
    pub async fn steps_panicked(&mut self) -> bool {
        (&mut self.tasks[0]).await.is_err_and(|error| error.is_panic())
    }

    /// The process is gone, with everything that it had not stored.
    pub fn die(self) {
        self.outside.outage();
        for task in &self.tasks {
            task.abort();
        }
    }
}
