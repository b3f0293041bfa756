//! `backtest`: what rules would have made of the past. Plays nothing itself: the room `backtest` does.

mod grounds;
mod page;
mod progress;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::answer::Answer;
use super::explain::evidence;
use super::failure::Failure;
use super::remote::wait;
use super::settings_file;
use super::time::now;
use crate::app::hindsight::Hindsight;
use crate::backtest::history::{History, HistoryError, RANGE_POINTS_MAX, Span};
use crate::backtest::past::Past;
use crate::backtest::play::{self, PlayError};
use crate::domain::Labels;
use crate::period::Period;
use crate::settings::{HttpUrl, process_environment};
use crate::testing::world::Tools;

/// Questions about the past that are asked unless somebody says otherwise: a few minutes of a healthy Prometheus.
const QUESTIONS_MAX: u64 = 20_000;

/// Shortest distance of two points.
const STEP_MIN: Period = Period::from_secs(1);

/// Longest distance of two points: beyond, Prometheus itself takes a series for ended between two samples.
const STEP_MAX: Period = Period::from_mins(5);

/// Longest grace: what is told is held back for as long, and an alert that was away for an hour has ended.
const GRACE_MAX: Period = Period::from_hours(1);

const EXAMPLES: &str = "\
Examples:
  What would my rules have done in the last thirty days?
    $ smokejumper backtest --prometheus http://prometheus:9090 --from 30d --rules rules/

  The rules, people and guardrails of the settings, and the Prometheus of the settings:
    $ smokejumper backtest --config smokejumper.yaml --from 2026-03-01T00:00:00Z \\
        --to 2026-03-08T00:00:00Z

  What would a change of rules change?
    $ smokejumper backtest --config smokejumper.yaml --from 30d --rules new-rules/ --against rules/

  With evidence: PromQL is asked as of that time, the rest is taken for granted from a file:
    $ smokejumper backtest --config smokejumper.yaml --from 7d --diagnose --findings findings.json

Nothing is stored, told or changed. Remedies are carried out on paper and change nothing: alerts end
when they ended. Nobody answers, so that calls are the most that there would have been. What nobody
can know of the past is unknown, and listed at the end.

Exit codes: 0 played to its end, 1 Prometheus cannot tell, 64 bad usage, settings or rules.";

/// Play the alerts that a Prometheus remembers through the rules.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct BacktestArgs {
    /// The settings file. Without it everything that the rules name exists, and remedies may act.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address of the Prometheus. Default: that of the settings.
    #[arg(long, value_name = "URL", value_parser = address)]
    prometheus: Option<HttpUrl>,
    /// Where the past begins: a time, or how long ago, such as 30d.
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Where it ends: a time, or how long ago. Default: now.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Rule files, folders or patterns. Default: those of the settings.
    #[arg(long, value_name = "PATTERN", num_args = 1..)]
    rules: Vec<String>,
    /// Other rules to compare with: what differs from them to the rules is shown.
    #[arg(long, value_name = "PATTERN", num_args = 1..)]
    against: Vec<String>,
    /// The distance of the points in time; best the evaluation interval of the alerting rules.
    #[arg(long, value_name = "PERIOD", default_value = "1m")]
    step: Period,
    /// An alert that is missing for no longer than this has not ended: Prometheus restarted.
    #[arg(long, value_name = "PERIOD", default_value = "5m")]
    grace: Period,
    /// A label that Prometheus adds when it sends (`external_labels`); may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = super::alert::pair)]
    label: Vec<(String, String)>,
    /// Ask Prometheus what the PromQL diagnostics of the rules would have found.
    #[arg(long)]
    diagnose: bool,
    /// How many such questions may be asked; what is not asked is unknown.
    #[arg(long, value_name = "COUNT", default_value_t = QUESTIONS_MAX, requires = "diagnose")]
    questions_max: u64,
    /// File with findings to take for granted at all times, as for `explain`; `-` reads it from stdin.
    #[arg(long, value_name = "FILE")]
    findings: Option<PathBuf>,
}

pub(super) fn run(args: BacktestArgs) -> Result<Answer, Failure> {
    let span = span(&args, now())?;
    let environment = process_environment();
    let config = settings_file::told(args.config);
    let read = grounds::read(config.as_deref(), &args.rules, &args.against, &environment)?;
    let given = match &args.findings {
        Some(path) => evidence::read(path)?,
        None => BTreeMap::new(),
    };
    let hindsight = Hindsight::new(&read.settings, args.prometheus, &environment)
        .map_err(Failure::of)?
        .ok_or_else(|| {
            Failure::usage("there is no Prometheus to ask")
                .with_help("add --prometheus URL, or a settings file with `prometheus.url`")
        })?;
    let asks = args.diagnose.then(|| Arc::clone(&hindsight.diagnoser));
    let taken = given.into_iter().map(|(name, finding)| match finding.unknown {
        Some(why) => (name, Err(why)),
        None => (name, Ok(finding.fields)),
    });
    let past = Past::new(taken.collect(), asks, args.questions_max);
    let added: Labels = args.label.into_iter().collect();
    let tools = Tools::new().map_err(|error| Failure::failed(error.to_string()))?;
    let assumed = grounds::assumed(&read, args.diagnose, !added.is_empty());
    let history = History::new(hindsight.client, span, added);
    let mut bar = progress::Bar::new(span);
    let played = wait(async {
        let past = Arc::new(past);
        let playing =
            play::play(history, span, read.rules, read.against, past, Arc::new(tools), |told| bar.show(told));
        playing.await.map_err(|error| failure(&error, &hindsight.url))
    });
    bar.clear();
    let mut report = played?;
    report.assumed = assumed;
    Ok(Answer::new(page::write(&report), &report))
}

