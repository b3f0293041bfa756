//! The program itself, started with the settings, rules and arguments of the manifests, answers where they ask.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::kustomize::{list, text};
use crate::servers::{self, Server, free_port, http_client};
use crate::{alone, container, environment, read, settings, settings_path};

/// Where nobody listens. Alerts that no rule matches are told to Slack.
const CLOSED: &str = "http://127.0.0.1:9";

const TOKEN: &str = "a-token-of-this-test-alone";

/// A cluster that does not answer. In a pod the account's own files stand in its place.
const KUBECONFIG: &str = "
apiVersion: v1
kind: Config
current-context: none
clusters: [{ name: none, cluster: { server: 'http://127.0.0.1:9' } }]
users: [{ name: none, user: {} }]
contexts: [{ name: none, context: { cluster: none, user: none } }]
";

/// Lays the folder out as it is mounted, and starts the container's command in it.
async fn start(folder: &Path) -> Server {
    let rendered = alone();
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("written");
    };
    write(
        "smokejumper.yaml",
        text(rendered.one("ConfigMap", "smokejumper-settings"), "/data/smokejumper.yaml"),
    );
    let rules = &rendered.one("ConfigMap", "smokejumper-rules")["data"];
    for (name, rule) in rules.as_object().expect("files") {
        write(&format!("rules/{name}"), rule.as_str().expect("a text"));
    }
    for (_, source) in settings(&rendered).secret_sources() {
        let smokejumper::secret::SecretSource::File(path) = source else { panic!("{source}") };
        let inside = settings_path(&rendered);
        let inside = path.strip_prefix(inside.parent().expect("a folder")).expect("beside the settings");
        write(inside.to_str().expect("a plain path"), TOKEN);
    }
    write("kubeconfig.yaml", KUBECONFIG);
    let port = free_port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_smokejumper"));
    command.env_clear().envs(environment(&rendered));
    command.env("SMOKEJUMPER__KUBERNETES__KUBECONFIG", folder.join("kubeconfig.yaml"));
    command.env("SMOKEJUMPER__PROMETHEUS__URL", CLOSED).env("SMOKEJUMPER__SLACK__API_URL", CLOSED);
    command.env("SMOKEJUMPER__SERVER__LISTEN", format!("127.0.0.1:{port}"));
    command.env("SMOKEJUMPER__STORE__URL", format!("sqlite://{}", folder.join("data.db").display()));
    for argument in list(container(&rendered), "/args").iter().filter_map(Value::as_str) {
        command.arg(argument.replace("/etc/smokejumper", folder.to_str().expect("a plain path")));
    }
    let ready = text(container(&rendered), "/readinessProbe/httpGet/path").to_owned();
    servers::start(command, "smokejumper", port, folder, &ready).await
}

#[tokio::test]
async fn the_command_of_the_container_starts_a_service_that_passes_its_probes_and_takes_alerts() {
    let folder = tempfile::tempdir().expect("a folder");
    let service = start(folder.path()).await;
    let client = http_client();
    let rendered = alone();
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let probe = &container(&rendered)[probe]["httpGet"];
        assert_eq!(probe["port"], container(&rendered)["ports"][0]["name"]);
        let url = format!("{}{}", service.url(), text(probe, "/path"));
        let answer = client.get(&url).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{url}");
        // What answers to any path proves nothing.
        assert_eq!(client.get(format!("{url}z")).send().await.expect("an answer").status(), 404);
    }
    let receiver: Value = serde_saphyr::from_str(&read("deploy/alertmanager/receiver.yml")).expect("YAML");
    let url = text(&receiver, "/receivers/0/webhook_configs/0/url");
    let path = &url[url.find("/webhooks").expect("a path")..];
    let recorded = read("tests/fixtures/alertmanager/am0331-first-notification-max_alerts2.json");
    let recorded: Value = serde_json::from_str(&recorded).expect("JSON");
    let body = recorded["body"].to_string();
    let post = |token: &str| {
        client.post(format!("{}{path}", service.url())).bearer_auth(token).body(body.clone()).send()
    };
    assert_eq!(post("another-token-of-nobody").await.expect("an answer").status(), 401);
    assert_eq!(post(TOKEN).await.expect("an answer").status(), 200);
}
