//! `pause` and `resume`: the kill switch. It stops actions, never messages, and only a person lifts it.

use clap::Args;
use serde_json::{Value, json};

use super::answer::Answer;
use super::failure::Failure;
use super::remote::{Call, Remote, RemoteArgs, read, wait};
use super::terminal::Table;
use super::time::{now, relative_text};
use crate::domain::dns::is_dns_label;
use crate::http::api::pause::PauseList;

/// Where the switch is.
const PATH: [&str; 3] = ["api", "v1", "pause"];

const PAUSE_EXAMPLES: &str = "\
Examples:
  Stop every action at once; people are still told:
    $ smokejumper pause --reason 'deploying by hand'
    SCOPE       BY   SINCE   REASON
    everything  una  now     deploying by hand

  Stop actions in one namespace only:
    $ smokejumper pause --namespace pss-nano --reason 'database fail-over'

  See what is paused, without changing it:
    $ smokejumper pause --show
    nothing is paused

A pause stays in force over restarts until `smokejumper resume`. It takes a token with the role
admin.";

const RESUME_EXAMPLES: &str = "\
Examples:
  Lift the pause of everything:
    $ smokejumper resume
    nothing is paused

  Lift the pause of one namespace; others stay:
    $ smokejumper resume --namespace pss-nano
    SCOPE       BY   SINCE   REASON
    everything  una  2h ago  deploying by hand";

/// Stop every automatic action, of one namespace or of all, until somebody resumes.
#[derive(Debug, Args)]
#[command(after_long_help = PAUSE_EXAMPLES)]
pub(super) struct PauseArgs {
    /// Why, for everybody who wonders.
    #[arg(long, value_name = "TEXT", required_unless_present = "show")]
    reason: Option<String>,
    /// Only this namespace. Default: everything.
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Only show what is paused.
    #[arg(long, conflicts_with_all = ["reason", "namespace"])]
    show: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Lift a pause, so that actions may start again.
#[derive(Debug, Args)]
#[command(after_long_help = RESUME_EXAMPLES)]
pub(super) struct ResumeArgs {
    /// Only this namespace. Default: the pause of everything.
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    #[command(flatten)]
    remote: RemoteArgs,
}

pub(super) fn pause(args: &PauseArgs) -> Result<Answer, Failure> {
    let remote = Remote::new(&args.remote)?;
    if args.show {
        return answer(&wait(remote.ask(Call::get(&PATH)))?);
    }
    if let Some(name) = args.namespace.as_deref().filter(|name| !is_dns_label(name)) {
        return Err(Failure::usage(format!("{name:?} is no name of a namespace: it would pause nothing")));
    }
    let body = json!({ "paused": true, "namespace": args.namespace, "reason": args.reason });
    answer(&wait(remote.ask(Call::put(&PATH).json(&body)))?)
}

pub(super) fn resume(args: &ResumeArgs) -> Result<Answer, Failure> {
    let remote = Remote::new(&args.remote)?;
    let body = json!({ "paused": false, "namespace": args.namespace });
    answer(&wait(remote.ask(Call::put(&PATH).json(&body)))?)
}

fn answer(json: &Value) -> Result<Answer, Failure> {
    let list: PauseList = read(json)?;
    if list.pauses.is_empty() {
        return Ok(Answer::new("nothing is paused", json));
    }
    let now = now();
    let mut table = Table::new(&["SCOPE", "BY", "SINCE", "REASON"]);
    for pause in &list.pauses {
        let scope =
            pause.namespace.as_ref().map_or("everything".to_owned(), |name| format!("namespace {name}"));
        table.row([scope.as_str(), &pause.by, &relative_text(&pause.since, now), &pause.reason]);
    }
    Ok(Answer::new(table.show(), json))
}
