//! What the HTTP side and the sandbox's handle share: the world behind one lock, and the news of its changes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::controllers;
use super::kubelet::later;
use super::store::World;
use super::writes::{Call, Write};
use crate::sandbox::faults::FaultPlan;
use crate::sandbox::record::{DEFAULT_CAPACITY, Record};

/// The simulated cluster.
pub(super) struct Cluster {
    world: Mutex<World>,
    /// The number of the last change, for watches.
    news: watch::Sender<u64>,
    pub faults: FaultPlan,
    pub writes: Record<Write>,
    pub calls: Record<Call>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Cluster").field("version", &self.world().version()).finish_non_exhaustive()
    }
}

impl Cluster {
    pub(super) fn new(world: World) -> Arc<Self> {
        let news = watch::Sender::new(world.version());
        Arc::new(Self {
            world: Mutex::new(world),
            news,
            faults: FaultPlan::default(),
            writes: Record::new(DEFAULT_CAPACITY),
            calls: Record::new(DEFAULT_CAPACITY),
        })
    }

    /// Looks at the world, or changes it; watches hear of the change afterwards.
    pub(super) fn with<T>(&self, what: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.world();
        let done = what(&mut world);
        let version = world.version();
        drop(world);
        self.news.send_if_modified(|last| std::mem::replace(last, version) != version);
        done
    }

    /// Hears of changes.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Lets time pass, and the controllers work at each moment at which something is due.
    pub(super) fn step(&self, by: Duration) {
        self.with(|world| {
            let end = later(world.now, by);
            // Between two ticks of a running clock mostly nothing happens, and then there is nothing to look at.
            if world.version() != world.play.settled {
                controllers::settle(world);
            }
            while let Some(due) = next_due(world, end) {
                world.now = due.max(world.now);
                controllers::settle(world);
            }
            world.now = end;
            world.play.settled = world.version();
        });
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next moment until the end at which something is due. It and all before it are taken off the list.
fn next_due(world: &mut World, end: Timestamp) -> Option<Timestamp> {
    let first = *world.play.due.first()?;
    if first > end {
        return None;
    }
    let first = first.max(world.now);
    world.play.due.retain(|due| *due > first);
    Some(first)
}
