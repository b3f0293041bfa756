//! `cert.renew`.

use super::*;

pub(super) fn mk_certificate() -> Value {
    json!({
        "apiVersion": "cert-manager.io/v1", "kind": "Certificate",
        "metadata": {"name": "shop-tls", "namespace": "prod"},
        "spec": {"secretName": "shop-tls", "dnsNames": ["shop.example.com"], "issuerRef": {"name": "ca"}},
        "status": {
            "revision": 3, "notAfter": "2026-11-30T00:00:00Z",
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "Ready"},
                {"type": "Issuing", "status": "False", "reason": "Failed"},
            ],
        },
    })
}

fn certificate(world: &World) -> Value {
    world.cluster.get("certificates", "prod", "shop-tls").expect("it is there")
}

/// The issuer that the Certificate names, in one of both kinds, ready or not.
pub(super) fn mk_issuer(kind: &str, ready: &str) -> Value {
    let reason = if ready == "True" { "ACMEAccountRegistered" } else { "ErrRegisterACMEAccount" };
    let mut issuer = json!({
        "apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": {"name": "ca"}, "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": ready, "reason": reason, "message": "the account"}]},
    });
    if kind == "Issuer" {
        issuer["metadata"]["namespace"] = json!("prod");
    }
    issuer
}

async fn mk_certified() -> (World, ActionPlan) {
    let world = mk_world(&[mk_certificate(), mk_issuer("Issuer", "True")]).await;
    let draft = draft("cert.renew", json!({"name": "shop-tls"}));
    assert_eq!(draft.target, "Certificate/prod/shop-tls");
    let surveyed = world.survey(&draft).await;
    assert_eq!((surveyed.tier_floor, world.effects()), (Tier::T2, vec![]));
    (world, surveyed.plan)
}

#[tokio::test]
async fn a_certificate_is_issued_anew_by_its_status_and_keeps_its_secret() {
    let (world, plan) = mk_certified().await;
    applied(world.act(&plan).await);
    let [write] = &world.effects()[..] else { panic!("one write") };
    assert_eq!((write.verb.as_str(), write.resource.as_str()), ("patch", "certificates/status"));
    let conditions = certificate(&world)["status"]["conditions"].clone();
    assert_eq!(conditions.as_array().map(Vec::len), Some(2));
    assert_eq!(
        (&conditions[0]["type"], &conditions[1]["reason"]),
        (&json!("Ready"), &json!("ManuallyTriggered"))
    );
    assert_eq!(certificate(&world)["spec"], mk_certificate()["spec"]);
    applied(world.look_back(&plan).await);
    let again = draft("cert.renew", json!({"name": "shop-tls"}));
    assert!(world.nothing(&again).await.contains("being issued already"));
}

#[tokio::test]
async fn a_certificate_that_was_renewed_since_is_left_alone() {
    let (world, plan) = mk_certified().await;
    world.change("certificates", "shop-tls", "/status/revision", json!(4));
    let reason = not_applied(world.act(&plan).await);
    assert!(reason.contains("issued since this was planned"), "{reason}");
    assert_eq!(world.effects(), []);
}

#[tokio::test]
async fn an_unclear_end_is_looked_up() {
    for (fault, written) in [
        (Fault::dropped().after_effect(), true),
        (Fault::dropped(), false),
        (Fault::vendor_error("Forbidden"), false),
    ] {
        let (world, plan) = mk_certified().await;
        world.cluster.faults().next("patch certificates/status", fault);
        let outcome = world.act(&plan).await;
        assert_eq!(matches!(outcome, ActionOutcome::Applied { .. }), written, "{outcome:?}");
        assert_eq!(world.effects().len(), usize::from(written));
    }
}

#[tokio::test]
async fn an_issuance_that_failed_at_once_is_seen_and_not_wished_again() {
    let (world, plan) = mk_certified().await;
    world.cluster.faults().next("patch certificates/status", Fault::dropped().after_effect());
    applied(world.act(&plan).await);
    // The issuer says no at once: the condition goes back, and only the failure tells of it.
    world.change("certificates", "shop-tls", "/status", json!({
        "revision": 3, "notAfter": "2026-11-30T00:00:00Z",
        "lastFailureTime": "2026-11-21T12:00:03Z", "failedIssuanceAttempts": 1,
        "conditions": [{"type": "Issuing", "status": "False", "reason": "Denied", "message": "the policy forbids it"}],
    }));
    let reason = failed(world.look_back(&plan).await);
    assert!(reason.ends_with("and that failed: Denied the policy forbids it"), "{reason}");
    let reason = not_applied(world.act(&plan).await);
    assert!(reason.contains("since this was planned, and failed: Denied"), "{reason}");
    assert_eq!(world.effects().len(), 1);
    // A failure from before the plan says nothing about it.
    let plan = world.survey(&draft("cert.renew", json!({"name": "shop-tls"}))).await.plan;
    not_applied(world.look_back(&plan).await);
    applied(world.act(&plan).await);
    assert_eq!(world.effects().len(), 2);
}

#[tokio::test]
async fn nothing_is_wished_of_an_issuer_that_cannot_issue() {
    for kind in ["Issuer", "ClusterIssuer"] {
        let mut certificate = mk_certificate();
        certificate["spec"]["issuerRef"]["kind"] = json!(kind);
        let world = mk_world(&[certificate, mk_issuer(kind, "False")]).await;
        let draft = draft("cert.renew", json!({"name": "shop-tls"}));
        let refusal = world.refusal(&draft).await;
        let why = format!(
            "{kind}/ca, which issues Certificate prod/shop-tls, is not ready: ErrRegisterACMEAccount"
        );
        assert!(refusal.starts_with(&why), "{refusal}");
        world.cluster.put(mk_issuer(kind, "True")).expect("an object that is played");
        world.survey(&draft).await;
        let plural = if kind == "Issuer" { "get issuers" } else { "get clusterissuers" };
        world.cluster.faults().next(plural, Fault::vendor_error("Forbidden"));
        let notes = world.survey(&draft).await.notes;
        assert!(notes.iter().any(|note| note.contains("is ready could not be seen")), "{notes:?}");
        world.cluster.remove(
            if kind == "Issuer" { "issuers" } else { "clusterissuers" },
            if kind == "Issuer" { "prod" } else { "" },
            "ca",
        );
        assert!(world.refusal(&draft).await.contains("there is none of that name"));
    }
    // What others bring to issue is not ours to look at.
    let mut certificate = mk_certificate();
    certificate["spec"]["issuerRef"] =
        json!({"group": "awspca.cert-manager.io", "kind": "AWSPCAIssuer", "name": "x"});
    let world = mk_world(&[certificate]).await;
    world.survey(&draft("cert.renew", json!({"name": "shop-tls"}))).await;
}
