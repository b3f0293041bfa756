//! What the page about deployment tells people to paste: paths that exist, secrets that the settings name.

use std::collections::BTreeSet;
use std::path::Path;

use smokejumper::secret::SecretSource;

use crate::kustomize::text;
use crate::{NAME, alone, container, pod, read, replicated, root, settings};

/// All commands of the page.
fn commands() -> String {
    let page = read("docs/deployment.md");
    let blocks = page.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    blocks.collect::<String>().replace("\\\n", " ")
}

#[test]
fn the_paths_of_the_commands_exist() {
    let commands = commands();
    let paths: BTreeSet<&str> =
        commands.split([' ', '\n', '"', '=']).filter(|word| word.starts_with("deploy/")).collect();
    assert!(paths.len() >= 4, "{paths:?}");
    for path in paths {
        assert!(root().join(path).exists(), "{path}");
    }
}

/// The keys that the page gives a secret.
fn keys_of(secret: &str, namespace: &str) -> BTreeSet<String> {
    let commands = commands();
    let start = format!("kubectl create secret generic {secret} --namespace {namespace} ");
    let line = commands.lines().find(|line| line.starts_with(&start));
    let line = line.unwrap_or_else(|| panic!("no command begins with {start}"));
    let literals = line.split("--from-literal=").skip(1);
    literals.map(|literal| literal.split('=').next().expect("a key").to_owned()).collect()
}

#[test]
fn the_commands_make_the_secrets_that_the_pods_need() {
    let rendered = alone();
    let volumes = crate::kustomize::list(pod(&rendered), "/volumes").iter();
    let secret =
        volumes.filter_map(|volume| volume["secret"]["secretName"].as_str()).next().expect("a secret");
    let named: BTreeSet<String> = settings(&rendered)
        .secret_sources()
        .into_iter()
        .filter_map(|(_, source)| match source {
            SecretSource::File(path) => path.file_name().and_then(|name| name.to_str()).map(str::to_owned),
            SecretSource::Env(_) => None,
        })
        .collect();
    assert_eq!(keys_of(secret, NAME), named);
    let replicated = replicated();
    let variables = crate::kustomize::list(container(&replicated), "/env").iter();
    let reference =
        variables.map(|variable| &variable["valueFrom"]["secretKeyRef"]).find(|from| from.is_object());
    let reference = reference.expect("the address of the database");
    assert_eq!(keys_of(text(reference, "/name"), NAME), BTreeSet::from([text(reference, "/key").to_owned()]));
}

#[test]
fn alertmanager_finds_its_token_where_the_commands_put_it() {
    let receiver: serde_json::Value =
        serde_saphyr::from_str(&read("deploy/alertmanager/receiver.yml")).expect("YAML");
    let file = text(&receiver, "/receivers/0/webhook_configs/0/http_config/authorization/credentials_file");
    let file = Path::new(file);
    // The Prometheus Operator mounts each secret that its Alertmanager names in a folder of this name.
    let secret = file.parent().and_then(Path::file_name).and_then(|name| name.to_str()).expect("a folder");
    assert_eq!(file.parent().and_then(Path::parent), Some(Path::new("/etc/alertmanager/secrets")));
    let key = file.file_name().and_then(|name| name.to_str()).expect("a file").to_owned();
    assert_eq!(keys_of(secret, "monitoring"), BTreeSet::from([key]));
}

#[test]
fn the_page_opens_the_service_that_there_is() {
    let commands = commands();
    assert!(commands.contains(&format!("kubectl --namespace {NAME} port-forward service/{NAME} 9119:9119")));
    assert!(commands.contains(&format!("kubectl --namespace {NAME} rollout status deployment/{NAME}")));
}
