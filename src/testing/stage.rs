//! One process on a stage: the real engine, from intake to the workers' calls, on a clock that somebody holds and with
//! whatever is outside handed in. Rule tests and the house's own stories play on it.
//!
//! Nothing here waits for time: whoever holds the clock sets it, and [`Stage::work`] carries out all that is due then.

use crate::domain::alert::Alert;
use crate::domain::effect::EffectKind;
use crate::domain::incident::IncidentId;
use crate::engine::EngineSettings;
use crate::engine::commands::Commands;
use crate::engine::executor::Executor;
use crate::engine::intake::{Intake, IntakeError};
use crate::engine::meter::NoMeter;
use crate::engine::own_alerts::Herald;
use crate::engine::playbook::Playbook;
use crate::engine::ports::{
    Actor, Alerting, Claim, Clock, Decoded, Decoder, Delivery, Diagnoser, Ids, Notifier, Reader, Sentinel,
    Source, Store, StoreError, Surveyor,
};
use crate::engine::step::Stepper;
use crate::engine::stepping::{Signals, Steps};
use jiff::{SignedDuration, Timestamp};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a lease stands: longer than any effect of a story takes.
const LEASE: SignedDuration = SignedDuration::from_mins(5);

/// Effects that are claimed together.
const CLAIMED_MAX: u32 = 10;

/// Rounds of work at one point in time. What goes on for longer never ends.
const ROUNDS_MAX: u32 = 10_000;

/// A clock that shows what it was set to.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows this time.
    pub fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_millisecond()))
    }

    /// Sets it.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_millisecond(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).expect("it came from a time")
    }
}

/// Identities that count up.
#[derive(Debug, Default)]
pub struct CountingIds(AtomicU64);

impl Ids for CountingIds {
    fn incident(&self) -> IncidentId {
        IncidentId(format!("{:032x}", self.0.fetch_add(1, Ordering::SeqCst) + 1))
    }

    fn delivery(&self) -> String {
        self.incident().0
    }
}

/// Reads bodies as [`Stage::post`] writes them.
#[derive(Debug)]
pub struct PlainAlerts;

impl Decoder for PlainAlerts {
    fn decode(&self, delivery: &Delivery) -> Result<Decoded, String> {
        serde_json::from_slice(&delivery.body).map(Decoded::Alerts).map_err(|error| error.to_string())
    }
}

/// Who plays: what the process has from its house, and everybody outside.
pub struct Cast {
    /// The durable side.
    pub store: Arc<dyn Store>,
    /// The reading side.
    pub reader: Arc<dyn Reader>,
    /// The rules.
    pub playbook: Arc<dyn Playbook>,
    /// Reads evidence.
    pub diagnoser: Arc<dyn Diagnoser>,
    /// Takes vital signs.
    pub sentinel: Arc<dyn Sentinel>,
    /// Looks before.
    pub surveyor: Arc<dyn Surveyor>,
    /// Touches the world.
    pub actor: Arc<dyn Actor>,
    /// Speaks to Alertmanager.
    pub alerting: Option<Arc<dyn Alerting>>,
    /// Tells people.
    pub notifier: Arc<dyn Notifier>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Draws identities.
    pub ids: Arc<dyn Ids>,
    /// Reads deliveries.
    pub decoder: Arc<dyn Decoder>,
    /// What the operator decides.
    pub settings: EngineSettings,
}

/// Why a story cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing was taken in.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// There is always more to do.
    #[error("it never comes to rest: {ROUNDS_MAX} rounds of work at one point in time")]
    Endless,
}

/// One life of a process.
pub struct Stage {
    /// The durable side.
    pub store: Arc<dyn Store>,
    /// The door for deliveries.
    pub intake: Intake,
    /// What people ask for.
    pub commands: Commands,
    /// Carries effects out.
    pub executor: Arc<Executor>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    /// A step was told of.
    told: Arc<Notify>,
    stop: CancellationToken,
    stepping: JoinHandle<()>,
    taking: JoinHandle<()>,
}

