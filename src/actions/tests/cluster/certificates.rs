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

async fn mk_certified() -> (World, ActionPlan) {
    let world = mk_world(&[mk_certificate()]).await;
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
