//! `actions`: what waits for people, and their decisions.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use super::answer::Answer;
use super::failure::Failure;
use super::ids;
use super::remote::{Call, Remote, RemoteArgs, read, wait};
use super::terminal::{Table, line};
use super::time::{now, relative_text};
use crate::http::api::actions::ActionList;
use crate::http::api::shapes::{ActionShape, IncidentDetail};
use crate::http::api::temporary::TemporaryList;

/// The status of actions that wait for people, in the words of the API.
const WAITING: &str = "awaiting_approval";

const EXAMPLES: &str = "\
Examples:
  What waits for an approval?
    $ smokejumper actions list
    ID           STATUS             TIER  REMEDY                 …
    6b1f03aa-a1  awaiting_approval  T2    raise-connection-pool  …

  Let it run, and say why:
    $ smokejumper actions approve 6b1f03aa-a1 --reason 'pool is exhausted'
    6b1f03aa-a1 raise-connection-pool: running

  Refuse it; people then go on by hand:
    $ smokejumper actions reject 6b1f03aa-a1 --reason 'failover under way'

An ID may be given whole, or with a part of the incident's identity, as lists show it.";

/// See what waits for an approval, and approve or reject it.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ActionsArgs {
    #[command(subcommand)]
    command: Option<ActionsCommand>,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(Debug, Subcommand)]
enum ActionsCommand {
    /// List actions of open incidents. Default: those that wait for an approval.
    #[command(after_long_help = LIST_EXAMPLES)]
    List {
        /// Only actions of this status, such as blocked, running, succeeded, failed, outcome_unknown; `all` for all.
        #[arg(long, default_value = WAITING, value_name = "STATUS")]
        status: String,
    },
    /// List changes for a limited time that stand, whether their incident is open or not.
    #[command(after_long_help = TEMPORARY_EXAMPLES)]
    Temporary,
    /// Approve an action. The guardrails are judged again before it starts.
    #[command(after_long_help = APPROVE_EXAMPLES)]
    Approve(DecisionArgs),
    /// Reject an action. It is not proposed again in this incident.
    #[command(after_long_help = REJECT_EXAMPLES)]
    Reject(DecisionArgs),
}

#[derive(Debug, Args)]
struct DecisionArgs {
    /// The action.
    id: String,
    /// Why, for the timeline.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Digest of the plan that you saw: the decision then counts for no other.
    #[arg(long, value_name = "HEX")]
    digest: Option<String>,
}

const LIST_EXAMPLES: &str = "\
Examples:
  What waits for an approval:
    $ smokejumper actions list
    ID           STATUS             TIER  REMEDY                 …
    6b1f03aa-a1  awaiting_approval  T2    raise-connection-pool  …

  What was stopped by a guardrail, and by which:
    $ smokejumper actions list --status blocked

  All of them, for scripts:
    $ smokejumper actions list --status all --output json | jq -r '.actions[].digest'";

const TEMPORARY_EXAMPLES: &str = "\
Examples:
  What stands only for a while, and when is it set back?
    $ smokejumper actions temporary
    ID           TARGET                   WHAT         SET BACK  HOW
    6b1f03aa-a1  Deployment/pss-nano/api  set MAX=50…  in 3h     set MAX=20…

  When is which of them set back, for scripts?
    $ smokejumper actions temporary --output json | jq -r '.temporary[].until'";

const APPROVE_EXAMPLES: &str = "\
Examples:
  Approve by the identity that `actions list` shows:
    $ smokejumper actions approve 6b1f03aa-a1
    6b1f03aa-a1 raise-connection-pool: running

  Approve exactly the plan that was reviewed:
    $ smokejumper actions approve 6b1f03aa-a1 --digest 4be1c2…

  A T3 action waits for a second person:
    $ smokejumper actions approve 77c0d2ee-a2
    77c0d2ee-a2 fail-over: awaiting_approval (una: approved)";

const REJECT_EXAMPLES: &str = "\
Examples:
  Reject and say why; the reason stands in the timeline and in Slack:
    $ smokejumper actions reject 6b1f03aa-a1 --reason 'failover under way'
    6b1f03aa-a1 raise-connection-pool: rejected

  Somebody was faster, exit code 1:
    $ smokejumper actions reject 6b1f03aa-a1
    error: already approved by ben (409 Conflict)";

