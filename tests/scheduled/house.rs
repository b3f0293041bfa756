//! One or more lives of a process over one store, with findings that a test says and reports that it reads.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use smokejumper::app;
use smokejumper::domain::incident::Incident;
use smokejumper::domain::notification::{Destination, MessageRef, Notice};
use smokejumper::domain::people::{Actor, Role, Via};
use smokejumper::domain::scheduled::CheckReport;
use smokejumper::engine::EngineSettings;
use smokejumper::engine::ports::{
    Clock as _, Delivered, IncidentQuery, IncidentView, Notifier, PortFuture, Reader as _, Sending,
    Store as _,
};
use smokejumper::rules::{BookSource, Known, RuleBook};
use smokejumper::settings::Settings;
use smokejumper::store::{OpenOptions, SqlStore};
use smokejumper::testing::stage::{Cast, CountingIds, ManualClock, PlainAlerts, Stage};
use smokejumper::testing::world::{Tools, World};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What reached whom.
#[derive(Default)]
pub struct Ears {
    pub reports: Mutex<Vec<(String, CheckReport)>>,
    /// Destinations that answer this instead of listening.
    pub refusing: Mutex<BTreeMap<String, Delivered>>,
}

impl Notifier for Ears {
    fn notify<'a>(
        &'a self,
        _: &'a Destination,
        _: &'a Notice,
        _: &'a IncidentView,
        _: Timestamp,
    ) -> PortFuture<'a, Delivered> {
        let message = MessageRef { channel: "C".to_owned(), ts: "1.1".to_owned() };
        Box::pin(std::future::ready(Delivered::Yes { message: Some(message) }))
    }

    fn report<'a>(
        &'a self,
        _: Sending<'a>,
        destination: &'a Destination,
        report: &'a CheckReport,
        _: Timestamp,
    ) -> PortFuture<'a, Delivered> {
        let destination = destination.to_string();
        let refused = self.refusing.lock().expect("not poisoned").get(&destination).cloned();
        let told = refused.unwrap_or_else(|| {
            self.reports.lock().expect("not poisoned").push((destination, report.clone()));
            Delivered::Yes { message: None }
        });
        Box::pin(std::future::ready(told))
    }
}

pub struct House {
    pub ears: Arc<Ears>,
    pub store: Arc<SqlStore>,
    pub book: Arc<RuleBook>,
    pub clock: Arc<ManualClock>,
    world: Arc<World>,
    ids: Arc<CountingIds>,
    settings: EngineSettings,
    pub process: Stage,
    folder: tempfile::TempDir,
}

impl House {
    /// A process under rules of this text.
    pub async fn under(rules: &str, start: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("rules.yaml");
        std::fs::write(&file, rules).expect("written");
        Self::of(vec![file.display().to_string()], folder, start).await
    }

    /// A process under the rules of these files.
    pub async fn of_files(patterns: Vec<String>, start: &str) -> Self {
        Self::of(patterns, tempfile::tempdir().expect("a folder"), start).await
    }

    async fn of(patterns: Vec<String>, folder: tempfile::TempDir, start: &str) -> Self {
        let source = BookSource {
            patterns,
            catalog: Arc::new(app::kinds()),
            known: Known::everything(),
            default_policy: None,
        };
        let book = Arc::new(RuleBook::open(source).unwrap_or_else(|errors| panic!("{errors}")));
        let text = "slack: { bot_token: { env: BOT }, default_channel: '#incidents' }";
        let settings = Settings::from_text("s.yaml", text, Path::new(""), &BTreeMap::new())
            .unwrap_or_else(|error| panic!("{error}"));
        let url = format!("sqlite://{}/s.db", folder.path().display());
        let store = Arc::new(SqlStore::open(&url, &OpenOptions::default()).await.expect("a store"));
        let clock = Arc::new(ManualClock::at(start.parse().expect("a time")));
        let world = Arc::new(World::new(Arc::clone(&book), Arc::new(Tools::new().expect("tools"))));
        let (ears, ids) = (Arc::new(Ears::default()), Arc::new(CountingIds::default()));
        let settings = app::engine_settings(&settings);
        let process = process(&ears, &store, &book, &clock, &world, &ids, &settings);
        Self { ears, store, book, clock, world, ids, settings, process, folder }
    }

