//! `k8s.secret_meta`: whether a Secret is there, how long its values are and how old it is. Never a value.
//!
//! The API has no way to ask for less, so the values do come over the line. They are measured while the answer is read
//! and are in no type of this program: what cannot hold a value cannot leak it.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde_json::{Value, json};

use super::evidence::{Evidence, Unknown};
use super::k8s::{Scene, ago, checked, fields, need};
use super::{Entry, Moment, Tools, k8s};
use crate::clients::kubernetes::Resource;
use crate::domain::catalog::{CheckedParams, DiagnosticKind, ParamsError};
use crate::params;

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "k8s.secret_meta",
        summary: "Says whether a Secret and a key in it are there, how long the value is and how old it is. Never a value.",
        fields: &[
            ("exists", "Whether the Secret is there. Most other fields are left out where it is not."),
            ("key_exists", "Whether the key is there. Left out where no key was asked for."),
            ("length", "Bytes of the key's value. Left out where it is not there."),
            ("lengths", "Bytes of each value, such as `lengths.password`."),
            ("type", "Its type, such as `kubernetes.io/tls`."),
            ("age_seconds", "How old the Secret is."),
            ("changed_seconds", "How long ago somebody last wrote to it, as far as it says."),
        ],
        timeout: k8s::TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access: |params, _| {
            vec![need(params, &Resource::SECRETS, "", &["get"]).named(k8s::text(params, "name"))]
        },
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `k8s.secret_meta`.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Namespace. Default: that of the incident's target. May hold templates.
    namespace: Option<String>,
    /// Name of the Secret. May hold templates.
    name: String,
    /// Key within it.
    #[schemars(length(min = 1, max = 253))]
    key: Option<String>,
}

/// A Secret without its values.
#[derive(Debug, serde::Deserialize)]
struct Outline {
    #[serde(default)]
    metadata: Written,
    #[serde(rename = "type", default)]
    type_: Option<String>,
    #[serde(default)]
    data: Option<BTreeMap<String, Length>>,
}

/// When it was written. Annotations stay out: the one of `kubectl apply` repeats the values.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Written {
    creation_timestamp: Option<Time>,
    managed_fields: Vec<Writer>,
}

#[derive(Debug, serde::Deserialize)]
struct Writer {
    #[serde(default)]
    time: Option<Time>,
}

/// The length of a value: all that is taken from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Length(usize);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Measure;

        impl Visitor<'_> for Measure {
            type Value = Length;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value in base64")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Length, E> {
                let bytes = text.bytes().filter(|byte| !byte.is_ascii_whitespace());
                let (mut signs, mut padding) = (0, 0);
                for byte in bytes {
                    signs += 1;
                    padding += usize::from(byte == b'=');
                }
                Ok(Length((signs / 4 * 3_usize).saturating_sub(padding)))
            }
        }

        deserializer.deserialize_str(Measure)
    }
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { namespace, name, key } = params::read(params)?;
    if let Some(key) = &key {
        params::text_within("/key", key, 253)?;
    }
    checked(&[("namespace", namespace.as_deref()), ("name", Some(&name))], None)
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { namespace, name, key } = params::read(params)?;
    let scene = Scene::of(tools, moment)?;
    let namespace = scene.namespace(namespace.as_deref())?;
    let outline: Option<Outline> = scene.reads.find(&Resource::SECRETS, Some(&namespace), &name).await?;
    Ok(match outline {
        Some(outline) => evidence(scene, &name, key.as_deref(), outline),
        None => {
            let found = json!({"exists": false, "key_exists": key.map(|_| false)});
            Evidence {
                fields: fields(found),
                text: format!("there is no Secret {namespace}/{name}"),
                chart: None,
            }
        }
    })
}

fn evidence(scene: Scene<'_>, name: &str, key: Option<&str>, outline: Outline) -> Evidence {
    let Outline { metadata, type_, data } = outline;
    let lengths: BTreeMap<String, usize> =
        data.into_iter().flatten().map(|(key, Length(length))| (key, length)).collect();
    let age = scene.age_seconds(metadata.creation_timestamp.as_ref());
    let changed = metadata.managed_fields.iter().filter_map(|writer| writer.time.as_ref()).max();
    let changed = scene.age_seconds(changed);
    let length = key.and_then(|key| lengths.get(key).copied());
    let mut text = format!("Secret {name} has {} keys", lengths.len());
    if let Some(age) = age {
        text += &format!(", age {}", ago(age));
    }
    text += &match (key, length) {
        (None, _) => String::new(),
        (Some(key), Some(length)) => format!("; {key}: {length} bytes"),
        (Some(key), None) => format!("; {key} is not there"),
    };
    let found = fields(json!({
        "exists": true,
        "key_exists": key.map(|_| length.is_some()),
        "length": length,
        "lengths": lengths,
        "type": type_,
        "age_seconds": age,
        "changed_seconds": changed,
    }));
    Evidence { fields: found, text, chart: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_measured_and_never_held() {
        let outline = |value: &str| {
            let metadata = json!({"name": "s", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": value}});
            let secret = json!({"metadata": metadata, "data": {"k": value}});
            serde_json::from_value::<Outline>(secret).expect("an outline")
        };
        for (value, length) in [("", 0), ("YQ==", 1), ("YWI=", 2), ("YWJj", 3), ("aHVudGVyMg==", 7)] {
            let outline = outline(value);
            assert_eq!(outline.data.as_ref().expect("data")["k"], Length(length), "{value}");
            assert!(value.is_empty() || !format!("{outline:?}").contains(value));
        }
    }
}
