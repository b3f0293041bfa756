//! The outside world: it records what really happened to it, and is the judge of what the trail claims.

use crate::crash::{CrashingStore, Random};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use smokejumper::domain::action::{ActionOutcome, ActionPlan};
use smokejumper::domain::diagnosis::{Finding, FindingStatus};
use smokejumper::domain::incident::IncidentId;
use smokejumper::domain::notification::{Destination, MessageRef, Notice};
use smokejumper::domain::rule::DiagnosticSpec;
use smokejumper::domain::survey::SurveyOutcome;
use smokejumper::domain::vitals::Vitals;
use smokejumper::engine::ports::{
    ActionContext, Actor, Alerting, Clock, Delivered, Diagnoser, DiagnosisContext, Ids, IncidentView, Kept,
    Notifier, Peer, PortFuture, Sentinel, SilenceOrder, SilenceRefused, SurveyContext, Surveyor,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A touch of the world.
#[derive(Debug, Clone)]
pub struct Act {
    pub key: String,
    pub at: Timestamp,
}

/// A notice that arrived.
#[derive(Debug, Clone)]
pub struct Told {
    pub incident: IncidentId,
    pub destination: Destination,
    pub notice: Notice,
    pub at: Timestamp,
}

/// What everybody in the world knows. Survives crashes of the process.
#[derive(Clone)]
pub struct Outside {
    pub random: Random,
    pub acts: Arc<Mutex<Vec<Act>>>,
    pub told: Arc<Mutex<Vec<Told>>>,
    now: Arc<Mutex<Timestamp>>,
    ids: Arc<Mutex<u64>>,
    /// When a process died, or hands fell asleep over what they had claimed: from then the time for a page counts.
    pub outages: Arc<Mutex<Vec<Timestamp>>>,
    /// What Alertmanager keeps quiet: until when, by the mark of the silence.
    pub silences: Arc<Mutex<BTreeMap<String, Timestamp>>>,
    /// While true, nothing fails any more.
    pub calm: Arc<Mutex<bool>>,
}

impl Outside {
    pub fn new(random: Random) -> Self {
        let start: Timestamp = "2026-03-28T22:00:00Z".parse().expect("a time");
        Self {
            random,
            acts: Arc::default(),
            told: Arc::default(),
            now: Arc::new(Mutex::new(start)),
            ids: Arc::default(),
            calm: Arc::default(),
            silences: Arc::default(),
            outages: Arc::default(),
        }
    }

    pub fn advance(&self, by: SignedDuration) {
        let mut now = self.now.lock().expect("not poisoned");
        *now = now.checked_add(by).expect("in range");
    }

    /// Notes that claims are held by nobody who works on them.
    pub fn outage(&self) {
        let now = self.now();
        self.outages.lock().expect("not poisoned").push(now);
    }

    /// Whether something goes wrong now, once in so many times.
    pub fn trouble(&self, one_in: u64) -> bool {
        !*self.calm.lock().expect("not poisoned") && self.random.one_in(one_in)
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

impl Diagnoser for Outside {
    fn diagnose<'a>(
        &'a self,
        spec: &'a DiagnosticSpec,
        _: Value,
        context: DiagnosisContext,
        _: Duration,
    ) -> PortFuture<'a, Finding> {
        let ok = self.random.one_in(2);
        let Value::Object(fields) = json!({ "ok": ok }) else { unreachable!("an object") };
        let finding = Finding {
            name: spec.name.clone(),
            kind: spec.kind.clone(),
            status: FindingStatus::Known,
            fields,
            text: String::new(),
            chart: None,
            taken_at: context.now,
            duration_ms: 1,
        };
        Box::pin(async move { finding })
    }
}

impl Notifier for Outside {
    fn notify<'a>(
        &'a self,
        destination: &'a Destination,
        notice: &'a Notice,
        view: &'a IncidentView,
        now: Timestamp,
    ) -> PortFuture<'a, Delivered> {
        Box::pin(async move {
            if self.trouble(6) {
                return Delivered::Later { wait: None, reason: "503".to_owned(), failed: true };
            }
            if self.trouble(8) {
                return Delivered::Paced { wait: Duration::from_secs(2), reason: "429".to_owned() };
            }
            self.told.lock().expect("not poisoned").push(Told {
                incident: view.incident.id.clone(),
                destination: destination.clone(),
                notice: notice.clone(),
                at: now,
            });
            // The message arrived, and the answer got lost on the way.
            if self.trouble(10) {
                return Delivered::Later { wait: None, reason: "timeout".to_owned(), failed: true };
            }
            let message = MessageRef { channel: "C".to_owned(), ts: format!("{}", self.random.next()) };
            Delivered::Yes { message: Some(message) }
        })
    }
}

