//! Lists: selectors, pages, and the version that a watch goes on from.

use serde_json::{Value, json};

use super::request::Asked;
use super::resource::Resource;
use super::selector::{Fields, Labels};
use super::status::Refusal;
use super::store::World;
use super::view;

/// Which objects of a resource a request means.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub resource: &'static Resource,
    namespace: String,
    name: String,
    labels: Labels,
    fields: Fields,
}

impl Wanted {
    pub(super) fn read(asked: &Asked, resource: &'static Resource) -> Result<Self, Refusal> {
        Ok(Self {
            resource,
            namespace: asked.namespace.clone(),
            name: asked.name.clone(),
            labels: Labels::read(asked.query.text("labelSelector"))?,
            fields: Fields::read(asked.query.text("fieldSelector"), resource)?,
        })
    }

    /// Whether a stored object is meant; as it is shown.
    pub(super) fn take(&self, object: &Value) -> Option<Value> {
        let in_place = self.namespace.is_empty() || super::json::namespace(object) == self.namespace;
        let named = self.name.is_empty() || super::json::name(object) == self.name;
        if !in_place || !named || !self.labels.fit(object) {
            return None;
        }
        let shown = view::shown(self.resource, object);
        self.fields.fit(&shown).then_some(shown)
    }

    /// All objects that are meant, as they are shown.
    pub(super) fn all(&self, world: &World) -> Vec<Value> {
        let storage = self.resource.storage();
        let all = if self.namespace.is_empty() {
            world.all(storage)
        } else {
            world.within(storage, &self.namespace)
        };
        all.iter().filter_map(|object| self.take(object)).collect()
    }
}

/// Answers a list.
pub(super) fn list(world: &World, asked: &Asked, resource: &'static Resource) -> Result<Value, Refusal> {
    let wanted = Wanted::read(asked, resource)?;
    let mut items = wanted.all(world);
    let mut version = world.version();
    if !asked.query.text("continue").is_empty() {
        let (first, after) = read_mark(asked.query.text("continue"))?;
        version = first;
        items.retain(|item| place(item) > after);
    }
    let mut metadata = json!({ "resourceVersion": version.to_string() });
    let limit = asked.query.number("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or_default();
    if limit > 0 && items.len() > limit {
        let left = items.len() - limit;
        items.truncate(limit);
        let last = items.last().map(place).unwrap_or_default();
        metadata["continue"] = mark(version, &last).into();
        let selects = ["labelSelector", "fieldSelector"].iter().any(|key| !asked.query.text(key).is_empty());
        if !selects {
            metadata["remainingItemCount"] = left.into();
        }
    }
    if resource.built_in {
        // The items of built-in lists do not repeat what the list says already.
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            item.remove("apiVersion");
            item.remove("kind");
        }
    }
    Ok(json!({
        "kind": format!("{}List", resource.kind),
        "apiVersion": resource.api_version(),
        "metadata": metadata,
        "items": items,
    }))
}

fn place(item: &Value) -> String {
    format!("{}\u{0}{}", super::json::namespace(item), super::json::name(item))
}

/// Where the next page begins, unreadable for clients as the real one.
fn mark(version: u64, last: &str) -> String {
    hex::encode(format!("{version}\u{0}{last}"))
}

fn read_mark(mark: &str) -> Result<(u64, String), Refusal> {
    let bad = || Refusal::bad_request("continue key is not valid");
    let words = String::from_utf8(hex::decode(mark).map_err(|_| bad())?).map_err(|_| bad())?;
    let (version, last) = words.split_once('\u{0}').ok_or_else(bad)?;
    Ok((version.parse().map_err(|_| bad())?, last.to_owned()))
}
