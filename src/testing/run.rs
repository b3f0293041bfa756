//! Runs all tests, several at a time, and gathers what came of them.

use super::coverage::Coverage;
use super::files::{self, Suite};
use super::platform::{Platform, Platforms, pattern};
use super::play::play;
use super::report::{Outcome, Played, Report, Tested};
use super::world::Tools;
use crate::yaml::Problem;
use regex::Regex;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest time for one test, in real time: a test takes milliseconds.
const TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Tests that run at the same time, at most. More share one machine's caches and gain little.
const THREADS_MAX: usize = 16;

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Test files, folders or patterns.
    pub paths: Vec<String>,
    /// Only tests whose names match, as `SUITE: NAME`.
    pub only: Option<Regex>,
    /// Whether to look for what no test reaches.
    pub coverage: bool,
}

/// One test to be played.
struct Job {
    suite: usize,
    test: usize,
}

/// Runs the tests.
pub fn run(options: &RunOptions) -> Report {
    let began = Instant::now();
    let files::Found { suites, problems } = files::read(&options.paths);
    let mut report = Report { problems, ..Report::default() };
    let mut platforms = Platforms::default();
    let stands: Vec<Option<Platform>> = suites
        .iter()
        .map(|suite| match platforms.of(suite) {
            Ok(platform) => Some(platform),
            Err(problems) => {
                report.problems.extend(problems);
                None
            }
        })
        .collect();
    let (jobs, left_out) = jobs(&suites, &stands, options.only.as_ref());
    report.left_out = left_out;
    match Tools::new() {
        Ok(tools) => play_all(&suites, &stands, &jobs, &Arc::new(tools), &mut report),
        Err(error) => {
            let message = format!("the tests cannot be run: {error}");
            report.problems.push(Problem::in_file("smokejumper test", message));
        }
    }
    if options.coverage {
        cover(options, &stands, &mut platforms, &mut report);
    }
    // Many files may stand on the same rules with the same mistakes.
    let mut seen = BTreeSet::new();
    report.problems.retain(|problem| seen.insert(problem.to_string()));
    report.took = began.elapsed();
    report
}

fn jobs(suites: &[Suite], stands: &[Option<Platform>], only: Option<&Regex>) -> (Vec<Job>, usize) {
    let mut jobs = Vec::new();
    let mut left_out = 0;
    for (at, suite) in suites.iter().enumerate().filter(|(at, _)| stands[*at].is_some()) {
        for (number, test) in suite.document.spec.tests.iter().enumerate() {
            let name = format!("{}: {}", suite.document.metadata.name, test.name);
            match only.is_none_or(|only| only.is_match(&name)) {
                true => jobs.push(Job { suite: at, test: number }),
                false => left_out += 1,
            }
        }
    }
    (jobs, left_out)
}

/// What there is to be reached: all rules that the tests stand on, and those in the folders that the caller named.
fn cover(options: &RunOptions, stands: &[Option<Platform>], platforms: &mut Platforms, report: &mut Report) {
    let mut all = Coverage::default();
    for platform in stands.iter().flatten() {
        all.add_all(&platform.book);
    }
    for folder in options.paths.iter().filter(|path| Path::new(path).is_dir()) {
        match platforms.rules_of(&pattern(folder)) {
            Ok(book) => all.add_all(&book),
            Err(problems) => report.problems.extend(problems),
        }
    }
    all.join(&report.coverage);
    report.coverage = all;
}

/// What came of one job, by its number.
type Done = Mutex<Vec<(usize, Tested, Coverage)>>;

fn play_all(
    suites: &[Suite],
    stands: &[Option<Platform>],
    jobs: &[Job],
    tools: &Arc<Tools>,
    report: &mut Report,
) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let (next, done) = (AtomicUsize::new(0), Done::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.min(jobs.len()) {
            scope.spawn(|| {
                while let Some((number, job)) = take(jobs, &next) {
                    let (suite, platform) = (&suites[job.suite], &stands[job.suite]);
                    let Some(platform) = platform else { continue };
                    let (tested, coverage) = play_one(suite, job.test, platform, tools);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((number, tested, coverage));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, ..)| *number);
    for (_, tested, coverage) in done {
        report.coverage.join(&coverage);
        report.tests.push(tested);
    }
}

fn take<'j>(jobs: &'j [Job], next: &AtomicUsize) -> Option<(usize, &'j Job)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    jobs.get(number).map(|job| (number, job))
}

fn play_one(suite: &Suite, index: usize, platform: &Platform, tools: &Arc<Tools>) -> (Tested, Coverage) {
    let began = Instant::now();
    let played = played(suite, index, platform, tools);
    let mut coverage = Coverage::default();
    let (outcome, trail) = match played {
        Ok(Played { outcome, trail, views }) => {
            coverage.add(&views, &platform.book);
            (outcome, trail)
        }
        Err(why) => (Outcome::Broken(why), Vec::new()),
    };
    let number = index.to_string();
    let tested = Tested {
        file: suite.file.clone(),
        suite: suite.document.metadata.name.clone(),
        name: suite.document.spec.tests[index].name.clone(),
        place: suite.place(&["spec", "tests", &number]),
        outcome,
        trail,
        took: began.elapsed(),
    };
    (tested, coverage)
}

/// Plays one test on a runtime of its own, so that whatever it leaves running ends with it. There is no network in it.
fn played(suite: &Suite, index: usize, platform: &Platform, tools: &Arc<Tools>) -> Result<Played, String> {
    let ground = platform
        .ground(suite, index)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| format!("no runtime could be started: {error}"))?;
    runtime.block_on(async {
        let playing = play(suite, index, platform, ground, Arc::clone(tools));
        match tokio::time::timeout(TEST_TIMEOUT, playing).await {
            Ok(played) => played.map_err(|error| error.to_string()),
            Err(_) => Err(format!("it did not come to its end within {TEST_TIMEOUT:?}")),
        }
    })
}
