//! The one place of a process where steps are taken: inputs queue up here and are taken in together.
//!
//! A single task takes all steps of a process, so that a process never conflicts with itself and inputs that
//! arrive while a transaction runs share the next one. Replicas conflict through the store's version checks.
//!
//! While one step is written the next one is judged, where the two have nothing in common: judging takes a processor,
//! writing takes the disk and another one.

use super::doorbells::Doorbells;
use super::ports::{Delivery, PEEK_BYTES_MAX, Store, StoreError};
use super::step::{Input, StepReport, Stepper, Taken, Touched};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Inputs that may wait for the next step. Callers wait when it is full; nothing is dropped.
const QUEUE_INPUTS_MAX: usize = 4_096;
/// Inputs of the queue that are taken in together.
const BATCH_INPUTS_MAX: usize = 1_024;
/// Deliveries that are taken in together. Bounds the time of one transaction and with it the wait of new senders.
pub const BATCH_DELIVERIES_MAX: u32 = 128;
/// The same while nobody waits: twice as many touch hardly more pages of the indexes.
const BATCH_DELIVERIES_CALM: u32 = 256;
/// How often the inbox is looked at without being told to: for deliveries that another replica left behind.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long waiting senders have the store to themselves, against the time that a step had it. They are answered once
/// what they sent is safe; what is safe can wait a little.
const GIVE_WAY_TIMES: u32 = 3;
/// Longest time for which deliveries are left in the inbox so that waiting senders are answered first.
const GIVE_WAY_MAX: Duration = Duration::from_millis(60);
/// Looks at which a delivery could not be taken in, before it is kept among the dead letters. What another replica
/// takes in is gone at the next look: only a defect gets here.
const LOST_LOOKS_MAX: u32 = 64;
/// Deliveries that such looks are counted for.
const LOST_KEPT_MAX: usize = 1_024;
/// After so many looks the step ahead is waited for, and the inbox read from its oldest delivery.
const LOOKS_AHEAD_MAX: u32 = 16;
/// Longest time between judging and writing: what the time allows may change meanwhile, such as a freeze window.
const JUDGED_AGE_MAX: Duration = Duration::from_secs(1);
/// Wait after a store error, so that a broken store is not hammered.
const STORE_RETRY_WAIT: Duration = Duration::from_millis(250);

type Answer = oneshot::Sender<Result<Taken, StoreError>>;
type Waiting = (Input, Answer);

/// Hands inputs to the stepping task. Cheap to clone.
#[derive(Clone)]
pub struct Steps {
    queue: mpsc::Sender<Waiting>,
}

/// What wakes whom.
#[derive(Clone, Default)]
pub struct Signals {
    /// Deliveries were stored.
    pub arrived: Arc<Notify>,
    /// Effects may be due.
    pub effects: Arc<Doorbells>,
    /// Deliveries that are stored and not yet consumed, as far as this process knows.
    pub backlog: Arc<AtomicU64>,
    /// Senders that wait for their answer.
    pub senders: Arc<AtomicU64>,
    /// The last of them has its answer.
    pub(super) calm: Arc<Notify>,
    /// A step was told of, and with it whatever it consumed.
    pub told: Arc<Notify>,
    /// What was stored into an empty inbox just now: nobody has to read it back.
    fresh: Arc<Mutex<Option<Vec<Delivery>>>>,
}

impl Signals {
    /// Deliveries were stored.
    pub(super) fn stored(&self, deliveries: Vec<Delivery>) {
        let count = deliveries.len() as u64;
        // Behind others they wait their turn: the order in which an alert fires and ends is theirs as well.
        if self.backlog.load(Ordering::Relaxed) == 0 {
            *self.fresh.lock().unwrap_or_else(PoisonError::into_inner) = Some(deliveries);
        }
        self.backlog.fetch_add(count, Ordering::Relaxed);
        self.arrived.notify_one();
    }

    fn take_fresh(&self) -> Option<Vec<Delivery>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Steps {
    /// The handle, and the task behind it, which ends when `stop` is cancelled and the queue is empty.
    pub fn new(
        stepper: Arc<Stepper>,
        signals: Signals,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, waiting) = mpsc::channel(QUEUE_INPUTS_MAX);
        let task = Task {
            stepper,
            signals,
            stop,
            waiting,
            inbox_may_hold: true,
            inbox_from: Instant::now(),
            lost: HashMap::new(),
            ahead: None,
            seen: None,
            looks: 0,
        };
        (Self { queue }, task.run())
    }

