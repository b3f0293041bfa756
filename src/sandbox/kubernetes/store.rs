//! The objects of the cluster, its clock, and the history that watches read.
//!
//! One counter numbers every change, as etcd's revision does. Nothing here knows what an object means.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::json::{name, namespace, set};
use super::play::Play;
use super::resource::Resource;
use crate::sandbox::seed::Seed;

/// Changes that a watch may still read; older ones are 410 Gone. A few megabytes at most.
const HISTORY_MAX: usize = 5_000;
/// Where the counter of changes begins: any number but a small one that a test might guess.
const FIRST_VERSION: u64 = 1_000;
/// The letters of generated names: no vowels, so that no words arise.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happened {
    Added,
    Modified,
    Deleted,
}

/// One change of one object.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub version: u64,
    pub resource: &'static Resource,
    pub happened: Happened,
    /// The object after the change; the last one known where it is gone.
    pub object: Arc<Value>,
    /// The object before the change.
    pub before: Option<Arc<Value>>,
}

type Shelf = BTreeMap<(String, String), Arc<Value>>;

/// Everything there is.
pub(super) struct World {
    /// The cluster's clock.
    pub now: Timestamp,
    /// What the scenario says about pods, metrics and answers.
    pub play: Play,
    shelves: BTreeMap<(&'static str, &'static str), Shelf>,
    version: u64,
    history: VecDeque<Change>,
    chance: Seed,
}

impl World {
    pub(super) fn new(now: Timestamp, seed: u64) -> Self {
        Self {
            now,
            play: Play::default(),
            shelves: BTreeMap::new(),
            version: FIRST_VERSION,
            history: VecDeque::new(),
            chance: Seed::new(seed),
        }
    }

