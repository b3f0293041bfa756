//! `incidents list`: one page of incidents, newest first.

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use crate::cli::answer::Answer;
use crate::cli::failure::Failure;
use crate::cli::ids;
use crate::cli::remote::{Call, Remote, read};
use crate::cli::terminal::Table;
use crate::cli::time::{now, relative_text};
use crate::http::api::incidents::IncidentPage;
use crate::http::api::shapes::IncidentSummary;

const EXAMPLES: &str = "\
Examples:
  What is wrong right now:
    $ smokejumper incidents list
    ID        STATUS     SEV  RULE             TARGET                   STARTED  ESCALATES  …
    6b1f03aa  triggered  P1   high-error-rate  Deployment/pss-nano/api  4m ago   in 56s     …

  The last five of all, ended ones included:
    $ smokejumper incidents list --status all --limit 5

  The page after that, with the cursor that the page before ended with:
    $ smokejumper incidents list --status all --limit 5 --cursor 019532f0a1b27c3d8e4f00006b1f03aa";

/// Incidents on a page, where nothing else is said. The most is 500.
const LIMIT_DEFAULT: u32 = 50;

/// List incidents, newest first.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ListArgs {
    /// Which incidents, by their status.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "open", value_name = "STATUS")]
    status: Vec<Status>,
    /// Most incidents to list, 1 to 500.
    #[arg(long, default_value_t = LIMIT_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// Go on after this incident, which ended the page before.
    #[arg(long, value_name = "ID")]
    cursor: Option<String>,
}

impl Default for ListArgs {
    fn default() -> Self {
        Self { status: vec![Status::Open], limit: LIMIT_DEFAULT, cursor: None }
    }
}

/// Which incidents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Status {
    /// Triggered and acknowledged ones.
    Open,
    /// Nobody has taken it.
    Triggered,
    /// Somebody has taken it.
    Acknowledged,
    /// It is over.
    Resolved,
    /// All of them.
    All,
}

pub(super) async fn run(remote: &Remote, args: ListArgs) -> Result<Answer, Failure> {
    let path = ["api", "v1", "incidents"];
    let call = Call::get(&path)
        .query("status", words(&args.status))
        .query("limit", Some(args.limit))
        .query("cursor", args.cursor);
    let json = remote.ask(call).await?;
    let page: IncidentPage = read(&json)?;
    Ok(Answer::new(table(&page, &args.status, now()), &json))
}

/// The statuses as the API takes them; none for all.
fn words(statuses: &[Status]) -> Option<String> {
    if statuses.contains(&Status::All) {
        return None;
    }
    let names: Vec<String> = statuses
        .iter()
        .filter_map(|status| Some(status.to_possible_value()?.get_name().to_owned()))
        .collect();
    Some(names.join(","))
}

fn table(page: &IncidentPage, statuses: &[Status], now: Timestamp) -> String {
    if page.incidents.is_empty() {
        return match words(statuses) {
            Some(words) => format!("no incidents are {}", words.replace(',', " or ")),
            None => "there are no incidents".to_owned(),
        };
    }
    let mut table =
        Table::new(&["ID", "STATUS", "SEV", "RULE", "TARGET", "STARTED", "ESCALATES", "ALERTS", "SUMMARY"]);
    for incident in &page.incidents {
        add(&mut table, incident, now);
    }
    let mut text = table.show();
    if let Some(cursor) = &page.next_cursor {
        text.push_str(&format!("there are more: --cursor {cursor}"));
    }
    text
}

fn add(table: &mut Table, incident: &IncidentSummary, now: Timestamp) {
    let escalates = incident.next_escalation_at.as_ref().map(|at| relative_text(at, now));
    let rule = if incident.mode.is_shadow() { " (in shadow)" } else { "" };
    let rule = format!("{}{rule}", incident.rule);
    table.row([
        ids::short(&incident.id).as_str(),
        &incident.status,
        &incident.severity,
        &rule,
        incident.target.as_deref().unwrap_or_default(),
        &relative_text(&incident.started_at, now),
        escalates.as_deref().unwrap_or_default(),
        &format!("{}/{}", incident.alerts_firing, incident.alerts_total),
        &incident.summary,
    ]);
}
