//! `test`: unit tests of rules, for people and for pipelines. Plays nothing itself: `testing` does.

mod document;
mod junit;
mod page;

use std::path::{Path, PathBuf};

use clap::Args;
use regex::Regex;

use super::answer::Answer;
use super::failure::{EXIT_FAILURE, Failure};
use crate::testing::run::{self, RunOptions};

const EXAMPLES: &str = "\
Examples:
  Play all tests below a folder, each in files called *.test.yaml beside the rules:
    $ smokejumper test rules/
    rules/shop.test.yaml: 2 passed
    2 tests: 2 passed, 0 failed

  Only some, by their names; and what no test reaches:
    $ smokejumper test rules/ --run 'crash|image'
    $ smokejumper test rules/ --coverage

  For a pipeline:
    $ smokejumper test rules/ --junit report.xml --output json > report.json

A test says what comes in and what has to come of it:

    apiVersion: smokejumper.dev/v1
    kind: ResponseTest
    metadata: { name: shop }
    spec:
      tests:
        - name: one pod that crashes among others is replaced
          alert: { alertname: KubePodCrashLooping, namespace: shop, deployment: cart }
          findings: { pods: { crash_looping: 1, ready: 3 } }
          input:
            - { at: 3m, acknowledge: una }
          expect:
            - { rule: crash-loop, actions: { replace-pod: verifying }, told: ['slack:#incidents'] }
            - { at: 5m, nothing: true }

Nothing outside is asked: findings, looks at targets and the ends of actions are what the test says;
decisions, guardrails, approvals, timers and messages are those of the service, on a clock that the
test holds. What no settings file names exists, and remedies may act; `config` and `settings` of a
test file say otherwise. `smokejumper schema ResponseTest` describes every key, and
docs/testing-rules.md leads through it.

Exit codes: 0 all as expected, 1 a test failed, or a test file or rule has mistakes, 64 bad usage.";

/// Play the unit tests of rules.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct TestArgs {
    /// Test files, folders with files called *.test.yaml, or patterns.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
    /// Only tests whose name matches this regular expression; it is looked for in `SUITE: NAME`.
    #[arg(long, value_name = "REGEX")]
    run: Option<Regex>,
    /// List rules, remedies, ends of branches, policies and levels that no test reaches.
    #[arg(long)]
    coverage: bool,
    /// Write what came of each test to this file, as JUnit's XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

pub(super) fn run(args: TestArgs) -> Result<Answer, Failure> {
    for path in &args.paths {
        let is_pattern = path.contains(['*', '?', '[']);
        if !is_pattern && !Path::new(path).exists() {
            return Err(
                Failure::usage(format!("there is no {path}")).with_help("name a test file or a folder")
            );
        }
    }
    let options = RunOptions { paths: args.paths, only: args.run, coverage: args.coverage };
    let report = run::run(&options);
    if let Some(path) = &args.junit {
        std::fs::write(path, junit::write(&report))
            .map_err(|error| Failure::failed(format!("{} cannot be written: {error}", path.display())))?;
    }
    let coverage = args.coverage.then_some(&report.coverage);
    let answer = Answer::new(page::write(&report, coverage), &document::write(&report, coverage));
    // A choice that leaves nothing to play proves nothing.
    let is_empty = report.tests.is_empty();
    Ok(if report.is_good() && !is_empty { answer } else { answer.with_exit(EXIT_FAILURE) })
}
