//! Lists that end when they are long enough: by number where a caller says so, and by bytes in any case.
//!
//! Incidents are read in small parts, so that a list of large ones never stands in memory as a whole.

use std::io;

use serde::Serialize;

use crate::domain::incident::{Incident, IncidentId, IncidentStatus};
use crate::engine::ports::{IncidentQuery, Reader};
use crate::http::problem::Problem;

/// Longest list in an answer. A page of five hundred usual incidents has a fifth of it.
pub const LIST_BYTES_MAX: usize = 4 << 20;

/// Incidents that are read at once.
const PART_MAX: usize = 50;

/// As much of a list as an answer takes.
pub(super) struct Bounded<T> {
    /// What is on the list.
    pub items: Vec<T>,
    /// The last incident that was looked at.
    pub last: Option<IncidentId>,
    /// Whether there are further incidents.
    pub more: bool,
}

/// Which incidents are looked at.
pub(super) struct Wanted {
    /// Of these statuses; empty for all.
    pub statuses: Vec<IncidentStatus>,
    /// Those that follow this one.
    pub after: Option<IncidentId>,
    /// At most so many.
    pub most: usize,
}

/// Makes a list of what `shape` makes of incidents, the newest first. One incident is always on it, however large.
pub(super) async fn list<T: Serialize>(
    reader: &dyn Reader,
    wanted: Wanted,
    bytes_max: usize,
    mut shape: impl FnMut(&Incident) -> Vec<T>,
) -> Result<Bounded<T>, Problem> {
    let Wanted { statuses, after, most } = wanted;
    let mut list = Bounded { items: Vec::new(), last: after, more: false };
    let (mut seen, mut bytes) = (0, 0);
    loop {
        let part = PART_MAX.min(most - seen);
        // One more than is wanted tells whether there is more.
        let limit = u32::try_from(part + 1).expect("a part is small");
        let query = IncidentQuery { statuses: statuses.clone(), limit, after: list.last.clone() };
        let found = reader.incidents(query).await?;
        for incident in found.iter().take(part) {
            let items = shape(incident);
            bytes += items.iter().map(json_bytes).sum::<usize>();
            if bytes > bytes_max && seen > 0 {
                return Ok(Bounded { more: true, ..list });
            }
            seen += 1;
            list.items.extend(items);
            list.last = Some(incident.id.clone());
        }
        list.more = found.len() > part;
        if !list.more || seen >= most {
            return Ok(list);
        }
    }
}

/// As many items as fit, at least one, and whether some were left out.
pub(super) fn fitting<T: Serialize>(items: impl Iterator<Item = T>, bytes_max: usize) -> (Vec<T>, bool) {
    let (mut fit, mut bytes) = (Vec::new(), 0);
    for item in items {
        bytes += json_bytes(&item);
        if bytes > bytes_max && !fit.is_empty() {
            return (fit, true);
        }
        fit.push(item);
    }
    (fit, false)
}

/// Bytes of a value as JSON.
fn json_bytes(value: &impl Serialize) -> usize {
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value).expect("what is counted takes every byte, and shapes are JSON");
    count.0
}

struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use jiff::Timestamp;

    use super::*;
    use crate::domain::correlate::CorrelationKey;
    use crate::domain::guardrail::Pause;
    use crate::domain::incident::Opening;
    use crate::domain::rule::RuleHash;
    use crate::domain::severity::Severity;
    use crate::domain::temporary::TemporaryFix;
    use crate::engine::ports::{ChecksView, IncidentCounts, IncidentView, PastQuery, PortFuture, StoreError};

    /// So many incidents, and how many were asked for each time.
    struct Shelf {
        count: usize,
        asked: Mutex<Vec<u32>>,
    }

    fn mk_incident(number: usize) -> Incident {
        let opening = Opening {
            id: IncidentId(format!("{:04}", 9_999 - number)),
            key: CorrelationKey(format!("key-{number}")),
            rule: "one".to_owned(),
            rule_hash: RuleHash(String::new()),
            mode: Default::default(),
            severity: Severity::P1,
            summary: String::new(),
            runbook: None,
            target: None,
            labels: Default::default(),
            annotations: Default::default(),
        };
        Incident::open(opening, Timestamp::UNIX_EPOCH)
    }

    impl Reader for Shelf {
        fn incidents(&self, query: IncidentQuery) -> PortFuture<'_, Result<Vec<Incident>, StoreError>> {
            self.asked.lock().expect("not poisoned").push(query.limit);
            let all = (0..self.count).map(mk_incident);
            let rest = all.filter(|incident| query.after.as_ref().is_none_or(|after| incident.id < *after));
            let found = rest.take(query.limit as usize).collect();
            Box::pin(async move { Ok(found) })
        }
        fn incident(&self, _: &IncidentId) -> PortFuture<'_, Result<Option<IncidentView>, StoreError>> {
            unreachable!("lists ask for no single one")
        }
        fn past(&self, _: PastQuery) -> PortFuture<'_, Result<Vec<Incident>, StoreError>> {
            unreachable!("lists ask for no past")
        }
        fn counts(&self) -> PortFuture<'_, Result<IncidentCounts, StoreError>> {
            unreachable!("lists count nothing")
        }
        fn temporary_fixes(&self) -> PortFuture<'_, Result<Vec<TemporaryFix>, StoreError>> {
            unreachable!("these are no incidents")
        }
        fn checks(&self) -> PortFuture<'_, Result<ChecksView, StoreError>> {
            unreachable!("these are no incidents")
        }
        fn pauses(&self) -> PortFuture<'_, Result<Vec<Pause>, StoreError>> {
            unreachable!("these are no incidents")
        }
    }

    /// The list of `count` incidents, each of which is `bytes` long in it.
    async fn listed(count: usize, most: usize, bytes: usize) -> (Bounded<String>, Vec<u32>) {
        let shelf = Shelf { count, asked: Mutex::default() };
        let wanted = Wanted { statuses: Vec::new(), after: None, most };
        // The quotes count as well.
        let shape = |_: &Incident| vec!["x".repeat(bytes - 2)];
        let Ok(list) = list(&shelf, wanted, 1_000, shape).await else { panic!("the shelf answers") };
        (list, shelf.asked.into_inner().expect("not poisoned"))
    }

    #[test]
    fn items_that_stand_in_memory_end_by_bytes_as_well() {
        let fitting = |bytes: usize| super::fitting((0..5).map(|_| "x".repeat(bytes - 2)), 1_000);
        assert_eq!((fitting(200).0.len(), fitting(200).1), (5, false));
        assert_eq!((fitting(300).0.len(), fitting(300).1), (3, true));
        assert_eq!((fitting(5_000).0.len(), fitting(5_000).1), (1, true), "one is shown, however large");
    }

    #[tokio::test]
    async fn a_list_ends_by_number_and_says_whether_there_is_more() {
        let (list, asked) = listed(120, 500, 4).await;
        assert_eq!((list.items.len(), list.more, asked), (120, false, vec![51, 51, 51]));
        let (list, asked) = listed(120, 70, 4).await;
        assert_eq!((list.items.len(), list.more, asked), (70, true, vec![51, 21]));
        assert_eq!(list.last.map(|id| id.0).as_deref(), Some("9930"), "the next page begins behind it");
        let (list, _) = listed(70, 70, 4).await;
        assert_eq!((list.items.len(), list.more), (70, false));
        let (list, _) = listed(0, 70, 4).await;
        assert_eq!((list.items.len(), list.more, list.last), (0, false, None));
    }

    #[tokio::test]
    async fn a_list_ends_by_bytes_and_the_next_one_begins_where_it_ended() {
        let (list, asked) = listed(120, 500, 300).await;
        assert_eq!((list.items.len(), list.more, asked), (3, true, vec![51]), "three of them fit");
        assert_eq!(list.last.map(|id| id.0).as_deref(), Some("9997"));
        let (list, _) = listed(120, 500, 5_000).await;
        assert_eq!((list.items.len(), list.more), (1, true), "one is shown, however large");
        let (list, _) = listed(1, 500, 5_000).await;
        assert_eq!((list.items.len(), list.more), (1, false));
    }
}
