//! Which objects a selector means: label selectors of lists and of controllers, and field selectors.

use serde_json::{Map, Value};

use super::json::{fields, items, text};
use super::resource::Resource;
use super::status::Refusal;

/// One requirement on labels.
#[derive(Clone, Debug, PartialEq)]
enum Need {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

/// A label selector. Without requirements it means everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Labels {
    needs: Vec<Need>,
}

impl Labels {
    /// Reads the text of a `labelSelector` option: `a=b,c!=d,e in (f,g),!h`.
    pub(super) fn read(words: &str) -> Result<Self, Refusal> {
        let needs = split(words).map(|one| need(one.trim()).ok_or_else(|| unreadable(words)));
        Ok(Self { needs: needs.collect::<Result<_, _>>()? })
    }

    /// Reads a `metav1.LabelSelector`.
    pub(super) fn of(selector: Option<&Value>) -> Self {
        let Some(selector) = selector else { return Self::default() };
        let mut needs = Vec::new();
        for (key, value) in fields(selector, "/matchLabels").into_iter().flatten() {
            needs.push(Need::In(key.clone(), vec![value.as_str().unwrap_or_default().to_owned()]));
        }
        for expression in items(selector, "/matchExpressions") {
            let key = text(expression, "/key").to_owned();
            let values = items(expression, "/values").iter().filter_map(Value::as_str).map(str::to_owned);
            needs.push(match text(expression, "/operator") {
                "In" => Need::In(key, values.collect()),
                "NotIn" => Need::NotIn(key, values.collect()),
                "Exists" => Need::Exists(key),
                _ => Need::Absent(key),
            });
        }
        Self { needs }
    }

    /// The plain map of a Service.
    pub(super) fn of_map(map: &Map<String, Value>) -> Self {
        let need = |(key, value): (&String, &Value)| {
            Need::In(key.clone(), vec![value.as_str().unwrap_or_default().to_owned()])
        };
        Self { needs: map.iter().map(need).collect() }
    }

    /// Whether an object has such labels.
    pub(super) fn fit(&self, object: &Value) -> bool {
        self.fit_map(fields(object, "/metadata/labels"))
    }