    /// Takes one input in; returns once it is committed or refused.
    pub async fn take(&self, input: Input) -> Result<Taken, StoreError> {
        let (answer, taken) = oneshot::channel();
        let stopping = || StoreError::Unavailable("the service is stopping".to_owned());
        self.queue.send((input, answer)).await.map_err(|_| stopping())?;
        taken.await.unwrap_or_else(|_| Err(stopping()))
    }
}

struct Task {
    stepper: Arc<Stepper>,
    signals: Signals,
    stop: CancellationToken,
    waiting: mpsc::Receiver<Waiting>,
    inbox_may_hold: bool,
    /// Until then the inbox is left alone.
    inbox_from: Instant,
    /// Deliveries that could not be taken in, with the number of looks at which that was so.
    lost: HashMap<String, u32>,
    /// The step that is being written.
    ahead: Option<Ahead>,
    /// The last delivery that was taken in.
    seen: Option<String>,
    /// How often the inbox was looked at.
    looks: u32,
}

/// A step that is judged and waits for the one ahead. Dropped, it is never written.
struct Prepared {
    written: JoinHandle<Result<StepReport, StoreError>>,
    touched: Touched,
    go: oneshot::Sender<()>,
}

/// A step on its way into the store, with whom it answers to.
struct Ahead {
    written: JoinHandle<Result<StepReport, StoreError>>,
    touched: Touched,
    inputs: Vec<Input>,
    answers: Vec<Answer>,
    /// The last delivery that it consumes: the inbox still shows it.
    last_delivery: Option<String>,
    began: Instant,
}

impl Task {
    async fn run(mut self) {
        loop {
            let mut batch: Vec<Waiting> = Vec::new();
            let mut fresh: Vec<Delivery> = Vec::new();
            // While senders wait, one step at a time is enough: the next would take from them what they wait for.
            let is_behind = self.ahead.is_some() && self.signals.senders.load(Ordering::Relaxed) > 0;
            let gives_way = is_behind || Instant::now() < self.inbox_from;
            if !self.inbox_may_hold || gives_way {
                tokio::select! {
                    biased;
                    result = written(&mut self.ahead) => {
                        self.settled(result).await;
                        continue;
                    }
                    received = self.waiting.recv(), if !is_behind => match received {
                        Some(first) => batch.push(first),
                        None => {
                            self.settle().await;
                            return;
                        }
                    },
                    () = self.signals.calm.notified(), if is_behind => continue,
                    () = tokio::time::sleep_until(self.inbox_from), if gives_way && !is_behind => {}
                    () = self.signals.arrived.notified() => {
                        if gives_way {
                            self.inbox_may_hold = true;
                            continue;
                        }
                        fresh = self.fresh();
                    }
                    () = tokio::time::sleep(LOOK_EVERY), if !gives_way => self.inbox_may_hold = true,
                    () = self.stop.cancelled() => {
                        self.settle().await;
                        // Results of work under way still come in; the queue closes when its senders are gone.
                        match self.waiting.recv().await {
                            Some(first) => batch.push(first),
                            None => return,
                        }
                    }
                }
            }
            while batch.len() < BATCH_INPUTS_MAX {
                let Ok(next) = self.waiting.try_recv() else { break };
                batch.push(next);
            }
            if self.inbox_may_hold && !gives_way && fresh.is_empty() {
                self.looks = self.looks.wrapping_add(1);
                if self.looks.is_multiple_of(LOOKS_AHEAD_MAX) {
                    // From the oldest again: another replica may have stored something that sorts before.
                    self.settle().await;
                }
                fresh = self.look().await;
            }
            self.take(batch, fresh).await;
        }
    }

    /// What was just stored; where that is not all there is, the inbox is to be looked at.
    fn fresh(&mut self) -> Vec<Delivery> {
        let mut fresh = self.signals.take_fresh().unwrap_or_default();
        let count = fresh.len();
        // A look may have found them in the meantime.
        fresh.retain(|delivery| self.seen.as_ref().is_none_or(|seen| delivery.id > *seen));
        let is_all = count > 0 && fresh.len() == count && count <= BATCH_DELIVERIES_MAX as usize;
        self.inbox_may_hold = !is_all || self.signals.backlog.load(Ordering::Relaxed) > count as u64;
        if is_all && !self.stop.is_cancelled() { fresh } else { Vec::new() }
    }

