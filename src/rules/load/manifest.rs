//! One `StoredManifest`, and how it comes into the rules that name it.
//!
//! A manifest is put into the parameters of each action that names it. So it is a part of the rule's text and digest: an
//! incident keeps the manifest that it was opened under, and roles are printed from what it holds.

use super::report::Report;
use super::rule::object_name;
use super::{Content, Parsed, Surroundings, uses};
use crate::domain::action::Tier;
use crate::domain::catalog::{ActionKind, CheckedParams, Reference};
use crate::domain::manifest::{STORED, Stored};
use crate::rules::raw;
use crate::rules::vocabulary::Vocabulary;
use serde_json::Value;
use std::collections::BTreeMap;

/// Where the objects stand in a document.
const OBJECTS: &str = "/spec/objects";

/// Takes the manifests out of all documents, checked.
pub(super) fn take(parsed: &mut [Parsed<'_>], reports: &mut [Report<'_>]) -> BTreeMap<String, Stored> {
    let mut all = BTreeMap::new();
    for (document, report) in parsed.iter_mut().zip(reports) {
        if let Some(Content::Manifest(raw)) =
            document.content.take_if(|content| matches!(content, Content::Manifest(_)))
            && let Some(name) = document.name.clone()
        {
            object_name(&name, report);
            all.insert(name, convert(raw, report));
        }
    }
    all
}

fn convert(raw: raw::Manifest, report: &mut Report<'_>) -> Stored {
    let objects: Vec<Value> = raw.objects.into_iter().map(Value::Object).collect();
    let stored = Stored { tier: raw.tier, objects };
    match stored.check() {
        Ok(slots) => {
            let objects = Value::Array(stored.objects.clone());
            for slot in &slots {
                let text = objects.pointer(&slot.pointer).and_then(Value::as_str).unwrap_or_default();
                let at = format!("{OBJECTS}{}", slot.pointer);
                uses::text(text, slot.language, &Vocabulary::diagnosing(), &at, report);
            }
        }
        Err(error) => report.error(&format!("{OBJECTS}{}", error.pointer), error.message, None),
    }
    stored
}

/// The parameters with the manifest that they name, where they name one.
pub(super) fn put_in(
    params: &Value,
    kind: &ActionKind,
    checked: &CheckedParams,
    at: &str,
    surroundings: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Value {
    let named = checked.references.iter().find_map(|reference| match reference {
        Reference::Manifest(name) => surroundings.manifests.get(name),
        _ => None,
    });
    if params.get(STORED).is_some() {
        let help = "write it as a document of kind `StoredManifest`, and name that".to_owned();
        report.error(&format!("{at}/{STORED}"), "objects do not stand in a rule", Some(help));
        return params.clone();
    }
    // One with a mistake of its own is complained about where it stands.
    let Some(stored) = named.filter(|stored| stored.check().is_ok()) else { return params.clone() };
    let mut complete = params.clone();
    complete[STORED] = serde_json::to_value(stored).expect("a manifest is made of JSON");
    if let Err(error) = (kind.check)(&complete) {
        report.error(&format!("{at}/manifest"), error.message, None);
    }
    complete
}

/// The tier that the manifest in complete parameters asks for.
pub(super) fn tier(params: &Value) -> Option<Tier> {
    serde_json::from_value(params.get(STORED)?.get("tier")?.clone()).ok()
}
