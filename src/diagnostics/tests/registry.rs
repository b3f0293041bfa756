//! Registries as their specification has them answer, and as they lead astray.

use super::*;
use crate::clients::registry::RegistryClient;
use crate::clients::stand_in::{Play, StandIn};
use crate::diagnostics::access::RegistryAccess;
use crate::secret::Fresh;

const CONFIG: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn mk_manifest() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": CONFIG, "size": 1_000},
        "layers": [{"digest": CONFIG, "size": 5_000_000}, {"digest": CONFIG, "size": 24}],
    })
}

/// The registry of a stand-in, with these credentials and these hosts that may hand out tokens.
fn mk_registry(server: &StandIn, token_hosts: &[String], password: Option<&str>) -> Diagnostics {
    let options = HttpOptions { proxy: ProxyChoice::Direct, ..HttpOptions::configured() };
    let http = HttpClient::new(&options).expect("an HTTP client");
    let client = RegistryClient::new(http, &server.url(""), token_hosts.to_vec()).expect("a client");
    let credentials = password.map_or(Credentials::None, |password| Credentials::Basic {
        username: "puller".to_owned(),
        password: password.to_owned().into(),
    });
    let client = Fresh::new(move || client.signed_in(credentials.clone()));
    let access = RegistryAccess { client, timeout: Duration::from_secs(2) };
    let mut diagnostics = mk_diagnostics(None);
    diagnostics.tools.connections.registries.insert(server.address.to_string(), access);
    diagnostics
}

async fn ask(diagnostics: &Diagnostics, server: &StandIn, image: &str) -> Finding {
    let image = format!("{}/{image}", server.address);
    diagnose(diagnostics, "registry.image", json!({"image": image}), TIMEOUT).await
}

fn refusal(code: &str) -> Value {
    json!({"errors": [{"code": code, "message": "no", "detail": {}}]})
}

#[tokio::test]
async fn an_image_that_is_there_is_found_with_its_digest_size_and_age() {
    let config = Play::json(200, json!({"created": "2026-11-20T10:00:00Z", "architecture": "amd64"}));
    let server = StandIn::play([Play::json(200, mk_manifest()), config]).await;
    let finding = ask(&mk_registry(&server, &[], None), &server, "team/api:1.2").await;
    assert_known(&finding);
    assert_eq!((&finding.fields["found"], &finding.fields["problem"]), (&json!(true), &json!("")));
    assert_eq!(finding.fields["bytes"], 5_001_024);
    assert_eq!(finding.fields["created"], "2026-11-20T10:00:00Z");
    assert!(finding.fields["digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:")));
    let seen = server.seen();
    assert!(seen[0].line.starts_with("GET /v2/team/api/manifests/1.2 "), "{}", seen[0].line);
    let accept = seen[0].header("accept").expect("what is taken");
    assert!(
        accept.contains("oci.image.index.v1") && accept.contains("docker.distribution.manifest.v2"),
        "{accept}"
    );
    assert!(seen[1].line.starts_with(&format!("GET /v2/team/api/blobs/{CONFIG} ")), "{}", seen[1].line);
}