    /// The oldest deliveries of the inbox that are not being consumed.
    async fn look(&mut self) -> Vec<Delivery> {
        if self.stop.is_cancelled() {
            self.inbox_may_hold = false;
            return Vec::new();
        }
        let after = self.ahead.as_ref().and_then(|ahead| ahead.last_delivery.as_deref());
        let is_calm = self.signals.senders.load(Ordering::Relaxed) == 0;
        let limit = if is_calm { BATCH_DELIVERIES_CALM } else { BATCH_DELIVERIES_MAX };
        match self.stepper.store.peek(after, limit).await {
            Ok(deliveries) => {
                // Whoever stored more in the meantime has told so, and the inbox holds it.
                drop(self.signals.take_fresh());
                let bytes: u64 = deliveries.iter().map(|delivery| delivery.body.len() as u64).sum();
                self.inbox_may_hold = deliveries.len() as u32 >= limit || bytes >= PEEK_BYTES_MAX;
                deliveries
            }
            Err(error) => {
                // Nobody waits for an answer any longer than the step itself takes.
                self.settle().await;
                self.store_failed(&error).await;
                Vec::new()
            }
        }
    }

    /// Judges a batch while the one before it is written, and sends it the same way.
    async fn take(&mut self, batch: Vec<Waiting>, deliveries: Vec<Delivery>) {
        let (mut inputs, answers): (Vec<Input>, Vec<Answer>) = batch.into_iter().unzip();
        let began = Instant::now();
        let mut last_delivery = deliveries.last().map(|delivery| delivery.id.clone());
        if last_delivery.is_some() {
            self.seen.clone_from(&last_delivery);
        }
        inputs.extend(deliveries.into_iter().map(Input::Delivery));
        if inputs.is_empty() {
            return;
        }
        let touched = self.ahead.as_ref().map(|ahead| &ahead.touched);
        let mut prepared = self.prepare(&inputs, touched).await;
        let judged_at = Instant::now();
        // Whatever became of this batch, the one before it has its answers first.
        if !self.settle().await {
            // What was stored first is told first: an end must not overtake the beginning of what it ends.
            inputs.truncate(answers.len());
            last_delivery = None;
            self.seen = None;
            self.inbox_may_hold = true;
            prepared = Ok(None);
        }
        if inputs.is_empty() {
            return;
        }
        if matches!(prepared, Ok(None)) || judged_at.elapsed() > JUDGED_AGE_MAX {
            prepared = self.prepare(&inputs, None).await;
        }
        match prepared {
            Ok(Some(Prepared { written, touched, go })) => {
                let _ = go.send(());
                self.ahead = Some(Ahead { written, touched, inputs, answers, last_delivery, began });
            }
            Ok(None) => drop(self.again(Err(StoreError::Conflict), inputs, answers, began).await),
            Err(error) => drop(self.again(Err(error), inputs, answers, began).await),
        }
    }

    /// Judges inputs, and has a task of its own prepare what is to be written.
    async fn prepare(
        &self,
        inputs: &[Input],
        ahead: Option<&Touched>,
    ) -> Result<Option<Prepared>, StoreError> {
        let Some(mut judged) = self.stepper.judge(inputs, ahead).await? else { return Ok(None) };
        let touched = std::mem::take(&mut judged.touched);
        let stepper = Arc::clone(&self.stepper);
        let (go, may_go) = oneshot::channel();
        let may_go = async { may_go.await.is_ok() };
        let written = tokio::spawn(async move { stepper.write(judged, may_go).await });
        Ok(Some(Prepared { written, touched, go }))
    }

    /// Waits until the step ahead is written, and tells everybody. False where one of its deliveries is still there.
    async fn settle(&mut self) -> bool {
        if self.ahead.is_none() {
            return true;
        }
        let result = written(&mut self.ahead).await;
        self.settled(result).await
    }

    async fn settled(&mut self, result: Result<StepReport, StoreError>) -> bool {
        match self.ahead.take() {
            Some(Ahead { inputs, answers, began, .. }) => self.again(result, inputs, answers, began).await,
            None => true,
        }
    }