impl Stage {
    /// Begins a life, within a runtime.
    pub fn begin(cast: Cast) -> Self {
        let Cast { store, clock, ids, .. } = &cast;
        let (store, clock, ids) = (Arc::clone(store), Arc::clone(clock), Arc::clone(ids));
        let stepper = Stepper::new(
            Arc::clone(&store),
            Arc::clone(&cast.playbook),
            cast.decoder,
            Arc::clone(&clock),
            Arc::clone(&ids),
            Arc::new(NoMeter),
            Arc::new(cast.settings),
        );
        let (signals, stop) = (Signals::default(), CancellationToken::new());
        let told = Arc::clone(&signals.told);
        let (steps, stepping) = Steps::new(Arc::new(stepper), signals.clone(), stop.clone());
        let (intake, taking) = Intake::new(Arc::clone(&store), Arc::new(NoMeter), signals);
        let executor = Executor {
            store: Arc::clone(&store),
            reader: cast.reader,
            playbook: cast.playbook,
            diagnoser: cast.diagnoser,
            sentinel: cast.sentinel,
            surveyor: cast.surveyor,
            actor: cast.actor,
            alerting: cast.alerting,
            notifier: cast.notifier,
            clock: Arc::clone(&clock),
            meter: Arc::new(NoMeter),
            steps: steps.clone(),
            herald: Herald {
                store: Arc::clone(&store),
                intake: intake.clone(),
                clock: Arc::clone(&clock),
                ids: Arc::clone(&ids),
            },
            holds: Arc::default(),
        };
        Self {
            commands: Commands::new(steps, Arc::clone(&store)),
            executor: Arc::new(executor),
            stepping: tokio::spawn(stepping),
            taking: tokio::spawn(taking),
            store,
            intake,
            clock,
            ids,
            told,
            stop,
        }
    }

    /// Alerts come in together, and are taken in.
    ///
    /// # Errors
    /// Where they cannot be stored.
    pub async fn post(&self, alerts: &[Alert]) -> Result<(), StageError> {
        self.send(alerts).await?;
        loop {
            let mut told = pin!(self.told.notified());
            // From here on nothing is missed.
            told.as_mut().enable();
            if self.store.inbox_depth().await? == 0 {
                return Ok(());
            }
            told.await;
        }
    }

    /// Alerts come in together; returns once the sender is told "stored".
    ///
    /// # Errors
    /// Where they cannot be stored.
    pub async fn send(&self, alerts: &[Alert]) -> Result<(), IntakeError> {
        let delivery = Delivery {
            id: self.ids.delivery(),
            source: Source::Alertmanager,
            received_at: self.clock.now(),
            body: serde_json::to_vec(alerts).expect("alerts are plain values with text keys").into(),
        };
        self.intake.accept(delivery).await
    }

    /// Carries out everything that is due now.
    ///
    /// # Errors
    /// Where an end cannot be recorded, or there is no end.
    pub async fn work(&self) -> Result<(), StageError> {
        for _ in 0..ROUNDS_MAX {
            let mut worked = false;
            for kind in EffectKind::ALL {
                for leased in self.store.claim(self.claim(kind)).await? {
                    worked = true;
                    self.executor.execute(leased).await?;
                }
            }
            if !worked {
                return Ok(());
            }
        }
        Err(StageError::Endless)
    }

    fn claim(&self, kind: EffectKind) -> Claim {
        let now = self.clock.now();
        Claim {
            kind,
            owner: "stage".to_owned(),
            now,
            lease_until: now + LEASE,
            limit: CLAIMED_MAX,
            held: Vec::new(),
        }
    }

    /// The process ends in order.
    pub async fn end(self) {
        self.stop.cancel();
        drop((self.intake, self.commands, self.executor));
        // Both end by themselves now; a panic in one has shown before.
        let _ = self.stepping.await;
        let _ = self.taking.await;
    }

    /// The process is gone, with everything that it had not stored.
    pub fn die(self) {
        self.stepping.abort();
        self.taking.abort();
    }

    /// Waits until the stepping task has ended, and says whether a panic ended it.
    pub async fn steps_panicked(&mut self) -> bool {
        (&mut self.stepping).await.is_err_and(|error| error.is_panic())
    }
}
