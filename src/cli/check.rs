//! `check`: the mistakes in settings and rules, each at its place, for people and for pipelines.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::answer::Answer;
use super::failure::{EXIT_FAILURE, EXIT_USAGE, Failure};
use super::remote::wait;
use super::settings_file;
use super::terminal;
use crate::app::check::{CheckOptions, Checked, check};
use crate::app::online::{self, Seen, Standing};
use crate::settings::process_environment;
use crate::yaml::{Place, Problem};

const EXAMPLES: &str = "\
Examples:
  Check the settings and all rules that they name:
    $ smokejumper check --config smokejumper.yaml
    3 files: 6 rules, 1 policy, 1 schedule; 0 errors, 0 warnings

  Only the rules of a folder, without settings: every endpoint and channel is taken to exist.
    $ smokejumper check rules/

  Ask the services as well: tokens, scopes, channels, clocks, receivers, queries. Nothing is posted.
    $ smokejumper check --config smokejumper.yaml --online
    good: slack.bot_token: Slack knows the token: smokejumper in the workspace example
    bad: slack channel #incidents: the app is not in the channel, so it cannot write there

  For scripts:
    $ smokejumper check --config smokejumper.yaml --output json | jq -r '.errors[].message'

Warnings are rules that can never match, remedies that can never be reached, names that the
settings lack. A check needs no secrets: one that is not there is a warning that never counts.
Files that belong together, such as a rule and its policy, are checked together.
Mistakes in one document hide none in another. Within a document a part that cannot be read hides
what stands in it and what may follow from it, and the warnings; a document that is no YAML, or
lacks a key that it must have, hides its other mistakes until that is right.

Exit codes: 0 good, 1 errors (with --strict also warnings), 64 settings that cannot be used.";

/// Check settings and rules, and show each mistake at its line.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct CheckArgs {
    /// The settings file. Without it and without RULES, defaults and `SMOKEJUMPER__…` variables hold.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Rule files, folders or patterns to check instead of those that the settings name.
    #[arg(value_name = "RULES")]
    rules: Vec<String>,
    /// Ask Slack, PagerDuty, Alertmanager and Prometheus whether the settings work. Needs their secrets; only reads.
    #[arg(long, conflicts_with = "rules")]
    online: bool,
    /// Count warnings as findings; but for secrets and files that only this machine lacks.
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(args: CheckArgs) -> Result<Answer, Failure> {
    // Rules by themselves need no settings.
    let config = if args.rules.is_empty() { settings_file::told(args.config) } else { args.config };
    let options = CheckOptions { config, rules: args.rules };
    let environment = process_environment();
    let checked = check(&options, &environment);
    let seen = match args.online && checked.settings_are_good {
        true => Some(wait(async {
            online::look(options.config.as_deref(), &environment)
                .await
                .map_err(|error| Failure::usage(error.to_string()))
        })?),
        false => None,
    };
    let mut text = page(&checked);
    text.push_str(&seen_page(seen.as_deref().unwrap_or_default()));
    let answer = Answer::new(text, &document(&checked, seen.as_deref()));
    let worst = seen.iter().flatten().map(|one| one.standing).max().unwrap_or(Standing::Good);
    let is_doubtful = !checked.warnings.is_empty() || worst == Standing::Doubtful;
    Ok(if !checked.settings_are_good {
        answer.with_exit(EXIT_USAGE)
    } else if !checked.errors.is_empty() || worst == Standing::Bad || (args.strict && is_doubtful) {
        answer.with_exit(EXIT_FAILURE)
    } else {
        answer
    })
}

/// What the services said, one setting after the other.
fn seen_page(seen: &[Seen]) -> String {
    let mut page = String::new();
    for Seen { setting, standing, message, help } in seen {
        let said = format!("{}: {setting}: {message}", standing.as_str());
        page.push_str(&format!("\n{}", terminal::line(&said)));
        if let Some(help) = help {
            page.push_str(&format!("\n  {}", terminal::line(help)));
        }
    }
    page
}

/// Every problem as a compiler would show it, and a closing line.
fn page(checked: &Checked) -> String {
    let errors = checked.errors.iter().map(Problem::to_string);
    let problems = errors.chain(warnings(checked).map(Problem::warning));
    // Lines of files are quoted: nothing in them may reach the terminal as more than text.
    let mut page: String = problems.map(|problem| format!("{}\n", terminal::block(&problem, ""))).collect();
    page.push_str(&closing_line(checked));
    page
}

/// What the rules are doubtful in, and what this machine lacks.
fn warnings(checked: &Checked) -> impl Iterator<Item = &Problem> {
    checked.warnings.iter().chain(&checked.absent)
}

fn closing_line(checked: &Checked) -> String {
    let Checked { files, rules, policies, schedules, errors, .. } = checked;
    let warnings = warnings(checked).count();
    let found = format!("{}, {}", count(errors.len(), "error"), count(warnings, "warning"));
    if !checked.settings_are_good && *files == 0 {
        return format!("the settings cannot be used, so no rules were read; {found}");
    }
    if *files == 0 && errors.is_empty() {
        return format!(
            "the settings can be used, and no rules were found to check: name files (`smokejumper check rules/`), or \
             settings whose `rules` finds some (`smokejumper check --config smokejumper.yaml`); {found}"
        );
    }
    format!(
        "{}: {}, {} {}, {}; {found}",
        count(*files, "file"),
        count(*rules, "rule"),
        policies,
        if *policies == 1 { "policy" } else { "policies" },
        count(*schedules, "schedule"),
    )
}

pub(super) fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

fn document(checked: &Checked, seen: Option<&[Seen]>) -> Value {
    json!({
        "files": checked.files,
        "rules": checked.rules,
        "policies": checked.policies,
        "schedules": checked.schedules,
        "errors": checked.errors.iter().map(entry).collect::<Vec<_>>(),
        "warnings": warnings(checked).map(entry).collect::<Vec<_>>(),
        "online": seen.map(|seen| seen.iter().map(seen_entry).collect::<Vec<_>>()),
    })
}

/// What was seen of one setting.
fn seen_entry(seen: &Seen) -> Value {
    let Seen { setting, standing, message, help } = seen;
    json!({ "setting": setting, "status": standing.as_str(), "message": message, "help": help })
}

/// One problem; every key is always there, null where there is nothing to say.
pub(super) fn entry(problem: &Problem) -> Value {
    let (file, variable, line, column) = match &problem.place {
        Place::At { file, line, column } => (Some(file), None, Some(line), Some(column)),
        Place::File { file } => (Some(file), None, None, None),
        Place::Environment { variable } => (None, Some(variable), None, None),
    };
    json!({
        "file": file,
        "variable": variable,
        "line": line,
        "column": column,
        "message": problem.message,
        "help": problem.help,
    })
}