    /// The process is gone with all it had not stored, and starts again at that time.
    pub async fn is_killed_and_starts_at(&mut self, time: &str) {
        self.clock.set(time.parse().expect("a time"));
        let Self { ears, store, book, clock, world, ids, settings, .. } = self;
        let next = process(ears, store, book, clock, world, ids, settings);
        std::mem::replace(&mut self.process, next).die();
        self.store.release_all().await.expect("written");
        self.settle().await;
    }

    /// One more replica over the same store.
    pub fn another(&self) -> Stage {
        let Self { ears, store, book, clock, world, ids, settings, .. } = self;
        process(ears, store, book, clock, world, ids, settings)
    }

    /// The rules are replaced.
    pub fn rules(&self, text: &str) {
        std::fs::write(self.folder.path().join("rules.yaml"), text).expect("written");
        self.book.reload();
    }

    /// Diagnostics find this from now on.
    pub fn find(&self, findings: Value) {
        self.world.find(&serde_json::from_value(findings).expect("findings"));
    }

    /// What is planned is set right, and what is due is carried out.
    pub async fn settle(&self) {
        self.process.executor.look_at_checks().await.expect("the store answers");
        loop {
            self.process.work().await.expect("it comes to rest");
            if self.store.inbox_depth().await.expect("reads") == 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
        self.process.work().await.expect("it comes to rest");
    }

    /// It is that time now.
    pub async fn at(&self, time: &str) {
        self.clock.set(time.parse().expect("a time"));
        self.settle().await;
    }

    /// Minute by minute until then.
    pub async fn pass(&self, time: SignedDuration) {
        let end = self.clock.now() + time;
        while self.clock.now() < end {
            self.clock.set(self.clock.now() + SignedDuration::from_mins(1));
            self.settle().await;
        }
    }

    /// Somebody asks for a run now.
    pub async fn asks(&self, check: &str, by: &str) {
        let by = Actor { name: by.to_owned(), via: Via::Api, role: Role::Responder };
        self.process.commands.run_check(check, &by, self.clock.now()).await.expect("written");
        self.settle().await;
    }

    /// Reports since the last time they were asked for.
    pub fn reports(&self) -> Vec<CheckReport> {
        let told = std::mem::take(&mut *self.ears.reports.lock().expect("not poisoned"));
        told.into_iter().map(|(_, report)| report).collect()
    }

    /// When the runs that are planned are due.
    pub async fn planned(&self) -> Vec<String> {
        let pending = self.store.checks().await.expect("reads").pending;
        pending.into_iter().map(|run| format!("{} {}", run.check, run.due_at)).collect()
    }

    /// All incidents, newest first.
    pub async fn incidents(&self) -> Vec<Incident> {
        let query = IncidentQuery { limit: 100, ..IncidentQuery::default() };
        self.store.incidents(query).await.expect("reads")
    }
}

fn process(
    ears: &Arc<Ears>,
    store: &Arc<SqlStore>,
    book: &Arc<RuleBook>,
    clock: &Arc<ManualClock>,
    world: &Arc<World>,
    ids: &Arc<CountingIds>,
    settings: &EngineSettings,
) -> Stage {
    Stage::begin(Cast {
        store: store.clone(),
        reader: store.clone(),
        playbook: book.clone(),
        diagnoser: world.clone(),
        sentinel: world.clone(),
        surveyor: world.clone(),
        actor: world.clone(),
        alerting: Some(world.clone()),
        notifier: ears.clone(),
        clock: clock.clone(),
        ids: ids.clone(),
        decoder: Arc::new(PlainAlerts),
        settings: settings.clone(),
    })
}
