//! `incidents`: what is wrong now, everything about one incident, and what people say about it.

mod detail;
mod list;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::failure::Failure;
use super::ids;
use super::remote::{Call, Remote, RemoteArgs, read, wait};
use super::terminal;
use super::time::now;
use crate::http::api::shapes::IncidentDetail;
use crate::period::Period;
use list::ListArgs;

const EXAMPLES: &str = "\
Examples:
  What is wrong right now?
    $ smokejumper incidents list
    ID        STATUS     SEV  RULE             TARGET                   STARTED  ESCALATES  …
    6b1f03aa  triggered  P1   high-error-rate  Deployment/pss-nano/api  4m ago   in 56s     …

  Everything about one: evidence, decisions with their reasons, the audit trail:
    $ smokejumper incidents show 6b1f03aa

  Take it, so that nobody else is called:
    $ smokejumper incidents ack 6b1f03aa
    6b1f03aa high-error-rate: acknowledged by una

  For scripts, identities of all open incidents:
    $ smokejumper incidents list --output json | jq -r '.incidents[].id'

An ID may be given whole, or as a part of its beginning or end that leads to one incident.";

/// See, acknowledge, take over, escalate, silence and resolve incidents of a running service.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct IncidentsArgs {
    #[command(subcommand)]
    command: Option<IncidentsCommand>,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(Debug, Subcommand)]
