//! `checks`: scheduled checks, when they run next, and what they found last.

use clap::{Args, Subcommand};

use super::answer::Answer;
use super::failure::Failure;
use super::remote::{Call, Remote, RemoteArgs, read, wait};
use super::terminal::{Table, block, line};
use super::time::{now, relative_text};
use crate::http::api::checks::{CheckList, CheckShape};

const EXAMPLES: &str = "\
Examples:
  What is checked when, and how was it last?
    $ smokejumper checks list
    CHECK            SCHEDULE   TIME ZONE      NEXT    LAST            RAN
    hsc-jit-morning  0 9 * * *  Europe/Berlin  in 17h  1 red, 5 green  7h ago

  Every item of one:
    $ smokejumper checks show hsc-jit-morning

  Run one now; its report goes where it always goes:
    $ smokejumper checks run hsc-jit-morning";

/// See and run the scheduled checks of a running service.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ChecksArgs {
    #[command(subcommand)]
    command: Option<ChecksCommand>,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(Debug, Subcommand)]
enum ChecksCommand {
    /// List all checks with their next run and their last result.
    #[command(after_long_help = LIST_EXAMPLES)]
    List,
    /// Show what the last run of a check found, item by item.
    #[command(after_long_help = SHOW_EXAMPLES)]
    Show {
        /// The check.
        name: String,
    },
    /// Run a check now, beside its schedule.
    #[command(after_long_help = RUN_EXAMPLES)]
    Run {
        /// The check.
        name: String,
    },
}

const LIST_EXAMPLES: &str = "\
Examples:
  What runs next?
    $ smokejumper checks list

  Names of checks that are not green:
    $ smokejumper checks list --output json \\
        | jq -r '.checks[] | select(.last.outcome != \"green\") | .name'";

const SHOW_EXAMPLES: &str = "\
Examples:
  Every item, with what was found:
    $ smokejumper checks show hsc-jit-morning
    hsc-jit-morning: 1 red, 5 green (7h ago)
    OUTCOME  ITEM                         FOUND
    red      All pods of the backend run  2 of 3 ready
    …

  What is red, for scripts:
    $ smokejumper checks show hsc-jit-morning --output json \\
        | jq -r '.last.items[] | select(.outcome == \"red\") | .name'";

const RUN_EXAMPLES: &str = "\
Examples:
  After a repair, see whether all is well:
    $ smokejumper checks run hsc-jit-morning
    hsc-jit-morning runs now; `smokejumper checks show hsc-jit-morning` tells what it found

  The next run by its schedule comes all the same:
    $ smokejumper checks list";

pub(super) fn run(args: ChecksArgs) -> Result<Answer, Failure> {
    let remote = Remote::new(&args.remote)?;
    match args.command.unwrap_or(ChecksCommand::List) {
        ChecksCommand::List => {
            let json = wait(remote.ask(Call::get(&["api", "v1", "checks"])))?;
            let list: CheckList = read(&json)?;
            Ok(Answer::new(table(&list), &json))
        }
        ChecksCommand::Show { name } => {
            let json = wait(remote.ask(Call::get(&["api", "v1", "checks"])))?;
            let list: CheckList = read(&json)?;
            let known: Vec<&str> = list.checks.iter().map(|check| check.name.as_str()).collect();
            match list.checks.iter().position(|check| check.name == name) {
                Some(at) => Ok(Answer::new(page(&list.checks[at]), &json["checks"][at])),
                None => Err(Failure::failed(format!(
                    "there is no scheduled check {name:?}; there are: {}",
                    known.join(", ")
                ))),
            }
        }
        ChecksCommand::Run { name } => {
            let path = ["api", "v1", "checks", &name, "run"];
            let json = wait(remote.ask(Call::post(&path)))?;
            let check: CheckShape = read(&json)?;
            let name = line(&check.name);
            let told = format!("{name} runs now; `smokejumper checks show {name}` tells what it found");
            Ok(Answer::new(told, &json))
        }
    }
}

fn table(list: &CheckList) -> String {
    if list.checks.is_empty() {
        return "there are no scheduled checks".to_owned();
    }
    let now = now();
    let mut table = Table::new(&["CHECK", "SCHEDULE", "TIME ZONE", "NEXT", "LAST", "RAN"]);
    for check in &list.checks {
        let next = check.next_run_at.as_ref().map(|next| relative_text(next, now)).unwrap_or_default();
        let (last, ran) = match &check.last {
            Some(last) => (last.in_short.as_str(), relative_text(&last.ran_at, now)),
            None => ("never ran", String::new()),
        };
        table.row([check.name.as_str(), &check.schedule, &check.time_zone, &next, last, &ran]);
    }
    table.show()
}

fn page(check: &CheckShape) -> String {
    let Some(last) = &check.last else { return format!("{} never ran", line(&check.name)) };
    let ran = relative_text(&last.ran_at, now());
    let mut page = format!("{}: {} ({ran})\n", line(&check.name), line(&last.in_short));
    let mut table = Table::new(&["OUTCOME", "ITEM", "FOUND"]);
    let mut rest = String::new();
    for item in &last.items {
        let (first, more) = item.text.split_once('\n').unwrap_or((&item.text, ""));
        let found = if more.is_empty() { first.to_owned() } else { format!("{first} …") };
        table.row([item.outcome.as_str(), &item.title, &found]);
        if !more.is_empty() {
            rest.push_str(&format!("\n{}\n{}", line(&item.title), block(&item.text, "  ")));
        }
    }
    page.push_str(&table.show());
    page.push_str(&rest);
    page
}