    /// Tells how a step ended; one that conflicted, or that met something unreadable, is taken again with patience.
    async fn again(
        &mut self,
        result: Result<StepReport, StoreError>,
        inputs: Vec<Input>,
        answers: Vec<Answer>,
        began: Instant,
    ) -> bool {
        let result = match result {
            Err(StoreError::Conflict | StoreError::Corrupt(_)) => {
                self.stepper.meter.step_conflicted();
                self.stepper.step(&inputs).await
            }
            other => other,
        };
        match result {
            Ok(report) => self.tell(report, &inputs, answers, began).await,
            Err(error) => {
                for answer in answers {
                    let _ = answer.send(Err(StoreError::Unavailable(error.to_string())));
                }
                self.inbox_may_hold = true;
                self.store_failed(&error).await;
                false
            }
        }
    }

    /// Tells everybody. False where a delivery is still there.
    async fn tell(
        &mut self,
        report: StepReport,
        inputs: &[Input],
        answers: Vec<Answer>,
        began: Instant,
    ) -> bool {
        let consumed = report.consumed;
        let _ = self
            .signals
            .backlog
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |known| Some(known.saturating_sub(consumed)));
        // A sender that is not answered soon comes again, with more to read. So those who wait get the store for
        // longer than the step had it; deliveries that are stored can wait.
        if consumed > 0 && self.signals.senders.load(Ordering::Relaxed) > 0 {
            self.inbox_from = Instant::now() + (began.elapsed() * GIVE_WAY_TIMES).min(GIVE_WAY_MAX);
        }
        self.signals.effects.ring(&report.due_now);
        let mut left_behind = None;
        let mut lost = Vec::new();
        for (input, taken) in inputs.iter().zip(&report.taken) {
            let Input::Delivery(delivery) = input else { continue };
            match taken {
                Taken::Unreadable(error) => left_behind = Some(error.clone()),
                Taken::Lost => lost.push(delivery.id.clone()),
                _ => drop(self.lost.remove(&delivery.id)),
            }
        }
        let is_left = left_behind.is_some() || !lost.is_empty();
        self.count_lost(lost).await;
        for (answer, taken) in answers.into_iter().zip(report.taken) {
            let _ = answer.send(match taken {
                Taken::Unreadable(error) => Err(StoreError::Corrupt(error)),
                taken => Ok(taken),
            });
        }
        self.signals.told.notify_waiters();
        if let Some(error) = left_behind {
            self.store_failed(&StoreError::Corrupt(error)).await;
        }
        !is_left
    }

    /// What another replica took in meanwhile is gone. What is still there, look after look, is told of, and makes way
    /// for others in the end.
    async fn count_lost(&mut self, deliveries: Vec<String>) {
        if self.lost.len() > LOST_KEPT_MAX {
            // Most of them were taken in by others, who do not tell.
            self.lost.clear();
        }
        for delivery in deliveries {
            let looks = self.lost.entry(delivery.clone()).or_insert(0_u32);
            *looks += 1;
            if looks.is_power_of_two() && *looks > 1 {
                tracing::warn!(delivery.id = delivery, looks, "a delivery could not be taken in and waits");
            }
            if *looks >= LOST_LOOKS_MAX {
                self.lost.remove(&delivery);
                let error = format!("what it concerns was changed by others {LOST_LOOKS_MAX} times");
                self.stepper.set_aside(&delivery, &error).await;
            }
        }
    }

    async fn store_failed(&self, error: &StoreError) {
        tracing::warn!(error = %error, "a step could not be stored; nothing was changed and it will be tried again");
        tokio::time::sleep(STORE_RETRY_WAIT).await;
    }
}

/// How the step ahead ended; waits for ever where there is none.
async fn written(ahead: &mut Option<Ahead>) -> Result<StepReport, StoreError> {
    match ahead {
        Some(ahead) => match (&mut ahead.written).await {
            Ok(result) => result,
            // A defect ends the process, which then starts on the path that is used after a crash.
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => Err(StoreError::Unavailable(error.to_string())),
            },
        },
        None => std::future::pending().await,
    }
}

/// How many deliveries wait, told to the intake at start.
pub async fn seed_backlog(store: &dyn Store, signals: &Signals) -> Result<(), StoreError> {
    let depth = store.inbox_depth().await?;
    signals.backlog.store(depth, Ordering::Relaxed);
    Ok(())
}
