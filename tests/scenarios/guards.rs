//! When the machine must leave it: too much at one time, too many at once, blind, or somebody has it.

use crate::stage::{Stage, una};
use jiff::SignedDuration;
use serde_json::json;
use smokejumper::domain::approval::Verdict;
use smokejumper::domain::incident::{Incident, Phase};
use smokejumper::domain::vitals::Sign;

/// Three rules that restart alone, and one that evicts a pod.
fn rules() -> String {
    let rule = |name: &str, action: &str| {
        format!(
            "apiVersion: smokejumper.dev/v1\nkind: ResponseRule\nmetadata: {{ name: {} }}\nspec:\n  \
             matchers: ['alertname=\"{name}\"']\n  severity: P1\n  \
             target: {{ kind: Deployment, namespace: '{{{{ labels.namespace }}}}', name: '{{{{ labels.deployment }}}}' }}\n  \
             remedies: [{{ name: act, tier: T1, action: {{ {action} }} }}]\n---\n",
            name.to_lowercase()
        )
    };
    ["Hung", "Slow", "Leaky"].map(|name| rule(name, "k8s.rollout_restart: {}")).concat()
        + &rule("Odd", "k8s.delete_pod: { pick: oldest }")
}

/// Where the newest action of an incident stands, and by which word.
fn newest(incident: &Incident) -> (&str, &str) {
    let action = incident.actions.last().expect("an action");
    (action.status.as_str(), action.reason.word())
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

#[tokio::test]
async fn no_more_than_a_quarter_is_taken_away_and_the_last_one_stays() {
    let stage = Stage::new(&rules()).await;
    let mut api = stage.cluster().get("deployments", "shop", "api").expect("it is there");
    api["spec"]["strategy"] = json!({ "type": "Recreate" });
    stage.cluster().put(api).expect("it is put");
    stage.fires("Hung", "api").await;
    let incident = stage.incident().await;
    assert_eq!(newest(&incident), ("blocked", "blast_radius"));
    let reason = incident.actions[0].reason.to_string();
    assert!(reason.contains("4 of 4 available") && reason.contains("more than 1 (25 %)"), "{reason}");
    let told = stage.timeline().await;
    assert!(told.iter().any(|(word, text)| word == "blast_radius" && text.contains(&reason)), "{told:?}");
    assert_eq!(stage.writes(), Vec::<String>::new());

    let stage = Stage::new(&rules()).await;
    let mut web = stage.cluster().get("deployments", "shop", "web").expect("it is there");
    web["spec"]["replicas"] = json!(1);
    stage.cluster().put(web).expect("it is put");
    stage.pass(minutes(1)).await;
    stage.fires("Odd", "web").await;
    let incident = stage.incident().await;
    assert_eq!(newest(&incident), ("blocked", "blast_radius"));
    let reason = incident.actions[0].reason.to_string();
    assert!(reason.contains("fewer than 1 would stay available"), "{reason}");
    assert_eq!(stage.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn several_rules_that_fire_in_one_namespace_lead_to_one_question_and_no_action() {
    let stage = Stage::new(&rules()).await;
    stage.cluster().put(crate::stage::deployment("db", "db:1")).expect("a deployment");
    stage.pass(minutes(1)).await;
    stage.fires_together(&[("Hung", "api"), ("Slow", "web"), ("Leaky", "db")]).await;
    let incidents = stage.incidents().await;
    let stand: Vec<(&str, &str)> = incidents.iter().map(newest).collect();
    assert_eq!(
        stand,
        [("awaiting_approval", "needs_approval"), ("blocked", "correlation"), ("blocked", "correlation")]
    );
    let reason = incidents[1].actions[0].reason.to_string();
    assert!(reason.contains("3 targets of the namespace within 5m"), "{reason}");
    // Five minutes later they are as many as before.
    stage.pass(minutes(11)).await;
    let incidents = stage.incidents().await;
    assert!(incidents[1..].iter().all(|one| newest(one) == ("blocked", "correlation")), "{incidents:?}");
    assert_eq!(stage.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_rule_with_many_open_incidents_asks_whenever_they_began() {
    let stage = Stage::new(&rules()).await;
    stage.cluster().put(crate::stage::deployment("db", "db:1")).expect("a deployment");
    for deployment in ["api", "web", "db"] {
        stage.fires("Hung", deployment).await;
        stage.pass(minutes(20)).await;
    }
    let incidents = stage.incidents().await;
    let first_of_each: Vec<_> =
        incidents.iter().map(|one| (one.actions[0].status.as_str(), one.actions[0].tier.as_str())).collect();
    assert_eq!(first_of_each, [("succeeded", "T1"), ("succeeded", "T1"), ("expired", "T2")]);
    assert_eq!(stage.writes(), ["patch deployments api", "patch deployments web"]);
}

#[tokio::test]
async fn an_action_on_several_workloads_holds_each_of_them() {
    let taken = "action: { k8s.delete_pod: { namespace: shop, selector: 'tier=front', max: 2, pick: oldest } } }]\n---\n";
    let two = format!(
        "apiVersion: smokejumper.dev/v1\nkind: ResponseRule\nmetadata: {{ name: two }}\nspec:\n  \
         matchers: ['alertname=\"Two\"']\n  severity: P1\n  groupBy: [alertname]\n  \
         remedies: [{{ name: act, tier: T1, {taken}"
    );
    let stage = Stage::under("blast_radius: { workloads: 2, min_available: 0 }", &(two + &rules())).await;
    for name in ["cart", "desk"] {
        let mut deployment = crate::stage::deployment(name, "any:1");
        deployment["spec"]["replicas"] = json!(1);
        deployment["spec"]["template"]["metadata"]["labels"]["tier"] = json!("front");
        stage.cluster().put(deployment).expect("a deployment");
    }
    stage.pass(minutes(1)).await;
    stage.fires("Two", "cart").await;
    assert_eq!(stage.remedies().await, ["act: succeeded"], "{:?}", stage.timeline().await);
    let written = stage.writes().len();
    for (alertname, deployment) in [("Hung", "cart"), ("Slow", "desk")] {
        stage.fires(alertname, deployment).await;
        let incident = stage.incidents().await.pop().expect("it opened one");
        assert_eq!(newest(&incident), ("blocked", "rate_target"), "{deployment}");
    }
    assert_eq!(stage.writes().len(), written);
}

#[tokio::test]
async fn what_people_were_asked_for_stays_theirs_when_the_trouble_is_smaller_again() {
    let stage = Stage::new(&rules()).await;
    stage.cluster().put(crate::stage::deployment("db", "db:1")).expect("a deployment");
    stage.pass(minutes(1)).await;
    stage.fires_together(&[("Hung", "api"), ("Slow", "web"), ("Leaky", "db")]).await;
    let asked = stage.incidents().await.remove(0);
    assert_eq!(newest(&asked).0, "awaiting_approval");
    stage.commands.acknowledge(asked.id.clone(), una(), None).await.expect("it is hers");
    for (alertname, deployment) in [("Slow", "web"), ("Leaky", "db")] {
        stage.ends(alertname, deployment).await;
    }
    stage.pass(minutes(6)).await;
    let action = asked.actions[0].clone();
    let approved = stage.commands.decide(action.id, una(), Verdict::Approve, Some(action.digest), None);
    approved.await.expect("it counts");
    stage.work().await;
    let incident = stage.incidents().await.remove(0);
    assert_eq!(newest(&incident).0, "succeeded", "{:?}", incident.actions);
    assert_eq!(stage.writes(), ["patch deployments api"]);
}

#[tokio::test]
async fn several_rules_about_one_object_are_one_target() {
    let stage = Stage::under("rates: { per_target: [] }", &rules()).await;
    stage.fires_together(&[("Hung", "api"), ("Slow", "api"), ("Leaky", "api")]).await;
    let incidents = stage.incidents().await;
    assert!(incidents.iter().all(|incident| newest(incident).1 != "correlation"), "{incidents:?}");
    assert_eq!(stage.writes(), ["patch deployments api"], "one hand at a time");
}

#[tokio::test]
async fn nodes_that_are_not_ready_stop_the_machine_and_people_are_asked_once() {
    let stage = Stage::new(&rules()).await;
    let mut node = stage.cluster().get("nodes", "", "node-1").expect("it is there");
    for condition in node["status"]["conditions"].as_array_mut().expect("conditions") {
        if condition["type"] == "Ready" {
            condition["status"] = json!("Unknown");
        }
    }
    stage.cluster().put(node).expect("it is put");
    stage.fires_together(&[("Hung", "api"), ("Slow", "web")]).await;
    let incidents = stage.incidents().await;
    let stand: Vec<(&str, &str)> = incidents.iter().map(newest).collect();
    assert_eq!(stand, [("awaiting_approval", "needs_approval"), ("blocked", "correlation")]);
    let reason = incidents[1].actions[0].reason.to_string();
    assert!(reason.contains("1 of 3 nodes are not ready"), "{reason}");
    assert_eq!(stage.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn who_cannot_see_waits_and_goes_on_when_monitoring_is_back() {
    let stage = Stage::new(&rules()).await;
    stage.sign("watchdog", Some(Sign::Blind("the watchdog expression gives no series".to_owned())));
    stage.fires("Hung", "api").await;
    let incident = stage.incident().await;
    assert_eq!(newest(&incident), ("blocked", "blind"));
    assert!(incident.actions[0].reason.to_string().contains("watchdog"));
    stage.pass(minutes(6)).await;
    assert_eq!(newest(&stage.incident().await), ("blocked", "blind"), "it is looked again, and still dark");
    assert_eq!(stage.writes(), Vec::<String>::new());
    stage.sign("watchdog", None);
    stage.pass(minutes(6)).await;
    assert_eq!(newest(&stage.incident().await).0, "succeeded");
    assert_eq!(stage.writes(), ["patch deployments api"]);
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_waited_for() {
    let stage = Stage::new(&rules()).await;
    stage.cluster().server().go_down().await;
    stage.fires("Hung", "api").await;
    let incident = stage.incident().await;
    assert_eq!(newest(&incident), ("blocked", "blind"), "{:?}", incident.actions);
    let reason = incident.actions[0].reason.to_string();
    assert!(reason.contains("its target could not be looked at: the API of the cluster"), "{reason}");
    assert_eq!(incident.phase, Phase::HandedOver, "people are told meanwhile");
    stage.cluster().server().come_back().await.expect("the port is free");
    stage.pass(minutes(6)).await;
    assert_eq!(newest(&stage.incident().await).0, "succeeded");
    assert_eq!(stage.writes(), ["patch deployments api"]);
}

#[tokio::test]
async fn nothing_starts_alone_once_a_person_has_it() {
    let stage = Stage::new(&rules()).await;
    stage.sign("prometheus", Some(Sign::Blind("no answer".to_owned())));
    stage.fires("Hung", "api").await;
    let id = stage.incident().await.id;
    stage.commands.acknowledge(id, una(), None).await.expect("it is hers");
    stage.sign("prometheus", None);
    stage.pass(minutes(6)).await;
    let incident = stage.incident().await;
    assert_eq!(newest(&incident), ("blocked", "acknowledged"));
    assert!(
        incident
            .actions
            .last()
            .is_some_and(|action| action.reason.to_string().contains("una has the incident"))
    );
    stage.pass(minutes(60)).await;
    assert_eq!(stage.writes(), Vec::<String>::new());
}