fn failure(error: &PlayError, url: &str) -> Failure {
    let failed = Failure::failed(format!("{url}: {error}"));
    match error {
        PlayError::History(HistoryError::Asked { .. }) => {
            failed.with_help("name a Prometheus that answers and that still knows this time")
        }
        PlayError::History(HistoryError::TooMuch { .. }) => failed.with_help("ask for a shorter range"),
        PlayError::Stage { .. } => failed,
    }
}

fn address(text: &str) -> Result<HttpUrl, String> {
    text.parse()
}

/// Which past is meant.
fn span(args: &BacktestArgs, now: Timestamp) -> Result<Span, Failure> {
    let from = time(&args.from, now).map_err(|why| Failure::usage(format!("--from: {why}")))?;
    let to = args.to.as_deref().map_or(Ok(now), |text| time(text, now));
    let to = to.map_err(|why| Failure::usage(format!("--to: {why}")))?.min(now);
    if from >= to {
        let why = format!("--from {from} is not before --to {to}");
        return Err(Failure::usage(why).with_help("the future has no history, and time runs forward"));
    }
    if !(STEP_MIN..=STEP_MAX).contains(&args.step) {
        let why = format!("--step {} is not between {STEP_MIN} and {STEP_MAX}", args.step);
        return Err(Failure::usage(why).with_help("take the evaluation interval of the alerting rules"));
    }
    if args.grace > GRACE_MAX {
        let why = format!("--grace {} is longer than {GRACE_MAX}", args.grace);
        return Err(Failure::usage(why).with_help("a restart of Prometheus takes minutes"));
    }
    // Prometheus has times to the millisecond, and steps are whole seconds.
    let whole = |at: Timestamp| Timestamp::from_second(at.as_second()).unwrap_or(at);
    let step: SignedDuration = args.step.signed();
    let span = Span { from: whole(from), to: whole(to), step, grace: args.grace.signed() };
    if span.points() > RANGE_POINTS_MAX {
        let why = format!("{} points are more than the {RANGE_POINTS_MAX} that are played", span.points());
        return Err(Failure::usage(why).with_help("ask for a shorter range, or a longer --step"));
    }
    Ok(span)
}

/// A time, or how long ago.
fn time(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if text == "now" {
        return Ok(now);
    }
    if let Ok(ago) = text.parse::<Period>() {
        return now.checked_sub(ago.signed()).map_err(|error| error.to_string());
    }
    super::time::parse(text).map_err(|why| format!("{why}, or how long ago, such as 30d"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: BacktestArgs,
    }

    fn span_of(arguments: &[&str]) -> Result<(String, String), String> {
        let line = Line::try_parse_from(std::iter::once(&"backtest").chain(arguments)).expect("arguments");
        let now: Timestamp = "2026-03-10T10:00:00.123Z".parse().expect("a time");
        let told = |span: Span| (span.from.to_string(), span.to.to_string());
        span(&line.args, now).map(told).map_err(|failure| failure.to_string())
    }

    #[test]
    fn times_are_points_or_how_long_ago() {
        let told = |from: &str, to: &str| Ok((from.to_owned(), to.to_owned()));
        assert_eq!(span_of(&["--from", "30d"]), told("2026-02-08T10:00:00Z", "2026-03-10T10:00:00Z"));
        let both = ["--from", "2026-03-01T00:00:00+01:00", "--to", "1h30m"];
        assert_eq!(span_of(&both), told("2026-02-28T23:00:00Z", "2026-03-10T08:30:00Z"));
        // What lies in the future is not there yet.
        let ahead = ["--from", "1h", "--to", "2027-01-01T00:00:00Z"];
        assert_eq!(span_of(&ahead), told("2026-03-10T09:00:00Z", "2026-03-10T10:00:00Z"));
    }

    #[test]
    fn a_range_that_makes_no_sense_is_refused_with_the_way_out() {
        for (arguments, why) in [
            (vec!["--from", "1h", "--to", "2h"], "is not before --to"),
            (vec!["--from", "2027-01-01T00:00:00Z"], "is not before --to"),
            (vec!["--from", "yesterday"], "--from: write a time with its offset"),
            (vec!["--from", "1h", "--to", "soon"], "--to: write a time"),
            (vec!["--from", "1h", "--step", "10m"], "--step 10m is not between 1s and 5m"),
            (vec!["--from", "1h", "--step", "0s"], "--step 0s is not between"),
            (vec!["--from", "1h", "--grace", "2h"], "--grace 2h is longer than 1h"),
            (vec!["--from", "3000d"], "points are more than"),
        ] {
            let told = span_of(&arguments).expect_err(why);
            assert!(told.contains(why), "{arguments:?}: {told}");
            assert!(told.contains("help") || told.contains("such as"), "{told}");
        }
    }
}
