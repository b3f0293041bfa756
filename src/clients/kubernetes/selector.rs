//! The selector of an object as the text that a list takes.

use serde_json::Value;

/// The text of a selector in an object: `matchLabels` and `matchExpressions`, or plain labels.
pub fn selector_text(selector: &Value) -> String {
    let labels = selector.get("matchLabels").unwrap_or(selector).as_object();
    let plain =
        labels.into_iter().flatten().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    let mut parts: Vec<String> = plain.collect();
    for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let values = expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let values = values.collect::<Vec<_>>().join(",");
        parts.push(match expression["operator"].as_str().unwrap_or_default() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            // No selector reads like this, so it is refused and nothing is selected by a part of it.
            other => format!("{key} {other}"),
        });
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::selector::selector_problem;

    #[test]
    fn a_selector_of_an_object_is_written_whole() {
        let selector = json!({
            "matchLabels": {"app": "api"},
            "matchExpressions": [
                {"key": "env", "operator": "In", "values": ["a", "b"]},
                {"key": "track", "operator": "DoesNotExist"},
            ],
        });
        assert_eq!(selector_text(&selector), "app=api,env in (a,b),!track");
        assert_eq!(selector_text(&json!({"app": "api"})), "app=api");
        let odd = json!({"matchExpressions": [{"key": "n", "operator": "Gt", "values": ["1"]}]});
        assert!(selector_problem(&selector_text(&odd)).is_some(), "nothing is selected by a part");
        assert!(selector_problem(&selector_text(&json!({}))).is_some());
    }
}
