//! Starts the house floor by floor and stops it in the opposite order.

use super::adapters::{self, Adapters, Watches};
use super::check;
use super::decoder::HouseDecoder;
use super::desk;
use super::files;
use super::rulebook::{self, engine_settings};
use super::upkeep;
use super::watching;
use crate::clients::http::install_crypto_provider;
use crate::engine::EngineSettings;
use crate::engine::clock::{SystemClock, TimeOrderedIds};
use crate::engine::commands::Commands;
use crate::engine::executor::Executor;
use crate::engine::intake::Intake;
use crate::engine::meter::Meter;
use crate::engine::own_alerts::Herald;
use crate::engine::ports::{Alerting, Clock, Ids, Store};
use crate::engine::step::Stepper;
use crate::engine::stepping::{Signals, Steps, seed_backlog};
use crate::engine::worker;
use crate::http::body::BodyGate;
use crate::http::listener::Listener;
use crate::http::receive::slack::socket::SocketMode;
use crate::http::routes::{Doors, router};
use crate::http::services::{Parts, Services};
use crate::metrics::Metrics;
use crate::notify::slack::desk::Desk;
use crate::secret::Keyring;
use crate::settings::Settings;
use crate::store::{OpenOptions, SqlStore};
use anyhow::{Context, anyhow};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longest wait at a stop for effects that are under way. What is not done by then is claimed again after the
/// next start, which is the same path as after a crash.
const WORKERS_GRACE: Duration = Duration::from_secs(10);

/// Everything that a start needs.
pub struct House {
    settings: Settings,
    keyring: Keyring,
}

/// A running house.
pub struct Running {
    /// The address that was bound.
    pub address: SocketAddr,
    store: Arc<SqlStore>,
    doors: Floor,
    slack_socket: Floor,
    workers: Floor,
    steps: Floor,
    intake: JoinHandle<()>,
    upkeep: Floor,
}

/// Tasks that are stopped together.
struct Floor {
    name: &'static str,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Floor {
    fn spawn(
        name: &'static str,
        task: impl FnOnce(CancellationToken) -> futures::future::BoxFuture<'static, ()>,
    ) -> Self {
        let stop = CancellationToken::new();
        Self { name, task: tokio::spawn(task(stop.clone())), stop }
    }
}

impl House {
    /// A house with these settings and secrets.
    pub fn new(settings: Settings, keyring: Keyring) -> Self {
        Self { settings, keyring }
    }

