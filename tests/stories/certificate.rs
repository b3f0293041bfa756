//! CertExpiring: a TLS server shows a certificate with a few days left, its renewal is approved, cert-manager issues a new
//! one, and with that the server and both alerts about it are well.

use crate::platform::{PSS, at_rest, put};
use crate::servers::eventually;
use crate::tls::TlsServer;
use crate::world::{CHANNEL, PATIENCE, Plan, Scene, action};
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use serde_json::{Value, json};
use smokejumper::clients::tls::{TlsTarget, certificate};
use smokejumper::sandbox::kubernetes::KubernetesSandbox;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use x509_parser::prelude::{FromDer as _, X509Certificate};

const RULE: &str = "pss-nano-certificate";
const REMEDY: &str = "renew";
const NAME: &str = "api-gateway-tls";

/// Days that are left when the story begins: less than the seven of the critical alert.
const DAYS_LEFT: i64 = 5;

/// Midnight of a day that is so many days away: year, month and day.
fn day(time: Timestamp) -> (i32, u8, u8) {
    let date = time.to_zoned(TimeZone::UTC).date();
    let small = |part: i8| u8::try_from(part).expect("months and days are small");
    (i32::from(date.year()), small(date.month()), small(date.day()))
}

/// When the certificate ends that a server shows, by a real handshake.
async fn shown_until(port: u16) -> Option<i64> {
    let target = TlsTarget {
        host: "localhost",
        port,
        server_name: "localhost",
        loopback: true,
        timeout: Duration::from_secs(5),
    };
    let shown = certificate(&target).await.ok()?;
    let (_, first) = X509Certificate::from_der(shown.chain.first()?).ok()?;
    Some(first.validity().not_after.timestamp())
}

fn issued_until(cluster: &KubernetesSandbox) -> Option<Timestamp> {
    let found = cluster.get("certificates", PSS, NAME)?;
    found["status"]["notAfter"].as_str()?.parse().ok()
}

fn furnish(cluster: &KubernetesSandbox, until: Timestamp) {
    let ready = json!([{ "type": "Ready", "status": "True", "reason": "Ready" }]);
    put(
        cluster,
        json!({
            "apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer",
            "metadata": { "name": "letsencrypt" },
            "status": { "conditions": ready },
        }),
    );
    put(
        cluster,
        json!({
            "apiVersion": "cert-manager.io/v1", "kind": "Certificate",
            "metadata": { "name": NAME, "namespace": PSS },
            "spec": {
                "secretName": NAME, "dnsNames": ["localhost"],
                "issuerRef": { "kind": "ClusterIssuer", "name": "letsencrypt" },
            },
            "status": { "revision": 3, "notAfter": until.to_string(), "conditions": ready },
        }),
    );
}

fn finding<'i>(incident: &'i Value, name: &str) -> &'i Value {
    let findings = incident["findings"].as_array().expect("findings");
    findings.iter().find(|finding| finding["name"] == name).expect("it was looked for")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_was_not_renewed_is_issued_anew_on_approval_and_shown() {
    let midnight = Timestamp::now() + (24 * DAYS_LEFT).hours();
    let (year, month, date) = day(midnight);
    let server = TlsServer::start(&["localhost"], (year, month, date)).await;
    let until =
        Timestamp::from_second(shown_until(server.port).await.expect("it shows one")).expect("a time");
    let scene = Scene::set(at_rest(|cluster| furnish(cluster, until)).await, &[]).await;
    // Nobody has told Prometheus of it yet: cert-manager and the probe come with the story.
    let known = Arc::new(AtomicBool::new(false));
    let is_known = || Arc::clone(&known);
    let (cluster, tells) = (Arc::clone(&scene.cluster), is_known());
    scene.town.show("cert-manager", &[], move || {
        let until = issued_until(&cluster)?.as_second();
        let labels = format!("namespace=\"{PSS}\",name=\"{NAME}\"");
        let line = format!("certmanager_certificate_expiration_timestamp_seconds{{{labels}}} {until}\n");
        Some(if tells.load(Ordering::SeqCst) { line } else { String::new() })
    });
    let (handle, port, tells) = (Handle::current(), server.port, is_known());
    let probed = format!("localhost:{port}");
    scene.town.show("blackbox", &[("namespace", PSS), ("instance", &probed)], move || {
        let until = handle.block_on(shown_until(port))?;
        let line = format!("probe_success 1\nprobe_ssl_earliest_cert_expiry {until}\n");
        Some(if tells.load(Ordering::SeqCst) { line } else { String::new() })
    });
    let mut plan = Plan { rule: "rules/pss-nano/cert-expiring.yaml", ..Plan::default() };
    let platform = "rules/pss-nano/platform.yaml";
    plan.names.insert((platform, "host"), "localhost".to_owned());
    plan.names.insert((platform, "tls_port"), server.port.to_string());
    let world = scene.begin(plan).await;

    known.store(true, Ordering::SeqCst);
    let asked = world.once(RULE, REMEDY, "awaiting_approval").await;
    assert_eq!(asked["severity"], "P1", "less than seven days are left");
    let seen = &finding(&asked, "shown")["fields"];
    assert_eq!(seen["not_after"], json!(until.to_string()), "what the server shows is part of the evidence");
    assert!(
        finding(&asked, "certificate")["fields"]["expires_seconds"]
            .as_i64()
            .is_some_and(|left| left < 7 * 86_400)
    );
    let page = eventually("PagerDuty calls somebody", PATIENCE, async || world.page(&asked)).await;
    assert_eq!(page.service, PSS);
    assert_eq!(world.writes(), Vec::<String>::new(), "nothing is touched before the approval");

    let card = world.approve(RULE, REMEDY, CHANNEL, &[NAME]).await;
    let new = eventually("cert-manager has issued a new one", PATIENCE, async || {
        issued_until(&world.cluster).filter(|new| *new > until)
    })
    .await;
    // What ends TLS loads the new secret.
    server.show(day(new));
    let acted = world.once(RULE, REMEDY, "succeeded").await;
    assert_eq!(action(&acted, REMEDY)["reason_code"], "verified", "{acted:#}");
    let closed = world.closed(RULE).await;
    assert_eq!(world.writes(), [format!("patch certificates/status {NAME}")], "and no secret is deleted");
    world.page_ends(&closed).await;
    world.card_shows(&card, &["Resolved"]).await;
    // What a client is shown was an alert as well, and is over with it.
    let looked = world.closed("certificate-shown-expiring").await;
    assert!(looked["alerts"].to_string().contains(&probed), "{looked:#}");
    assert!(shown_until(server.port).await.is_some_and(|end| end > until.as_second()));
}
