//! The ledger in memory: starts of actions, pauses, and the version that says who judged over what.

use crate::domain::action::ActionId;
use crate::domain::guardrail::{Pause, Start, StartEnd, StartResult};
use crate::engine::ports::{Commit, Ledger, PauseChange};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How far back starts of actions are kept: longer than any limit of the guardrails looks.
const STARTS_KEPT: SignedDuration = SignedDuration::from_hours(31 * 24);

/// A start by its time, with a number of its own.
type Place = (Timestamp, u64);

/// All starts, and the pauses.
#[derive(Default)]
pub(super) struct Starts {
    by_time: BTreeMap<Place, Start>,
    /// Where the start of an action stands.
    by_action: HashMap<ActionId, Place>,
    /// Those that have not ended.
    under_way: BTreeSet<Place>,
    /// By namespace; the global one has none.
    pauses: BTreeMap<Option<String>, Pause>,
    version: u64,
    numbers: u64,
}

impl Starts {
    /// Whether nobody judged and wrote in between, and no action starts twice.
    pub(super) fn fit(&self, commit: &Commit) -> bool {
        let may_start = |start: &Start| {
            let known = start.action.as_ref().and_then(|action| self.by_action.get(action));
            let known = known.and_then(|place| self.by_time.get(place));
            known.is_none_or(|known| known.end.is_some_and(|end| end.result == StartResult::NotStarted))
        };
        commit.ledger_version.is_none_or(|judged| judged == self.version)
            && commit.starts.iter().all(may_start)
    }

    /// Writes starts and ends; `judged` says that the version is to rise whatever they are.
    pub(super) fn write(
        &mut self,
        starts: Vec<Start>,
        ends: &[(ActionId, StartEnd)],
        judged: bool,
        at: Timestamp,
    ) {
        if judged || !starts.is_empty() || !ends.is_empty() {
            self.version += 1;
        }
        for start in starts {
            self.numbers += 1;
            let place = (start.at, self.numbers);
            if let Some(action) = start.action.clone()
                && let Some(earlier) = self.by_action.insert(action, place)
            {
                self.by_time.remove(&earlier);
            }
            if start.action.is_some() && start.end.is_none() {
                self.under_way.insert(place);
            }
            self.by_time.insert(place, start);
        }
        for (action, end) in ends {
            let place = self.by_action.get(action).filter(|place| self.under_way.remove(place));
            if let Some(start) = place.and_then(|place| self.by_time.get_mut(place)) {
                start.end = Some(*end);
            }
        }
        self.let_go(at);
    }

    fn let_go(&mut self, at: Timestamp) {
        let oldest = at.checked_sub(STARTS_KEPT).unwrap_or(Timestamp::MIN);
        while let Some(first) = self.by_time.first_entry().filter(|first| first.key().0 < oldest) {
            // One that is under way counts however long ago it began.
            if self.under_way.contains(first.key()) {
                break;
            }
            if let Some(action) = first.remove().action {
                self.by_action.remove(&action);
            }
        }
    }

    pub(super) fn since(&self, since: Timestamp) -> Ledger {
        let lately = self.by_time.range((since, 0)..).map(|(_, start)| start);
        let older = self.under_way.range(..(since, 0));
        let under_way = older.filter_map(|place| self.by_time.get(place));
        Ledger {
            version: self.version,
            pauses: self.pauses(),
            starts: under_way.chain(lately).cloned().collect(),
        }
    }

    pub(super) fn pauses(&self) -> Vec<Pause> {
        self.pauses.values().cloned().collect()
    }

    pub(super) fn pause(&mut self, change: PauseChange) {
        match change {
            PauseChange::Set(pause) => drop(self.pauses.insert(pause.namespace.clone(), pause)),
            PauseChange::Lift { namespace } => drop(self.pauses.remove(&namespace)),
        }
        self.version += 1;
    }
}
