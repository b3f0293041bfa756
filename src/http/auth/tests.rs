//! Senders are let in by what they show, and by nothing else.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::http::HeaderName;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tower::ServiceExt as _;

use super::*;
use crate::secret::{Keyring, SecretSources};

fn mk_secrets(values: &[&str]) -> SecretSet {
    let environment: BTreeMap<String, String> =
        values.iter().enumerate().map(|(n, value)| (format!("S{n}"), (*value).to_owned())).collect();
    let sources: Vec<_> = environment.keys().map(|name| serde_json::json!({ "env": name })).collect();
    let sources: SecretSources = serde_json::from_value(sources.into()).expect("references");
    Keyring::new(environment).open_all(&sources).expect("all are set")
}

fn mk_receiver(credentials: Vec<Credential>, meter: &DoorMeter) -> Router {
    let auth = ReceiverAuth::new(
        "alertmanager",
        credentials,
        Hosts::LocalAnd(vec!["sj.example.com".into()]),
        meter.clone(),
    );
    Router::new()
        .route("/", post(|| async { "in" }).get(|| async { "in" }))
        .layer(from_fn_with_state(Arc::new(auth), require_credentials))
}

fn mk_all_kinds() -> Vec<Credential> {
    vec![
        Credential::Bearer(mk_secrets(&["token-new", "token-old"])),
        Credential::Basic { username: "am".into(), password: mk_secrets(&["pass:word", "pass-old"]) },
        Credential::Header { name: HeaderName::from_static("x-token"), value: mk_secrets(&["header-value"]) },
    ]
}

async fn ask(router: &Router, headers: &[(&str, &str)]) -> (u16, HeaderMap, String) {
    let mut request = Request::post("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).expect("a request");
    let address: SocketAddr = "192.0.2.7:4711".parse().expect("an address");
    request.extensions_mut().insert(Peer { address, has_client_certificate: false });
    let response = router.clone().oneshot(request).await.expect("a router always answers");
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 10_000).await.expect("reads");
    (parts.status.as_u16(), parts.headers, String::from_utf8_lossy(&body).into_owned())
}

fn basic(pair: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(pair))
}

#[tokio::test]
async fn each_live_credential_opens_the_door() {
    let router = mk_receiver(mk_all_kinds(), &DoorMeter::default());
    let (new, old) = (basic("am:pass:word"), basic("am:pass-old"));
    let good: &[(&str, &str)] = &[
        ("authorization", "Bearer token-new"),
        ("authorization", "bearer  token-old "),
        ("authorization", &new),
        ("authorization", &old),
        ("X-Token", "header-value"),
    ];
    for header in good {
        assert_eq!(ask(&router, &[*header]).await.0, 200, "{header:?}");
    }
}

#[tokio::test]
async fn anything_else_is_401_and_says_no_more() {
    let meter = DoorMeter::default();
    let router = mk_receiver(mk_all_kinds(), &meter);
    let (user, password, no_colon) = (basic("amm:pass:word"), basic("am:pass"), basic("am"));
    let bad: &[&[(&str, &str)]] = &[
        &[],
        &[("authorization", "Bearer token-ne")],
        &[("authorization", "Bearer token-newer")],
        &[("authorization", "Bearer ")],
        &[("authorization", "Bearer")],
        &[("authorization", "token-new")],
        &[("authorization", "Basic %%%")],
        &[("authorization", &user)],
        &[("authorization", &password)],
        &[("authorization", &no_colon)],
        &[("x-token", "")],
        &[("x-token", "header-value"), ("x-token", "header-value")],
        &[("authorization", "Bearer token-new"), ("authorization", "Bearer token-new")],
        // A token of one kind does not open as another kind.
        &[("x-token", "token-new")],
    ];
    let mut answers = Vec::new();
    for headers in bad {
        let (status, headers_out, body) = ask(&router, headers).await;
        assert_eq!(status, 401, "{headers:?}");
        assert_eq!(headers_out["www-authenticate"], r#"Basic realm="smokejumper""#);
        answers.push(body);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "every refusal reads the same");
    let mut text = String::new();
    let mut registry = prometheus_client::registry::Registry::default();
    meter.register(&mut registry);
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
    assert!(text.contains(&format!("auth_failures_total{{door=\"alertmanager\"}} {}", bad.len())), "{text}");
}

#[tokio::test]
async fn a_rotated_file_is_accepted_without_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("token");
    std::fs::write(&path, "first-token").expect("writes");
    let sources: SecretSources =
        serde_json::from_value(serde_json::json!({ "file": path })).expect("a reference");
    let keyring = Keyring::checking_files_every(BTreeMap::new(), std::time::Duration::ZERO);
    let token = keyring.open_all(&sources).expect("is there");
    let router = mk_receiver(vec![Credential::Bearer(token)], &DoorMeter::default());
    assert_eq!(ask(&router, &[("authorization", "Bearer first-token")]).await.0, 200);
    std::fs::write(&path, "second-token\n").expect("writes");
    assert_eq!(ask(&router, &[("authorization", "Bearer second-token")]).await.0, 200);
    assert_eq!(ask(&router, &[("authorization", "Bearer first-token")]).await.0, 401);
}