#[tokio::test]
async fn an_image_of_several_platforms_names_them() {
    let part = |os: &str, arch: &str| json!({"digest": CONFIG, "size": 1, "platform": {"os": os, "architecture": arch}});
    let index = json!({
        "schemaVersion": 2,
        "manifests": [part("linux", "amd64"), part("linux", "arm64"), part("unknown", "unknown")],
        "annotations": {"org.opencontainers.image.created": "2026-11-19T00:00:00Z"},
    });
    let server = StandIn::play([Play::json(200, index)]).await;
    let finding = ask(&mk_registry(&server, &[], None), &server, "api").await;
    assert_eq!(finding.fields["platforms"], json!(["linux/amd64", "linux/arm64"]));
    assert_eq!(finding.fields.get("bytes"), None);
    assert_eq!(finding.fields["created"], "2026-11-19T00:00:00Z");
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_what_is_refused_is_denied() {
    let server = StandIn::play([Play::json(404, refusal("MANIFEST_UNKNOWN"))]).await;
    let finding = ask(&mk_registry(&server, &[], None), &server, "api:gone").await;
    assert_known(&finding);
    assert_eq!((&finding.fields["found"], &finding.fields["problem"]), (&json!(false), &json!("not_found")));

    let server = StandIn::play([Play::json(403, refusal("DENIED"))]).await;
    let finding = ask(&mk_registry(&server, &[], None), &server, "api").await;
    assert_eq!((finding.fields.get("found"), &finding.fields["problem"]), (None, &json!("denied")));
    assert!(finding.text.contains("HTTP 403 DENIED"), "{}", finding.text);

    let server = StandIn::play([Play::Close]).await;
    let finding = ask(&mk_registry(&server, &[], None), &server, "api").await;
    assert_eq!((finding.fields.get("found"), &finding.fields["problem"]), (None, &json!("unreachable")));
}

#[tokio::test]
async fn a_registry_that_is_busy_or_answers_rubbish_leaves_it_unknown() {
    for play in
        [Play::json(503, json!({})), Play::text(200, "<html>"), Play::json(200, json!({})), Play::Silence]
    {
        let server = StandIn::play([play]).await;
        let finding = ask(&mk_registry(&server, &[], None), &server, "api").await;
        assert_ne!(finding.fields.get("found"), Some(&json!(true)), "{finding:?}");
        assert_ne!(finding.fields.get("found"), Some(&json!(false)), "{finding:?}");
    }
    let server = StandIn::play([Play::json(200, mk_manifest())]).await;
    let other = format!("api@sha256:{}", "c".repeat(64));
    let finding = ask(&mk_registry(&server, &[], None), &server, &other).await;
    assert!(reason(&finding).contains("what came has the digest"), "{finding:?}");
}

#[tokio::test]
async fn a_token_is_got_with_the_credentials_where_the_settings_name_its_host() {
    for is_named in [true, false] {
        let tokens = StandIn::play([Play::json(200, json!({"token": "pull-token"}))]).await;
        let challenge =
            format!("Bearer realm=\"{}\",service=\"reg\",scope=\"registry:catalog:*\"", tokens.url("/token"));
        let asked = Play::json(401, refusal("UNAUTHORIZED")).with("www-authenticate", challenge);
        let server = StandIn::play([asked, Play::json(200, mk_manifest())]).await;
        let hosts = if is_named { vec![tokens.address.to_string()] } else { Vec::new() };
        let finding = ask(&mk_registry(&server, &hosts, Some(SECRET)), &server, "team/api:1").await;
        if is_named {
            assert_eq!(finding.fields["found"], true, "{finding:?}");
            let seen = tokens.seen();
            assert!(seen[0].line.contains("scope=repository%3Ateam%2Fapi%3Apull"), "{}", seen[0].line);
            assert!(seen[0].line.contains("service=reg") && seen[0].header("authorization").is_some());
            let seen = server.seen();
            assert_eq!(seen[0].header("authorization"), None, "nothing is shown before it is asked for");
            assert_eq!(seen[1].header("authorization"), Some("Bearer pull-token"));
        } else {
            // A host that nobody named gets neither credentials nor a question.
            assert_eq!(tokens.seen().len(), 0);
            assert_eq!(finding.fields["problem"], "denied");
            assert!(finding.text.contains("token_hosts"), "{}", finding.text);
        }
    }
}

#[tokio::test]
async fn a_registry_that_asks_for_a_password_gets_it_once() {
    let asked = Play::json(401, refusal("UNAUTHORIZED")).with("www-authenticate", "Basic realm=\"x\"");
    let server = StandIn::play([asked.clone(), Play::json(200, mk_manifest())]).await;
    let finding = ask(&mk_registry(&server, &[], Some(SECRET)), &server, "api").await;
    assert_eq!(finding.fields["found"], true, "{finding:?}");
    let server = StandIn::play([asked]).await;
    let finding = ask(&mk_registry(&server, &[], Some(SECRET)), &server, "api").await;
    assert_eq!((&finding.fields["problem"], server.seen().len()), (&json!("denied"), 2));
}

#[tokio::test]
async fn a_registry_that_the_settings_do_not_name_is_never_asked() {
    let server = StandIn::play([Play::json(200, mk_manifest())]).await;
    let canary = StandIn::play([Play::json(200, mk_manifest())]).await;
    let diagnostics = mk_registry(&server, &[], None);
    let other = format!("{}/api:1", canary.address);
    for image in [other.as_str(), "169.254.169.254/latest/meta-data", "quay.io/a:1", "nginx", "a b", "x/../y"]
    {
        let finding = diagnose(&diagnostics, "registry.image", json!({"image": image}), TIMEOUT).await;
        assert!(!reason(&finding).is_empty());
    }
    assert_eq!((server.seen().len(), canary.seen().len()), (0, 0));
    let finding = diagnose(&diagnostics, "registry.image", json!({"image": ""}), TIMEOUT).await;
    assert!(reason(&finding).contains("is empty"), "{finding:?}");
}
