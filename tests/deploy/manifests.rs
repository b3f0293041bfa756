//! What the manifests say of the program is true of it: settings, mounts, ports, accounts, limits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use smokejumper::app;
use smokejumper::app::rbac::RbacOptions;
use smokejumper::clients::kubernetes::quantity::Amount;
use smokejumper::rules::load::{SourceFile, load_texts};
use smokejumper::secret::SecretSource;
use smokejumper::settings::{Mode, PlainOrSecret, Settings};

use crate::kustomize::{self, Rendered, list, text};
use crate::{
    DATABASE_URL, NAME, alone, container, environment, pod, replicated, root, settings, settings_path,
};

const BASE: &str = "deploy/kubernetes/base";

/// Where a volume of this name is mounted.
fn mount<'v>(rendered: &'v Rendered, name: &str) -> Option<&'v Path> {
    let mounts = list(container(rendered), "/volumeMounts").iter();
    mounts.into_iter().find(|mount| mount["name"] == name).map(|mount| Path::new(text(mount, "/mountPath")))
}

#[test]
fn every_file_is_listed_by_a_kustomization() {
    fn yaml_files(folder: &Path, found: &mut BTreeSet<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                yaml_files(&path, found)
            } else {
                found.insert(path.canonicalize().expect("a file"));
            }
        }
    }
    let mut there = BTreeSet::new();
    yaml_files(&root().join("deploy/kubernetes"), &mut there);
    let cilium = kustomize::build(&root().join("deploy/kubernetes/overlays/cilium"));
    let used = [alone(), replicated(), cilium].into_iter().flat_map(|rendered| rendered.files);
    let used: BTreeSet<PathBuf> = used.map(|path| path.canonicalize().expect("it was read")).collect();
    assert!(there.len() > 10, "{there:?}");
    assert_eq!(there, used);
}

#[test]
fn all_objects_are_in_the_namespace_that_is_made_for_them() {
    for rendered in [alone(), replicated()] {
        assert_eq!(rendered.names("Namespace"), [NAME]);
        for object in rendered.objects.iter().filter(|object| object["kind"] != "Namespace") {
            let is_of_the_cluster = text(object, "/kind").starts_with("Cluster");
            let expected = if is_of_the_cluster { Value::Null } else { json!(NAME) };
            assert_eq!(object["metadata"]["namespace"], expected, "{object:#}");
        }
    }
}

#[test]
fn the_program_takes_the_settings_and_touches_nothing_at_first() {
    for rendered in [alone(), replicated()] {
        let settings = settings(&rendered);
        assert_eq!(settings.mode, Mode::DryRun);
        assert!(settings.receivers.alertmanager.asks_for_credentials() && !settings.api.tokens.is_empty());
        assert!(!settings.server.is_loopback() && !settings.server.allow_unauthenticated);
        let own = settings.guardrails.scope().own.expect("it knows where it runs");
        assert_eq!(
            (own.namespace.as_deref(), own.name),
            (Some(NAME), None),
            "all of its namespace is left alone"
        );
        let act = settings.kubernetes.expect("a cluster").act;
        assert_eq!(act.impersonate.as_deref(), Some("system:serviceaccount:smokejumper:smokejumper-act"));
    }
}

#[test]
fn the_files_that_the_settings_name_are_mounted() {
    for rendered in [alone(), replicated()] {
        let settings = settings(&rendered);
        assert_eq!(mount(&rendered, "settings"), Some(settings_path(&rendered).as_path()));
        let rules = Path::new(&settings.rules.0[0]);
        assert_eq!((settings.rules.0.len(), rules.parent()), (1, mount(&rendered, "rules")));
        for (key, source) in settings.secret_sources() {
            match source {
                SecretSource::File(path) => assert_eq!(path.parent(), mount(&rendered, "secrets"), "{key}"),
                SecretSource::Env(name) => {
                    assert_eq!(
                        environment(&rendered).get(&name).map(String::as_str),
                        Some(DATABASE_URL),
                        "{key}"
                    );
                }
            }
        }
    }
}

#[test]
fn state_outlives_the_pod() {
    let rendered = alone();
    let PlainOrSecret::Plain(url) = settings(&rendered).store.url else { panic!("no secret is needed") };
    let file = Path::new(url.strip_prefix("sqlite://").expect("SQLite"));
    assert_eq!(file.parent(), mount(&rendered, "data"));
    let volumes = list(pod(&rendered), "/volumes");
    let data = volumes.iter().find(|volume| volume["name"] == "data").expect("a volume");
    let claim = text(data, "/persistentVolumeClaim/claimName");
    assert_eq!(rendered.names("PersistentVolumeClaim"), [claim]);
    // Two processes never share one SQLite.
    let deployment = &rendered.one("Deployment", NAME)["spec"];
    assert_eq!((&deployment["replicas"], &deployment["strategy"]["type"]), (&json!(1), &json!("Recreate")));
}

#[test]
fn replicas_share_a_postgresql_and_have_no_volume_of_their_own() {
    let rendered = replicated();
    assert_eq!(
        settings(&rendered).store.url,
        PlainOrSecret::Secret(SecretSource::Env("DATABASE_URL".to_owned()))
    );
    assert_eq!(rendered.one("Deployment", NAME)["spec"]["replicas"], 3);
    assert_eq!(rendered.names("PersistentVolumeClaim"), [""; 0]);
    assert_eq!(mount(&rendered, "data"), None);
    assert!(!pod(&rendered).to_string().contains("persistentVolumeClaim"));
}

