//! `shadow`: what rules in shadow would have done, against what people and live rules did.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::answer::Answer;
use super::failure::Failure;
use super::remote::{Call, Remote, RemoteArgs, read, wait};
use super::terminal::{block, line};
use crate::domain::counted::counted;
use crate::http::api::shadow::{RemedyShadow, RuleShadow, ShadowReport};
use crate::period::Period;

const EXAMPLES: &str = "\
Examples:
  How do rules in shadow compare with what people did in the last 30 days?
    $ smokejumper shadow report

  One rule, over a week:
    $ smokejumper shadow report --rule high-error-rate --since 7d

  Names of rules whose record speaks for letting them act, for scripts:
    $ smokejumper shadow report --output json | jq -r '.rules[] | select(.promote) | .rule'

A rule is in shadow by `mode: shadow`. Nothing here changes it: what is suggested is text.";

/// See what rules in shadow would have done, and whether people did the same.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ShadowArgs {
    #[command(subcommand)]
    command: Option<ShadowCommand>,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(Debug, Subcommand)]
enum ShadowCommand {
    Report(ReportArgs),
}

/// Compare what rules in shadow would have done with what was done.
#[derive(Debug, Default, Args)]
#[command(after_long_help = EXAMPLES)]
struct ReportArgs {
    /// Only this rule.
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// How far back. Default: 30d.
    #[arg(long, value_name = "TIME")]
    since: Option<Period>,
}

pub(super) fn run(args: ShadowArgs) -> Result<Answer, Failure> {
    let remote = Remote::new(&args.remote)?;
    let ShadowCommand::Report(args) =
        args.command.unwrap_or_else(|| ShadowCommand::Report(ReportArgs::default()));
    let call = Call::get(&["api", "v1", "shadow"]).query("rule", args.rule).query("since", args.since);
    let json = wait(remote.ask(call))?;
    let report: ShadowReport = read(&json)?;
    Ok(Answer::new(page(&report), &json))
}

/// The report for people: rules, then what the words mean, as far as they were used.
fn page(report: &ShadowReport) -> String {
    let mut page = format!("Rules in shadow, from {} to {}\n", line(&report.since), line(&report.until));
    if let Some(from) = &report.read_from {
        put(
            &mut page,
            0,
            &format!("There are more incidents than one report reads: only those from {from} on."),
        );
    }
    if report.rules.is_empty() {
        put(
            &mut page,
            0,
            "No rule is in shadow, and none left an incident: `mode: shadow` in a rule begins it.",
        );
        return page;
    }
    for rule in &report.rules {
        page.push('\n');
        write_rule(&mut page, rule);
    }
    let used: Vec<(&String, &String)> =
        report.words.iter().filter(|(word, _)| is_used(report, word)).collect();
    if !used.is_empty() {
        page.push_str("\nWords\n");
        used.into_iter().for_each(|(word, meaning)| put(&mut page, 1, &format!("{word:<14} {meaning}")));
    }
    page.push_str("\nWhat these numbers cannot know\n");
    report.limits.iter().for_each(|limit| put(&mut page, 1, &format!("- {limit}")));
    page
}

fn is_used(report: &ShadowReport, word: &str) -> bool {
    let remedies = report.rules.iter().flat_map(|rule| &rule.remedies);
    let mut numbers = remedies.flat_map(|one| [&one.agrees, &one.disagrees, &one.unclear]);
    numbers.any(|numbers| numbers.contains_key(word))
}

fn write_rule(page: &mut String, rule: &RuleShadow) {
    let now = match rule.mode_now.as_deref() {
        Some("shadow") => "",
        Some(_) => ", live by now",
        None => ", gone by now",
    };
    let undecided = match rule.ended_undecided {
        0 => String::new(),
        count => format!(", {count} ended by itself before anything was decided"),
    };
    put(page, 0, &format!("{}{now}: {}{undecided}", rule.rule, incidents(rule.incidents)));
    for (other, count) in &rule.beside {
        put(page, 1, &format!("beside {other}, which told people: {}", incidents(*count)));
    }
    rule.remedies.iter().for_each(|remedy| write_remedy(page, remedy));
    let verdict = if rule.promote { "the record speaks for letting it act" } else { "not yet" };
    put(page, 1, &format!("promote?  {verdict}"));
    rule.reasons.iter().for_each(|reason| put(page, 2, &format!("- {reason}")));
    if let Some(edit) = &rule.edit {
        page.push_str(&block(edit, "    "));
    }
}

