//! Exchanges over real loopback sockets: limits, deadlines, secrets, redirects and the guard.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use secrecy::SecretString;

use super::*;
use crate::clients::stand_in::{Play, StandIn, refused_url};

fn mk_client() -> HttpClient {
    let options = HttpOptions { proxy: ProxyChoice::Direct, ..HttpOptions::configured() };
    HttpClient::new(&options).expect("a client")
}

fn mk_get(url: &str) -> HttpRequest {
    HttpRequest::new(Method::GET, url.parse().expect("a URL"))
}

#[tokio::test]
async fn an_exchange_reports_status_headers_body_and_latency() {
    let server = StandIn::play([Play::text(404, "nothing here").with("x-version", "7")]).await;
    let request = mk_get(&server.url("/health?full=1")).header("x-trace", "abc").expect("a header");
    let answer = mk_client().send(request).await.expect("an answer");
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (404, &b"nothing here"[..]));
    assert_eq!(answer.header("X-Version"), Some("7"));
    assert!(!answer.truncated && answer.latency > Duration::ZERO);
    let seen = &server.seen()[0];
    assert_eq!(seen.line, "GET /health?full=1 HTTP/1.1");
    assert_eq!(seen.header("user-agent"), Some(USER_AGENT));
    assert_eq!(seen.header("x-trace"), Some("abc"));
}

#[tokio::test]
async fn a_long_answer_is_cut_at_the_limit() {
    let server = StandIn::play([Play::text(200, &"x".repeat(100_000))]).await;
    let whole = mk_get(&server.url("/")).answer_bytes_max(100_000);
    let answer = mk_client().send(whole).await.expect("an answer");
    assert_eq!((answer.body.len(), answer.truncated), (100_000, false));
    let cut = mk_get(&server.url("/")).answer_bytes_max(10);
    let answer = mk_client().send(cut).await.expect("an answer");
    assert_eq!((answer.body.len(), answer.truncated), (10, true));
}

#[tokio::test]
async fn a_compressed_answer_is_limited_by_its_decoded_size() {
    let bomb = gzip_of_zeros();
    let server =
        StandIn::play([Play::Answer(200, vec![("content-encoding", "gzip".into())], bomb.clone())]).await;
    let answer = mk_client().send(mk_get(&server.url("/")).answer_bytes_max(5000)).await.expect("an answer");
    assert_eq!((answer.body.len(), answer.truncated), (5000, true));
    assert!(bomb.len() < 2000 && answer.body.iter().all(|byte| *byte == 0));
}

#[tokio::test]
async fn redirects_are_answers_and_are_not_followed() {
    let target = StandIn::play([Play::text(200, "secret place")]).await;
    let server = StandIn::play([Play::text(302, "").with("location", target.url("/"))]).await;
    let answer = mk_client().send(mk_get(&server.url("/"))).await.expect("an answer");
    assert_eq!(answer.status.as_u16(), 302);
    assert!(target.seen().is_empty());
}

#[tokio::test]
async fn errors_tell_whether_the_request_may_have_been_sent() {
    let server = StandIn::play([Play::Close, Play::Half, Play::Silence]).await;
    let client = mk_client();
    let error = client.send(mk_get(&refused_url().await)).await.expect_err("refused");
    assert!(matches!(error, HttpError::NotSent { .. }) && !error.maybe_sent(), "{error:?}");
    let error = client.send(mk_get(&server.url("/"))).await.expect_err("closed");
    assert!(matches!(error, HttpError::Broken { .. }) && error.maybe_sent(), "{error:?}");
    let error = client.send(mk_get(&server.url("/"))).await.expect_err("half");
    assert!(matches!(error, HttpError::Broken { .. }) && error.maybe_sent(), "{error:?}");
    let slow = mk_get(&server.url("/")).timeout(Duration::from_millis(100));
    let error = client.send(slow).await.expect_err("silent");
    assert!(matches!(error, HttpError::TimedOut { .. }) && error.maybe_sent(), "{error:?}");
}

#[tokio::test]
async fn errors_and_debug_output_hide_secrets_and_keep_the_place() {
    let secret = SecretString::from("hunter2");
    let url = refused_url().await.replace("http://", "http://user:hunter2@") + "/path?token=hunter2";
    let request = mk_get(&url).bearer(&secret).expect("a header").body("text/plain", "hunter2");
    let debug = format!("{request:?}");
    let error = mk_client().send(request).await.expect_err("refused");
    let plain =
        mk_get(&url).secret_header("x-key", &SecretString::from("hunter2\n")).expect_err("a line break");
    for text in [debug, error.to_string(), format!("{error:?}"), plain.to_string()] {
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("127.0.0.1") && text.contains("/path"), "{text}");
    }
    let error = mk_client().send(mk_get(&url)).await.expect_err("refused");
    assert!(error.to_string().contains("refused"), "the cause is told: {error}");
    let proxy = ProxyChoice::Through(SecretString::from("http://u:hunter2@"));
    let error = HttpClient::new(&HttpOptions { proxy, ..HttpOptions::configured() }).expect_err("no URL");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test]
