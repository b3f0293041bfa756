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
use smokejumper::engine::ports::{Claim, Clock, Leased, Reader, Store};
use smokejumper::testing::stage::{Cast, PlainAlerts, Stage};
use std::sync::{Arc, Mutex};

pub struct Process {
    pub store: CrashingStore,
    outside: Outside,
    pub commands: Commands,
    pub executor: Arc<Executor>,
    stage: Stage,
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
        let hands = || Arc::new(Hands { outside: outside.clone(), store: store.clone() });
        let stage = Stage::begin(Cast {
            store: shared,
            reader,
            playbook: rules,
            diagnoser: Arc::new(outside.clone()),
            sentinel: hands(),
            surveyor: hands(),
            actor: hands(),
            alerting: Some(Arc::new(outside.clone())),
            notifier: Arc::new(outside.clone()),
            clock: Arc::new(outside.clone()),
            ids: Arc::new(outside.clone()),
            decoder: Arc::new(PlainAlerts),
            settings,
        });
        let (commands, executor) = (stage.commands.clone(), stage.executor.clone());
        Self { store, outside, commands, executor, stage, name, asleep: Mutex::default() }
    }

    /// Posts a webhook; true means that the sender was told "stored".
    pub async fn post(&self, alerts: &[Alert]) -> bool {
        self.stage.send(alerts).await.is_ok()
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
        self.stage.steps_panicked().await
    }

    /// The process is gone, with everything that it had not stored.
    pub fn die(self) {
        self.outside.outage();
        self.stage.die();
    }
}
