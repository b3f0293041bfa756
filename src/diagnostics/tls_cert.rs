//! `tls.cert`: the certificate that a server shows: for whom, until when, and whether this machine trusts it.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::evidence::{Evidence, Unknown, clock_time};
use super::k8s::{ago, fields};
use super::{Entry, Moment, Tools};
use crate::clients::tls::{Shown, TlsError, TlsTarget, certificate};
use crate::domain::catalog::{CheckedParams, DiagnosticKind, ParamsError, no_access};
use crate::domain::timeline::one_line;
use crate::params;

/// Longest time for one look.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Kept back from the diagnostic's time, so that the better error comes first.
const ERROR_MARGIN: Duration = Duration::from_millis(250);

/// Characters of a name that are kept.
const NAME_CHARS_MAX: usize = 200;

/// Names of a certificate that are kept.
const NAMES_MAX: usize = 100;

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "tls.cert",
        summary: "Shakes hands with a server and looks at the certificate that it shows. Nothing else is sent.",
        fields: &[
            (
                "reachable",
                "Whether it showed a certificate. All fields but `error` are left out where it did not.",
            ),
            ("error", "Why it showed none. Left out where it did."),
            ("not_before", "From when it is valid."),
            ("not_after", "Until when it is valid."),
            ("expires_seconds", "How long until then; negative once it has ended."),
            ("expired", "Whether it has ended."),
            ("trusted", "Whether this machine trusts it for that name, now."),
            ("problem", "Why it does not. Left out where it does."),
            ("self_signed", "Whether it names itself as its authority."),
            ("subject", "For whom it is."),
            ("issuer", "Who issued it."),
            ("serial", "Its number."),
            ("dns_names", "Names and addresses that it is for."),
            ("chain", "How many certificates were shown."),
            ("chain_expires_seconds", "How long until the first of all that were shown ends."),
        ],
        timeout: TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access: no_access,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `tls.cert`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Name or address of the server. No templates: a label must not choose it.
    #[schemars(length(min = 1, max = 253))]
    host: String,
    /// Its port. Default: 443.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    port: u16,
    /// Name that the certificate must be for. Default: `host`. No templates.
    #[schemars(length(min = 1, max = 253))]
    server_name: Option<String>,
}

fn default_port() -> u16 {
    443
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { host, port, server_name } = params::read(params)?;
    if port == 0 {
        return Err(ParamsError::at("/port", "0 is no port of a server"));
    }
    for (pointer, name) in [("/host", Some(&host)), ("/server_name", server_name.as_ref())] {
        let Some(name) = name else { continue };
        params::text_within(pointer, name, 253)?;
        if params::is_template(name) {
            return Err(ParamsError::at(
                pointer,
                "a host must stand in the rule: a label must not choose it",
            ));
        }
        if rustls_pki_types::ServerName::try_from(name.as_str()).is_err() {
            return Err(ParamsError::at(
                pointer,
                "this is neither a name nor an address: write no scheme and no port",
            ));
        }
    }
    Ok(CheckedParams::default())
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { host, port, server_name } = params::read(params)?;
    let target = TlsTarget {
        host: &host,
        port,
        server_name: server_name.as_deref().unwrap_or(&host),
        loopback: tools.probe_loopback,
        timeout: moment.timeout.saturating_sub(ERROR_MARGIN).max(ERROR_MARGIN),
    };
    match certificate(&target).await {
        Ok(shown) => evidence(&format!("{host}:{port}"), &shown, moment.now),
        Err(TlsError::Down(why)) => {
            let text = format!("{host}:{port}: {why}");
            let mut fields = Map::new();
            fields.insert("reachable".to_owned(), json!(false));
            fields.insert("error".to_owned(), json!(text));
            Ok(Evidence { fields, text, chart: None })
        }
        Err(TlsError::Setup(why)) => Err(Unknown::new(format!("{host}:{port}: {why}"))),
    }
}

fn evidence(place: &str, shown: &Shown, now: Timestamp) -> Result<Evidence, Unknown> {
    let mut certificates = Vec::new();
    for der in &shown.chain {
        let (_, certificate) = X509Certificate::from_der(der)
            .map_err(|error| Unknown::new(format!("{place}: this is no certificate: {error}")))?;
        certificates.push(certificate);
    }
    let own = certificates.first().ok_or_else(|| Unknown::new(format!("{place} showed no certificate")))?;
    let end = |certificate: &X509Certificate<'_>| certificate.validity().not_after.timestamp();
    let until = |seconds: i64| seconds - now.as_second();
    let (subject, issuer) = (name(&own.subject().to_string()), name(&own.issuer().to_string()));
    let expires = until(end(own));
    let first_end = certificates.iter().map(end).min().map(until);
    let at = |seconds: i64| Timestamp::from_second(seconds).ok().map(clock_time);
    let dns_names = dns_names(own);
    let when = at(end(own)).unwrap_or_default();
    let mut lines = vec![match expires {
        seconds if seconds >= 0 => format!("{place}: {subject} ends {when} (in {})", ago(seconds)),
        seconds => format!("{place}: {subject} ended {when} ({} ago)", ago(-seconds)),
    }];
    lines.push(format!("issued by {issuer}, for {}", dns_names.join(", ")));
    if let Some(problem) = &shown.problem {
        lines.push(format!("not trusted: {problem}"));
    }
    if let Some(first) = first_end.filter(|first| *first < expires) {
        lines.push(format!("a certificate of its chain ends earlier, in {}", ago(first.max(0))));
    }
    let found = fields(json!({
        "reachable": true,
        "not_before": at(own.validity().not_before.timestamp()),
        "not_after": at(end(own)),
        "expires_seconds": expires,
        "expired": expires < 0,
        "trusted": shown.problem.is_none(),
        "problem": shown.problem,
        "self_signed": subject == issuer,
        "subject": subject,
        "issuer": issuer,
        "serial": own.raw_serial_as_string(),
        "dns_names": dns_names,
        "chain": certificates.len(),
        "chain_expires_seconds": first_end,
    }));
    Ok(Evidence { fields: found, text: lines.join("\n"), chart: None })
}

fn name(text: &str) -> String {
    one_line(text, NAME_CHARS_MAX)
}

fn dns_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    let shown = names.iter().filter_map(|one| match one {
        GeneralName::DNSName(text) => Some(name(text)),
        GeneralName::IPAddress(bytes) => match *bytes {
            [a, b, c, d] => Some(std::net::Ipv4Addr::new(*a, *b, *c, *d).to_string()),
            bytes => {
                <[u8; 16]>::try_from(bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string())
            }
        },
        _ => None,
    });
    shown.take(NAMES_MAX).collect()
}
