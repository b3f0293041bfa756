//! One seeded story and its judgement.

use crate::crash::{CrashingStore, Random};
use crate::outside::Outside;
use crate::playbook::{OneRule, SECOND_AFTER, first_level, second_level};
use crate::process::Process;
use jiff::{SignedDuration, Timestamp};
use smokejumper::domain::Labels;
use smokejumper::domain::action::{ActionId, ActionStatus};
use smokejumper::domain::alert::{Alert, AlertStatus};
use smokejumper::domain::approval::Verdict;
use smokejumper::domain::fingerprint::Fingerprint;
use smokejumper::domain::incident::{IncidentId, IncidentStatus};
use smokejumper::domain::notification::Notice;
use smokejumper::domain::people::{Actor, Role, Via};
use smokejumper::domain::timeline::{LineKind, TimelineLine, verify_chain};
use smokejumper::engine::ports::{Clock, IncidentQuery, IncidentView, PauseChange, Reader, Store};
use smokejumper::store::{OpenOptions, SqlStore};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Half a minute is promised; a step of the manual clock and a restart are the rest.
const LAG_MAX: SignedDuration = SignedDuration::from_secs(30);
const TICK: SignedDuration = SignedDuration::from_secs(5);

pub struct Story {
    random: Random,
    outside: Outside,
    store: Arc<SqlStore>,
    crashes: Arc<AtomicU64>,
    /// Replicas over one store; a dead one is none until it is started again.
    replicas: Vec<Option<Process>>,
    /// Alerts whose firing was acknowledged to the sender.
    stored: BTreeSet<Fingerprint>,
    /// When somebody acknowledged which incident: commands that were answered with success.
    acknowledged: BTreeMap<IncidentId, Timestamp>,
    /// Since when somebody was told that nothing acts, while that stands.
    paused: Option<Timestamp>,
    /// Times in which nothing may have acted.
    pauses: Vec<(Timestamp, Timestamp)>,
    _folder: tempfile::TempDir,
}

pub struct Told {
    pub crashes: u64,
    pub acted: u64,
    pub unknown: u64,
}

impl Story {
    pub async fn new(seed: u64) -> Self {
        // Memory where the machine has such a folder: what a power cut would lose is another test's matter.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
        let url = format!("sqlite://{}/s.db", folder.path().display());
        let store = SqlStore::open(&url, &OpenOptions::default()).await.expect("a store");
        let random = Random::new(seed);
        Self {
            outside: Outside::new(random.clone()),
            store: Arc::new(store),
            crashes: Arc::default(),
            random: random.clone(),
            replicas: (0..1 + random.below(2)).map(|_| None).collect(),
            stored: BTreeSet::new(),
            acknowledged: BTreeMap::new(),
            paused: None,
            pauses: Vec::new(),
            _folder: folder,
        }
    }

    pub async fn play(mut self) -> Told {
        let one_in = 8 + self.random.below(40);
        for _ in 0..40 {
            self.alive(one_in).await;
            self.something_happens(one_in).await;
            self.work().await;
            self.outside.advance(TICK);
        }
        *self.outside.calm.lock().expect("not poisoned") = true;
        self.resume().await;
        for process in self.replicas.iter_mut().filter_map(Option::take) {
            process.die();
        }
        let lift = PauseChange::Lift { namespace: None };
        self.store.set_pause(lift).await.expect("a pause whose setter died is lifted by hand");
        self.alive(0).await;
        self.inbox_is_read().await;
        // From here nothing crashes: two hours in which everything must come to its end.
        self.time_passes(SignedDuration::from_hours(2), 0).await;
        self.judge().await
    }

