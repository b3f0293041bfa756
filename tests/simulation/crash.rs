//! A store whose process dies: before a call reaches it, or after the call was carried out and before its answer.

use smokejumper::domain::correlate::CorrelationKey;
use smokejumper::domain::diagnosis::Finding;
use smokejumper::domain::effect::EffectKind;
use smokejumper::domain::fingerprint::Fingerprint;
use smokejumper::domain::guardrail::Pause;
use smokejumper::domain::incident::IncidentId;
use smokejumper::domain::rule::RuleHash;
use smokejumper::engine::ports::{
    AuditView, Claim, Commit, Delivery, Finish, FiringPage, Leased, Ledger, Loaded, Neighbours, PauseChange,
    PortFuture, Store, StoreError, Wanted,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// Small seeded randomness (SplitMix64), so that a run depends on nothing but its seed.
#[derive(Clone)]
pub struct Random(Arc<Mutex<u64>>);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5EED)))
    }

    pub fn next(&self) -> u64 {
        let mut state = self.0.lock().expect("not poisoned");
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn one_in(&self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// The store of one process. Once it has crashed, nothing of that process reaches the store any more.
#[derive(Clone)]
pub struct CrashingStore {
    inner: Arc<dyn Store>,
    random: Random,
    /// One call in so many crashes; 0 means never.
    one_in: u64,
    crashed: Arc<AtomicBool>,
    crashes: Arc<AtomicU64>,
    /// Somebody pauses everything right before the next commit, after it was judged.
    pub pause_first: Arc<AtomicBool>,
    /// The next commit waits for this, as for a slow disk.
    pub slow: Arc<Mutex<Option<oneshot::Receiver<()>>>>,
    /// The next commit that waited fails all the same, as with a server that is restarted.
    pub fails: Arc<AtomicBool>,
    /// The next commit meets a defect.
    pub panics: Arc<AtomicBool>,
    /// How often something was loaded for a step.
    pub loads: Arc<AtomicU64>,
}

impl CrashingStore {
    pub fn new(inner: Arc<dyn Store>, random: Random, one_in: u64, crashes: Arc<AtomicU64>) -> Self {
        Self {
            inner,
            random,
            one_in,
            crashed: Arc::default(),
            crashes,
            pause_first: Arc::default(),
            slow: Arc::default(),
            fails: Arc::default(),
            panics: Arc::default(),
            loads: Arc::default(),
        }
    }

    pub fn has_crashed(&self) -> bool {
        self.crashed.load(Ordering::SeqCst)
    }

    /// Kills the process from outside, such as between a touch of the world and its record.
    pub fn crash(&self) {
        if !self.crashed.swap(true, Ordering::SeqCst) {
            self.crashes.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn dead() -> StoreError {
        StoreError::Unavailable("the process is dead".to_owned())
    }

    fn call<'a, T: Send + 'a>(
        &'a self,
        call: impl FnOnce(&'a dyn Store) -> PortFuture<'a, Result<T, StoreError>> + Send + 'a,
    ) -> PortFuture<'a, Result<T, StoreError>> {
        Box::pin(async move {
            if self.has_crashed() {
                return Err(Self::dead());
            }
            let crashes = self.one_in > 0 && self.random.one_in(self.one_in);
            if crashes && self.random.one_in(2) {
                self.crash();
                return Err(Self::dead());
            }
            let answer = call(self.inner.as_ref()).await;
            if crashes {
                self.crash();
                return Err(Self::dead());
            }
            answer
        })
    }
}

impl Store for CrashingStore {
    fn append(&self, deliveries: Vec<Delivery>) -> PortFuture<'_, Result<(), StoreError>> {
        self.call(move |store| store.append(deliveries))
    }
    fn peek(&self, after: Option<&str>, limit: u32) -> PortFuture<'_, Result<Vec<Delivery>, StoreError>> {
        let after = after.map(str::to_owned);
        self.call(move |store| store.peek(after.as_deref(), limit))
    }
    fn inbox_depth(&self) -> PortFuture<'_, Result<u64, StoreError>> {
        self.call(|store| store.inbox_depth())
    }
    fn load(&self, wanted: Wanted) -> PortFuture<'_, Result<Loaded, StoreError>> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.call(move |store| store.load(wanted))
    }
    fn findings(&self, incident: &IncidentId) -> PortFuture<'_, Result<Vec<Finding>, StoreError>> {
        let incident = incident.clone();
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { inner.findings(&incident).await })
    }
    fn text(&self, hash: &RuleHash) -> PortFuture<'_, Result<Option<serde_json::Value>, StoreError>> {
        let hash = hash.clone();
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { inner.text(&hash).await })
    }
    fn neighbours(&self, since: jiff::Timestamp) -> PortFuture<'_, Result<Neighbours, StoreError>> {
        self.inner.neighbours(since)
    }
    fn keys_of_rule(
        &self,
        rule: &str,
        limit: u32,
    ) -> PortFuture<'_, Result<Vec<CorrelationKey>, StoreError>> {
        self.inner.keys_of_rule(rule, limit)
    }

    fn ledger(&self, since: jiff::Timestamp) -> PortFuture<'_, Result<Ledger, StoreError>> {
        self.call(move |store| store.ledger(since))
    }
    fn firing(&self, after: Option<&IncidentId>) -> PortFuture<'_, Result<FiringPage, StoreError>> {
        let after = after.cloned();
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { inner.firing(after.as_ref()).await })
    }
    fn confirm(
        &self,
        alerts: Vec<(IncidentId, Fingerprint)>,
        at: jiff::Timestamp,
    ) -> PortFuture<'_, Result<(), StoreError>> {
        self.call(move |store| store.confirm(alerts, at))
    }
    fn beats(&self) -> PortFuture<'_, Result<BTreeMap<String, jiff::Timestamp>, StoreError>> {
        self.call(|store| store.beats())
    }
    fn audit(
        &self,
        overdue: jiff::Timestamp,
        untold: jiff::Timestamp,
    ) -> PortFuture<'_, Result<AuditView, StoreError>> {
        self.call(move |store| store.audit(overdue, untold))
    }
    fn commit(&self, commit: Commit) -> PortFuture<'_, Result<(), StoreError>> {
        let pauses = self.pause_first.swap(false, Ordering::SeqCst);
        let slow = self.slow.lock().expect("not poisoned").take();
        let panics = self.panics.swap(false, Ordering::SeqCst);
        Box::pin(async move {
            assert!(!panics, "a defect");
            if let Some(slow) = slow {
                slow.await.expect("somebody lets it go on");
                if self.fails.swap(false, Ordering::SeqCst) {
                    return Err(StoreError::Unavailable("restarting".to_owned()));
                }
            }
            if pauses {
                let since = commit.at.expect("a step says when");
                let (by, reason) = ("una".to_owned(), "look first".to_owned());
                let pause = Pause { namespace: None, by, reason, since };
                self.inner.set_pause(PauseChange::Set(pause)).await?;
            }
            self.call(move |store| store.commit(commit)).await
        })
    }
    fn claim(&self, claim: Claim) -> PortFuture<'_, Result<Vec<Leased>, StoreError>> {
        self.call(move |store| store.claim(claim))
    }
    fn postpone(&self, effect: Finish, until: jiff::Timestamp) -> PortFuture<'_, Result<(), StoreError>> {
        self.call(move |store| store.postpone(effect, until))
    }
    fn release_all(&self) -> PortFuture<'_, Result<u64, StoreError>> {
        self.call(|store| store.release_all())
    }
    fn clock_went_back(
        &self,
        now: jiff::Timestamp,
        by: Option<jiff::SignedDuration>,
    ) -> PortFuture<'_, Result<u64, StoreError>> {
        self.call(move |store| store.clock_went_back(now, by))
    }
    fn effect_depth(&self) -> PortFuture<'_, Result<BTreeMap<EffectKind, u64>, StoreError>> {
        self.call(|store| store.effect_depth())
    }
    fn set_pause(&self, change: PauseChange) -> PortFuture<'_, Result<(), StoreError>> {
        self.call(move |store| store.set_pause(change))
    }
    fn prune(&self, ended_before: jiff::Timestamp) -> PortFuture<'_, Result<u64, StoreError>> {
        self.call(move |store| store.prune(ended_before))
    }
    fn ping(&self) -> PortFuture<'_, Result<(), StoreError>> {
        self.call(|store| store.ping())
    }
}
