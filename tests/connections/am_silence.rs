//! `am.silence` at a real Alertmanager: what it would be for, what is set, and how it is found and ended again.

use std::time::Duration;

use serde_json::{Value, json};
use smokejumper::actions::Actions;
use smokejumper::actions::access::{Connections, Silencing};
use smokejumper::clients::alertmanager::api::AlertmanagerClient;
use smokejumper::clients::http::{HttpClient, HttpOptions, ProxyChoice};
use smokejumper::domain::action::{ActionOutcome, ActionPlan, Tier};
use smokejumper::domain::survey::agree;
use smokejumper::period::Period;

use crate::servers::{Server, alertmanager, eventually, http_client};
use crate::world::{act, fresh, look_back, mk_actions, mk_draft, ready, refusal};

const CONFIG: &str = "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n";

fn mk_client(url: &str) -> AlertmanagerClient {
    let options = HttpOptions { proxy: ProxyChoice::Direct, ..HttpOptions::configured() };
    AlertmanagerClient::new(HttpClient::new(&options).expect("a client"), url).expect("an address")
}

fn mk_hands(urls: &[&str]) -> Actions {
    let peers: Vec<AlertmanagerClient> = urls.iter().map(|url| mk_client(url)).collect();
    let silencing = Silencing { peers: fresh(peers), silence_max: Period::from_hours(12) };
    mk_actions(Connections { alertmanager: Some(silencing), ..Connections::default() })
}

async fn fire(server: &Server, alerts: &[&[(&str, &str)]]) {
    let body: Vec<Value> = alerts
        .iter()
        .map(|labels| {
            let labels: serde_json::Map<String, Value> =
                labels.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            json!({"labels": labels})
        })
        .collect();
    let sent = http_client().post(format!("{}/api/v2/alerts", server.url())).json(&body).send().await;
    assert!(sent.expect("an answer").status().is_success());
    let client = mk_client(&server.url());
    eventually("the alerts are there", Duration::from_secs(20), || async {
        client.alerts().await.ok().filter(|found| found.len() >= alerts.len())
    })
    .await;
}

fn draft(matchers: &[&str], duration: &str) -> ActionPlan {
    mk_draft("am.silence", json!({"matchers": matchers, "duration": duration, "comment": "A window"}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_matches_is_shown_silenced_once_and_freed_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = alertmanager(folder.path(), CONFIG).await;
    let hostile = "quote\" , namespace=~\".*";
    fire(
        &server,
        &[
            &[("alertname", "Slow"), ("namespace", "shop")],
            &[("alertname", "Errors"), ("namespace", "shop")],
            &[("alertname", "Errors"), ("namespace", "bank")],
            &[("alertname", "Odd"), ("namespace", hostile)],
        ],
    )
    .await;
    // A peer that is gone is passed over.
    let hands = mk_hands(&["http://127.0.0.1:1", &server.url()]);
    let wish = draft(&["namespace=\"shop\"", "alertname=~\"Slow|Err.*\""], "1h");
    let surveyed = ready(&hands, &wish).await;
    assert_eq!(surveyed.tier_floor, Tier::T1);
    assert!(surveyed.notes[0].contains("2 alerts"), "{:?}", surveyed.notes);
    assert!(!surveyed.notes.join("\n").contains("bank"), "{:?}", surveyed.notes);
    assert!(agree(&surveyed.plan, &ready(&hands, &wish).await.plan), "a minute later it is the same");
    let silenced = || async {
        let alerts = mk_client(&server.url()).alerts().await.expect("alerts");
        alerts.iter().filter(|listed| !listed.silenced_by.is_empty()).count()
    };
    assert_eq!(silenced().await, 0, "a survey sets nothing");
    assert!(matches!(look_back(&hands, &surveyed.plan).await, ActionOutcome::NotApplied { .. }));

    let outcome = act(&hands, &surveyed.plan).await;
    let ActionOutcome::Applied { inverse: Some(back), detail, .. } = outcome else { panic!("{outcome:?}") };
    assert!(detail.contains("silenced until"), "{detail}");
    eventually("two are silenced", Duration::from_secs(20), || async {
        (silenced().await == 2).then_some(())
    })
    .await;
    // An attempt that was interrupted finds what it did, and a second one makes no second silence.
    assert!(matches!(
        look_back(&hands, &surveyed.plan).await,
        ActionOutcome::Applied { inverse: Some(_), .. }
    ));
    assert!(matches!(act(&hands, &surveyed.plan).await, ActionOutcome::Applied { .. }));
    let all = mk_client(&server.url()).silences("namespace=\"shop\"".to_owned()).await.expect("silences");
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].comment.contains("A window") && all[0].matchers.len() == 2, "{all:?}");

    assert!(matches!(act(&hands, &back).await, ActionOutcome::Applied { inverse: None, .. }));
    eventually("none is silenced", Duration::from_secs(20), || async {
        (silenced().await == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_broad_too_long_or_out_of_reach_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = alertmanager(folder.path(), CONFIG).await;
    fire(&server, &[&[("alertname", "A"), ("team", "x")], &[("alertname", "B"), ("team", "x")]]).await;
    let hands = mk_hands(&[&server.url()]);
    let mut wish = draft(&["team=\"x\""], "1h");
    wish.params["max_alerts"] = json!(1);
    assert!(refusal(&hands, &wish).await.contains("the rule allows 1"));
    assert!(refusal(&hands, &draft(&["team=\"x\""], "13h")).await.contains("silence_max"));
    let none = mk_actions(Connections::default());
    assert!(refusal(&none, &draft(&["team=\"x\""], "1h")).await.contains("no section `alertmanager`"));
    assert!(mk_client(&server.url()).silences("team=\"x\"".to_owned()).await.expect("silences").is_empty());

    let kind =
        smokejumper::actions::kinds().into_iter().find(|kind| kind.name == "am.silence").expect("a kind");
    for bad in [
        json!({"matchers": [], "duration": "1h"}),
        json!({"matchers": ["alertname=~\".*\""], "duration": "1h"}),
        json!({"matchers": ["team!=\"x\""], "duration": "1h"}),
        json!({"matchers": ["team=\"\""], "duration": "1h"}),
        json!({"matchers": ["team"], "duration": "1h"}),
        json!({"matchers": ["team=\"x\""], "duration": "10s"}),
        json!({"matchers": ["team=\"x\""]}),
    ] {
        assert!((kind.check)(&bad).is_err(), "{bad}");
    }
}
