//! What `smokejumper rbac` prints for the shipped rules is applied to a cluster that obeys its roles: it is enough for an
//! incident from its alert to its close, and each verb of it is needed, as the service itself says when one is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use smokejumper::sandbox::kubernetes::KubernetesSandbox;

use crate::servers::{self, eventually, free_port, http_client};
use crate::world::{CLUSTER_SPEED, PATIENCE, TOKEN, World};

/// The namespace of the two accounts.
const HOME: &str = "smokejumper";
const METRIC: &str = "smokejumper_rule_permissions_missing{rule=\"";
/// How the service acts under its own account: through a token of it, or by impersonation.
const BY_TOKEN: &str = "kubeconfig: acts";
const BY_IMPERSONATION: &str = "impersonate: 'system:serviceaccount:smokejumper:smokejumper-act'";

/// All shipped rules as one text. Their waits are their own, or short ones: permissions do not depend on them.
fn shipped_rules(waits_are_short: bool) -> String {
    rules_in("*", waits_are_short)
}

fn rules_in(folder: &str, waits_are_short: bool) -> String {
    let pattern = format!("{}/rules/{folder}/*.yaml", env!("CARGO_MANIFEST_DIR"));
    let files = glob::glob(&pattern).expect("a pattern");
    let texts = files.map(|file| std::fs::read_to_string(file.expect("a file")).expect("readable"));
    let texts = texts.map(|text| if waits_are_short { in_a_hurry(&text) } else { text });
    texts.collect::<Vec<_>>().join("\n---\n")
}

/// The same rules with waits of seconds.
fn in_a_hurry(rules: &str) -> String {
    let hurried = |line: &str| {
        for (key, wait) in [("settle:", "settle: 1s"), ("hold:", "hold: 2s"), ("within:", "within: 2m")] {
            if let Some(at) = line.find(key).filter(|at| line[..*at].trim().is_empty()) {
                return format!("{}{wait}", &line[..at]);
            }
        }
        line.to_owned()
    };
    rules.lines().map(hurried).collect::<Vec<_>>().join("\n")
}

fn kubernetes(act: &str) -> String {
    format!("kubernetes: {{ kubeconfig: reads, act: {{ {act} }} }}")
}

