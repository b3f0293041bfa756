//! Certificates of cert-manager: one that is asked for is issued after a while, with a request as its trace.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::super::change;
use super::super::events;
use super::super::json::{count, is_deleting, is_true, items, name, namespace, set, stamp, text, time};
use super::super::resource::{CERTIFICATE_REQUESTS, CERTIFICATES};
use super::super::store::World;
use super::owner_reference;

/// From the wish to the new certificate.
const ISSUING_TAKES: SignedDuration = SignedDuration::from_secs(5);
/// How long a certificate is good, unless it says otherwise.
const GOOD_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);

pub(super) fn sync(world: &mut World) {
    for certificate in world.all(&CERTIFICATES) {
        if is_true(&certificate, "Issuing") && !is_deleting(&certificate) {
            issue(world, &certificate);
        }
    }
}

fn issue(world: &mut World, certificate: &Value) {
    let revision = count(certificate, "/status/revision") + 1;
    let request = format!("{}-{revision}", name(certificate));
    if world.find(&CERTIFICATE_REQUESTS, namespace(certificate), &request).is_none() {
        let made = json!({
            "metadata": {
                "namespace": namespace(certificate),
                "name": request,
                "annotations": { "cert-manager.io/certificate-revision": revision.to_string() },
                "ownerReferences": owner_reference(certificate),
            },
            "spec": { "issuerRef": certificate["spec"]["issuerRef"] },
            "status": {},
        });
        change::insert(world, &CERTIFICATE_REQUESTS, made);
    }
    let made = world.find(&CERTIFICATE_REQUESTS, namespace(certificate), &request);
    let since = made.and_then(|made| time(&made, "/metadata/creationTimestamp")).unwrap_or(world.now);
    let due = since.checked_add(ISSUING_TAKES).unwrap_or(since);
    if due > world.now {
        return world.play.wake_at(due);
    }
    let mut after = certificate.clone();
    let mut conditions = items(certificate, "/status/conditions").to_vec();
    conditions.retain(|has| !matches!(text(has, "/type"), "Issuing" | "Ready"));
    let now = stamp(world.now);
    conditions.push(json!({
        "type": "Ready", "status": "True", "reason": "Ready", "lastTransitionTime": now,
        "message": "Certificate is up to date and has not expired",
    }));
    set(&mut after, "/status/conditions", conditions);
    set(&mut after, "/status/revision", revision);
    set(&mut after, "/status/notBefore", now);
    // Renewed when a third of its time is left.
    for (field, by) in [("notAfter", GOOD_FOR), ("renewalTime", GOOD_FOR * 2 / 3)] {
        let at = world.now.checked_add(by).unwrap_or(world.now);
        set(&mut after, &format!("/status/{field}"), stamp(at));
    }
    let after = world.save(&CERTIFICATES, after);
    let message = "The certificate has been successfully issued";
    events::normal(world, &after, "cert-manager-certificates-issuing", "Issuing", message);
}