#[tokio::test]
async fn an_open_door_lets_programs_in_and_keeps_web_pages_out() {
    let router = mk_receiver(Vec::new(), &DoorMeter::default());
    let programs: &[&[(&str, &str)]] = &[
        &[],
        &[("host", "127.0.0.1:9119")],
        &[("host", "[::1]:9119")],
        &[("host", "localhost:9119")],
        &[("host", "sj.example.com")],
        &[("host", "localhost:9119"), ("origin", "http://localhost:9119"), ("sec-fetch-site", "same-origin")],
    ];
    for headers in programs {
        assert_eq!(ask(&router, headers).await.0, 200, "{headers:?}");
    }
    let pages: &[&[(&str, &str)]] = &[
        &[("host", "evil.example:9119")],
        &[("host", "localhost:9119"), ("origin", "https://evil.example")],
        &[("host", "localhost:9119"), ("origin", "null")],
        &[("host", "localhost:9119"), ("origin", "http://localhost:8080")],
        &[("host", "localhost:9119"), ("sec-fetch-site", "cross-site")],
        &[("host", "localhost:9119"), ("sec-fetch-site", "same-site")],
    ];
    for headers in pages {
        assert_eq!(ask(&router, headers).await.0, 403, "{headers:?}");
    }
}

fn mk_api(holders: Vec<TokenHolder>) -> Router {
    let auth = ApiAuth::new(holders, Hosts::Any, DoorMeter::default());
    let approve = |caller: Principal| async move {
        caller.require(Role::Approver)?;
        Ok::<_, Problem>(format!("{} {}", caller.name, caller.actor().via.as_str()))
    };
    Router::new().route("/", post(approve)).layer(from_fn_with_state(Arc::new(auth), require_principal))
}

fn mk_holder(name: &str, role: Role, tokens: &[&str]) -> TokenHolder {
    TokenHolder { name: name.to_owned(), is_person: false, role, token: mk_secrets(tokens) }
}

#[tokio::test]
async fn a_token_says_who_is_calling_and_what_they_may_do() {
    let router = mk_api(vec![
        mk_holder("ci", Role::Viewer, &["viewer-token"]),
        mk_holder("una", Role::Responder, &["responder-token"]),
        mk_holder("ben", Role::Approver, &["approver-new", "approver-old"]),
        mk_holder("root", Role::Admin, &["admin-token"]),
    ]);
    for (token, expected) in [
        ("viewer-token", 403),
        ("responder-token", 403),
        ("approver-new", 200),
        ("approver-old", 200),
        ("admin-token", 200),
        ("none", 401),
    ] {
        let bearer = format!("Bearer {token}");
        let (status, _, body) = ask(&router, &[("authorization", &bearer)]).await;
        assert_eq!(status, expected, "{token}: {body}");
        assert!(!body.contains("token"), "{body}");
        if status == 403 {
            assert!(body.contains("needs the role approver"), "{body}");
        }
    }
    let (_, _, body) = ask(&router, &[("authorization", "Bearer approver-old")]).await;
    assert_eq!(body, "ben api");
}

#[tokio::test]
async fn without_tokens_everybody_is_admin_and_a_route_without_the_layer_lets_nobody_in() {
    assert_eq!(ask(&mk_api(Vec::new()), &[]).await.2, "anonymous api");
    let forgotten = Router::new().route("/", post(|caller: Principal| async move { caller.name }));
    assert_eq!(ask(&forgotten, &[]).await.0, 401);
    let reader =
        Router::new().route("/", get(|| async { "x" })).layer(from_fn(|r: Request, n: Next| n.run(r)));
    assert_eq!(ask(&reader, &[]).await.0, 405);
}

#[test]
fn nothing_here_shows_a_credential() {
    let auth = ReceiverAuth::new("alertmanager", mk_all_kinds(), Hosts::Any, DoorMeter::default());
    let api = ApiAuth::new(
        vec![mk_holder("ci", Role::Viewer, &["viewer-token"])],
        Hosts::Any,
        DoorMeter::default(),
    );
    let shown = format!("{auth:?} {api:?}");
    assert!(
        !shown.contains("token-new") && !shown.contains("viewer-token") && !shown.contains("pass-old"),
        "{shown}"
    );
}

const NOW: &str = "2026-11-22T10:00:00Z";

fn at(time: &str) -> Timestamp {
    time.parse().expect("a time")
}

