//! What of an object people may read, and what may be kept of it.
//!
//! Variables hold passwords in plain text more often than anybody likes, and no shape of a text tells that
//! `{"name": "KEY", "value": "…"}` is one. So people are shown the names of variables and never their values; and a
//! secret is looked for in the pairs of names and values too.

use serde_json::Value;

use super::changes::{Change, FieldPath, Step};
use crate::domain::redact::{REDACTED, Redactor};

/// Where variables stand, in a container of any kind.
const ENV: &str = "env";

/// What is no value of a variable: its name, and where its value comes from.
const PLAIN: [&str; 2] = ["name", "valueFrom"];

/// A value as people may see it, that stands at `path`.
pub(super) fn masked_at(path: &FieldPath, value: &Value) -> Value {
    let is_field =
        |step: &Step, names: &[&str]| matches!(step, Step::Field(name) if names.contains(&name.as_str()));
    let is_below = path.0.iter().position(|step| is_field(step, &[ENV])).is_some_and(|at| {
        let rest = &path.0[at + 1..];
        !rest.iter().any(|step| is_field(step, &PLAIN)) && (!rest.is_empty() || has_parts(value))
    });
    masked(value, is_below)
}

/// A value with none of a variable in it.
pub(super) fn masked(value: &Value, is_below_env: bool) -> Value {
    let field = |(name, value): (&String, &Value)| {
        let shown = match name.as_str() {
            plain if is_below_env && PLAIN.contains(&plain) => value.clone(),
            // A label may be called so as well: it has no parts.
            ENV => masked(value, is_below_env || has_parts(value)),
            _ => masked(value, is_below_env),
        };
        (name.clone(), shown)
    };
    match value {
        Value::Object(map) => Value::Object(map.iter().map(field).collect()),
        Value::Array(items) => items.iter().map(|item| masked(item, is_below_env)).collect(),
        Value::Null => Value::Null,
        _ if is_below_env => Value::from(REDACTED),
        other => other.clone(),
    }
}

fn has_parts(value: &Value) -> bool {
    value.is_array() || value.is_object()
}

/// Whether a value holds what looks like a secret, all of it, also where a name and a value stand side by side.
pub fn holds_secret(redactor: &Redactor, value: &Value) -> bool {
    is_touched(redactor, &value.to_string()) || has_secret_pair(redactor, value)
}

/// Whether either side of a change holds a secret, with the name under which it stands.
pub fn change_holds_secret(redactor: &Redactor, change: &Change) -> bool {
    let name = match change.path.0.as_slice() {
        [.., Step::Item { name }, Step::Field(field)] if field == "value" => name,
        [.., Step::Field(name) | Step::Item { name }] => name,
        [] => "",
    };
    [&change.from, &change.to].into_iter().any(|side| {
        holds_secret(redactor, side) || (side.is_string() && is_secret_pair(redactor, name, side))
    })
}

fn has_secret_pair(redactor: &Redactor, value: &Value) -> bool {
    match value {
        Value::Object(map) => {
            let is_pair = match (map.get("name"), map.get("value")) {
                (Some(Value::String(name)), Some(value)) => is_secret_pair(redactor, name, value),
                _ => false,
            };
            is_pair || map.values().any(|value| has_secret_pair(redactor, value))
        }
        Value::Array(items) => items.iter().any(|item| has_secret_pair(redactor, item)),
        _ => false,
    }
}

/// As it would stand in a file, since a name such as `PASSWORD` tells as much as a value.
fn is_secret_pair(redactor: &Redactor, name: &str, value: &Value) -> bool {
    is_touched(redactor, &format!("{name}={value}"))
}

fn is_touched(redactor: &Redactor, text: &str) -> bool {
    redactor.redact(text) != text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clients::kubernetes::changes::{compare, shown};

    fn mk_pod(env: &Value) -> Value {
        json!({"spec": {"containers": [{"name": "api", "image": "api:1", "env": env}]}})
    }

    #[test]
    fn people_see_the_names_of_variables_and_never_their_values() {
        let before =
            mk_pod(&json!([{"name": "DB", "value": "hunter2"}, {"name": "GONE", "value": "hunter3"}]));
        let mut after =
            mk_pod(&json!([{"name": "DB", "value": "hunter4"}, {"name": "NEW", "value": "hunter5"}]));
        let proxy = json!({"name": "proxy", "env": [
            {"name": "A", "value": "hunter6"},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "db", "key": "k"}}},
        ]});
        after["spec"]["containers"].as_array_mut().expect("a list").push(proxy);
        let lines: Vec<String> = compare(&before, &after).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        spec.containers[api].env[DB].value: changed
        spec.containers[api].env[GONE]: removed {"name":"GONE","value":"[redacted]"}
        spec.containers[api].env[NEW]: added {"name":"NEW","value":"[redacted]"}
        spec.containers[proxy]: added {"env":[{"name":"A","value":"[redacted]"},{"name":"B","valueFrom":{"secretKeyRef":{"key":"k","name":"db"}}}],"name":"pro…
        "#);
        // Two variables of one name are compared as a whole list.
        let twice = mk_pod(&json!([{"name": "DB", "value": "hunter7"}, {"name": "DB", "value": "hunter8"}]));
        let text = format!("{} {}", compare(&before, &twice)[0], shown(&after));
        assert!(text.contains("NEW") && !text.contains("hunter"), "{text}");
        let label = compare(&json!({"labels": {"env": "prod"}}), &json!({"labels": {"env": "test"}}));
        assert_eq!(label[0].to_string(), "labels.env: prod → test");
    }

    #[test]
    fn a_secret_is_found_by_the_name_of_its_variable() {
        let redactor = Redactor::default();
        let holds = |before: &Value, after: &Value| {
            let changes = compare(&mk_pod(before), &mk_pod(after));
            assert_eq!(changes.len(), 1, "{changes:?}");
            change_holds_secret(&redactor, &changes[0])
        };
        let password = |value: &str| json!([{"name": "DB_PASSWORD", "value": value}]);
        let level = |value: &str| json!([{"name": "LEVEL", "value": value}]);
        assert!(holds(&password("hunter2"), &password("hunter3")));
        assert!(holds(&password("hunter2"), &json!([])) && holds(&json!([]), &password("{a b}")));
        assert!(holds_secret(&redactor, &mk_pod(&password("hunter2"))));
        assert!(!holds(&level("info"), &level("debug")) && !holds(&json!([]), &level("info")));
        let reference =
            json!([{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "k"}}}]);
        assert!(!holds_secret(&redactor, &mk_pod(&reference)));
        let data = compare(&json!({"data": {"token": null}}), &json!({"data": {"token": "hunter2"}}));
        assert!(change_holds_secret(&redactor, &data[0]));
    }
}