/// What the command prints for the settings in a folder.
fn printed(folder: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smokejumper"));
    command.args(["rbac", "--config", "smokejumper.yaml"]).current_dir(folder).env("API", TOKEN);
    let output = command.output().expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Applies it to a cluster that obeys its roles from now on, and puts the tokens of the two accounts into the folder.
fn apply(cluster: &KubernetesSandbox, printed: &str, folder: &Path) {
    cluster.load(printed).expect("the cluster takes what the command prints");
    cluster.enforce_access(true);
    for (file, account) in [("reads", "smokejumper-read"), ("acts", "smokejumper-act")] {
        let kubeconfig = cluster.kubeconfig_of(&cluster.token_for(HOME, account));
        std::fs::write(folder.join(file), kubeconfig).expect("written");
    }
}

/// The shipped rules with short waits, as a service whose permissions are what the command prints, and no more.
async fn mk_world(act: &str) -> World {
    let mut world = World::under(&shipped_rules(true), "boot_hold: 0s", "").await;
    world.settings = world.settings.replace("kubernetes: { kubeconfig: kubeconfig }", &kubernetes(act));
    assert!(world.settings.contains(act), "{}", world.settings);
    let folder = world.folder.path();
    std::fs::write(folder.join("smokejumper.yaml"), &world.settings).expect("written");
    let hurried = printed(folder);
    std::fs::write(folder.join("rules.yaml"), shipped_rules(false)).expect("written");
    assert_eq!(hurried, printed(folder), "permissions do not depend on waits");
    std::fs::write(folder.join("rules.yaml"), shipped_rules(true)).expect("written");
    apply(&world.cluster, &hurried, folder);
    world.kill_and_restart().await;
    world
}

/// Requests that the cluster did not permit.
fn refused(cluster: &KubernetesSandbox) -> Vec<String> {
    let calls =
        cluster.calls().entries().into_iter().filter(|call| matches!(call.what.status, Some(401 | 403)));
    calls.map(|call| format!("{} {} as {}", call.what.verb, call.what.resource, call.what.user)).collect()
}

#[tokio::test]
async fn what_the_command_prints_is_enough_from_the_alert_to_the_close() {
    let world = mk_world(BY_TOKEN).await;
    world.roll_out_badly();
    world.alert("KubeDeploymentRolloutStuck", "firing").await;
    let asked = world.once("awaiting_approval").await;
    assert_eq!(asked["rule"], "kubernetes-rollout-stuck");
    for finding in asked["findings"].as_array().expect("findings") {
        assert_eq!(finding["status"], "known", "{finding}");
    }
    world.approve(&asked).await;
    world.cluster.run(CLUSTER_SPEED);
    let helped = world.once("succeeded").await;
    assert_eq!((&helped["actions"][0]["reason_code"], world.image()), (&json!("verified"), json!("api:1")));
    let written: BTreeSet<String> =
        world.cluster.writes().entries().iter().map(|write| write.what.user.clone()).collect();
    let act = format!("system:serviceaccount:{HOME}:smokejumper-act");
    let read = format!("system:serviceaccount:{HOME}:smokejumper-read");
    assert!(written.contains(&act), "{written:?}");
    // The other one asks what it may do, and writes nothing.
    let others = world.cluster.writes().entries().into_iter().filter(|write| write.what.user == read);
    assert!(others.into_iter().all(|write| write.what.resource == "selfsubjectaccessreviews"));

    world.alert("KubeDeploymentRolloutStuck", "resolved").await;
    eventually("the incident is closed", PATIENCE, async || {
        world.incident().await.filter(|incident| incident["status"] == "resolved")
    })
    .await;
    assert_eq!(refused(&world.cluster), Vec::<String>::new());
    let lacking: Vec<(String, u64)> =
        lacking(&world.service).await.into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(lacking, []);
}

/// What the service's metric says of each rule, once it has asked.
async fn lacking(service: &servers::Server) -> BTreeMap<String, u64> {
    let url = format!("{}/metrics", service.url());
    eventually("the service has asked what it may do", PATIENCE, async || {
        let page = http_client().get(&url).bearer_auth(TOKEN).send().await.ok()?.text().await.ok()?;
        let lines = page.lines().filter_map(|line| line.strip_prefix(METRIC)?.split_once("\"} "));
        let rules: BTreeMap<String, u64> =
            lines.filter_map(|(rule, count)| Some((rule.to_owned(), count.trim().parse().ok()?))).collect();
        (!rules.is_empty()).then_some(rules)
    })
    .await
}

/// One permission of the printed roles: where it stands, and what is left of the role without it.
struct Without {
    verb: String,
    resource: String,
    role: Value,
    whole: Value,
}

/// Every verb for every resource of the roles of each name. Roles of one name in several namespaces are written by the
/// same hand; each start of the service reads all rules, so one of them stands for the others.
fn each_permission(printed: &str) -> Vec<Without> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(printed).expect("YAML");
    let mut all = Vec::new();
    let mut seen = BTreeSet::new();
    for whole in
        objects.into_iter().filter(|object| matches!(object["kind"].as_str(), Some("Role" | "ClusterRole")))
    {
        for (at, rule) in whole["rules"].as_array().expect("rules").iter().enumerate() {
            let words = |key: &str| -> Vec<String> {
                let words = rule[key].as_array().expect("a list").iter();
                words.map(|word| word.as_str().expect("a word").to_owned()).collect()
            };
            for resource in words("resources") {
                for verb in words("verbs") {
                    let kind_and_name = (whole["kind"].to_string(), whole["metadata"]["name"].to_string());
                    if !seen.insert((kind_and_name, resource.clone(), verb.clone())) {
                        continue;
                    }
                    let mut role = whole.clone();
                    let rules = role["rules"].as_array_mut().expect("rules");
                    let others: Vec<String> =
                        words("resources").into_iter().filter(|one| *one != resource).collect();
                    let mut of_others = rule.clone();
                    of_others["resources"] = json!(others);
                    let left: Vec<String> = words("verbs").into_iter().filter(|one| *one != verb).collect();
                    rules[at]["resources"] = json!([resource]);
                    rules[at]["verbs"] = json!(left);
                    rules.push(of_others);
                    all.push(Without {
                        verb: verb.clone(),
                        resource: resource.clone(),
                        role,
                        whole: whole.clone(),
                    });
                }
            }
        }
    }
    all
}