#[test]
fn mounts_and_volumes_belong_to_each_other_and_to_objects_that_exist() {
    for rendered in [alone(), replicated()] {
        let names = |values: &[Value]| -> BTreeSet<String> {
            values.iter().map(|value| text(value, "/name").to_owned()).collect()
        };
        let (mounts, volumes) =
            (list(container(&rendered), "/volumeMounts"), list(pod(&rendered), "/volumes"));
        assert_eq!(names(mounts), names(volumes));
        let maps = volumes.iter().filter_map(|volume| volume["configMap"]["name"].as_str());
        let maps: BTreeSet<&str> = maps.collect();
        assert_eq!(maps, rendered.names("ConfigMap").into_iter().collect());
        for mount in mounts {
            let is_file = mount.get("subPath").is_some();
            let data = &rendered.one("ConfigMap", "smokejumper-settings")["data"];
            assert!(!is_file || data[text(mount, "/subPath")].is_string(), "{mount}");
        }
    }
}

#[test]
fn the_rules_load_without_a_warning() {
    let rendered = alone();
    let rules = &rendered.one("ConfigMap", "smokejumper-rules")["data"];
    let files: Vec<SourceFile> = rules
        .as_object()
        .expect("files")
        .iter()
        .map(|(name, rule)| SourceFile {
            name: name.clone(),
            text: rule.as_str().expect("a text").to_owned(),
        })
        .collect();
    let set = load_texts(files, &app::kinds(), &app::known(&settings(&rendered)))
        .unwrap_or_else(|errors| panic!("{errors}"));
    assert!(set.warnings().is_empty() && !set.rules().is_empty(), "{:?}", set.warnings());
}

#[test]
fn the_rules_are_those_that_are_shipped_for_any_cluster() {
    let texts = |folder: &str| -> BTreeMap<String, String> {
        let entries = std::fs::read_dir(root().join(folder)).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
        // Tests of rules stay where they are: the service does not read them.
        let names = names.filter(|name| !name.ends_with(".test.yaml"));
        names.map(|name| (name.clone(), crate::read(&format!("{folder}/{name}")))).collect()
    };
    let (shipped, mounted) = (texts("rules/generic"), texts(&format!("{BASE}/rules")));
    assert_eq!(shipped.keys().collect::<Vec<_>>(), mounted.keys().collect::<Vec<_>>());
    for (name, text) in shipped {
        let copy = format!("copy it: cp rules/generic/{name} {BASE}/rules/, and write rbac.yaml anew");
        assert!(mounted[&name] == text, "{copy}");
    }
}

#[test]
fn the_permissions_are_those_that_the_command_prints() {
    let config = Some(root().join(BASE).join("smokejumper.yaml"));
    let manifest = app::rbac::rbac(&RbacOptions { config, namespace: None }).expect("rules that can be used");
    assert!(
        crate::read(&format!("{BASE}/rbac.yaml")) == manifest.yaml(),
        "write it anew: smokejumper rbac --config {BASE}/smokejumper.yaml > {BASE}/rbac.yaml"
    );
}

#[test]
fn the_service_runs_as_the_account_that_reads_and_may_act_as_the_other() {
    for rendered in [alone(), replicated()] {
        let mut accounts = rendered.names("ServiceAccount");
        accounts.sort_unstable();
        assert_eq!(accounts, ["smokejumper-act", "smokejumper-read"]);
        let runs_as = text(pod(&rendered), "/serviceAccountName");
        assert_eq!(runs_as, "smokejumper-read");
        let binding = rendered.one("RoleBinding", "smokejumper-read-impersonate");
        assert_eq!(text(binding, "/subjects/0/name"), runs_as);
        let role = rendered.one("Role", text(binding, "/roleRef/name"));
        assert_eq!(role["rules"][0]["verbs"], json!(["impersonate"]));
        assert_eq!(role["rules"][0]["resourceNames"], json!(["smokejumper-act"]));
    }
}

#[test]
fn memory_is_enough_for_all_bodies_at_once_and_what_was_measured_besides() {
    const MEBIBYTE: f64 = 1024.0 * 1024.0;
    // docs/performance.md: three times what it holds at rest; and what a diagnosis may take.
    let (saturated, diagnosis) = (93.0 * MEBIBYTE, 64.0 * MEBIBYTE);
    let rendered = alone();
    let memory = |of: &str| {
        let quantity = text(container(&rendered), &format!("/resources/{of}/memory"));
        Amount::parse(quantity).expect("a quantity").to_f64()
    };
    let bodies = Settings::default().limits.bodies_bytes as f64;
    assert!(memory("requests") >= saturated);
    assert!(memory("limits") >= saturated + bodies + diagnosis);
    assert!(container(&rendered)["resources"]["limits"].get("cpu").is_none());
}

#[test]
fn a_stop_is_given_the_time_that_it_may_take() {
    // Doors, workers and steps one after the other.
    let grace = Settings::default().limits.shutdown_grace.get().as_secs() * 3;
    let given = pod(&alone())["terminationGracePeriodSeconds"].as_u64().expect("seconds");
    assert!(given > grace, "{given} s, and a stop takes up to {grace} s");
}
