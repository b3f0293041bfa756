//! What stops the real binary: too much at one time, too many at once, blind, a rollout of somebody else, a person who
//! has it. Each stop stands in the timeline, in Slack, and, where it needs no past, in `explain`.

use crate::servers::eventually;
use crate::world::{CLUSTER_SPEED, PATIENCE, World, about, newest};
use serde_json::{Value, json};
use smokejumper::sandbox::prometheus::{About, Lie};
use std::time::Duration;

fn restarts(names: &[&str]) -> String {
    let rule = |name: &&str| {
        format!(
            "apiVersion: smokejumper.dev/v1\nkind: ResponseRule\nmetadata: {{ name: {} }}\nspec:\n  \
             matchers: ['alertname=\"{name}\"']\n  severity: P1\n  \
             target: {{ kind: Deployment, namespace: '{{{{ labels.namespace }}}}', name: '{{{{ labels.deployment }}}}' }}\n  \
             remedies: [{{ name: restart, tier: T1, action: {{ k8s.rollout_restart: {{}} }} }}]\n",
            name.to_lowercase()
        )
    };
    names.iter().map(rule).collect::<Vec<_>>().join("---\n")
}

/// What a guardrail says in `explain`.
fn verdict(decision: &Value, guardrail: &str) -> String {
    let verdicts = decision["guardrails"].as_array().expect("verdicts");
    let found = verdicts.iter().find(|verdict| verdict["guardrail"] == guardrail).expect("it speaks");
    format!("{}: {}", found["allowed"], found["reason"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn an_action_that_would_take_too_much_away_is_not_taken() {
    let world = World::under(&restarts(&["Hung"]), "boot_hold: 0s", "").await;
    let mut api = world.deployment("api");
    api["spec"]["strategy"] = json!({ "type": "Recreate" });
    world.cluster.put(api).expect("it is put");
    world.alert("Hung", "firing").await;
    let blocked = world.once("blocked").await;
    world.is_stopped(&blocked, "blast_radius", "it would take 4 of 4 available replicas at one time").await;
    let explained = world.explain("Hung", "shop", "api").await;
    assert!(verdict(&explained, "blast_radius").starts_with("false: it would take 4 of 4"), "{explained}");
    assert_eq!(explained["decision"], "block");

    // Three of four are down, and the fourth stays.
    let mut web = world.deployment("web");
    web["spec"]["strategy"] =
        json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 1, "maxSurge": 0 } });
    web["spec"]["replicas"] = json!(1);
    world.cluster.put(web).expect("it is put");
    world.settle();
    world.alerts(&world.service.url(), &[about("Hung", "shop", "web", "firing")]).await;
    let before = newest(&blocked)["id"].clone();
    let is_another = |action: &Value| action["status"] == "blocked" && action["id"] != before;
    let blocked = world.once_that("blocked as well", is_another).await;
    world.is_stopped(&blocked, "blast_radius", "fewer than 1 would stay available").await;
    assert_eq!(world.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn rules_that_fire_together_lead_to_one_question() {
    let world = World::under(&restarts(&["Hung", "Slow", "Leaky"]), "boot_hold: 0s", "").await;
    let alerts = [("Hung", "api"), ("Slow", "web"), ("Leaky", "db")];
    let alerts = alerts.map(|(name, deployment)| about(name, "shop", deployment, "firing"));
    world.alerts(&world.service.url(), &alerts).await;
    let incidents = eventually("all three are decided", PATIENCE, async || {
        let incidents = world.incidents().await;
        let decided = incidents.iter().filter(|incident| !newest(incident).is_null()).count();
        (decided == 3).then_some(incidents)
    })
    .await;
    let stand: Vec<&str> =
        incidents.iter().map(|incident| newest(incident)["status"].as_str().expect("a word")).collect();
    assert_eq!(stand, ["awaiting_approval", "blocked", "blocked"], "one question");
    assert_eq!(newest(&incidents[0])["tier"], "T2", "what would have run alone asks");
    for incident in &incidents[1..] {
        let words = "incidents were opened on 3 targets of the namespace within 5m";
        world.is_stopped(incident, "correlation", words).await;
    }
    assert_eq!(world.writes(), Vec::<String>::new());
    world.approve(&incidents[0]).await;
    eventually("people's answer is carried out", PATIENCE, async || {
        (world.writes().len() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_cannot_see_does_not_act_and_goes_on_when_monitoring_is_back() {
    let watchdog = "boot_hold: 0s, blind: { watchdog: 'up{job=\"watchdog\"}' }";
    let world = World::under(&restarts(&["Hung"]), watchdog, "").await;
    world.prometheus.lie(About::Containing("watchdog".to_owned()), Lie::Nothing);
    world.alert("Hung", "firing").await;
    let blocked = world.once("blocked").await;
    world.is_stopped(&blocked, "blind", "the watchdog expression gives no series").await;
    assert!(
        verdict(&world.explain("Hung", "shop", "api").await, "blind")
            .starts_with("false: monitoring does not work")
    );

    world.prometheus.server().go_down().await;
    world.alert_anew("Hung", 2).await;
    let blocked = eventually("a second stop", PATIENCE, async || {
        let incident = world.incident().await?;
        let stops = incident["actions"].as_array()?.len();
        (stops == 2).then_some(incident)
    })
    .await;
    world.is_stopped(&blocked, "blind", "Prometheus does not answer").await;
    assert_eq!(world.writes(), Vec::<String>::new());

    world.prometheus.server().come_back().await.expect("the port is free");
    world.prometheus.tell_the_truth();
    world.prometheus.lie(About::Containing("watchdog".to_owned()), Lie::Always(1.0));
    world.alert_anew("Hung", 3).await;
    world.once("succeeded").await;
    assert_eq!(world.writes().len(), 1, "{:?}", world.writes());
}

#[tokio::test]
async fn somebody_elses_rollout_is_left_alone_until_it_hangs() {
    let world = World::start("boot_hold: 0s").await;
    world.roll_out("api:2");
    world.cluster.step(Duration::from_secs(2));
    world.alert("KubePodCrashLooping", "firing").await;
    let blocked = world.once("blocked").await;
    world.is_stopped(&blocked, "rollout", "a rollout is under way").await;
    assert!(
        verdict(&world.explain("KubePodCrashLooping", "shop", "api").await, "rollout").starts_with("false")
    );
    assert_eq!(world.writes(), Vec::<String>::new());
    // Its deadline passes without progress.
    world.settle();
    assert!(verdict(&world.explain("KubePodCrashLooping", "shop", "api").await, "rollout").contains("hangs"));
    world.alert_anew("KubePodCrashLooping", 2).await;
    let asked = world.once("awaiting_approval").await;
    assert!(newest(&asked)["summary"].as_str().is_some_and(|summary| summary.contains("api:1")));
    world.approve(&asked).await;
    world.cluster.run(CLUSTER_SPEED);
    world.once("succeeded").await;
    assert_eq!((world.image(), world.writes().len()), (json!("api:1"), 1));
}

#[tokio::test]
async fn nothing_starts_alone_once_somebody_has_it() {
    let world = World::under(&restarts(&["Hung"]), "boot_hold: 20s", "").await;
    world.alert("Hung", "firing").await;
    let held = world.once("blocked").await;
    world.is_stopped(&held, "boot_hold", "the service has just started").await;
    let card = eventually("a card", PATIENCE, async || {
        let messages = world.slack.messages("#incidents");
        messages.into_iter().find(|message| format!("{message:?}").contains("smokejumper.ack"))
    })
    .await;
    let acknowledge = "smokejumper.acknowledge";
    let too_late = world.slack.prepare_click(&card.channel, &card.ts, acknowledge, "ravi").expect("a button");
    let click = world.slack.click(&card.channel, &card.ts, acknowledge, "una").await;
    assert_eq!(click.expect("the button is there").status, Some(200));
    // Another copy of that press, before the card is redrawn or after it, changes nothing, and only who came too late is told.
    let again = world.slack.interactions().entries()[0].what.sent.clone();
    let again = world.slack.deliver(&again).await;
    assert_eq!(again.expect("it is sent").status, Some(200));
    assert_eq!(world.slack.deliver(&too_late).await.expect("it is sent").status, Some(200));
    let whispered = eventually("an answer", PATIENCE, async || {
        let messages = world.slack.messages("#incidents");
        messages.into_iter().find(|message| message.only_for.is_some())
    })
    .await;
    assert_eq!(whispered.only_for.as_deref(), Some("U0RAVI"));
    assert_eq!(whispered.text, "That did not count: already acknowledged by una");
    // The hold of the start is over, and the remedy is looked at again.
    let theirs = world.once_that("looked at again", |action| action["reason_code"] == "acknowledged").await;
    world.is_stopped(&theirs, "acknowledged", "una has the incident").await;
    assert_eq!(world.writes(), Vec::<String>::new());
}