fn write_remedy(page: &mut String, remedy: &RemedyShadow) {
    put(page, 1, &remedy.remedy);
    let counts = [
        ("would have run alone", remedy.would_have_run),
        ("would have asked", remedy.would_have_asked),
        ("would have told", remedy.would_have_told),
        ("would have given it to people", remedy.would_have_handed_over),
        ("ended by itself first", remedy.ended_first),
    ];
    for (what, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        put(page, 2, &format!("{what:<30} {count}"));
    }
    let words = [
        ("blocked", &remedy.blocked),
        ("did not apply", &remedy.skipped),
        ("agrees with what was done", &remedy.agrees),
        ("disagrees", &remedy.disagrees),
        ("unclear", &remedy.unclear),
    ];
    for (what, numbers) in words.into_iter().filter(|(_, numbers)| !numbers.is_empty()) {
        put(page, 2, &format!("{what:<30} {}", by_word(numbers)));
    }
    let times = [
        ("people came after (median)", remedy.people_after_seconds),
        ("it ended after (median)", remedy.ended_after_seconds),
    ];
    for (what, seconds) in times {
        if let Some(seconds) = seconds {
            put(page, 2, &format!("{what:<30} {}", Period::from_secs(seconds)));
        }
    }
}

fn by_word(numbers: &BTreeMap<String, u64>) -> String {
    let sum: u64 = numbers.values().sum();
    let parts: Vec<String> = numbers.iter().map(|(word, count)| format!("{word} {count}")).collect();
    format!("{sum}  ({})", parts.join(", "))
}

fn incidents(count: u64) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), "incident")
}

fn put(page: &mut String, depth: usize, text: &str) {
    writeln!(page, "{}{}", "  ".repeat(depth), line(text)).expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_report_says_what_would_have_been_done_what_was_done_and_what_to_make_of_it() {
        let report = json!({
            "since": "2026-10-23T00:00:00Z", "until": "2026-11-22T00:00:00Z", "read_from": null,
            "rules": [
                {
                    "rule": "high-error-rate", "mode_now": "shadow", "incidents": 14, "ended_undecided": 1,
                    "beside": { "old-errors": 12 },
                    "remedies": [{
                        "remedy": "restart", "would_have_run": 0, "would_have_asked": 12, "would_have_told": 0,
                        "would_have_handed_over": 0, "ended_first": 2, "blocked": { "rollout": 2 },
                        "skipped": { "condition_fails": 1 }, "agrees": { "same_approved": 9 },
                        "disagrees": {}, "unclear": { "by_hand": 3 },
                        "people_after_seconds": 240, "ended_after_seconds": 1500,
                    }],
                    "promote": true, "reasons": ["it would have acted or asked in 12 incidents"],
                    "edit": "In the document:\n-  mode: shadow\n+  mode: live",
                },
                {
                    "rule": "new\u{1b}[2J", "mode_now": null, "incidents": 0, "ended_undecided": 0, "beside": {},
                    "remedies": [], "promote": false, "reasons": ["there is no rule of this name any more"], "edit": null,
                },
            ],
            "words": { "same_approved": "people approved the same", "by_hand": "somebody had it", "open": "not over" },
            "limits": ["what people type into a terminal is not recorded"],
        });
        insta::assert_snapshot!(page(&read(&report).expect("a report")));
    }

    #[test]
    fn nothing_in_shadow_says_how_to_begin() {
        let page = page(&ShadowReport::default());
        assert!(page.contains("`mode: shadow` in a rule begins it"), "{page}");
    }
}
