//! `registry.image` at a real registry: what is there, what is not, whose password is wrong, and one that is gone.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use smokejumper::clients::http::{Credentials, HttpClient, HttpOptions, ProxyChoice};
use smokejumper::clients::registry::RegistryClient;
use smokejumper::diagnostics::{Connections, Diagnostics, RegistryAccess};
use smokejumper::domain::diagnosis::Finding;

use crate::registry::{PASSWORD, USER, push, registry};
use crate::world::{TIMEOUT, diagnose, fresh, known, mk_diagnostics};

fn mk_eyes(host: &str, password: &str) -> Diagnostics {
    let options = HttpOptions { proxy: ProxyChoice::Direct, ..HttpOptions::configured() };
    let http = HttpClient::new(&options).expect("a client");
    let client = RegistryClient::new(http, &format!("http://{host}"), Vec::new()).expect("an address");
    let credentials = Credentials::Basic { username: USER.to_owned(), password: password.into() };
    let access =
        RegistryAccess { client: fresh(client.signed_in(credentials)), timeout: Duration::from_secs(5) };
    let registries = BTreeMap::from([(host.to_owned(), access)]);
    mk_diagnostics(Connections { registries, ..Connections::default() })
}

async fn ask(eyes: &Diagnostics, image: &str) -> Finding {
    diagnose(eyes, "registry.image", json!({"image": image}), TIMEOUT).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_of_a_real_registry_are_found_by_tag_and_digest_and_missing_ones_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = registry(folder.path()).await;
    let digest = push(&server, "pss-nano/api", "1.2").await;
    let host = format!("127.0.0.1:{}", server.port);
    let eyes = mk_eyes(&host, PASSWORD);
    for image in [format!("{host}/pss-nano/api:1.2"), format!("{host}/pss-nano/api:9.9@{digest}")] {
        let finding = ask(&eyes, &image).await;
        let fields = known(&finding);
        assert_eq!((&fields["found"], &fields["digest"]), (&json!(true), &json!(digest)), "{finding:?}");
        assert_eq!(fields["bytes"], 2);
    }
    for image in [format!("{host}/pss-nano/api:1.3"), format!("{host}/pss-nano/other:1.2")] {
        let finding = ask(&eyes, &image).await;
        let fields = known(&finding);
        assert_eq!(
            (&fields["found"], &fields["problem"]),
            (&json!(false), &json!("not_found")),
            "{finding:?}"
        );
    }
    let finding = ask(&mk_eyes(&host, "not-the-password"), &format!("{host}/pss-nano/api:1.2")).await;
    assert_eq!((known(&finding).get("found"), &known(&finding)["problem"]), (None, &json!("denied")));
    assert!(finding.text.contains("UNAUTHORIZED"), "{}", finding.text);
    server.kill();
    let finding = ask(&eyes, &format!("{host}/pss-nano/api:1.2")).await;
    assert_eq!(known(&finding)["problem"], "unreachable", "{finding:?}");
}
