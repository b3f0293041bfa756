//! Group commit: all deliveries that wait share one transaction, and each sender is answered after it.
//!
//! A sender is told "stored" only when its delivery survives a power cut. The queue is bounded: a full one is
//! answered with "come again", never with waiting memory.

use super::meter::Meter;
use super::ports::{Delivery, Store, StoreError};
use super::stepping::Signals;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Deliveries that may wait for the next transaction. Each holds at most one request body, so together with the
/// body limit this bounds the memory of the intake.
pub const QUEUE_DELIVERIES_MAX: usize = 1_024;
/// Deliveries that share one transaction. Beyond a few hundred the gain is small and the first one waits longer.
pub const BATCH_DELIVERIES_MAX: usize = 256;
/// Bytes that share one transaction, so that large bodies do not make one transaction take seconds.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Deliveries that may be stored and not yet read. Beyond, senders are asked to come again: a backlog of this size
/// takes a minute to work off, and a sender that repeats is better than a disk that fills up.
pub const BACKLOG_DELIVERIES_MAX: u64 = 200_000;

/// Longest wait of a sender for its delivery to be stored. Alertmanager hangs up after ten seconds without having
/// heard why; an answer that comes before says that the store is slow, and is tried again like any other.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(8);

/// Why a delivery was not taken. All of it is temporary: the sender should come again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// Too many wait for the next transaction.
    #[error("too many deliveries are waiting to be stored")]
    QueueFull,
    /// Too many are stored and not yet read.
    #[error("too many stored deliveries are waiting to be read")]
    BacklogFull,
    /// The store does not take it.
    #[error("the store is not available: {0}")]
    Store(String),
    /// The service is stopping.
    #[error("the service is stopping")]
    Stopping,
}

type Waiting = (Delivery, oneshot::Sender<Result<(), IntakeError>>);

/// The door for deliveries. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    queue: mpsc::Sender<Waiting>,
    signals: Signals,
}

impl Intake {
    /// A door and the task behind it, which ends when the last door is dropped and the queue is empty.
    pub fn new(
        store: Arc<dyn Store>,
        meter: Arc<dyn Meter>,
        signals: Signals,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, waiting) = mpsc::channel(QUEUE_DELIVERIES_MAX);
        let intake = Self { queue, signals: signals.clone() };
        (intake, run(store, meter, signals, waiting))
    }

    /// Takes one delivery; returns once it is durable.
    pub async fn accept(&self, delivery: Delivery) -> Result<(), IntakeError> {
        if self.signals.backlog.load(Ordering::Relaxed) >= BACKLOG_DELIVERIES_MAX {
            return Err(IntakeError::BacklogFull);
        }
        let (answer, stored) = oneshot::channel();
        self.queue.try_send((delivery, answer)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => IntakeError::QueueFull,
            mpsc::error::TrySendError::Closed(_) => IntakeError::Stopping,
        })?;
        self.signals.senders.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(&self.signals);
        match tokio::time::timeout(ANSWER_WITHIN, stored).await {
            Ok(answer) => answer.unwrap_or(Err(IntakeError::Stopping)),
            // It may be stored yet: a delivery that comes twice changes nothing.
            Err(_) => Err(IntakeError::Store(format!("it does not answer within {ANSWER_WITHIN:?}"))),
        }
    }
}

/// Counts a sender for as long as it waits, also when it gives up.
struct Waits<'a>(&'a Signals);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if self.0.senders.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.calm.notify_one();
        }
    }
}

async fn run(
    store: Arc<dyn Store>,
    meter: Arc<dyn Meter>,
    signals: Signals,
    mut waiting: mpsc::Receiver<Waiting>,
) {
    while let Some(first) = waiting.recv().await {
        let mut bytes = first.0.body.len();
        let mut batch = vec![first];
        while batch.len() < BATCH_DELIVERIES_MAX && bytes < BATCH_BYTES_MAX {
            let Ok(next) = waiting.try_recv() else { break };
            bytes += next.0.body.len();
            batch.push(next);
        }
        let (deliveries, answers): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let count = deliveries.len();
        let began = Instant::now();
        // The bodies are shared, not copied.
        let result = store.append(deliveries.clone()).await.map_err(|error| {
            // Nothing else may be written meanwhile, so nobody else would say it.
            tracing::warn!(error = %error, count, "webhooks could not be stored, and their senders are told to come again");
            refusal(&error)
        });
        if result.is_ok() {
            meter.deliveries_stored(count, began.elapsed());
            signals.stored(deliveries);
        }
        for answer in answers {
            // A sender that hung up does not wait for its answer; its delivery stays stored.
            let _ = answer.send(result.clone());
        }
    }
}

fn refusal(error: &StoreError) -> IntakeError {
    IntakeError::Store(error.to_string())
}