    /// Whether these labels are such.
    pub(super) fn fit_map(&self, labels: Option<&Map<String, Value>>) -> bool {
        let label = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        self.needs.iter().all(|need| match need {
            Need::In(key, values) => label(key).is_some_and(|has| values.iter().any(|value| value == has)),
            Need::NotIn(key, values) => label(key).is_none_or(|has| values.iter().all(|value| value != has)),
            Need::Exists(key) => label(key).is_some(),
            Need::Absent(key) => label(key).is_none(),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.needs.is_empty()
    }

    /// The text that a scale subresource shows.
    pub(super) fn told(&self) -> String {
        let told = self.needs.iter().map(|need| match need {
            Need::In(key, values) if values.len() == 1 => format!("{key}={}", values[0]),
            Need::In(key, values) => format!("{key} in ({})", values.join(",")),
            Need::NotIn(key, values) => format!("{key} notin ({})", values.join(",")),
            Need::Exists(key) => key.clone(),
            Need::Absent(key) => format!("!{key}"),
        });
        told.collect::<Vec<_>>().join(",")
    }
}

fn unreadable(words: &str) -> Refusal {
    Refusal::bad_request(format!("unable to parse requirement: found '{words}', expected: identifier"))
}

/// Splits at commas outside of brackets.
fn split(words: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    let parts = words.split(move |c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    parts.filter(|part| !part.trim().is_empty())
}

fn need(one: &str) -> Option<Need> {
    if let Some(key) = one.strip_prefix('!') {
        return is_key(key).then_some(Need::Absent(key.trim().into()));
    }
    for (sign, is_in) in [("!=", false), ("==", true), ("=", true)] {
        if let Some((key, value)) = one.split_once(sign) {
            let (key, values) = (key.trim().to_owned(), vec![value.trim().to_owned()]);
            return is_key(&key).then_some(if is_in {
                Need::In(key, values)
            } else {
                Need::NotIn(key, values)
            });
        }
    }
    if let Some((head, rest)) = one.split_once('(') {
        let mut words = head.split_whitespace();
        let (key, sign) = (words.next()?.to_owned(), words.next()?);
        let values = rest.strip_suffix(')')?.split(',').map(|value| value.trim().to_owned()).collect();
        return match sign {
            "in" => Some(Need::In(key, values)),
            "notin" => Some(Need::NotIn(key, values)),
            _ => None,
        };
    }
    is_key(one).then_some(Need::Exists(one.into()))
}

fn is_key(key: &str) -> bool {
    let key = key.trim();
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
}

/// A field selector: pairs of a field and what it must, or must not, be.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    needs: Vec<(String, bool, String)>,
}

impl Fields {
    /// Reads the text of a `fieldSelector` option.
    pub(super) fn read(words: &str, resource: &Resource) -> Result<Self, Refusal> {
        let mut needs = Vec::new();
        for one in words.split(',').filter(|one| !one.is_empty()) {
            let (field, equal, value) = if let Some((field, value)) = one.split_once("!=") {
                (field, false, value)
            } else if let Some((field, value)) = one.split_once("==") {
                (field, true, value)
            } else {
                let (field, value) = one.split_once('=').ok_or_else(|| {
                    Refusal::bad_request(format!("invalid selector: '{words}'; can't understand '{one}'"))
                })?;
                (field, true, value)
            };
            if !selectable(resource).contains(&field) {
                let message = format!("field label not supported: {field}");
                return Err(Refusal::bad_request(message));
            }
            needs.push((field.to_owned(), equal, value.to_owned()));
        }
        Ok(Self { needs })
    }

    /// Whether an object is such.
    pub(super) fn fit(&self, object: &Value) -> bool {
        self.needs.iter().all(|(field, equal, value)| {
            let pointer = format!("/{}", field.replace('.', "/"));
            let has = match object.pointer(&pointer) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Null) | None => String::new(),
                Some(other) => other.to_string(),
            };
            (has == *value) == *equal
        })
    }
}

fn selectable(resource: &Resource) -> &'static [&'static str] {
    match resource.plural {
        "pods" => &[
            "metadata.name",
            "metadata.namespace",
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
        ],
        "events" if resource.group.is_empty() => &[
            "metadata.name",
            "metadata.namespace",
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        "events" => &[
            "metadata.name",
            "metadata.namespace",
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
        ],
        "secrets" => &["metadata.name", "metadata.namespace", "type"],
        "nodes" => &["metadata.name", "spec.unschedulable"],
        "namespaces" => &["metadata.name", "status.phase"],
        "jobs" => &["metadata.name", "metadata.namespace", "status.successful"],
        "replicasets" => &["metadata.name", "metadata.namespace", "status.replicas"],
        _ => &["metadata.name", "metadata.namespace"],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn label_selectors_mean_what_they_say() {
        let pod = json!({ "metadata": { "labels": { "app": "a", "tier": "web" } } });
        for (words, fits) in [
            ("", true),
            ("app=a", true),
            ("app==a,tier=web", true),
            ("app!=a", false),
            ("other!=a", true),
            ("app in (a, b),tier notin (db)", true),
            ("app in (b)", false),
            ("tier", true),
            ("!tier", false),
            ("!other", true),
        ] {
            assert_eq!(Labels::read(words).expect("readable").fit(&pod), fits, "{words}");
        }
        for bad in ["=a", "a b", "app in a", "{{x}}=1", "app~a"] {
            assert_eq!(Labels::read(bad).expect_err(bad).code, 400, "{bad}");
        }
    }

    #[test]
    fn field_selectors_know_only_the_fields_of_their_resource() {
        let pod = json!({ "metadata": { "name": "a" }, "status": { "phase": "Running" } });
        let fit = |words| Fields::read(words, &super::super::resource::PODS).map(|fields| fields.fit(&pod));
        assert!(fit("metadata.name=a,status.phase!=Failed").expect("readable"));
        assert!(!fit("status.phase=Failed").expect("readable"));
        assert_eq!(fit("spec.replicas=1").expect_err("not selectable").code, 400);
    }
}