/// One silence stands for all alerts of an order: which alerts it is for is another test's matter.
impl Alerting for Outside {
    fn held(&self) -> PortFuture<'_, Vec<Peer>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn silence<'a>(&'a self, order: &'a SilenceOrder) -> PortFuture<'a, Result<Kept, SilenceRefused>> {
        Box::pin(async move {
            self.alertmanager_answers(6)?;
            self.silences.lock().expect("not poisoned").insert(order.key.clone(), order.until);
            // It was set, and the answer got lost on the way.
            self.alertmanager_answers(6)?;
            Ok(Kept::Stands)
        })
    }

    fn end_silence<'a>(&'a self, order: &'a SilenceOrder) -> PortFuture<'a, Result<(), SilenceRefused>> {
        Box::pin(async move {
            self.alertmanager_answers(6)?;
            self.silences.lock().expect("not poisoned").remove(&order.key);
            self.alertmanager_answers(6)
        })
    }
}

impl Outside {
    fn alertmanager_answers(&self, trouble: u64) -> Result<(), SilenceRefused> {
        match self.trouble(trouble) {
            true => Err(SilenceRefused { reason: "503".to_owned(), retryable: true }),
            false => Ok(()),
        }
    }
}

/// The hands of one process: they can be cut off between the touch and its record.
pub struct Hands {
    pub outside: Outside,
    pub store: CrashingStore,
}

impl Actor for Hands {
    fn act<'a>(&'a self, _: &'a ActionPlan, context: ActionContext) -> PortFuture<'a, ActionOutcome> {
        Box::pin(async move {
            if self.store.has_crashed() {
                return ActionOutcome::NotApplied { reason: "the process is dead".to_owned() };
            }
            if self.outside.trouble(8) {
                return ActionOutcome::NotApplied { reason: "refused".to_owned() };
            }
            self.outside
                .acts
                .lock()
                .expect("not poisoned")
                .push(Act { key: context.key.clone(), at: context.now });
            if self.outside.trouble(5) {
                self.store.crash();
            }
            if self.outside.trouble(8) {
                return ActionOutcome::Unknown { reason: "timeout".to_owned() };
            }
            ActionOutcome::Applied { detail: "200".to_owned(), inverse: None, requests: Vec::new() }
        })
    }

    fn look_back<'a>(&'a self, plan: &'a ActionPlan, _: &'a ActionContext) -> PortFuture<'a, ActionOutcome> {
        panic!("{} cannot be looked up", plan.kind)
    }
}

impl Sentinel for Hands {
    fn vitals(&self, now: Timestamp) -> PortFuture<'_, Vitals> {
        Box::pin(std::future::ready(Vitals::none(now)))
    }
}

impl Surveyor for Hands {
    fn survey<'a>(&'a self, draft: &'a ActionPlan, _: SurveyContext) -> PortFuture<'a, SurveyOutcome> {
        panic!("{} needs no survey", draft.kind)
    }

    fn is_so<'a>(&'a self, way_back: &'a ActionPlan) -> PortFuture<'a, Option<String>> {
        panic!("{} stands for good", way_back.kind)
    }
}