async fn credentials_go_into_the_authorization_header() {
    let server = StandIn::play([Play::text(200, "")]).await;
    let secret = SecretString::from("pass");
    for (request, expected) in [
        (mk_get(&server.url("/")).bearer(&secret), "Bearer pass"),
        (mk_get(&server.url("/")).basic("una", &secret), "Basic dW5hOnBhc3M="),
    ] {
        mk_client().send(request.expect("a header")).await.expect("an answer");
        let seen = server.seen().pop().expect("a request");
        assert_eq!(seen.header("authorization"), Some(expected));
    }
}

#[tokio::test]
async fn a_proxy_is_used_where_one_is_set() {
    let proxy = StandIn::play([Play::text(200, "through the proxy")]).await;
    let choice = ProxyChoice::Through(SecretString::from(proxy.url("")));
    let client =
        HttpClient::new(&HttpOptions { proxy: choice, ..HttpOptions::configured() }).expect("a client");
    let answer = client.send(mk_get("http://somewhere.invalid/x")).await.expect("an answer");
    assert_eq!(&answer.body[..], b"through the proxy");
    assert_eq!(proxy.seen()[0].line, "GET http://somewhere.invalid/x HTTP/1.1");
}

#[tokio::test]
async fn probes_reach_loopback_only_where_it_is_allowed() {
    let server = StandIn::play([Play::text(200, "fine")]).await;
    let by_name = server.url("/").replace("127.0.0.1", "localhost");
    let allowed = HttpClient::new(&HttpOptions::probes(true)).expect("a client");
    let guarded = HttpClient::new(&HttpOptions::probes(false)).expect("a client");
    for url in [server.url("/"), by_name] {
        assert_eq!(allowed.send(mk_get(&url)).await.expect("an answer").status.as_u16(), 200);
        let error = guarded.send(mk_get(&url)).await.expect_err("denied");
        assert!(
            matches!(&error, HttpError::Denied { reason, .. } if reason.contains("loopback")),
            "{error:?}"
        );
    }
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn probes_never_reach_metadata_services() {
    let client = HttpClient::new(&HttpOptions::probes(true)).expect("a client");
    for url in ["http://169.254.169.254/", "http://metadata.google.internal/", "http://[::ffff:a9fe:a9fe]/"] {
        let error = client.send(mk_get(url)).await.expect_err("denied");
        assert!(matches!(error, HttpError::Denied { .. }) && error.permanent(), "{error:?}");
    }
}

/// A megabyte of zeros, about a kilobyte on the wire.
fn gzip_of_zeros() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![0; 1 << 20]).expect("memory");
    encoder.finish().expect("memory")
}

/// An authority in PEM, and a server on loopback with a certificate of it that answers everything with 204.
async fn mk_tls_server() -> (Vec<u8>, String) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    install_crypto_provider();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().expect("a key");
    let authority_pem = authority.self_signed(&authority_key).expect("a certificate").pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate").der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a server");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
    let url = format!("https://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust us breaks off here.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            if stream.read_buf(&mut Vec::new()).await.is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 204 X\r\nconnection: close\r\n\r\n").await;
                let _ = stream.shutdown().await;
            }
        }
    });
    (authority_pem.into_bytes(), url)
}

#[tokio::test]
async fn an_authority_of_our_own_is_trusted_where_the_settings_name_it() {
    let (authority, url) = mk_tls_server().await;
    let stranger = mk_client().send(mk_get(&url)).await.expect_err("nobody vouches for it");
    assert!(!stranger.maybe_sent(), "{stranger}");
    let with = |pem: &[u8]| HttpOptions {
        proxy: ProxyChoice::Direct,
        authorities_pem: Some(pem.to_vec()),
        ..HttpOptions::configured()
    };
    let answer = HttpClient::new(&with(&authority)).expect("a client").send(mk_get(&url)).await;
    assert_eq!(answer.expect("an answer").status, StatusCode::NO_CONTENT);
    for pem in [&b""[..], b"no certificate"] {
        let error = HttpClient::new(&with(pem)).expect_err("nothing to trust");
        assert!(error.to_string().contains("holds none in PEM"), "{error}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_told_without_the_layers_that_only_announce_it() {
    let error = mk_client().send(mk_get(&refused_url().await)).await.expect_err("nobody listens");
    let told = error.to_string();
    assert!(told.ends_with("was not reached: Connection refused (os error 111)"), "{told}");
}