    /// Starts everything; the doors open last.
    ///
    /// # Errors
    /// A store that cannot be opened, rules that cannot be used, adapters that cannot be built, an address that
    /// is taken.
    pub async fn start(self) -> anyhow::Result<Running> {
        install_crypto_provider();
        let Self { settings, keyring } = self;
        let store = open_store(&settings, &keyring).await?;
        let metrics = Metrics::new();
        let meter: Arc<dyn Meter> = Arc::new(metrics.clone());
        let book = rulebook::open(&settings)?;
        for warning in book.current().warnings() {
            tracing::warn!(warning = %warning.warning(), "a rule is doubtful");
        }
        if settings.server.links_lead_nowhere() {
            tracing::warn!(listen = %settings.server.listen, "{}; set `server.external_url`", check::NO_LINKS);
        }
        // Bound here, since links in messages name the port; senders wait until the doors open below.
        let mut limits = settings.limits.of_connections();
        limits.connections = files::connections_within_limits(limits.connections);
        let listener =
            Listener::bind(settings.server.listen, settings.server.tls_files(), limits, metrics.doors())?;
        let watches = Watches::default();
        let address = listener.local_address().context("the bound address is not known")?;
        let adapters = Adapters::build(&settings, &keyring, address, watches.clone(), Some(store.clone()))?;
        adapters.connect().await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let engine_settings =
            Arc::new(EngineSettings { booted_at: Some(clock.now()), ..engine_settings(&settings) });
        let ids: Arc<dyn Ids> = Arc::new(TimeOrderedIds);
        let signals = Signals::default();
        seed_backlog(store.as_ref(), &signals).await.context("the inbox cannot be read")?;

        let stepper = Arc::new(Stepper::new(
            store.clone(),
            book.clone(),
            Arc::new(HouseDecoder::new(adapters.slack_decoder.clone(), adapters.pagerduty_decoder.clone())),
            Arc::clone(&clock),
            Arc::clone(&ids),
            Arc::clone(&meter),
            Arc::clone(&engine_settings),
        ));
        let steps_stop = CancellationToken::new();
        let (steps, stepping) = Steps::new(stepper, signals.clone(), steps_stop.clone());
        let steps_floor = Floor { name: "steps", stop: steps_stop, task: tokio::spawn(stepping) };
        let (intake, intake_task) = Intake::new(store.clone(), Arc::clone(&meter), signals.clone());
        let intake_task = tokio::spawn(intake_task);
        let permissions = adapters.permissions(book.clone(), metrics.clone());
        let alerting = adapters.alertmanagers.clone().map(|it| it as Arc<dyn Alerting>);
        let herald = Herald {
            store: store.clone(),
            intake: intake.clone(),
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
        };
        let executor = Arc::new(Executor {
            store: store.clone(),
            reader: store.clone(),
            playbook: book.clone(),
            diagnoser: adapters.diagnostics.clone(),
            sentinel: adapters.diagnostics,
            surveyor: adapters.actions.clone(),
            actor: adapters.actions,
            alerting,
            notifier: adapters.notifiers.clone(),
            clock: Arc::clone(&clock),
            meter,
            steps: steps.clone(),
            herald: herald.clone(),
            holds: Arc::default(),
        });
        let watched = watching::Watched {
            store: store.clone(),
            herald,
            steps: steps.clone(),
            meter: Arc::new(metrics.clone()),
        };
        let reconciler = watched.reconciler(&settings, adapters.alertmanagers);
        let guards =
            watching::Guards::build(&settings, &keyring, watched, watches.sight.clone(), metrics.clone())?;
        let owner = ids.delivery();
        let (working, worker_signals) = (Arc::clone(&executor), signals.clone());
        let hinted = signals.clone();
        let mut hints = store.hints();
        let workers =
            Floor::spawn("workers", |stop| Box::pin(worker::run(working, worker_signals, owner, stop)));
        // Ends with the store, whose end closes the channel.
        tokio::spawn(async move {
            while hints.changed().await.is_ok() {
                hinted.arrived.notify_one();
                hinted.effects.ring_all();
            }
        });
        let page_of = metrics.clone();
        let commands = Commands::new(steps, store.clone());
        let slack_desk = desk::behind_the_doors(Desk::new(
            adapters.slack_decoder.people.clone(),
            adapters.notifiers.clone(),
            commands.clone(),
            store.clone(),
            book.clone(),
            Arc::clone(&clock),
        ));
        let services = Services::new(Parts {
            intake,
            commands,
            playbook: book.clone(),
            reader: store.clone(),
            store: store.clone(),
            clock: Arc::clone(&clock),
            ids,
            slack_secrets: Arc::new(adapters.slack_secrets),
            slack_desk,
            slack_socket: adapters.slack_socket.as_ref().map(|_| metrics.slack_socket()),
            pagerduty_secrets: Arc::new(adapters.pagerduty_secrets),
            meter: metrics.doors(),
            rules_refused: rulebook::refused(book.clone()),
            reload: rulebook::reloader(book.clone(), metrics.clone()),
            write_record: Arc::new(crate::actions::record_of),
            metrics_page: Arc::new(move || page_of.page()),
        });
        let upkeep = upkeep::Upkeep {
            store: store.clone(),
            book,
            metrics: metrics.clone(),
            signals: signals.clone(),
            began: (clock.now(), Instant::now()),
            clock,
            last_jump: watches.last_jump,
            retention: engine_settings.retention,
            notifiers: adapters.notifiers,
            directory: adapters.slack_decoder.people.directory,
            executor,
            permissions,
            reconciler,
            guards: Some(guards),
        };
        let upkeep = Floor::spawn("upkeep", |stop| Box::pin(upkeep.run(stop)));
        let doors = Doors {
            alertmanager: Arc::new(settings.alertmanager_auth(&keyring, metrics.doors())?),
            grafana: settings.grafana_door(&keyring, metrics.doors())?,
            api: Arc::new(settings.api_auth(&keyring, metrics.doors())?),
            bodies: BodyGate::new(settings.limits.of_bodies()),
            signed_bodies: BodyGate::new(settings.limits.of_interactions()),
        };
        let slack_socket = adapters.slack_socket.map(|connect| SocketMode {
            connect,
            services: services.clone(),
            meter: metrics.slack_socket(),
        });
        let slack_socket = Floor::spawn("slack", |stop| match slack_socket {
            Some(socket) => Box::pin(socket.run(stop)),
            None => Box::pin(stop.cancelled_owned()),
        });
        let router = router(services, doors);
        let doors = Floor::spawn("doors", |stop| Box::pin(listener.serve(router, stop)));
        Ok(Running {
            address,
            store,
            doors,
            slack_socket,
            workers,
            steps: steps_floor,
            intake: intake_task,
            upkeep,
        })
    }
}