fn mk_auth(holders: Vec<TokenHolder>) -> ApiAuth {
    ApiAuth::new(holders, Hosts::Any, DoorMeter::default())
}

fn parts(headers: &[(&str, &str)]) -> Parts {
    mk_request(headers).into_parts().0
}

fn mk_request(headers: &[(&str, &str)]) -> Request {
    let mut request = axum::http::Request::post("/sign-in");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).expect("a request")
}

/// The part of `Set-Cookie` that a browser sends back.
fn pair(cookie: &str) -> &str {
    cookie.split(';').next().expect("a pair")
}

#[test]
fn a_session_lets_its_browser_look_for_a_while_and_no_longer_than_its_token_is_good() {
    let auth =
        mk_auth(vec![mk_holder("ci", Role::Viewer, &["other"]), mk_holder("una", Role::Admin, &["good"])]);
    let cookie = auth.sign_in(&parts(&[]), b"good", at(NOW)).expect("a token that is known");
    assert!(cookie.contains("; HttpOnly; SameSite=Lax") && !cookie.contains("Secure"), "{cookie}");
    assert!(!cookie.contains("good"), "{cookie}");
    let request = mk_request(&[("cookie", &format!("theme=dark; {}", pair(&cookie)))]);
    let reader = auth.reader(&request, at("2026-11-22T21:59:59Z")).expect("it has not ended");
    let viewer = Principal { name: "una".to_owned(), role: Role::Viewer, is_person: false };
    assert_eq!(reader, Reader { principal: viewer, in_session: true }, "whatever the token may do");
    assert!(auth.reader(&request, at("2026-11-22T22:00:00Z")).is_err(), "a shift is over");
    assert!(auth.principal(&request).is_err(), "the API takes no session");

    let rotated = mk_auth(vec![mk_holder("una", Role::Admin, &["newer", "good"])]);
    assert!(rotated.reader(&request, at(NOW)).is_ok(), "both live tokens count");
    let gone = mk_auth(vec![mk_holder("una", Role::Admin, &["newer"])]);
    assert!(gone.reader(&request, at(NOW)).is_err(), "the session ends with its token");
}

#[test]
fn a_session_that_was_made_up_or_drawn_out_is_none() {
    let auth = mk_auth(vec![mk_holder("una", Role::Admin, &["good"])]);
    let cookie = auth.sign_in(&parts(&[]), b"good", at(NOW)).expect("a token that is known");
    let good = pair(&cookie);
    let (until, seal) =
        good.split_once('=').and_then(|(_, value)| value.split_once('.')).expect("both parts");
    let later = until.parse::<i64>().expect("seconds") + 1;
    for bad in [
        format!("smokejumper_session={later}.{seal}"),
        format!("smokejumper_session={until}.{}", "0".repeat(64)),
        format!("smokejumper_session={until}."),
        format!("smokejumper_session={until}"),
        "smokejumper_session=".to_owned(),
        format!("other={until}.{seal}"),
    ] {
        assert!(auth.reader(&mk_request(&[("cookie", &bad)]), at(NOW)).is_err(), "{bad}");
    }
    // A neighbour on another port of the machine may have left one of its own.
    let both = format!("smokejumper_session=1.00; {good}");
    assert!(auth.reader(&mk_request(&[("cookie", &both)]), at(NOW)).is_ok());
    // Whoever shows a token as well is judged by that.
    let wrong = mk_request(&[("cookie", good), ("authorization", "Bearer wrong")]);
    assert!(auth.reader(&wrong, at(NOW)).is_err());
}

#[test]
fn only_our_own_page_signs_in_and_out_and_only_with_a_token() {
    let auth = mk_auth(vec![mk_holder("una", Role::Admin, &["good"])]).with_encrypted_sessions(true);
    for wrong in ["", "wrong", "good "] {
        let refused = auth.sign_in(&parts(&[]), wrong.as_bytes(), at(NOW)).expect_err("no token of ours");
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{wrong:?}");
    }
    for site in ["cross-site", "same-site"] {
        let from = parts(&[("sec-fetch-site", site)]);
        let refused = auth.sign_in(&from, b"good", at(NOW)).expect_err("another site");
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{site}");
        assert!(auth.sign_out(&from.headers).is_err(), "{site}");
    }
    let own = parts(&[("sec-fetch-site", "same-origin")]);
    assert!(auth.sign_in(&own, b"good", at(NOW)).expect("our page").ends_with("; Secure"));
    let ended = auth.sign_out(&own.headers).expect("our page");
    assert!(ended.starts_with("smokejumper_session=; Max-Age=0; "), "{ended}");
    assert!(mk_auth(Vec::new()).sign_in(&own, b"", at(NOW)).is_err(), "nobody holds the empty token");
}
