//! `tls.cert` at servers on loopback: good, expired, misnamed and strange certificates, and servers without any.

use std::time::Duration;

use serde_json::{Value, json};
use smokejumper::diagnostics::{Connections, Diagnostics, DiagnosticsOptions, VitalsOptions};
use smokejumper::domain::diagnosis::Finding;
use tokio::net::TcpListener;

use crate::tls::TlsServer;
use crate::world::{TIMEOUT, diagnose, known, mk_diagnostics, mk_keyring, reason};

/// A server that shows this certificate to whoever comes; its port.
async fn serve(names: &[&str], until: i32) -> u16 {
    TlsServer::start(names, (until, 6, 30)).await.port
}

async fn look(params: Value) -> Finding {
    diagnose(&mk_diagnostics(Connections::default()), "tls.cert", params, TIMEOUT).await
}

#[tokio::test]
async fn a_certificate_is_shown_with_its_end_its_names_and_whether_it_is_trusted() {
    let port = serve(&["localhost", "shop.example.com", "10.1.2.3"], 2999).await;
    let finding = look(json!({"host": "localhost", "port": port})).await;
    let found = known(&finding);
    assert_eq!(found["reachable"], json!(true));
    assert_eq!(found["not_after"], json!("2999-06-30T00:00:00Z"));
    assert!(found["expires_seconds"].as_i64().is_some_and(|seconds| seconds > 86_400 * 365));
    assert_eq!(
        (&found["expired"], &found["self_signed"], &found["chain"]),
        (&json!(false), &json!(true), &json!(1))
    );
    assert_eq!(found["dns_names"], json!(["localhost", "shop.example.com", "10.1.2.3"]));
    assert!(found["subject"].as_str().is_some_and(|name| name.contains("CN=shop")), "{found:?}");
    // Nobody here knows its authority, and that is told apart from its end.
    assert_eq!(found["trusted"], json!(false));
    assert!(found["problem"].as_str().is_some_and(|why| why.contains("authority")), "{found:?}");
    assert!(finding.text.contains("ends 2999-06-30"), "{}", finding.text);
}

#[tokio::test]
async fn one_that_has_ended_is_known_to_have_ended() {
    let port = serve(&["localhost"], 2021).await;
    let finding = look(json!({"host": "localhost", "port": port})).await;
    let found = known(&finding);
    assert_eq!(
        (&found["reachable"], &found["expired"], &found["trusted"]),
        (&json!(true), &json!(true), &json!(false))
    );
    assert!(found["expires_seconds"].as_i64().is_some_and(|seconds| seconds < 0));
    assert!(finding.text.contains("ended 2021-06-30"), "{}", finding.text);
}

#[tokio::test]
async fn a_server_without_tls_is_known_to_show_none() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent_port = silent.local_addr().expect("an address").port();
    let plain = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let plain_port = plain.local_addr().expect("an address").port();
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        while let Ok((mut line, _)) = plain.accept().await {
            let _ = line.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    for (port, words) in [(plain_port, "TLS does not come about"), (1, "cannot be reached")] {
        let finding = look(json!({"host": "127.0.0.1", "port": port})).await;
        assert_eq!(known(&finding)["reachable"], json!(false), "{finding:?}");
        assert!(finding.text.contains(words), "{}", finding.text);
        assert!(!known(&finding).contains_key("expired"), "what is not known has no field");
    }
    let eyes = mk_diagnostics(Connections::default());
    let params = json!({"host": "127.0.0.1", "port": silent_port});
    let finding = diagnose(&eyes, "tls.cert", params, Duration::from_millis(700)).await;
    assert!(finding.text.contains("did not finish the handshake"), "{finding:?}");
    drop(silent);
}

#[tokio::test]
async fn hosts_that_a_rule_must_not_reach_are_not_reached() {
    let port = serve(&["localhost"], 2999).await;
    let options = DiagnosticsOptions {
        prometheus: None,
        kubernetes: None,
        connections: Connections::default(),
        vitals: VitalsOptions::default(),
        probe_loopback: false,
        keyring: mk_keyring(),
    };
    let eyes = Diagnostics::new(options).expect("diagnostics");
    for host in ["127.0.0.1", "localhost", "169.254.169.254", "metadata.google.internal", "::1"] {
        let finding = diagnose(&eyes, "tls.cert", json!({"host": host, "port": port}), TIMEOUT).await;
        assert!(reason(&finding).contains("may not be reached"), "{host}: {finding:?}");
    }
    let unknown = format!("{}.example", "x".repeat(60));
    let finding = look(json!({"host": unknown})).await;
    assert!(reason(&finding).contains("cannot be resolved"), "{finding:?}");
    for bad in ["https://h", "h:443", "{{ labels.instance }}", "a b", ""] {
        let finding = look(json!({"host": bad})).await;
        assert!(!reason(&finding).is_empty(), "{bad}");
    }
}