async fn open_store(settings: &Settings, keyring: &Keyring) -> anyhow::Result<Arc<SqlStore>> {
    let url = adapters::store_url(settings, keyring)?;
    let store = SqlStore::open(&url, &OpenOptions::default()).await.context("the store cannot be opened")?;
    let released = store.release_all().await.context("leases of the last run cannot be given back")?;
    if released > 0 {
        tracing::info!(effects = released, "effects that the last run had claimed are claimable again");
    }
    let moved = store.clock_went_back(SystemClock.now(), None).await.context("timers cannot be looked at")?;
    if moved > 0 {
        tracing::error!(effects = moved, "the clock is behind the last run: its timers wait anew from now");
    }
    Ok(Arc::new(store))
}

impl Running {
    /// Waits until `stop`, or until something ended that must not; then stops everything, doors first.
    ///
    /// # Errors
    /// The name of what ended by itself.
    pub async fn wait(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let ended = tokio::select! {
            () = stop.cancelled() => None,
            _ = &mut self.doors.task => Some(self.doors.name),
            _ = &mut self.slack_socket.task => Some(self.slack_socket.name),
            _ = &mut self.workers.task => Some(self.workers.name),
            _ = &mut self.steps.task => Some(self.steps.name),
            _ = &mut self.upkeep.task => Some(self.upkeep.name),
            _ = &mut self.intake => Some("intake"),
        };
        match ended {
            None => {
                self.stop().await;
                Ok(())
            }
            // The floors below may be half alive: leave at once, the store holds what counts.
            Some(name) => Err(anyhow!("{name} ended by itself; this is a defect, and the service stops")),
        }
    }

    /// Stops everything, doors first, and closes the store.
    pub async fn stop(self) {
        tracing::info!("stopping");
        for floor in [self.doors, self.slack_socket, self.upkeep] {
            floor.stop.cancel();
            let _ = floor.task.await;
        }
        self.workers.stop.cancel();
        self.steps.stop.cancel();
        if tokio::time::timeout(WORKERS_GRACE, self.workers.task).await.is_err() {
            tracing::warn!("effects were still under way; they are claimed again after the next start");
        }
        // Workers raise alerts of our own, so the intake ends after them.
        if tokio::time::timeout(WORKERS_GRACE, self.intake).await.is_err() {
            tracing::warn!("the intake was still held; whoever was not answered sends again");
        }
        if tokio::time::timeout(WORKERS_GRACE, self.steps.task).await.is_err() {
            tracing::warn!("steps were still waiting; their inputs are taken in after the next start");
        }
        self.store.close().await;
        tracing::info!("stopped");
    }
}