enum IncidentsCommand {
    List(ListArgs),
    /// Show one incident with its evidence, actions and timeline.
    #[command(after_long_help = SHOW_EXAMPLES)]
    Show {
        /// The incident.
        id: String,
    },
    /// Print the record of an incident: what happened, with what evidence, what was decided, and what would prevent it.
    #[command(after_long_help = POSTMORTEM_EXAMPLES)]
    Postmortem {
        /// The incident.
        id: String,
    },
    /// Take an incident: nothing escalates from then on.
    #[command(alias = "acknowledge", after_long_help = ACK_EXAMPLES)]
    Ack {
        /// The incident.
        id: String,
        /// What you are doing about it, for the timeline.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Go on by hand: nothing more is tried, undone or proposed in this incident.
    #[command(after_long_help = TAKE_OVER_EXAMPLES)]
    TakeOver {
        /// The incident.
        id: String,
        /// What you are doing about it, for the timeline.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Call the next level of the escalation now.
    #[command(after_long_help = ESCALATE_EXAMPLES)]
    Escalate {
        /// The incident.
        id: String,
        /// What you need, for those who are called.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Silence the alerts of an incident in Alertmanager, and take the incident until the silence is over.
    #[command(after_long_help = SILENCE_EXAMPLES)]
    Silence {
        /// The incident.
        id: String,
        /// For how long, such as 4h; without it, until the incident is over.
        #[arg(long = "for", value_name = "TIME")]
        lasts: Option<Period>,
        /// Why, for the timeline and for those who see the silence in Alertmanager.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Lift the silence of an incident.
    #[command(after_long_help = UNSILENCE_EXAMPLES)]
    Unsilence {
        /// The incident.
        id: String,
        /// Why, for the timeline.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// End an incident: nothing is tried any more, and everybody who was told hears of it.
    #[command(after_long_help = RESOLVE_EXAMPLES)]
    Resolve {
        /// The incident.
        id: String,
        /// Why, for the timeline.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

const SHOW_EXAMPLES: &str = "\
Examples:
  By the end of its identity, as lists show it:
    $ smokejumper incidents show 6b1f03aa

  Only what was decided, and why:
    $ smokejumper incidents show 6b1f03aa --output json | jq '.actions[] | {remedy, reason}'
    { \"remedy\": \"raise-connection-pool\", \"reason\": \"1 of 1 actions in 15m are used\" }";

const POSTMORTEM_EXAMPLES: &str = "\
Examples:
  The document, as Markdown, for a wiki:
    $ smokejumper incidents postmortem 6b1f03aa > postmortem.md

  The same for programs, such as what would prevent it:
    $ smokejumper incidents postmortem 6b1f03aa --output json | jq -r '.prevention[]'";

const ACK_EXAMPLES: &str = "\
Examples:
  Take an incident under the name that the token belongs to:
    $ smokejumper incidents ack 6b1f03aa
    6b1f03aa high-error-rate: acknowledged by una

  And say what you are doing, for those who read along:
    $ smokejumper incidents ack 6b1f03aa --reason 'looking at the pool'

  Somebody was faster, exit code 1:
    $ smokejumper incidents ack 6b1f03aa
    error: already acknowledged by ben (409 Conflict)";

const TAKE_OVER_EXAMPLES: &str = "\
Examples:
  Work on an incident without the machine doing anything beside you:
    $ smokejumper incidents take-over 6b1f03aa --reason 'moving the database by hand'
    6b1f03aa high-error-rate: taken over by una

  What was changed for a limited time is still set back when that is over; see what and when:
    $ smokejumper actions temporary";

const ESCALATE_EXAMPLES: &str = "\
Examples:
  Get help, also after you have taken the incident; somebody has to acknowledge again:
    $ smokejumper incidents escalate 6b1f03aa --reason 'I need the database team'
    6b1f03aa high-error-rate: triggered

  See who was told:
    $ smokejumper incidents show 6b1f03aa --output json | jq -r '.timeline[-1].text'
    lead is told: slack:#leads";

const SILENCE_EXAMPLES: &str = "\
Examples:
  Be left in peace while you work on it, and be called again when it still fires then:
    $ smokejumper incidents silence 6b1f03aa --for 4h --reason 'moving the database'
    6b1f03aa high-error-rate: acknowledged by una, silenced by una until 2026-11-21T12:00:00Z

  Until it is over, whenever that is:
    $ smokejumper incidents silence 6b1f03aa
    6b1f03aa high-error-rate: acknowledged by una, silenced by una until it is resolved

Exactly the alerts that fire now are silenced, each with all of its labels.";

const UNSILENCE_EXAMPLES: &str = "\
Examples:
  Hear of it again; the incident stays with whoever has it:
    $ smokejumper incidents unsilence 6b1f03aa
    6b1f03aa high-error-rate: acknowledged by una

  See what became of the silence:
    $ smokejumper incidents show 6b1f03aa --output json | jq -r '.timeline[-1].text'
    its silence in Alertmanager is ended";

const RESOLVE_EXAMPLES: &str = "\
Examples:
  End an incident and say why:
    $ smokejumper incidents resolve 6b1f03aa --reason 'false alarm: load test'
    6b1f03aa high-error-rate: resolved

  Take the id from the list, for the only open incident of a rule:
    $ smokejumper incidents resolve $(smokejumper incidents list --output json \\
        | jq -r '.incidents[] | select(.rule == \"disk-space\") | .id')";

pub(super) fn run(args: IncidentsArgs) -> Result<Answer, Failure> {
    let remote = Remote::new(&args.remote)?;
    wait(async {
        match args.command.unwrap_or_else(|| IncidentsCommand::List(ListArgs::default())) {
            IncidentsCommand::List(args) => list::run(&remote, args).await,
            IncidentsCommand::Show { id } => show(&remote, &id).await,
            IncidentsCommand::Postmortem { id } => postmortem(&remote, &id).await,
            IncidentsCommand::Ack { id, reason } => tell(&remote, &id, "acknowledge", reason).await,
            IncidentsCommand::TakeOver { id, reason } => tell(&remote, &id, "take-over", reason).await,
            IncidentsCommand::Escalate { id, reason } => tell(&remote, &id, "escalate", reason).await,
            IncidentsCommand::Silence { id, lasts, reason } => silence(&remote, &id, lasts, reason).await,
            IncidentsCommand::Unsilence { id, reason } => tell(&remote, &id, "unsilence", reason).await,
            IncidentsCommand::Resolve { id, reason } => tell(&remote, &id, "resolve", reason).await,
        }
    })
}

async fn show(remote: &Remote, id: &str) -> Result<Answer, Failure> {
    let id = ids::whole(remote, id).await?;
    let json = remote.ask(Call::get(&["api", "v1", "incidents", &id])).await?;
    let incident: IncidentDetail = read(&json)?;
    Ok(Answer::new(detail::page(&incident, now()), &json))
}

async fn postmortem(remote: &Remote, id: &str) -> Result<Answer, Failure> {
    let id = ids::whole(remote, id).await?;
    let json = remote.ask(Call::get(&["api", "v1", "incidents", &id, "postmortem"])).await?;
    let document = json["markdown"].as_str().unwrap_or_default();
    Ok(Answer::new(terminal::block(document, ""), &json))
}

async fn tell(remote: &Remote, id: &str, verb: &str, reason: Option<String>) -> Result<Answer, Failure> {
    let body = reason.map(|reason| json!({ "reason": reason }));
    say(remote, id, verb, body).await
}

async fn silence(
    remote: &Remote,
    id: &str,
    lasts: Option<Period>,
    reason: Option<String>,
) -> Result<Answer, Failure> {
    let mut body = Map::new();
    body.extend(lasts.map(|lasts| ("for".to_owned(), json!(lasts))));
    body.extend(reason.map(|reason| ("reason".to_owned(), json!(reason))));
    say(remote, id, "silence", Some(Value::Object(body))).await
}

async fn say(remote: &Remote, id: &str, verb: &str, body: Option<Value>) -> Result<Answer, Failure> {
    let id = ids::whole(remote, id).await?;
    let path = ["api", "v1", "incidents", &id, verb];
    let call = Call::post(&path);
    let call = match &body {
        Some(body) => call.json(body),
        None => call,
    };
    let json = remote.ask(call).await?;
    let incident: IncidentDetail = read(&json)?;
    Ok(Answer::new(detail::headline(&incident), &json))
}
