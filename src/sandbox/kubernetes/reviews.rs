//! Reviews: what somebody may do, asked of the API itself; and tokens for service accounts.

use axum::response::Response;
use serde_json::{Value, json};

use super::access::{self, Deed, User};
use super::body;
use super::handle::Incoming;
use super::json::{items, set, stamp, text};
use super::resource::SERVICE_ACCOUNTS;
use super::status::{Refusal, answer as reply};
use super::store::World;
use super::verbs::find;
use crate::sandbox::seed::random_hex;

/// The group of reviews.
pub(super) const GROUP: &str = "authorization.k8s.io";

/// Answers a review; nothing for one that is not known.
pub(super) fn answer(world: &World, incoming: &Incoming) -> Result<Option<Response>, Refusal> {
    let asked = &incoming.asked;
    let reviews = ["selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews"];
    if !reviews.contains(&asked.plural.as_str()) {
        return Ok(None);
    }
    if asked.verb != "create" {
        return Err(Refusal::method_not_allowed());
    }
    let mut review = body::read(&incoming.body)?;
    let status = match asked.plural.as_str() {
        "selfsubjectrulesreviews" => rules(world, &incoming.user, &review),
        "subjectaccessreviews" => {
            let groups = items(&review, "/spec/groups").iter().filter_map(Value::as_str).collect::<Vec<_>>();
            decided(world, &User::new(text(&review, "/spec/user"), &groups), &review)?
        }
        _ => decided(world, &incoming.user, &review)?,
    };
    set(&mut review, "/status", status);
    Ok(Some(reply(201, &review)))
}

fn decided(world: &World, user: &User, review: &Value) -> Result<Value, Refusal> {
    let said = |field: &str| text(review, &format!("/spec/resourceAttributes/{field}")).to_owned();
    if review.pointer("/spec/nonResourceAttributes").is_some() {
        return Ok(json!({ "allowed": true }));
    }
    if review.pointer("/spec/resourceAttributes").is_none() {
        let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        return Err(Refusal::unprocessable(format!("spec.resourceAttributes: Invalid value: null: {why}")));
    }
    let subresource = said("subresource");
    let resource = said("resource");
    let resource = if subresource.is_empty() { resource } else { format!("{resource}/{subresource}") };
    let deed = Deed {
        verb: said("verb"),
        group: said("group"),
        resource,
        namespace: said("namespace"),
        name: said("name"),
    };
    let allowed = !world.play.enforces_access || access::may(world, user, &deed);
    Ok(if allowed {
        json!({ "allowed": true, "reason": "RBAC: allowed by the sandbox" })
    } else {
        json!({ "allowed": false })
    })
}

fn rules(world: &World, user: &User, review: &Value) -> Value {
    let everything = !world.play.enforces_access || user.groups.iter().any(|group| group == "system:masters");
    let rules = if everything {
        vec![json!({ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] })]
    } else {
        access::rules(world, user, text(review, "/spec/namespace"))
    };
    json!({ "resourceRules": rules, "nonResourceRules": [], "incomplete": false })
}

/// Gives a service account a token, as its subresource `token` does.
pub(super) fn token(world: &mut World, incoming: &Incoming) -> Result<Response, Refusal> {
    let asked = &incoming.asked;
    find(world, &SERVICE_ACCOUNTS, asked)?;
    let mut request = body::read(&incoming.body)?;
    let token = new_token(world, &asked.namespace, &asked.name);
    let end = world.now.checked_add(jiff::SignedDuration::from_hours(1)).unwrap_or(world.now);
    set(&mut request, "/status", json!({ "token": token, "expirationTimestamp": stamp(end) }));
    Ok(reply(201, &request))
}

/// A token by which a service account is known from now on.
pub(super) fn new_token(world: &mut World, namespace: &str, name: &str) -> String {
    let token = random_hex(16);
    let user = User::new(&format!("system:serviceaccount:{namespace}:{name}"), &[]);
    world.play.tokens.insert(token.clone(), user);
    token
}