#[tokio::test]
async fn each_verb_that_is_taken_away_is_missed_by_a_rule_that_the_service_names() {
    let cluster = KubernetesSandbox::start(0).await.expect("a free port");
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let settings = format!(
        "server: {{ listen: '127.0.0.1:{port}' }}\n\
         api: {{ tokens: [{{ name: laptop, role: admin, token: {{ env: API }} }}] }}\n\
         {}\nrules: [rules.yaml]\n",
        kubernetes(BY_IMPERSONATION)
    );
    std::fs::write(folder.path().join("smokejumper.yaml"), &settings).expect("written");
    let rules = [rules_in("generic", false), rules_in("escalation", false)].join("\n---\n");
    // The rules for any cluster: the service starts once for each permission, and reads all of its rules each time.
    std::fs::write(folder.path().join("rules.yaml"), rules).expect("written");
    let printed = printed(folder.path());
    apply(&cluster, &printed, folder.path());
    let permissions = each_permission(&printed);
    assert!(permissions.len() > 20, "{}", permissions.len());
    for Without { verb, resource, role, whole } in permissions {
        let shown = format!("{verb} {resource} in {} {}", whole["kind"], whole["metadata"]);
        cluster.put(role).expect("a role");
        let mut service = servers::smokejumper(folder.path(), &settings, port, &[("API", TOKEN)]).await;
        let lacking = lacking(&service).await;
        let suffering: Vec<&String> =
            lacking.iter().filter(|(_, count)| **count > 0).map(|(rule, _)| rule).collect();
        assert!(!suffering.is_empty(), "{shown}: nobody misses it: {lacking:?}");
        let names = |line: &Value| {
            suffering.iter().any(|rule| line["rule.name"] == rule.as_str())
                && (verb == "impersonate"
                    || (line["verb"] == verb.as_str() && line["resource"] == resource.as_str()))
        };
        // The log is written beside the metric, and may come a moment later.
        eventually(&format!("{shown}: the log names {suffering:?}"), PATIENCE, async || {
            let log = service.log();
            let mut told = log.lines().filter_map(|line| serde_json::from_str(line).ok());
            told.any(|line: Value| names(&line)).then_some(())
        })
        .await;
        service.kill();
        // Each start writes into the same file.
        std::fs::remove_file(folder.path().join(format!("smokejumper-{port}.log"))).expect("removed");
        cluster.put(whole).expect("a role");
    }
}

/// Takes a verb from the acting account.
fn take_away(cluster: &KubernetesSandbox, resource: &str, verb: &str) {
    let mut role = cluster.get("clusterroles", "", "smokejumper-act").expect("it was applied");
    for rule in role["rules"].as_array_mut().expect("rules") {
        if rule["resources"].as_array().expect("resources").iter().any(|one| one == resource) {
            rule["verbs"].as_array_mut().expect("verbs").retain(|one| one != verb);
        }
    }
    cluster.put(role).expect("a role");
}

#[tokio::test]
async fn an_action_that_is_not_permitted_says_so_touches_nothing_and_goes_to_people() {
    for is_asked_first in [false, true] {
        let world = mk_world(BY_IMPERSONATION).await;
        world.roll_out_badly();
        if !is_asked_first {
            take_away(&world.cluster, "deployments", "patch");
        }
        world.alert("KubeDeploymentRolloutStuck", "firing").await;
        if is_asked_first {
            let asked = world.once("awaiting_approval").await;
            take_away(&world.cluster, "deployments", "patch");
            world.approve(&asked).await;
        }
        let incident = eventually("people go on", PATIENCE, async || {
            world.incident().await.filter(|incident| incident["phase"] == "handed_over")
        })
        .await;
        let action = &incident["actions"][0];
        let reason = action["reason"].as_str().expect("a reason");
        assert!(
            reason.contains("403") && reason.contains("patch") && reason.contains("deployments"),
            "asked first: {is_asked_first}: {action}"
        );
        assert_eq!((world.writes(), world.image()), (Vec::new(), json!("api:2")));
    }
}
