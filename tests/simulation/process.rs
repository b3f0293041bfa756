//! One life of the process over the shared store: the real engine, from intake to workers' calls.

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
use smokejumper::engine::ports::{Claim, Clock, Delivery, Ids, Reader, Source, Store};
use smokejumper::engine::step::Stepper;
use smokejumper::engine::stepping::{Signals, Steps};
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub struct Process {
    pub store: CrashingStore,
    outside: Outside,
    intake: Intake,
    pub commands: Commands,
    executor: Arc<Executor>,
    tasks: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts a process, which first takes back what the last one had claimed.
    pub async fn start(store: CrashingStore, reader: Arc<dyn Reader>, outside: Outside) -> Self {
        let shared: Arc<dyn Store> = Arc::new(store.clone());
        let _ = shared.release_all().await;
        let settings = EngineSettings { dry_run: false, ..EngineSettings::default() };
        let stepper = Arc::new(Stepper::new(
            Arc::clone(&shared),
            Arc::new(OneRule::new()),
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
            playbook: Arc::new(OneRule::new()),
            diagnoser: Arc::new(outside.clone()),
            actor: Arc::new(Hands { outside: outside.clone(), store: store.clone() }),
            notifier: Arc::new(outside.clone()),
            clock: Arc::new(outside.clone()),
            meter: Arc::new(NoMeter),
            steps: steps.clone(),
            holds: Arc::default(),
        });
        let tasks = vec![tokio::spawn(stepping), tokio::spawn(taking)];
        Self { store, outside, intake, commands: Commands::new(steps, shared), executor, tasks }
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
        let mut worked = false;
        for kind in EffectKind::ALL {
            let now = self.outside.now();
            let claim = Claim {
                kind,
                owner: "p".to_owned(),
                now,
                lease_until: now.checked_add(SignedDuration::from_secs(20)).expect("in range"),
                limit: 3,
                held: Vec::new(),
            };
            let Ok(leased) = self.store.claim(claim).await else { return false };
            for effect in leased {
                worked = true;
                let _ = self.executor.execute(effect).await;
            }
        }
        worked
    }

    /// The process is gone, with everything that it had not stored.
    pub fn die(self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
