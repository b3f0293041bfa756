//! What each verb does to which resource.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::change::{self, Deletion, How};
use super::cluster::Cluster;
use super::handle::{Changed, Incoming, Made};
use super::json::{items, name, number, set_default, text, uid};
use super::patch::{self, Kind};
use super::request::Asked;
use super::resource::Resource;
use super::status::{Refusal, answer as reply, no_such_path};
use super::store::World;
use super::{access, body, eviction, exec, list, logs, managed, metrics, reviews, scale, view, watch};

/// Answers a request for a resource.
pub(super) fn answer(cluster: &Arc<Cluster>, mut incoming: Incoming) -> Response {
    cluster.with(|world| {
        let version = world.version();
        let done = judged(cluster, world, &mut incoming);
        let mut response = done.unwrap_or_else(IntoResponse::into_response);
        let ran = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if world.version() != version || ran {
            response.extensions_mut().insert(Changed);
        }
        response
    })
}

fn judged(cluster: &Arc<Cluster>, world: &mut World, incoming: &mut Incoming) -> Result<Response, Refusal> {
    access::check(world, &incoming.user, &incoming.asked)?;
    if let Some(other) = incoming.asked.query.all("dryRun").iter().find(|value| *value != "All") {
        let words = format!("dryRun: Unsupported value: \"{other}\": supported values: \"All\"");
        return Err(Refusal::unprocessable(format!("options is invalid: {words}")));
    }
    match (incoming.asked.group.as_str(), incoming.asked.resource()) {
        (_, Some(resource)) => dispatch(cluster, world, resource, incoming),
        (metrics::GROUP, None) => metrics::answer(world, &incoming.asked),
        (reviews::GROUP, None) => Ok(reviews::answer(world, incoming)?.unwrap_or_else(no_such_path)),
        _ => Ok(no_such_path()),
    }
}

fn dispatch(
    cluster: &Arc<Cluster>,
    world: &mut World,
    resource: &'static Resource,
    incoming: &mut Incoming,
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
        ("get", "log") => logs::log(world, asked),
        ("get" | "create", "exec") => exec::exec(world, asked, &incoming.headers, incoming.upgrade.take()),
        ("create", "eviction") => eviction::evict(world, incoming),
        ("create", "token") => reviews::token(world, incoming),
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
            is_patch: self.asked.verb == "patch",
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
    if kind == Kind::Apply {
        return apply(world, resource, incoming, asked);
    }
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

/// Server-side apply: makes what is not there, and changes what is, unless others manage it otherwise.
fn apply(
    world: &mut World,
    resource: &'static Resource,
    incoming: &Incoming,
    mut config: Value,
) -> Result<Response, Refusal> {
    let how = How { is_apply: true, ..incoming.how() };
    if incoming.asked.query.text("fieldManager").is_empty() {
        let message = "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
        return Err(Refusal::unprocessable(message));
    }
    if config.pointer("/metadata/managedFields").is_some_and(|fields| fields != &json!([])) {
        return Err(Refusal::bad_request("metadata.managedFields must be nil"));
    }
    for (pointer, own) in [("/apiVersion", resource.api_version()), ("/kind", resource.kind.to_owned())] {
        if text(&config, pointer) != own {
            let message = format!("invalid object type: {pointer} must be {own}");
            return Err(Refusal::bad_request(message));
        }
    }
    set_default(&mut config, "/metadata/name", incoming.asked.name.as_str());
    let force = incoming.asked.query.flag("force");
    let before = find(world, resource, &incoming.asked);
    let Ok(before) = before else {
        if let Some(uid) = config.pointer("/metadata/uid").and_then(Value::as_str) {
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            );
            return Err(Refusal::conflict_because(resource, &incoming.asked.name, &why));
        }
        // To make what is not there is a verb of its own.
        let deed = access::Deed {
            verb: "create".into(),
            group: incoming.asked.group.clone(),
            resource: incoming.asked.target(),
            namespace: incoming.asked.namespace.clone(),
            name: incoming.asked.name.clone(),
        };
        access::require(world, &incoming.user, &deed)?;
        let new = managed::apply(&Value::Null, &config, &how, force, world.now)?;
        let made = change::create_applied(world, resource, &incoming.asked.namespace, new, &how)?;
        return Ok(reply(201, &made));
    };
    let after = managed::apply(&before, &config, &how, force, world.now)?;
    let after = change::replace(world, resource, &before, after, &how)?;
    Ok(reply(200, &after))
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
