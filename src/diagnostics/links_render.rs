//! `links.render`: links to dashboards, logs and documents, filled in for this incident. Nothing is fetched.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::evidence::{Evidence, Unknown};
use super::{Entry, Moment, Tools, probe};
use crate::domain::catalog::{CheckedParams, DiagnosticKind, ParamsError, no_access};
use crate::domain::timeline::one_line;
use crate::params;

/// Most links; more than these nobody opens.
const LINKS_MAX: usize = 20;

/// Longest title.
const TITLE_BYTES_MAX: usize = 100;

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "links.render",
        summary: "Fills in links to dashboards, logs and documents, for people. Nothing is fetched.",
        fields: &[("links", "The links by their titles."), ("count", "How many there are.")],
        timeout: Duration::from_secs(1),
        check,
        schema: params::schema::<Params>,
        access: no_access,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `links.render`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// URLs by title. Path and query may hold templates, whose values are percent-encoded; the host may not.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 20))]
    links: BTreeMap<String, String>,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { links } = params::read(params)?;
    params::count_within("/links", links.len(), LINKS_MAX, "links")?;
    let mut slots = Vec::new();
    for (title, url) in &links {
        let at = params::pointer(&["links", title]);
        params::text_within(&at, title, TITLE_BYTES_MAX)?;
        slots.push(probe::check_url(&at, url)?);
    }
    Ok(CheckedParams { slots, ..CheckedParams::default() })
}

async fn run(_: &Tools, params: &Value, _: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { links } = params::read(params)?;
    let rows: Vec<String> =
        links.iter().map(|(title, url)| format!("{}: {url}", one_line(title, TITLE_BYTES_MAX))).collect();
    let fields =
        Map::from_iter([("count".to_owned(), json!(links.len())), ("links".to_owned(), json!(links))]);
    Ok(Evidence { fields, text: rows.join("\n"), chart: None })
}
