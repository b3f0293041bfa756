//! What the HTTP side and the sandbox's handle share: the world behind one lock, and the news of its changes.

use std::ops::Bound;
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
                world.now = due;
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

/// The next moment after now and until the end at which something is due. It and all before it are taken off the list.
///
/// What is due now or earlier has been looked at already: a controller that asks for it again would never let time go on.
fn next_due(world: &mut World, end: Timestamp) -> Option<Timestamp> {
    let now = world.now;
    let first = world.play.due.range((Bound::Excluded(now), Bound::Included(end))).next().copied();
    let handled = first.unwrap_or(now);
    world.play.due.retain(|due| *due > handled);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_past_is_not_due_again() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let mut world = World::new(at(100), 1);
        for second in [90, 100, 101, 105, 120] {
            world.play.wake_at(at(second));
        }
        assert_eq!(next_due(&mut world, at(110)), Some(at(101)));
        world.now = at(101);
        assert_eq!(next_due(&mut world, at(110)), Some(at(105)));
        world.now = at(105);
        assert_eq!(next_due(&mut world, at(110)), None);
        assert_eq!(world.play.due.len(), 1, "what is due later stays");
    }
}