pub(super) fn run(args: ActionsArgs) -> Result<Answer, Failure> {
    let remote = Remote::new(&args.remote)?;
    let list = || ActionsCommand::List { status: WAITING.to_owned() };
    wait(async {
        match args.command.unwrap_or_else(list) {
            ActionsCommand::List { status } => self::list(&remote, &status).await,
            ActionsCommand::Temporary => temporary(&remote).await,
            ActionsCommand::Approve(args) => decide(&remote, args, "approve").await,
            ActionsCommand::Reject(args) => decide(&remote, args, "reject").await,
        }
    })
}

async fn list(remote: &Remote, status: &str) -> Result<Answer, Failure> {
    let path = ["api", "v1", "actions"];
    let json =
        remote.ask(Call::get(&path).query("status", Some(status).filter(|status| *status != "all"))).await?;
    let list: ActionList = read(&json)?;
    let text = if list.actions.is_empty() {
        match status {
            "all" => "no open incident has an action".to_owned(),
            status => format!("no action of an open incident is {}", line(status)),
        }
    } else {
        table(list.actions.iter().map(|listed| &listed.action), now())
    };
    let text = if list.more {
        format!(
            "{text}\nThere are more than one answer takes: smokejumper incidents lists the others by incident."
        )
    } else {
        text
    };
    Ok(Answer::new(text, &json))
}

async fn temporary(remote: &Remote) -> Result<Answer, Failure> {
    let json = remote.ask(Call::get(&["api", "v1", "temporary"])).await?;
    let list: TemporaryList = read(&json)?;
    if list.temporary.is_empty() {
        return Ok(Answer::new("nothing stands for a limited time".to_owned(), &json));
    }
    let now = now();
    let mut table = Table::new(&["ID", "TARGET", "WHAT", "SET BACK", "HOW"]);
    for fix in &list.temporary {
        table.row([
            ids::short(&fix.action).as_str(),
            &fix.target,
            &fix.summary,
            &relative_text(&fix.until, now),
            &fix.restores,
        ]);
    }
    let mut text = table.show();
    if list.more {
        text += "\nThere are more than one answer takes; these are the first to be set back.";
    }
    Ok(Answer::new(text, &json))
}

/// Actions as a table, with the reason why each stands where it stands.
pub(super) fn table<'a>(actions: impl Iterator<Item = &'a ActionShape>, now: Timestamp) -> String {
    let mut table = Table::new(&["ID", "STATUS", "TIER", "REMEDY", "WHAT", "EXPIRES", "WHY"]);
    for action in actions {
        let waits = action.status == WAITING;
        let expires = action.approval_expires_at.as_ref().filter(|_| waits).map(|at| relative_text(at, now));
        table.row([
            ids::short(&action.id).as_str(),
            &action.status,
            &action.tier,
            &action.remedy,
            &action.summary,
            expires.as_deref().unwrap_or_default(),
            &action.reason,
        ]);
    }
    table.show()
}

async fn decide(remote: &Remote, args: DecisionArgs, verb: &str) -> Result<Answer, Failure> {
    let id = ids::whole(remote, &args.id).await?;
    let path = ["api", "v1", "actions", &id, verb];
    let call = Call::post(&path).query("digest", args.digest);
    let call = match args.reason {
        Some(reason) => call.json(&json!({ "reason": reason })),
        None => call,
    };
    let json = remote.ask(call).await?;
    let incident: IncidentDetail = read(&json)?;
    let text = match incident.actions.iter().find(|action| action.id == id) {
        Some(action) => outcome(action),
        None => format!("{}: done", ids::short(&id)),
    };
    Ok(Answer::new(text, &json))
}

fn outcome(action: &ActionShape) -> String {
    let so_far = if action.status == WAITING && !action.approvals.is_empty() {
        format!(" ({})", line(&action.approvals.join(", ")))
    } else {
        String::new()
    };
    format!("{} {}: {}{so_far}", ids::short(&action.id), line(&action.remedy), line(&action.status))
}