    /// A step that finds the store taken tries again after a while of real time, which no manual clock shortens.
    async fn inbox_is_read(&self) {
        let read = async {
            while self.store.inbox_depth().await.expect("reads") > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), read).await.expect("every delivery is read");
    }

    /// Lets time pass, stopping wherever something is due.
    async fn time_passes(&mut self, by: SignedDuration, one_in: u64) {
        let end = self.outside.now().checked_add(by).expect("in range");
        while self.outside.now() < end {
            self.alive(one_in).await;
            self.work().await;
            self.sleep_until_due(end).await;
        }
    }

    /// Lets what was posted be read, for as long as there is somebody to read it. Steps take real time, in which the clock
    /// of the story must not run far: a page would be late by nobody's fault.
    async fn posts_are_read(&self) {
        for _ in 0..200 {
            let all_live = self
                .replicas
                .iter()
                .all(|one| one.as_ref().is_some_and(|process| !process.store.has_crashed()));
            if !all_live || self.store.inbox_depth().await.expect("reads") == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Moves the clock to the next due effect, at least a tick.
    async fn sleep_until_due(&self, end: Timestamp) {
        self.posts_are_read().await;
        let now = self.outside.now();
        let due_at = self.store.next_due().await.expect("reads").unwrap_or(end).min(end);
        self.outside.advance(due_at.duration_since(now).max(TICK));
    }

    /// Restarts the processes that have crashed.
    async fn alive(&mut self, one_in: u64) {
        let alone = self.replicas.len() == 1;
        for (number, replica) in self.replicas.iter_mut().enumerate() {
            if let Some(process) = replica.take_if(|process| process.store.has_crashed()) {
                process.die();
            }
            if replica.is_none() {
                let (random, crashes) = (self.random.clone(), Arc::clone(&self.crashes));
                let store = CrashingStore::new(self.store.clone(), random, one_in, crashes);
                let (reader, outside) = (self.store.clone(), self.outside.clone());
                let name = format!("p{number}");
                *replica = Some(Process::start(store, reader, outside, OneRule::new(), name, alone).await);
            }
        }
    }

    /// One of the replicas, as a load balancer chooses.
    fn any_replica(&self) -> Option<&Process> {
        let choice = self.random.below(self.replicas.len() as u64) as usize;
        self.replicas.get(choice).and_then(Option::as_ref)
    }

    async fn something_happens(&mut self, one_in: u64) {
        match self.random.below(18) {
            0..=6 => self.webhook().await,
            7..=8 => self.acknowledge().await,
            9..=11 => self.approve().await,
            12 => self.resolve().await,
            13 if self.paused.is_none() => self.pause().await,
            13 => self.resume().await,
            // Long enough for everything that a person's word holds back, and for an incident to be over for good.
            14 if self.random.one_in(3) => self.time_passes(SignedDuration::from_mins(70), one_in).await,
            15 => self.take_over().await,
            16 => self.escalate().await,
            17 => self.silence().await,
            _ => {}
        }
    }

    /// A webhook with a few alerts, perhaps sent twice, as a cluster of Alertmanagers does.
    async fn webhook(&mut self) {
        let now = self.outside.now();
        let alerts: Vec<Alert> = (0..1 + self.random.below(3)).map(|_| self.mk_alert(now)).collect();
        for _ in 0..1 + self.random.below(2) {
            let Some(process) = self.any_replica() else { return };
            if process.post(&alerts).await {
                self.stored.extend(alerts.iter().map(|alert| alert.fingerprint));
            }
        }
    }

    fn mk_alert(&self, now: Timestamp) -> Alert {
        let labels = Labels::from([
            ("alertname".to_owned(), "Errors".to_owned()),
            ("service".to_owned(), format!("s{}", self.random.below(3))),
            ("instance".to_owned(), format!("i{}", self.random.below(3))),
        ]);
        let resolved = self.random.one_in(3);
        Alert {
            fingerprint: Fingerprint::of_labels(&labels),
            status: if resolved { AlertStatus::Resolved } else { AlertStatus::Firing },
            labels,
            annotations: Labels::new(),
            starts_at: now.checked_sub(SignedDuration::from_secs(60)).expect("in range"),
            ends_at: resolved.then_some(now),
            generator_url: None,
        }
    }

    async fn open_incidents(&self) -> Vec<smokejumper::domain::incident::Incident> {
        let statuses = vec![IncidentStatus::Triggered, IncidentStatus::Acknowledged];
        let query = IncidentQuery { statuses, limit: 100, after: None };
        self.store.incidents(query).await.expect("reads")
    }

    async fn acknowledge(&mut self) {
        let Some(incident) = self.open_incidents().await.into_iter().next() else { return };
        let actor = Actor { name: "una".to_owned(), via: Via::Api, role: Role::Admin };
        let Some(process) = self.any_replica() else { return };
        if process.commands.acknowledge(incident.id.clone(), actor, None).await.is_ok() {
            self.acknowledged.insert(incident.id, self.outside.now());
        }
    }

    async fn approve(&mut self) {
        let waiting: Vec<ActionId> = self
            .open_incidents()
            .await
            .iter()
            .flat_map(|incident| incident.actions.iter())
            .filter(|action| action.status == ActionStatus::AwaitingApproval)
            .map(|action| action.id.clone())
            .collect();
        let Some(id) = waiting.into_iter().next() else { return };
        let actor = Actor { name: "ravi".to_owned(), via: Via::Api, role: Role::Approver };
        let Some(process) = self.any_replica() else { return };
        let _ = process.commands.decide(id, actor, Verdict::Approve, None, None).await;
    }

    /// A person says that it is over, whatever is under way.
    async fn resolve(&mut self) {
        let Some(incident) = self.open_incidents().await.into_iter().next_back() else { return };
        let actor = Actor { name: "una".to_owned(), via: Via::Api, role: Role::Admin };
        let Some(process) = self.any_replica() else { return };
        let _ = process.commands.resolve(incident.id, actor, None).await;
    }

    /// A person goes on by hand, whatever is under way.
    async fn take_over(&mut self) {
        let open = self.open_incidents().await;
        // Best where there is something to stop.
        let busy = open.iter().find(|incident| incident.current_action().is_some());
        let Some(incident) = busy.or(open.last()).cloned() else { return };
        let actor = Actor { name: "una".to_owned(), via: Via::Api, role: Role::Admin };
        let Some(process) = self.any_replica() else { return };
        let _ = process.commands.take_over(incident.id, actor, None).await;
    }

    /// A person calls the next level, also where somebody has it.
    async fn escalate(&mut self) {
        let Some(incident) = self.open_incidents().await.into_iter().next() else { return };
        let actor = Actor { name: "una".to_owned(), via: Via::Api, role: Role::Admin };
        // It escalates again from here on, however the asking ends.
        self.acknowledged.remove(&incident.id);
        let Some(process) = self.any_replica() else { return };
        let _ = process.commands.escalate(incident.id, actor, None).await;
    }

    /// A person silences an incident, or lifts what somebody silenced.
    async fn silence(&mut self) {
        let Some(incident) = self.open_incidents().await.into_iter().next() else { return };
        let actor = Actor { name: "una".to_owned(), via: Via::Api, role: Role::Admin };
        let Some(process) = self.any_replica() else { return };
        if incident.silence.is_some() && self.random.one_in(2) {
            let _ = process.commands.unsilence(incident.id, actor, None).await;
            return;
        }
        let lasts = self.random.one_in(2).then_some(SignedDuration::from_hours(24));
        if process.commands.silence(incident.id.clone(), actor, lasts, None).await.is_ok() {
            self.acknowledged.entry(incident.id).or_insert(self.outside.now());
        }
    }

    async fn pause(&mut self) {
        let actor = Actor { name: "una".to_owned(), via: Via::Api, role: Role::Admin };
        let Some(process) = self.any_replica() else { return };
        let now = self.outside.now();
        if process.commands.pause(None, &actor, "look first".to_owned(), now).await.is_ok() {
            self.paused = Some(now);
        }
    }

    /// Until somebody asked to lift it the pause stood, however the asking ends.
    async fn resume(&mut self) {
        let Some(since) = self.paused.take() else { return };
        self.pauses.push((since, self.outside.now()));
        let Some(process) = self.any_replica() else { return };
        let _ = process.commands.resume(None).await;
    }

    async fn work(&mut self) {
        for _ in 0..20 {
            // Lets the tasks of the processes take their turn.
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
            let mut worked = false;
            for process in self.replicas.iter().flatten() {
                worked |= !process.store.has_crashed() && process.work().await;
            }
            if !worked {
                return;
            }
        }
    }

    async fn judge(self) -> Told {
        let query = IncidentQuery { statuses: Vec::new(), limit: 1_000, after: None };
        let incidents = self.store.incidents(query).await.expect("reads");
        let mut views = Vec::new();
        for incident in incidents {
            views.push(self.store.incident(&incident.id).await.expect("reads").expect("it is there"));
        }
        self.judge_i1(&views).await;
        self.judge_i2();
        self.judge_pauses();
        self.judge_silences(&views);
        for view in &views {
            self.judge_i3(view);
            self.judge_i4(view);
            self.judge_i5(view);
            judge_by_hand(view);
            judge_i7(view);
            judge_the_end(view);
        }
        let unknown = views
            .iter()
            .flat_map(|view| &view.incident.actions)
            .filter(|action| action.status == ActionStatus::OutcomeUnknown)
            .count();
        Told {
            crashes: self.crashes.load(Ordering::SeqCst),
            acted: self.outside.acts.lock().expect("not poisoned").len() as u64,
            unknown: unknown as u64,
        }
    }

    /// I1: what a sender was told is stored is known afterwards, and nothing is left unread.
    async fn judge_i1(&self, views: &[IncidentView]) {
        use smokejumper::engine::ports::Wanted;
        assert_eq!(self.store.inbox_depth().await.expect("reads"), 0, "every delivery was read");
        let wanted = Wanted { fingerprints: self.stored.iter().copied().collect(), ..Wanted::default() };
        let known: BTreeSet<Fingerprint> = self
            .store
            .load(wanted)
            .await
            .expect("reads")
            .alerts
            .iter()
            .map(|alert| alert.fingerprint)
            .collect();
        assert_eq!(known, self.stored, "I1: an alert that was acknowledged to its sender is lost");
        for view in views {
            let firing =
                view.alerts.iter().filter(|(record, _)| record.status == AlertStatus::Firing).count();
            assert_eq!(firing as u32, view.incident.alerts.firing, "the counts tell what the alerts tell");
        }
    }

    /// I2: the world was touched at most once for each incident, remedy and step.
    fn judge_i2(&self) {
        let mut seen = BTreeSet::new();
        for act in self.outside.acts.lock().expect("not poisoned").iter() {
            assert!(seen.insert(act.key.clone()), "I2: {} touched the world twice", act.key);
        }
    }

    /// Alertmanager keeps quiet what a person silenced and nothing else: each silence stands for as long as its incident
    /// says, whatever failed on the way.
    fn judge_silences(&self, views: &[IncidentView]) {
        let now = self.outside.now();
        let standing = self.outside.silences.lock().expect("not poisoned");
        let standing = standing.iter().filter(|(_, until)| **until > now);
        let standing: BTreeSet<&String> = standing.map(|(key, _)| key).collect();
        let mut wanted = BTreeSet::new();
        for incident in views.iter().map(|view| &view.incident) {
            let Some(silence) = &incident.silence else { continue };
            if incident.is_open() && silence.held_until.is_some() {
                assert!(standing.contains(&silence.key(&incident.id)), "{} is not silenced", incident.id);
            }
            wanted.insert(silence.key(&incident.id));
        }
        let others: Vec<_> = standing.into_iter().filter(|key| !wanted.contains(*key)).collect();
        assert_eq!(others, Vec::<&String>::new(), "these are silenced, and nobody wants it");
    }

    /// I5: nothing touched the world between a pause and the wish to lift it.
    fn judge_pauses(&self) {
        for act in self.outside.acts.lock().expect("not poisoned").iter() {
            let broken = self.pauses.iter().find(|(since, until)| act.at > *since && act.at < *until);
            assert_eq!(broken, None, "I5: {} touched the world at {} in spite of a pause", act.key, act.at);
        }
    }

    /// I3: every T2 action that touched the world had its approval before.
    fn judge_i3(&self, view: &IncidentView) {
        for act in self.outside.acts.lock().expect("not poisoned").iter() {
            let action =
                view.incident.actions.iter().find(|action| act.key.starts_with(&format!("{}-", action.id)));
            let Some(action) = action else { continue };
            let approvals = action.approvals.records.iter().filter(|record| record.at <= act.at).count();
            assert!(approvals >= action.tier.approvals_needed(), "I3: {} had no approval", act.key);
        }
    }

    /// I4: while nobody acknowledged, each level was told by its time.
    fn judge_i4(&self, view: &IncidentView) {
        let told = self.outside.told.lock().expect("not poisoned");
        let incident = &view.incident;
        // A reopened incident counts anew; its first episode is judged like that of others.
        if incident.episode > 0 {
            return;
        }
        // The first time that somebody had it: who calls the next level may acknowledge once more.
        let had = |line: &&TimelineLine| {
            line.kind == LineKind::Acknowledged || line.reason.as_deref() == Some("taken_over")
        };
        let quiet_from = [
            view.timeline.iter().find(had).map(|line| line.at),
            incident.resolved.as_ref().map(|resolution| resolution.at),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(self.outside.now());
        for (destination, after) in [(first_level(), SignedDuration::ZERO), (second_level(), SECOND_AFTER)] {
            let due_at = incident.started_at.checked_add(after).expect("in range");
            let deadline = due_at.checked_add(LAG_MAX + TICK + TICK).expect("in range");
            // Who was called by a person was told before the time.
            let by_people = view.timeline.iter().any(|line| line.reason.as_deref() == Some("escalated"));
            let earliest = if by_people { incident.started_at } else { due_at };
            if deadline >= quiet_from {
                continue;
            }
            let first = told
                .iter()
                .filter(|told| {
                    told.incident == incident.id && told.destination == destination && told.at >= earliest
                })
                .map(|told| told.at)
                .min();
            let on_time = first.is_some_and(|at| at <= deadline || self.follows_an_outage(at));
            // A messenger that keeps failing is replaced; the notice is then late by the messenger's fault.
            let retried = view.timeline.iter().any(|line| line.reason.as_deref() == Some("delayed"));
            let failing = !on_time
                && first.is_some_and(|at| {
                    at <= deadline.checked_add(SignedDuration::from_secs(90)).expect("in range")
                });
            assert!(
                on_time || retried || failing,
                "I4: {destination} of {} was told {first:?}, due {due_at}",
                incident.id
            );
        }
    }

    /// After a crash, or hands that slept, the time counts from there: a lease has to end first.
    fn follows_an_outage(&self, at: Timestamp) -> bool {
        let outages = self.outside.outages.lock().expect("not poisoned");
        outages.iter().any(|outage| {
            let until = outage.checked_add(LAG_MAX + TICK + TICK).expect("in range");
            *outage <= at && at <= until
        })
    }

    /// I5: nobody is paged after an acknowledgement.
    fn judge_i5(&self, view: &IncidentView) {
        let Some(at) = self.acknowledged.get(&view.incident.id) else { return };
        if view.incident.episode > 0 {
            return;
        }
        let escalated = view.timeline.iter().find(|line| line.kind == LineKind::Escalation && line.at > *at);
        assert_eq!(escalated, None, "I5: {} escalated after its acknowledgement", view.incident.id);
        let triggers = self.outside.told.lock().expect("not poisoned");
        let late = triggers.iter().find(|told| {
            told.incident == view.incident.id
                && matches!(told.notice, Notice::Reply { page: true, .. })
                && told.at > at.checked_add(SignedDuration::from_mins(5)).expect("in range")
                && !view.timeline.iter().any(|line| line.reason.as_deref() == Some("outcome_unknown"))
                && !view.timeline.iter().any(|line| line.reason.as_deref() == Some("not_applied"))
        });
        assert!(late.is_none(), "I5: {late:?}");
    }
}

/// I5: nothing is begun once a person goes on by hand, until the incident is opened again.
fn judge_by_hand(view: &IncidentView) {
    let mut by_hand = false;
    for line in &view.timeline {
        match (line.kind, line.reason.as_deref()) {
            (LineKind::HandedOver, Some("taken_over")) => by_hand = true,
            (LineKind::Reopened, _) => by_hand = false,
            (LineKind::Intent, _) => assert!(!by_hand, "I5: {} was begun beside a person", line.text),
            _ => {}
        }
    }
}

/// I7: the trail is whole, and every intent has its outcome after it.
fn judge_i7(view: &IncidentView) {
    verify_chain(&view.timeline).expect("I7: the chain is whole");
    let mut open = 0_i64;
    for line in &view.timeline {
        match line.kind {
            LineKind::Intent => open += 1,
            LineKind::Outcome => {
                assert!(open > 0, "I7: an outcome without an intent in {}", view.incident.id);
                open -= 1;
            }
            _ => {}
        }
    }
    assert_eq!(open, 0, "I7: {} has an intent without an outcome", view.incident.id);
}

/// After two quiet hours nothing is under way any more, and what has no firing alert is closed.
fn judge_the_end(view: &IncidentView) {
    let incident = &view.incident;
    let under_way = incident.current_action().map(|action| (&action.id, action.status));
    assert_eq!(under_way, None, "an action of {} never came to its end", incident.id);
    assert!(
        !incident.is_open() || incident.alerts.firing > 0,
        "{} is open without a firing alert",
        incident.id
    );
}
