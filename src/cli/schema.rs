//! `schema`: JSON Schemas of the files that people write.

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::answer::Answer;
use super::failure::Failure;
use crate::app;
use crate::rules::schema::schema;
use crate::settings::Settings;
use crate::testing;

const EXAMPLES: &str = "\
Examples:
  Save the schema of the settings, for an editor that checks while you type:
    $ smokejumper schema settings > smokejumper.schema.json
    and as the first line of smokejumper.yaml:
    # yaml-language-server: $schema=./smokejumper.schema.json

  The same for files with rules:
    $ smokejumper schema ResponseRule > response-rule.schema.json

  Look up the keys of one section:
    $ smokejumper schema settings | jq '.\"$defs\".Guardrails.properties'
    {
      \"rates\": …
      \"cooldown\": …
    }";

/// Print the JSON Schema of a kind of file.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct SchemaArgs {
    /// What to describe.
    #[arg(value_enum, default_value_t = Kind::Settings, ignore_case = true)]
    kind: Kind,
}

/// What there is a schema of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The settings, `smokejumper.yaml`.
    Settings,
    /// Rules, with the parameters of every diagnostic and action.
    #[value(name = "ResponseRule")]
    ResponseRule,
    /// Who is told when.
    #[value(name = "EscalationPolicy")]
    EscalationPolicy,
    /// A name for whom to tell.
    #[value(name = "Contact")]
    Contact,
    /// Times, as for off hours, and who is on call.
    #[value(name = "Schedule")]
    Schedule,
    /// Days off that schedules share.
    #[value(name = "Calendar")]
    Calendar,
    /// What is looked at at set times, and told as one report.
    #[value(name = "ScheduledCheck")]
    ScheduledCheck,
    /// Objects of a cluster that remedies may apply and remove.
    #[value(name = "StoredManifest")]
    StoredManifest,
    /// Names and numbers of a platform, which rules use as `${PLATFORM.VALUE}`.
    #[value(name = "Platform")]
    Platform,
    /// Tests of rules.
    #[value(name = "ResponseTest")]
    ResponseTest,
}

pub(super) fn run(args: &SchemaArgs) -> Result<Answer, Failure> {
    let schema = match args.kind {
        Kind::Settings => Settings::json_schema(),
        Kind::ResponseRule => of_rules("ResponseRule"),
        Kind::EscalationPolicy => of_rules("EscalationPolicy"),
        Kind::Contact => of_rules("Contact"),
        Kind::Schedule => of_rules("Schedule"),
        Kind::Calendar => of_rules("Calendar"),
        Kind::ScheduledCheck => of_rules("ScheduledCheck"),
        Kind::StoredManifest => of_rules("StoredManifest"),
        Kind::Platform => of_rules("Platform"),
        Kind::ResponseTest => testing::format::schema(),
    };
    Ok(Answer::new(format!("{schema:#}"), &schema))
}

fn of_rules(kind: &str) -> Value {
    schema(kind, &app::kinds()).expect("each kind of the command is one of the rules' kinds")
}