    /// The number of the last change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// One object.
    pub(super) fn find(&self, resource: &Resource, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.shelf(resource)?.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// All objects of a resource, in order of namespace and name.
    pub(super) fn all(&self, resource: &Resource) -> Vec<Arc<Value>> {
        self.shelf(resource).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// The objects of a resource in one namespace, in order of their names.
    pub(super) fn within(&self, resource: &Resource, namespace: &str) -> Vec<Arc<Value>> {
        let first = (namespace.to_owned(), String::new());
        let shelf = self.shelf(resource).into_iter().flat_map(|shelf| shelf.range(first.clone()..));
        shelf.take_while(|((found, _), _)| found == namespace).map(|(_, object)| Arc::clone(object)).collect()
    }

    /// Stores an object under its own namespace and name. One that is as before stays as it was.
    pub(super) fn save(&mut self, resource: &'static Resource, mut object: Value) -> Arc<Value> {
        let key = (namespace(&object).to_owned(), name(&object).to_owned());
        let before = self.shelf(resource).and_then(|shelf| shelf.get(&key)).cloned();
        if let Some(before) = &before {
            set(&mut object, "/metadata/resourceVersion", before["metadata"]["resourceVersion"].clone());
            if object == **before {
                return Arc::clone(before);
            }
        }
        self.version += 1;
        set(&mut object, "/metadata/resourceVersion", self.version.to_string());
        let object = Arc::new(object);
        self.shelves.entry((resource.group, resource.plural)).or_default().insert(key, Arc::clone(&object));
        let happened = if before.is_some() { Happened::Modified } else { Happened::Added };
        self.note(resource, happened, Arc::clone(&object), before);
        object
    }

    /// Takes an object away for good.
    pub(super) fn erase(&mut self, resource: &'static Resource, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        let shelf = self.shelves.get_mut(&(resource.group, resource.plural));
        let Some(before) = shelf.and_then(|shelf| shelf.remove(&key)) else { return };
        self.version += 1;
        let mut object = Value::clone(&before);
        set(&mut object, "/metadata/resourceVersion", self.version.to_string());
        self.note(resource, Happened::Deleted, Arc::new(object), Some(before));
    }

    /// The changes after a version; `Err` with the oldest version that can still be asked for.
    pub(super) fn changes_after(&self, version: u64) -> Result<impl Iterator<Item = &Change>, u64> {
        let oldest = self.history.front().map_or(self.version, |change| change.version - 1);
        if version < oldest {
            return Err(oldest);
        }
        let start = self.history.partition_point(|change| change.version <= version);
        Ok(self.history.range(start..))
    }

    /// Letters for a generated name.
    pub(super) fn letters(&mut self, length: usize) -> String {
        let letters = LETTERS.len() as u64;
        let letter = |_| {
            let at = usize::try_from(self.chance.next_u64() % letters).unwrap_or_default();
            char::from(LETTERS[at])
        };
        (0..length).map(letter).collect()
    }

    /// A new identity for an object.
    pub(super) fn new_uid(&mut self) -> String {
        let bytes = [self.chance.next_u64().to_be_bytes(), self.chance.next_u64().to_be_bytes()].concat();
        let bytes = bytes.try_into().expect("two numbers of eight bytes are sixteen bytes");
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    fn shelf(&self, resource: &Resource) -> Option<&Shelf> {
        self.shelves.get(&(resource.group, resource.plural))
    }

    fn note(
        &mut self,
        resource: &'static Resource,
        happened: Happened,
        object: Arc<Value>,
        before: Option<Arc<Value>>,
    ) {
        if self.history.len() == HISTORY_MAX {
            self.history.pop_front();
        }
        self.history.push_back(Change { version: self.version, resource, happened, object, before });
    }
}

/// The suffix that a template always gets, as a Deployment names its ReplicaSets.
pub(super) fn hash_of(value: &Value, collisions: i64) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    canonical(value).hash(&mut hasher);
    collisions.hash(&mut hasher);
    // Ten digits of a 32-bit number, written in the letters of generated names.
    let number = (hasher.finish() % 10_000_000_000).to_string();
    let letter = |digit: u8| char::from(LETTERS[usize::from(digit - b'0')]);
    number.bytes().map(letter).collect()
}

/// The text of a value with its keys in order.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, String> =
                map.iter().map(|(key, value)| (key, canonical(value))).collect();
            format!("{sorted:?}")
        }
        Value::Array(items) => format!("{:?}", items.iter().map(canonical).collect::<Vec<_>>()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::resource::PODS;
    use super::*;

    fn mk_world() -> World {
        World::new(Timestamp::UNIX_EPOCH, 1)
    }

    fn mk_pod(name: &str, phase: &str) -> Value {
        json!({ "metadata": { "namespace": "a", "name": name }, "status": { "phase": phase } })
    }

    #[test]
    fn a_change_has_a_number_and_no_change_has_none() {
        let mut world = mk_world();
        let first = world.save(&PODS, mk_pod("x", "Pending"));
        let same = world.save(&PODS, mk_pod("x", "Pending"));
        assert_eq!(first, same);
        let other = world.save(&PODS, mk_pod("x", "Running"));
        assert_ne!(first["metadata"]["resourceVersion"], other["metadata"]["resourceVersion"]);
        assert_eq!(world.version(), FIRST_VERSION + 2);
    }

    #[test]
    fn history_is_bounded_and_says_what_it_forgot() {
        let mut world = mk_world();
        for number in 0..=HISTORY_MAX {
            world.save(&PODS, mk_pod("x", &number.to_string()));
        }
        assert_eq!(world.changes_after(FIRST_VERSION).err(), Some(FIRST_VERSION + 1));
        assert_eq!(world.changes_after(world.version() - 2).expect("kept").count(), 2);
        world.erase(&PODS, "a", "x");
        let last = world.changes_after(world.version() - 1).expect("kept").next().expect("one change");
        assert_eq!(last.happened, Happened::Deleted);
    }

    #[test]
    fn a_hash_depends_on_the_content_and_not_on_the_order_of_keys() {
        let (one, two) = (json!({ "a": 1, "b": 2 }), json!({ "b": 2, "a": 1 }));
        assert_eq!(hash_of(&one, 0), hash_of(&two, 0));
        assert_ne!(hash_of(&one, 0), hash_of(&one, 1));
        assert_ne!(hash_of(&one, 0), hash_of(&json!({ "a": 1 }), 0));
    }
}
