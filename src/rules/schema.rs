//! JSON Schemas of the rule kinds, for editors and CI: `smokejumper schema`.
//!
//! They come from the types that the loader reads, with the parameters of the catalog's kinds put in, so that they
//! cannot drift apart. What only the loader can see (names, templates, conditions) is not in them.

use super::raw::{self, API_VERSION};
use crate::domain::catalog::Catalog;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// The kinds that have a schema, in the order of the reference.
pub const KINDS: [&str; 8] = [
    "ResponseRule",
    "EscalationPolicy",
    "Contact",
    "Schedule",
    "Calendar",
    "ScheduledCheck",
    "StoredManifest",
    "Platform",
];

/// A placeholder as the whole of a value, as a regular expression.
const PLACEHOLDER: &str = r"^\$\{[a-z][a-z0-9-]*\.[a-z][a-z0-9_]*\}$";

/// The JSON Schema (draft 2020-12) of documents of one kind; `None` for a kind that is not in [`KINDS`].
pub fn schema(kind: &str, catalog: &Catalog) -> Option<Value> {
    match kind {
        "ResponseRule" => Some(document::<raw::Rule>(kind, Some(catalog))),
        "EscalationPolicy" => Some(document::<raw::Policy>(kind, None)),
        "Contact" => Some(document::<raw::Contact>(kind, None)),
        "Schedule" => Some(document::<raw::Schedule>(kind, None)),
        "Calendar" => Some(document::<raw::Calendar>(kind, None)),
        "ScheduledCheck" => Some(document::<raw::ScheduledCheck>(kind, Some(catalog))),
        "StoredManifest" => Some(document::<raw::Manifest>(kind, None)),
        "Platform" => Some(document::<raw::Platform>(kind, None)),
        _ => None,
    }
}

fn document<S: JsonSchema>(kind: &str, catalog: Option<&Catalog>) -> Value {
    let mut generator: SchemaGenerator = SchemaSettings::draft2020_12().into_generator();
    let metadata = generator.subschema_for::<raw::Metadata>();
    let spec = generator.subschema_for::<S>();
    let mut definitions = generator.take_definitions(true);
    if let Some(catalog) = catalog {
        let mut found = Map::new();
        if definitions.contains_key("CheckItem") {
            definitions.insert("CheckItem".to_owned(), check_items(catalog, &mut found));
        } else {
            definitions.insert("Diagnostic".to_owned(), diagnostics(catalog, &mut found));
            definitions.insert("Action".to_owned(), actions(catalog, &mut found));
        }
        definitions.extend(found);
    }
    definitions.values_mut().for_each(let_placeholders_in);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": kind,
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": false,
        "properties": {
            "apiVersion": { "const": API_VERSION },
            "kind": { "const": kind },
            "metadata": metadata,
            "spec": spec,
        },
        "$defs": definitions,
    })
}

/// Lets a placeholder stand where a number or a truth value is wanted: editors see the text before it is filled in.
fn let_placeholders_in(schema: &mut Value) {
    let is_plain = |name: &Value| ["integer", "number", "boolean"].iter().any(|plain| name == plain);
    match schema {
        Value::Object(fields) => {
            let widened = match fields.get("type") {
                Some(name) if is_plain(name) => Some(json!([name, "string"])),
                Some(Value::Array(names))
                    if names.iter().any(is_plain) && !names.contains(&json!("string")) =>
                {
                    Some(json!(names.iter().cloned().chain([json!("string")]).collect::<Vec<_>>()))
                }
                _ => None,
            };
            // A mapping with a field called `type` is no schema of a type, and has no text there.
            if let Some(widened) = widened {
                fields.insert("type".to_owned(), widened);
                fields.insert("pattern".to_owned(), json!(PLACEHOLDER));
            }
            fields.values_mut().for_each(let_placeholders_in);
        }
        Value::Array(items) => items.iter_mut().for_each(let_placeholders_in),
        _ => {}
    }
}

/// A name with what is for people, and at most one diagnostic with its kind as the key.
fn check_items(catalog: &Catalog, definitions: &mut Map<String, Value>) -> Value {
    let severity =
        json!({ "enum": ["P0", "P1", "P2", "P3"], "description": "How bad it is when it is red." });
    let name = json!({
        "type": "string",
        "pattern": "^[a-z_][a-z0-9_]*$",
        "description": "Unique; names its alert and its finding: conditions say `findings.NAME`.",
    });
    let mut properties = Map::from_iter([
        ("name".to_owned(), name),
        ("title".to_owned(), json!({ "type": "string", "description": "For people. Default: the name." })),
        ("severity".to_owned(), severity),
        (
            "expect".to_owned(),
            json!({ "type": "string", "description": "A CEL condition over findings: green while it holds." }),
        ),
        (
            "owner".to_owned(),
            json!({ "type": "string", "description": "Who has to look: an item for people has no condition." }),
        ),
    ]);
    let kinds: Vec<&str> = catalog.diagnostics().map(|kind| kind.name).collect();
    for kind in catalog.diagnostics() {
        properties.insert(kind.name.to_owned(), embed((kind.schema)(), kind.name, definitions));
    }
    let one = kinds.iter().map(|kind| json!({ "required": [kind] }));
    let none = json!({ "not": { "anyOf": one.clone().collect::<Vec<_>>() } });
    json!({
        "type": "object",
        "required": ["name"],
        "additionalProperties": false,
        "properties": properties,
        "oneOf": one.chain([none]).collect::<Vec<_>>(),
    })
}

/// A name, and exactly one diagnostic with its kind as the key.
fn diagnostics(catalog: &Catalog, definitions: &mut Map<String, Value>) -> Value {
    let choices = catalog.diagnostics().map(|kind| {
        json!({
            "type": "object",
            "description": kind.summary,
            "required": ["name", kind.name],
            "additionalProperties": false,
            "properties": {
                "name": {
                    "type": "string",
                    "pattern": "^[a-z_][a-z0-9_]*$",
                    "description": "Name of the finding: conditions say `findings.NAME`.",
                },
                kind.name: embed((kind.schema)(), kind.name, definitions),
            },
        })
    });
    json!({ "oneOf": choices.collect::<Vec<_>>() })
}

/// Exactly one action with its kind as the key.
fn actions(catalog: &Catalog, definitions: &mut Map<String, Value>) -> Value {
    let choices = catalog.actions().map(|kind| {
        json!({
            "type": "object",
            "description": format!("{} Runs at {} or higher.", kind.summary, kind.tier_floor),
            "required": [kind.name],
            "additionalProperties": false,
            "properties": { kind.name: embed((kind.schema)(), kind.name, definitions) },
        })
    });
    json!({ "oneOf": choices.collect::<Vec<_>>() })
}

/// A schema that stood for itself, as a part: its definitions move to the root under names of their own.
fn embed(mut schema: Value, kind: &str, definitions: &mut Map<String, Value>) -> Value {
    let own = schema.as_object_mut().and_then(|schema| {
        schema.remove("$schema");
        schema.remove("$defs")
    });
    if let Some(Value::Object(own)) = own {
        for (name, mut definition) in own {
            point_to(&mut definition, kind);
            definitions.insert(format!("{kind}.{name}"), definition);
        }
    }
    point_to(&mut schema, kind);
    schema
}

fn point_to(schema: &mut Value, kind: &str) {
    match schema {
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut() {
                match field {
                    Value::String(target) if key == "$ref" => {
                        *target = target.replace("#/$defs/", &format!("#/$defs/{kind}."));
                    }
                    _ => point_to(field, kind),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| point_to(item, kind)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
