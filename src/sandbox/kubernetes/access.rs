//! Who asks, and what they may do: bearer tokens, impersonation, and the roles and bindings that are stored.

use http::HeaderMap;
use serde_json::Value;

use super::json::{items, namespace, text};
use super::request::Asked;
use super::resource::{CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES};
use super::status::Refusal;
use super::store::World;

/// The group that may do everything.
const MASTERS: &str = "system:masters";
/// The prefix of a service account's name as a user.
const ACCOUNT: &str = "system:serviceaccount:";

/// Who asks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct User {
    pub name: String,
    pub groups: Vec<String>,
}

impl User {
    /// Somebody with these groups, and with those that everybody has who is known.
    pub(super) fn new(name: &str, groups: &[&str]) -> Self {
        let mut groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        if let Some((home, _)) = name.strip_prefix(ACCOUNT).and_then(|rest| rest.split_once(':')) {
            groups.push("system:serviceaccounts".into());
            groups.push(format!("system:serviceaccounts:{home}"));
        }
        let known =
            if name == "system:anonymous" { "system:unauthenticated" } else { "system:authenticated" };
        groups.push(known.into());
        Self { name: name.into(), groups }
    }

    /// The one who may do everything.
    pub(super) fn admin() -> Self {
        Self::new("kubernetes-admin", &[MASTERS])
    }
}

/// What somebody wants to do.
#[derive(Clone, Debug)]
pub(super) struct Deed {
    pub verb: String,
    pub group: String,
    /// With its subresource, such as `pods/log`.
    pub resource: String,
    pub namespace: String,
    pub name: String,
}

/// Who a request comes from, after impersonation.
pub(super) fn who(world: &World, headers: &HeaderMap) -> Result<User, Refusal> {
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let user = match said("authorization").and_then(|value| value.strip_prefix("Bearer ")) {
        Some(token) => match world.play.tokens.get(token) {
            Some(user) => user.clone(),
            None if world.play.enforces_access => return Err(Refusal::unauthorized()),
            None => User::admin(),
        },
        None if world.play.enforces_access => User::new("system:anonymous", &[]),
        None => User::admin(),
    };
    let Some(other) = said("impersonate-user") else { return Ok(user) };
    let groups: Vec<&str> =
        headers.get_all("impersonate-group").iter().filter_map(|value| value.to_str().ok()).collect();
    may_impersonate(world, &user, other, &groups)?;
    Ok(User::new(other, &groups))
}

fn may_impersonate(world: &World, user: &User, other: &str, groups: &[&str]) -> Result<(), Refusal> {
    let account = other.strip_prefix(ACCOUNT).and_then(|rest| rest.split_once(':'));
    let (resource, home, name) = match account {
        Some((home, name)) => ("serviceaccounts", home, name),
        None => ("users", "", other),
    };
    let wanted =
        std::iter::once((resource, home, name)).chain(groups.iter().map(|group| ("groups", "", *group)));
    for (resource, home, name) in wanted {
        let deed = Deed {
            verb: "impersonate".into(),
            group: String::new(),
            resource: resource.into(),
            namespace: home.into(),
            name: name.into(),
        };
        require(world, user, &deed)?;
    }
    Ok(())
}

/// Whether they may do what they ask for.
pub(super) fn check(world: &World, user: &User, asked: &Asked) -> Result<(), Refusal> {
    let deed = |verb: &str| Deed {
        verb: verb.into(),
        group: asked.group.clone(),
        resource: asked.target(),
        // A namespace lies in itself for those who judge access.
        namespace: if asked.plural == "namespaces" { asked.name.clone() } else { asked.namespace.clone() },
        name: asked.name.clone(),
    };
    require(world, user, &deed(asked.verb))?;
    // A websocket begins with GET, and needs the verb of what it does as well.
    if matches!(asked.subresource.as_str(), "exec" | "attach" | "portforward") && asked.verb == "get" {
        require(world, user, &deed("create"))?;
    }
    Ok(())
}

/// Refuses a deed that no role allows.
pub(super) fn require(world: &World, user: &User, deed: &Deed) -> Result<(), Refusal> {
    if !world.play.enforces_access || may(world, user, deed) {
        return Ok(());
    }
    let (plural, _) = deed.resource.split_once('/').unwrap_or((&deed.resource, ""));
    let qualified =
        if deed.group.is_empty() { plural.to_owned() } else { format!("{plural}.{}", deed.group) };
    let place = if deed.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace \"{}\"", deed.namespace)
    };
    let quoted = if deed.name.is_empty() { String::new() } else { format!(" \"{}\"", deed.name) };
    let message = format!(
        "{qualified}{quoted} is forbidden: User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {place}",
        user.name, deed.verb, deed.resource, deed.group
    );
    let mut refusal = Refusal::new(403, "Forbidden", message);
    refusal.details = serde_json::json!({ "kind": plural });
    for (field, value) in [("name", &deed.name), ("group", &deed.group)] {
        if !value.is_empty() {
            refusal.details[field] = value.as_str().into();
        }
    }
    Err(refusal)
}

/// Whether some role allows a deed.
pub(super) fn may(world: &World, user: &User, deed: &Deed) -> bool {
    if user.groups.iter().any(|group| group == MASTERS) {
        return true;
    }
    // Everybody who is known may ask what they may do.
    let asks_own = deed.group == "authorization.k8s.io" && deed.resource.starts_with("selfsubject");
    if asks_own && user.name != "system:anonymous" {
        return true;
    }
    rules(world, user, &deed.namespace).iter().any(|rule| allows(rule, deed))
}

/// All rules that somebody has in a namespace.
pub(super) fn rules(world: &World, user: &User, home: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for binding in world.all(&CLUSTER_ROLE_BINDINGS) {
        if binds(&binding, user) {
            found.extend(rules_of(world, &binding, ""));
        }
    }
    for binding in world.within(&ROLE_BINDINGS, home) {
        if !home.is_empty() && binds(&binding, user) {
            found.extend(rules_of(world, &binding, home));
        }
    }
    found
}

fn rules_of(world: &World, binding: &Value, home: &str) -> Vec<Value> {
    let role = text(binding, "/roleRef/name");
    let found = match text(binding, "/roleRef/kind") {
        "Role" => world.find(&ROLES, home, role),
        _ => world.find(&CLUSTER_ROLES, "", role),
    };
    found.map(|role| items(&role, "/rules").to_vec()).unwrap_or_default()
}

fn binds(binding: &Value, user: &User) -> bool {
    items(binding, "/subjects").iter().any(|subject| {
        let said = text(subject, "/name");
        match text(subject, "/kind") {
            "User" => said == user.name,
            "Group" => user.groups.iter().any(|group| group == said),
            "ServiceAccount" => {
                let home = text(subject, "/namespace");
                let home = if home.is_empty() { namespace(binding) } else { home };
                user.name == format!("{ACCOUNT}{home}:{said}")
            }
            _ => false,
        }
    })
}

fn allows(rule: &Value, deed: &Deed) -> bool {
    let says = |list: &str, wanted: &str| {
        items(rule, list).iter().filter_map(Value::as_str).any(|said| said == "*" || said == wanted)
    };
    let subresource = deed.resource.split_once('/').map(|(_, subresource)| format!("*/{subresource}"));
    let named = items(rule, "/resourceNames");
    says("/verbs", &deed.verb)
        && says("/apiGroups", &deed.group)
        && (says("/resources", &deed.resource) || subresource.is_some_and(|any| says("/resources", &any)))
        && (named.is_empty() || named.iter().any(|name| *name == deed.name))
}
