//! Who manages which field: `metadata.managedFields`, kept for every write of a client, and the conflicts of applies.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::change::How;
use super::fieldset::{self, Set};
use super::json::{items, remove, set, stamp, text};
use super::status::{Cause, Refusal};
use super::strategic;

/// What one manager manages.
#[derive(Clone, Debug)]
struct Entry {
    manager: String,
    /// `Apply` or `Update`.
    operation: String,
    subresource: String,
    api_version: String,
    time: String,
    fields: Set,
}

impl Entry {
    fn read(entry: &Value) -> Self {
        Self {
            manager: text(entry, "/manager").into(),
            operation: text(entry, "/operation").into(),
            subresource: text(entry, "/subresource").into(),
            api_version: text(entry, "/apiVersion").into(),
            time: text(entry, "/time").into(),
            fields: fieldset::read(&entry["fieldsV1"]),
        }
    }

    fn written(&self) -> Value {
        let mut entry = json!({
            "manager": self.manager,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fieldset::written(&self.fields),
        });
        if !self.subresource.is_empty() {
            entry["subresource"] = self.subresource.as_str().into();
        }
        entry
    }

    fn is(&self, how: &How, operation: &str) -> bool {
        self.manager == how.manager && self.operation == operation && self.subresource == how.subresource
    }
}

fn entries_of(object: &Value) -> Vec<Entry> {
    items(object, "/metadata/managedFields").iter().map(Entry::read).collect()
}

fn write(object: &mut Value, entries: &[Entry]) {
    let kept = entries.iter().filter(|entry| !entry.fields.is_empty());
    set(object, "/metadata/managedFields", kept.map(Entry::written).collect::<Vec<_>>());
}

/// Notes an ordinary write: what it changed is from now on its manager's, and nobody else's.
pub(super) fn note(before: Option<&Value>, after: &mut Value, how: &How, now: Timestamp) {
    let null = Value::Null;
    let before = before.unwrap_or(&null);
    let there = fieldset::of(after);
    let is_changed = |path: &&fieldset::Path| fieldset::value(before, path) != fieldset::value(after, path);
    let changed: Set = there.iter().filter(is_changed).cloned().collect();
    let gone = fieldset::of(before).iter().any(|path| !there.contains(path));
    if changed.is_empty() && !gone && before.is_object() {
        match before.pointer("/metadata/managedFields") {
            Some(had) => set(after, "/metadata/managedFields", had.clone()),
            None => drop(remove(after, "/metadata/managedFields")),
        }
        return;
    }
    let mut entries = entries_of(before);
    let mut own = entries
        .iter()
        .find(|entry| entry.is(how, "Update"))
        .map(|entry| entry.fields.clone())
        .unwrap_or_default();
    entries.retain(|entry| !entry.is(how, "Update"));
    for entry in &mut entries {
        entry.fields.retain(|path| !changed.contains(path) && there.contains(path));
    }
    own.extend(changed);
    own.retain(|path| there.contains(path));
    entries.push(Entry {
        manager: how.manager.clone(),
        operation: "Update".into(),
        subresource: how.subresource.clone(),
        api_version: text(after, "/apiVersion").into(),
        time: stamp(now),
        fields: own,
    });
    write(after, &entries);
}

/// What an apply makes of an object, or the conflicts with what others manage.
pub(super) fn apply(
    before: &Value,
    config: &Value,
    how: &How,
    force: bool,
    now: Timestamp,
) -> Result<Value, Refusal> {
    let wanted = fieldset::of(config);
    let mut entries = entries_of(before);
    let conflicts = conflicts(before, config, &entries, how, &wanted);
    if !conflicts.is_empty() && !force {
        return Err(refused(&conflicts));
    }
    for entry in entries.iter_mut().filter(|entry| !entry.is(how, "Apply")) {
        let taken = conflicts.get(&told(entry));
        entry.fields.retain(|path| taken.is_none_or(|taken| !taken.contains(path)));
    }
    let had = entries
        .iter()
        .find(|entry| entry.is(how, "Apply"))
        .map(|entry| (entry.fields.clone(), entry.time.clone()));
    entries.retain(|entry| !entry.is(how, "Apply"));
    let mut after = before.clone();
    strategic::merge(&mut after, config)?;
    let (had, since) = had.unwrap_or_default();
    for path in had.difference(&wanted) {
        let is_others = |entry: &Entry| entry.fields.iter().any(|other| other.starts_with(path));
        let is_ours = wanted.iter().any(|own| own.starts_with(path));
        if !is_ours && !entries.iter().any(is_others) {
            fieldset::remove(&mut after, path);
        }
    }
    let same = had == wanted && fieldset_equal(before, &after);
    entries.push(Entry {
        manager: how.manager.clone(),
        operation: "Apply".into(),
        subresource: how.subresource.clone(),
        api_version: text(config, "/apiVersion").into(),
        time: if same { since } else { stamp(now) },
        fields: wanted,
    });
    write(&mut after, &entries);
    if same {
        set(&mut after, "/metadata/managedFields", before["metadata"]["managedFields"].clone());
    }
    Ok(after)
}

fn fieldset_equal(before: &Value, after: &Value) -> bool {
    let there = fieldset::of(after);
    there == fieldset::of(before)
        && there.iter().all(|path| fieldset::value(before, path) == fieldset::value(after, path))
}

/// Who stands in the way, as the refusal names them: ordinary writers with the version and the time of their write.
fn told(entry: &Entry) -> String {
    let manager = format!("\"{}\"", entry.manager);
    let with = if entry.subresource.is_empty() {
        manager
    } else {
        format!("{manager} with subresource \"{}\"", entry.subresource)
    };
    if entry.operation == "Apply" {
        with
    } else {
        format!("{with} using {} at {}", entry.api_version, entry.time)
    }
}

fn conflicts(
    before: &Value,
    config: &Value,
    entries: &[Entry],
    how: &How,
    wanted: &Set,
) -> BTreeMap<String, Set> {
    let mut found = BTreeMap::<String, Set>::new();
    for entry in entries.iter().filter(|entry| !entry.is(how, "Apply")) {
        for path in entry.fields.intersection(wanted) {
            let is_item = path.last().is_some_and(|step| step.starts_with("k:"));
            if !is_item && fieldset::value(before, path) != fieldset::value(config, path) {
                found.entry(told(entry)).or_default().insert(path.clone());
            }
        }
    }
    found
}

fn refused(conflicts: &BTreeMap<String, Set>) -> Refusal {
    let mut causes = Vec::new();
    let mut said = Vec::new();
    let total: usize = conflicts.values().map(Set::len).sum();
    let plural = if total == 1 { "" } else { "s" };
    for (who, paths) in conflicts {
        let fields: Vec<String> = paths.iter().map(|path| fieldset::told(path)).collect();
        said.push(match fields.as_slice() {
            [one] => format!("conflict with {who}: {one}"),
            many => format!("conflicts with {who}:\n- {}", many.join("\n- ")),
        });
        for field in fields {
            causes.push(Cause {
                reason: "FieldManagerConflict",
                field,
                message: format!("conflict with {who}"),
            });
        }
    }
    let message = format!("Apply failed with {total} conflict{plural}: {}", said.join("\n"));
    let mut refusal = Refusal::new(409, "Conflict", message);
    refusal.details = json!({});
    refusal.with_causes(&causes)
}
