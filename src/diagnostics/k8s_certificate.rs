//! `k8s.certificate`: a Certificate of cert-manager: whether it is ready, and when it ends.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::evidence::{Evidence, Unknown, clock_time};
use super::k8s::{Scene, ago, checked, fields, need};
use super::{Entry, Moment, Tools, k8s};
use crate::clients::kubernetes::certificate::{self, Issuer, IssuerState};
use crate::clients::kubernetes::{Failure, KubernetesError, Resource};
use crate::domain::catalog::{CheckedParams, DiagnosticKind, ParamsError};
use crate::params;

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "k8s.certificate",
        summary: "Shows a Certificate of cert-manager: whether it is ready, when it ends, and why it is not renewed.",
        fields: &[
            ("exists", "Whether there is one. All other fields are left out where there is none."),
            ("ready", "Whether it is ready."),
            ("reason", "Why it is not. Left out where it is."),
            ("renewing", "Whether it is being issued now."),
            ("not_after", "When it ends."),
            ("expires_seconds", "How long until then; negative once it has ended."),
            ("renewal_time", "When cert-manager means to renew it."),
            ("renewal_overdue", "Whether that time has passed."),
            ("failed_attempts", "How often issuing has failed in a row."),
            ("secret", "Name of the Secret that keeps it."),
            ("issuer", "Who issues it, such as `ClusterIssuer/letsencrypt`."),
            ("issuer_ready", "Whether that issuer is ready. Left out where that cannot be seen."),
            ("issuer_reason", "Why it is not ready. Left out where it is."),
            ("dns_names", "Names that it is for."),
        ],
        timeout: k8s::TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access: |params, _| {
            let certificate = need(params, &Resource::CERTIFICATES, "", &["get"]);
            let issuers = Issuer::RESOURCES.map(|resource| need(params, &resource, "", &["get"]));
            [certificate.named(k8s::text(params, "name"))].into_iter().chain(issuers).collect()
        },
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `k8s.certificate`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Namespace. Default: that of the incident's target. May hold templates.
    namespace: Option<String>,
    /// Name of the Certificate. May hold templates.
    name: String,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { namespace, name } = params::read(params)?;
    checked(&[("namespace", namespace.as_deref()), ("name", Some(&name))], None)
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { namespace, name } = params::read(params)?;
    let scene = Scene::of(tools, moment)?;
    let namespace = scene.namespace(namespace.as_deref())?;
    match scene.reads.get::<Value>(&Resource::CERTIFICATES, Some(&namespace), &name).await {
        Ok(certificate) => {
            let state = match Issuer::of(&certificate) {
                Some(issuer) => Some(issuer.look(scene.reads).await?),
                None => None,
            };
            Ok(evidence(scene, &name, &certificate, state))
        }
        Err(KubernetesError { failure: Failure::NotFound(words), .. }) => {
            // Without cert-manager nobody knows anything of certificates: that is not the same as having none.
            if !words.contains(&name) {
                return Err(Unknown::new(
                    "the cluster has no cert-manager.io/v1 certificates: is cert-manager there?",
                ));
            }
            let text = format!("there is no Certificate {namespace}/{name}");
            Ok(Evidence { fields: fields(json!({"exists": false})), text, chart: None })
        }
        Err(error) => Err(error.into()),
    }
}

fn evidence(
    scene: Scene<'_>,
    name: &str,
    certificate: &Value,
    issuer_state: Option<IssuerState>,
) -> Evidence {
    let at = |pointer: &str| -> Option<Timestamp> { certificate.pointer(pointer)?.as_str()?.parse().ok() };
    let holds = |kind: &str| certificate::holds(certificate, kind);
    let ready = holds("Ready");
    let reason = certificate::condition(certificate, "Ready").filter(|_| !ready).map(certificate::words);
    let reason = reason.or_else(|| (!ready).then(|| "it says nothing of being ready".to_owned()));
    let (not_after, renewal) = (at("/status/notAfter"), at("/status/renewalTime"));
    let expires = not_after.map(|at| at.duration_since(scene.now).as_secs());
    let overdue = renewal.map(|at| at < scene.now);
    let issuer = &certificate["spec"]["issuerRef"];
    let issuer =
        issuer["name"].as_str().map(|name| format!("{}/{name}", issuer["kind"].as_str().unwrap_or("Issuer")));
    let mut lines = vec![match (&reason, holds("Issuing")) {
        (None, false) => format!("Certificate {name} is ready"),
        (None, true) => format!("Certificate {name} is ready and being renewed"),
        (Some(reason), _) => format!("Certificate {name} is not ready: {reason}"),
    }];
    lines.extend(not_after.zip(expires).map(|(at, seconds)| match seconds {
        s if s >= 0 => format!("ends {} (in {})", clock_time(at), ago(s)),
        s => format!("ended {} ({} ago)", clock_time(at), ago(-s)),
    }));
    if overdue == Some(true) {
        lines.push("its renewal is overdue".to_owned());
    }
    let (issuer_ready, issuer_reason) = match issuer_state {
        None => (None, None),
        Some(IssuerState::Ready) => (Some(true), None),
        Some(IssuerState::NotReady(why)) => {
            lines.push(format!("its issuer {} is not ready: {why}", issuer.as_deref().unwrap_or_default()));
            (Some(false), Some(why))
        }
        Some(IssuerState::Unseen(why)) => {
            lines.push(format!("whether its issuer is ready cannot be seen: {why}"));
            (None, None)
        }
    };
    let found = fields(json!({
        "exists": true,
        "ready": ready,
        "reason": reason,
        "renewing": holds("Issuing"),
        "not_after": not_after.map(clock_time),
        "expires_seconds": expires,
        "renewal_time": renewal.map(clock_time),
        "renewal_overdue": overdue,
        "failed_attempts": certificate.pointer("/status/failedIssuanceAttempts").cloned().unwrap_or(json!(0)),
        "secret": certificate.pointer("/spec/secretName"),
        "issuer": issuer,
        "issuer_ready": issuer_ready,
        "issuer_reason": issuer_reason,
        "dns_names": certificate.pointer("/spec/dnsNames"),
    }));
    Evidence { fields: found, text: lines.join("\n"), chart: None }
}
