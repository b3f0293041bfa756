//! What each verb does to which resource.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::change::{self, Deletion, How};
use super::cluster::Cluster;
use super::handle::{Incoming, Made};
use super::json::{items, name, number, text, uid};
use super::patch::{self, Kind};
use super::request::Asked;
use super::resource::Resource;
use super::status::{Refusal, answer as reply, no_such_path};
use super::store::World;
use super::{access, body, list, scale, view, watch};

/// Answers a request for a resource.
pub(super) fn answer(cluster: &Arc<Cluster>, incoming: Incoming) -> Response {
    let done = cluster.with(|world| {
        access::check(world, &incoming.user, &incoming.asked)?;
        let Some(resource) = incoming.asked.resource() else { return Ok(no_such_path()) };
        dispatch(cluster, world, resource, &incoming)
    });
    done.unwrap_or_else(IntoResponse::into_response)
}

fn dispatch(
    cluster: &Arc<Cluster>,
    world: &mut World,
    resource: &'static Resource,
    incoming: &Incoming,
) -> Result<Response, Refusal> {
    let asked = &incoming.asked;
    if !asked.subresource.is_empty() && !resource.subresources.contains(&asked.subresource.as_str()) {
        return Ok(no_such_path());
    }
    match (asked.verb, asked.subresource.as_str()) {
        ("list", "") => Ok(reply(200, &list::list(world, asked, resource)?)),
        ("watch", "") => watch::watch(cluster, world, asked, resource),
        ("get", "" | "status") => {
            let found = find(world, resource, asked)?;
            Ok(reply(200, &view::shown(resource, &found)))
        }
        ("get", "scale") => Ok(reply(200, &scale::shown(&*find(world, resource, asked)?))),
        ("create", "") => create(world, resource, incoming),
        ("update", "" | "status" | "scale") => update(world, resource, incoming),
        ("patch", "" | "status" | "scale") => patch(world, resource, incoming),
        ("delete", "") => delete(world, resource, incoming),
        ("deletecollection", "") => delete_all(world, resource, incoming),
        _ => Err(Refusal::method_not_allowed()),
    }
}

/// The object that a request names.
pub(super) fn find(world: &World, resource: &'static Resource, asked: &Asked) -> Result<Arc<Value>, Refusal> {
    let found = world.find(resource.storage(), &asked.namespace, &asked.name);
    found.ok_or_else(|| Refusal::not_found(resource, &asked.name))
}

impl Incoming {
    /// How the write of this request is to be done.
    pub(super) fn how(&self) -> How {
        let stated = self.asked.query.text("fieldManager");
        // Without a stated manager the program's name counts.
        let agent = self.agent.split('/').next().unwrap_or_default();
        How {
            dry_run: self.asked.is_dry_run(),
            manager: if stated.is_empty() { agent.to_owned() } else { stated.to_owned() },
            subresource: self.asked.subresource.clone(),
            is_apply: false,
        }
    }
}

fn create(world: &mut World, resource: &'static Resource, incoming: &Incoming) -> Result<Response, Refusal> {
    let object = view::stored(resource, body::read(&incoming.body)?);
    let made = change::create(world, resource.storage(), &incoming.asked.namespace, object, &incoming.how())?;
    let mut response = reply(201, &view::shown(resource, &made));
    response.extensions_mut().insert(Made(name(&made).to_owned()));
    Ok(response)
}

fn update(world: &mut World, resource: &'static Resource, incoming: &Incoming) -> Result<Response, Refusal> {
    let before = find(world, resource, &incoming.asked)?;
    let how = incoming.how();
    let new = body::read(&incoming.body)?;
    if how.subresource == "scale" {
        return Ok(reply(200, &scale::write(world, resource, &before, &new, &how)?));
    }
    let new = view::stored(resource, new);
    let after = change::replace(world, resource.storage(), &before, new, &how)?;
    Ok(reply(200, &view::shown(resource, &after)))
}

fn patch(world: &mut World, resource: &'static Resource, incoming: &Incoming) -> Result<Response, Refusal> {
    let kind = Kind::read(&incoming.content_type, resource)?;
    let asked = body::read(&incoming.body)?;
    let how = incoming.how();
    let before = find(world, resource, &incoming.asked)?;
    if how.subresource == "scale" {
        let scale = patch::patched(kind, &scale::shown(&before), &asked)?;
        return Ok(reply(200, &scale::write(world, resource, &before, &scale, &how)?));
    }
    let shown = view::shown(resource, &before);
    let after = view::stored(resource, patch::patched(kind, &shown, &asked)?);
    let after = change::replace(world, resource.storage(), &before, after, &how)?;
    Ok(reply(200, &view::shown(resource, &after)))
}

/// What a deletion asks for, in its body or in its query.
pub(super) fn deletion(asked: &Asked, options: &Value) -> Deletion {
    let said =
        |pointer: &str| Some(text(options, pointer)).filter(|said| !said.is_empty()).map(str::to_owned);
    let query = &asked.query;
    let grace = query.number("gracePeriodSeconds").and_then(|seconds| i64::try_from(seconds).ok());
    Deletion {
        dry_run: asked.is_dry_run() || items(options, "/dryRun").iter().any(|option| option == "All"),
        uid: said("/preconditions/uid"),
        version: said("/preconditions/resourceVersion"),
        grace_seconds: number(options, "/gracePeriodSeconds").or(grace),
        propagation: said("/propagationPolicy").unwrap_or_else(|| query.text("propagationPolicy").to_owned()),
    }
}

fn delete(world: &mut World, resource: &'static Resource, incoming: &Incoming) -> Result<Response, Refusal> {
    let object = find(world, resource, &incoming.asked)?;
    let asked = deletion(&incoming.asked, &body::read(&incoming.body)?);
    let (now, gone) = change::delete(world, resource.storage(), &object, &asked)?;
    if !gone || resource.plural == "pods" {
        return Ok(reply(200, &view::shown(resource, &now)));
    }
    let status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": { "name": name(&now), "group": resource.group, "kind": resource.plural, "uid": uid(&now) },
    });
    Ok(reply(200, &status))
}

fn delete_all(
    world: &mut World,
    resource: &'static Resource,
    incoming: &Incoming,
) -> Result<Response, Refusal> {
    let asked = deletion(&incoming.asked, &body::read(&incoming.body)?);
    let gone = list::list(world, &incoming.asked, resource)?;
    for item in items(&gone, "/items") {
        let home = super::json::namespace(item);
        if let Some(object) = world.find(resource.storage(), home, name(item)) {
            change::delete(world, resource.storage(), &object, &asked)?;
        }
    }
    Ok(reply(200, &gone))
}
