//! The files of `deploy/` that nothing else reads: manifests and image. They are held to Kubernetes' own types, to the
//! settings, routes and limits of the program, and to what the page about them promises.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "the program is started as a container starts it, and shows why it failed"
)]

mod image;
mod kustomize;
mod manifests;
mod page;
mod policy;
mod prometheus;
#[path = "../support/schemas.rs"]
mod schemas;
#[path = "../support/servers.rs"]
mod servers;
mod service;
mod shapes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kustomize::{Rendered, list, text};
use serde_json::Value;
use smokejumper::settings::Settings;

/// What all objects are called.
const NAME: &str = "smokejumper";

/// Where the database address of the overlay would come from.
const DATABASE_URL: &str = "postgres://smokejumper:not-a-password@database:5432/smokejumper";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// One replica with SQLite.
fn alone() -> Rendered {
    kustomize::build(&root().join("deploy/kubernetes"))
}

/// Three replicas with PostgreSQL.
fn replicated() -> Rendered {
    kustomize::build(&root().join("deploy/kubernetes/overlays/postgres"))
}

fn pod(rendered: &Rendered) -> &Value {
    &rendered.one("Deployment", NAME)["spec"]["template"]["spec"]
}

fn container(rendered: &Rendered) -> &Value {
    let containers = list(pod(rendered), "/containers");
    assert_eq!(containers.len(), 1);
    &containers[0]
}

/// The variables that the container is started with.
fn environment(rendered: &Rendered) -> BTreeMap<String, String> {
    let value_of = |variable: &Value| {
        if let Some(value) = variable["value"].as_str() {
            return value.to_owned();
        }
        match variable["valueFrom"].as_object().and_then(|from| from.keys().next()).map(String::as_str) {
            Some("fieldRef") => {
                assert_eq!(variable["valueFrom"]["fieldRef"]["fieldPath"], "metadata.namespace");
                text(rendered.one("Deployment", NAME), "/metadata/namespace").to_owned()
            }
            Some("secretKeyRef") => DATABASE_URL.to_owned(),
            other => panic!("this test does not know {other:?}: {variable:#}"),
        }
    };
    let variables = list(container(rendered), "/env").iter();
    variables.map(|variable| (text(variable, "/name").to_owned(), value_of(variable))).collect()
}

/// Where the container finds its settings.
fn settings_path(rendered: &Rendered) -> PathBuf {
    let arguments: Vec<&str> = list(container(rendered), "/args").iter().filter_map(Value::as_str).collect();
    let [command, option, path] = arguments.as_slice() else { panic!("{arguments:?}") };
    assert_eq!([*command, *option], ["serve", "--config"]);
    PathBuf::from(path)
}

/// The settings as the container reads them.
fn settings(rendered: &Rendered) -> Settings {
    let path = settings_path(rendered);
    let written = text(rendered.one("ConfigMap", "smokejumper-settings"), "/data/smokejumper.yaml");
    let folder = path.parent().expect("a folder");
    Settings::from_text("smokejumper.yaml", written, folder, &environment(rendered))
        .unwrap_or_else(|error| panic!("{error}"))
}
