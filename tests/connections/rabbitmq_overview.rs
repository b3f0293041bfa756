//! `rabbitmq.overview` at a real broker: queues that grow, alarms, virtual hosts, and brokers that do not answer.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use smokejumper::clients::http::{Credentials, HttpClient, HttpOptions, ProxyChoice};
use smokejumper::clients::rabbitmq::RabbitClient;
use smokejumper::diagnostics::{Connections, Diagnostics, RabbitAccess};
use smokejumper::domain::diagnosis::Finding;

use crate::rabbitmq::{PASSWORD, RabbitMq, USER};
use crate::servers::{eventually, http_client};
use crate::world::{TIMEOUT, diagnose, fresh, known, mk_diagnostics, reason};

fn mk_eyes(url: &str, password: &str) -> Diagnostics {
    let options = HttpOptions { proxy: ProxyChoice::Direct, ..HttpOptions::configured() };
    let client = RabbitClient::new(HttpClient::new(&options).expect("a client"), url).expect("an address");
    let credentials = Credentials::Basic { username: USER.to_owned(), password: password.into() };
    let access =
        RabbitAccess { client: fresh(client.signed_in(credentials)), timeout: Duration::from_secs(5) };
    let rabbitmq = BTreeMap::from([("main".to_owned(), access)]);
    mk_diagnostics(Connections { rabbitmq, ..Connections::default() })
}

async fn look(url: &str, params: Value) -> Finding {
    let mut params = params;
    params["connection"] = json!("main");
    diagnose(&mk_eyes(url, PASSWORD), "rabbitmq.overview", params, TIMEOUT).await
}

/// One call of the management API that changes something.
async fn manage(broker: &RabbitMq, method: &str, path: &str, body: Value) {
    let url = format!("{}/api/{path}", broker.url());
    let request = http_client().request(method.parse().expect("a method"), url);
    let answer = request.basic_auth(USER, Some(PASSWORD)).json(&body).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
}

async fn publish(broker: &RabbitMq, vhost: &str, queue: &str) {
    let message =
        json!({"properties": {}, "routing_key": queue, "payload": "x", "payload_encoding": "string"});
    manage(broker, "POST", &format!("exchanges/{vhost}/amq.default/publish"), message).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_nodes_and_alarms_are_seen() {
    let broker = tokio::task::spawn_blocking(RabbitMq::shared).await.expect("a broker");
    manage(broker, "PUT", "vhosts/shop%2Feu", json!({})).await;
    manage(
        broker,
        "PUT",
        &format!("permissions/shop%2Feu/{USER}"),
        json!({"configure": ".*", "write": ".*", "read": ".*"}),
    )
    .await;
    manage(broker, "PUT", "queues/shop%2Feu/orders", json!({"durable": true})).await;
    manage(broker, "PUT", "queues/shop%2Feu/empty", json!({"durable": true})).await;
    for _ in 0..3 {
        publish(broker, "shop%2Feu", "orders").await;
    }
    let url = broker.url();
    let finding = eventually("the statistics know the messages", Duration::from_secs(60), || async {
        let finding = look(&url, json!({"vhost": "shop/eu"})).await;
        (known(&finding).get("largest_queue_messages") == Some(&json!(3))
            && known(&finding).get("messages_ready") == Some(&json!(3)))
        .then_some(finding)
    })
    .await;
    let found = known(&finding);
    for (field, value) in [
        ("reachable", json!(true)),
        ("nodes", json!(1)),
        ("running_nodes", json!(1)),
        ("queues", json!(2)),
        ("largest_queue", json!("orders")),
        ("queues_without_consumers", json!(1)),
        ("down_queues", json!(0)),
        ("messages", json!(3)),
    ] {
        assert_eq!(found.get(field), Some(&value), "{field}: {found:?}");
    }
    assert!(found["version"].as_str().is_some_and(|version| version.starts_with("3.")), "{found:?}");
    assert_eq!(found["top"][0]["vhost"], json!("shop/eu"));
    assert!(finding.text.contains("orders: 3 messages, 0 consumers"), "{}", finding.text);
    let all = eventually("the node is known", Duration::from_secs(60), || async {
        let finding = look(&url, json!({})).await;
        known(&finding).contains_key("memory_alarm").then_some(finding)
    })
    .await;
    let found = known(&all);
    assert_eq!(
        (&found["memory_alarm"], &found["disk_alarm"], &found["partitioned"]),
        (&json!(false), &json!(false), &json!(false))
    );
    let gone = look(&url, json!({"vhost": "no such"})).await;
    assert!(reason(&gone).contains("does not know it"), "{gone:?}");
    for hostile in ["..", ".", "../../api/users"] {
        let finding = look(&url, json!({"vhost": hostile})).await;
        assert!(!reason(&finding).is_empty(), "{hostile}");
    }
    let wrong =
        diagnose(&mk_eyes(&url, "wrong"), "rabbitmq.overview", json!({"connection": "main"}), TIMEOUT).await;
    assert!(reason(&wrong).contains("refuses the credentials"), "{wrong:?}");
}

#[tokio::test]
async fn a_broker_that_does_not_answer_is_known_to_be_down() {
    let gone = look("http://127.0.0.1:1", json!({})).await;
    assert_eq!(known(&gone)["reachable"], json!(false), "{gone:?}");
    assert!(!known(&gone).contains_key("messages"));
    let other = diagnose(
        &mk_diagnostics(Connections::default()),
        "rabbitmq.overview",
        json!({"connection": "main"}),
        TIMEOUT,
    )
    .await;
    assert!(reason(&other).contains("no `main` under `connections.rabbitmq`"), "{other:?}");
}
