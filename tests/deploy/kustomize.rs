//! As much of kustomize as these files use, to see the objects that `kubectl apply -k` would send. A key that is not
//! known here fails, so that nothing is passed over in silence.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// What came out, and from which files.
#[derive(Default)]
pub struct Rendered {
    /// The objects, in order.
    pub objects: Vec<Value>,
    /// Every file that was read.
    pub files: BTreeSet<PathBuf>,
}

impl Rendered {
    /// The only object of a kind with this name.
    pub fn one(&self, kind: &str, name: &str) -> &Value {
        let is_it = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
        let found: Vec<&Value> = self.objects.iter().filter(is_it).collect();
        assert_eq!(found.len(), 1, "objects of kind {kind} called {name}");
        found[0]
    }

    /// The names of all objects of a kind.
    pub fn names(&self, kind: &str) -> Vec<&str> {
        let of_kind = self.objects.iter().filter(|object| object["kind"] == kind);
        of_kind.map(|object| text(object, "/metadata/name")).collect()
    }
}

/// The text at a place.
pub fn text<'v>(value: &'v Value, at: &str) -> &'v str {
    value.pointer(at).and_then(Value::as_str).unwrap_or_else(|| panic!("no text at {at}: {value:#}"))
}

/// The list at a place; empty where there is none.
pub fn list<'v>(value: &'v Value, at: &str) -> &'v [Value] {
    value.pointer(at).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The documents of a YAML file.
pub fn documents(file: &Path) -> Vec<Value> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{shown}: {error}"));
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{shown}: {error}"));
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// Builds a folder with a kustomization.
pub fn build(folder: &Path) -> Rendered {
    let file = folder.join("kustomization.yaml");
    let shown = file.display().to_string();
    let kustomization = documents(&file).remove(0);
    let mut out = Rendered::default();
    out.files.insert(file);
    for (key, value) in kustomization.as_object().unwrap_or_else(|| panic!("{shown} is no mapping")) {
        let entries = value.as_array().map_or(&[][..], Vec::as_slice);
        match key.as_str() {
            "apiVersion" => assert_eq!(value, "kustomize.config.k8s.io/v1beta1", "{shown}"),
            "kind" => assert_eq!(value, "Kustomization", "{shown}"),
            "resources" => entries.iter().for_each(|entry| add_resource(folder, entry, &mut out)),
            "configMapGenerator" => entries.iter().for_each(|entry| generate(folder, entry, &mut out)),
            "patches" => {}
            key => panic!("{shown}: this test does not know the key `{key}`"),
        }
    }
    list(&kustomization, "/patches").iter().for_each(|entry| patch(folder, entry, &mut out));
    out
}

fn add_resource(folder: &Path, entry: &Value, out: &mut Rendered) {
    let path = folder.join(entry.as_str().expect("a path"));
    if !path.is_dir() {
        out.objects.extend(documents(&path));
        out.files.insert(path);
        return;
    }
    let (outer, inner) = (real(folder), real(&path));
    assert!(!outer.starts_with(&inner), "kustomize takes {} for a cycle: it lies around", inner.display());
    let base = build(&path);
    out.objects.extend(base.objects);
    out.files.extend(base.files);
}

/// ConfigMaps keep the name that others refer to them by; kustomize appends a hash to both.
fn generate(folder: &Path, entry: &Value, out: &mut Rendered) {
    let mut data = json!({});
    for file in list(entry, "/files") {
        let path = folder.join(file.as_str().expect("a path"));
        let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name");
        data[name] = json!(std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}")));
        out.files.insert(path);
    }
    let metadata = json!({ "name": entry["name"], "namespace": entry["namespace"] });
    out.objects.push(json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data }));
}

fn patch(folder: &Path, entry: &Value, out: &mut Rendered) {
    let path = folder.join(text(entry, "/path"));
    let is_meant = |object: &Value| {
        object["kind"] == entry["target"]["kind"] && object["metadata"]["name"] == entry["target"]["name"]
    };
    let mut meant = (0..out.objects.len()).filter(|index| is_meant(&out.objects[*index]));
    let index = meant.next().unwrap_or_else(|| panic!("nothing is meant by {entry}"));
    assert_eq!(meant.next(), None, "{entry}");
    let change = documents(&path).remove(0);
    if change["$patch"] == "delete" {
        out.objects.remove(index);
    } else {
        let operations: json_patch::Patch =
            serde_json::from_value(change).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        json_patch::patch(&mut out.objects[index], &operations)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    out.files.insert(path);
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
