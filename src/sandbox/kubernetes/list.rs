//! Lists: selectors, pages, and the version that a watch goes on from.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
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
        self.fits(object).then(|| view::shown(self.resource, object))
    }

    fn fits(&self, object: &Value) -> bool {
        let in_place = self.namespace.is_empty() || super::json::namespace(object) == self.namespace;
        let named = self.name.is_empty() || super::json::name(object) == self.name;
        if !in_place || !named || !self.labels.fit(object) {
            return false;
        }
        // Only what is stored under other names must be copied to be looked at.
        if self.resource == self.resource.storage() {
            self.fields.fit(object)
        } else {
            self.fields.fit(&view::shown(self.resource, object))
        }
    }

    /// All objects that are meant, as they are stored.
    fn stored(&self, world: &World) -> Vec<Arc<Value>> {
        let storage = self.resource.storage();
        let mut all = if self.namespace.is_empty() {
            world.all(storage)
        } else {
            world.within(storage, &self.namespace)
        };
        all.retain(|object| self.fits(object));
        all
    }

    /// All objects that are meant, as they are shown.
    pub(super) fn all(&self, world: &World) -> Vec<Value> {
        self.stored(world).iter().map(|object| view::shown(self.resource, object)).collect()
    }
}

/// Answers a list.
pub(super) fn list(world: &World, asked: &Asked, resource: &'static Resource) -> Result<Value, Refusal> {
    let wanted = Wanted::read(asked, resource)?;
    let mut meant = wanted.stored(world);
    let mut version = world.version();
    if !asked.query.text("continue").is_empty() {
        let (first, after) = read_mark(world, asked.query.text("continue"))?;
        version = first;
        meant.retain(|object| place(object) > after);
    }
    let mut metadata = json!({ "resourceVersion": version.to_string() });
    let limit = asked.query.number("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or_default();
    if limit > 0 && meant.len() > limit {
        let left = meant.len() - limit;
        meant.truncate(limit);
        let last = meant.last().map(|object| place(object)).unwrap_or_default();
        metadata["continue"] = mark(version, &last).into();
        let selects = ["labelSelector", "fieldSelector"].iter().any(|key| !asked.query.text(key).is_empty());
        if !selects {
            metadata["remainingItemCount"] = left.into();
        }
    }
    let mut items: Vec<Value> = meant.iter().map(|object| view::shown(resource, object)).collect();
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

/// Where the next page begins, written as the real one writes it.
fn mark(version: u64, last: &str) -> String {
    let mark = json!({ "v": "meta.k8s.io/v1", "rv": version, "start": last });
    URL_SAFE_NO_PAD.encode(mark.to_string())
}

fn read_mark(world: &World, mark: &str) -> Result<(u64, String), Refusal> {
    let bad = || Refusal::bad_request("continue key is not valid");
    let words = URL_SAFE_NO_PAD.decode(mark).map_err(|_| bad())?;
    let mark: Value = serde_json::from_slice(&words).map_err(|_| bad())?;
    let version = mark["rv"].as_u64().ok_or_else(bad)?;
    let last = mark["start"].as_str().ok_or_else(bad)?.to_owned();
    match world.changes_after(version) {
        Ok(_) => Ok((version, last)),
        Err(_) => Err(Refusal::page_expired()),
    }
}
