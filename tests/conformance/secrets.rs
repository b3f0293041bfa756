//! Secrets: when they were written last, told without their values.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::cluster::{Ground, on_ground, text};

async fn written(ground: &Ground, value: &str) -> Value {
    let path = format!("{}?fieldManager=conformance", ground.core("secrets/login"));
    ground.merge(&path, &json!({ "data": { "password": STANDARD.encode(value) } })).await.good()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_tells_who_wrote_which_key_and_when() {
    on_ground(async |ground| {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "login" }, "stringData": { "password": "one" },
        });
        let made = ground.post(&ground.core("secrets"), &secret).await.good();
        assert_eq!(text(&made, "/type"), "Opaque");
        assert_eq!(made["data"], json!({ "password": STANDARD.encode("one") }), "kept in base64");
        assert!(made.get("stringData").is_none(), "only ever written");
        let after = written(ground, "two").await;
        let managers = after.pointer("/metadata/managedFields").and_then(Value::as_array).expect("managers");
        let own = managers.iter().find(|entry| text(entry, "/manager") == "conformance").expect("its writer");
        assert!(own.pointer("/fieldsV1/f:data/f:password").is_some(), "{own}");
        assert!(text(own, "/time").parse::<jiff::Timestamp>().is_ok(), "{own}");
    })
    .await;
}
