//! `oncall`: who is on call now, or will be at another time.

use clap::Args;
use jiff::Timestamp;

use super::answer::Answer;
use super::failure::Failure;
use super::remote::{Call, Remote, RemoteArgs, read, wait};
use super::terminal::Table;
use super::time;
use crate::http::api::oncall::OnCallList;

const EXAMPLES: &str = "\
Examples:
  Who is on call?
    $ smokejumper oncall
    SCHEDULE  ON CALL  BY        UNTIL                           NEXT
    pss-nano  una      primary   2026-03-02T08:00:00Z (in 29h)   ben
    leads     ben      override  2026-03-01T18:00:00Z (in 15h)   eva

  Who will be on New Year's Eve, in one schedule?
    $ smokejumper oncall pss-nano --at 2026-12-31T23:00:00Z

  Their name alone, for scripts:
    $ smokejumper oncall pss-nano --output json | jq -r '.schedules[0].person'";

/// Show who is on call, by the rotations and overrides of the schedules in force.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct OnCallArgs {
    /// Only this schedule. Default: all that have rotations.
    schedule: Option<String>,
    /// Another time than now, such as `2026-03-01T03:00:00Z`.
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    at: Option<Timestamp>,
    #[command(flatten)]
    remote: RemoteArgs,
}

pub(super) fn run(args: &OnCallArgs) -> Result<Answer, Failure> {
    let remote = Remote::new(&args.remote)?;
    let call =
        Call::get(&["api", "v1", "oncall"]).query("at", args.at).query("schedule", args.schedule.as_ref());
    let json = wait(remote.ask(call))?;
    let list: OnCallList = read(&json)?;
    if list.schedules.is_empty() {
        return Ok(Answer::new("no schedule says who is on call", &json));
    }
    let now = time::now();
    let mut table = Table::new(&["SCHEDULE", "ON CALL", "BY", "UNTIL", "NEXT"]);
    for duty in &list.schedules {
        let by = if duty.is_override { "override" } else { duty.rotation.as_deref().unwrap_or_default() };
        let until = duty.until.as_ref().map(|until| format!("{until} ({})", time::relative_text(until, now)));
        let person = duty.person.as_deref().unwrap_or("nobody");
        let next = match (&duty.until, &duty.next) {
            (None, _) => "",
            (Some(_), None) => "nobody",
            (Some(_), Some(next)) => next,
        };
        table.row([duty.schedule.as_str(), person, by, until.as_deref().unwrap_or_default(), next]);
    }
    Ok(Answer::new(table.show(), &json))
}
