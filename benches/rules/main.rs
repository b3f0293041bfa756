//! How long `check` and `test` take over all rules that ship, beside a baseline of the same run that only reads the same files
//! as YAML.
//!
//! `cargo bench --bench rules`. The product is the built `smokejumper`, a process of its own for each command.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark starts programs, reads its own options and reports"
)]
#![allow(missing_docs, reason = "a program, not a library")]

#[path = "../ingest/report.rs"]
#[allow(dead_code, reason = "the other benchmark has aims of another form as well")]
mod report;

use report::{Aim, Report};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Of so many rounds the one in the middle counts.
const ROUNDS: usize = 3;

/// What both commands are promised to take at most, in seconds.
const WITHIN: Aim = Aim::AtMost { must: 2.0, reach: 1.0 };

fn main() {
    if let Some(other) = std::env::args().skip(1).find(|argument| argument != "--bench") {
        eprintln!("there is no option `{other}`");
        std::process::exit(64);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let files = files(&folder);
    let yaml = middle(|| read(&files));
    let check = middle(|| run("check", &folder));
    let test = middle(|| run("test", &folder));
    println!("{} files", files.len());
    for (what, took) in [("as YAML alone", yaml), ("check", check), ("test", test)] {
        println!("{what:<14} {:>8.3} s", took.as_secs_f64());
    }
    let mut report = Report::default();
    report.note("check over all rules that ship, s", check.as_secs_f64(), WITHIN);
    report.note("test over all rules that ship, s", test.as_secs_f64(), WITHIN);
    let ratio = |took: Duration| took.as_secs_f64() / yaml.as_secs_f64();
    report.note("check against reading the YAML", ratio(check), Aim::AtMost { must: 20.0, reach: 5.0 });
    report.note("test against reading the YAML", ratio(test), Aim::AtMost { must: 100.0, reach: 20.0 });
    report.close();
}

/// Every file of rules and of their tests.
fn files(folder: &Path) -> Vec<PathBuf> {
    let pattern = folder.join("**/*.yaml");
    let files = glob::glob(&pattern.to_string_lossy()).expect("a pattern");
    files.map(|file| file.expect("readable")).collect()
}

fn middle(mut measure: impl FnMut() -> Duration) -> Duration {
    let mut rounds: Vec<Duration> = (0..ROUNDS).map(|_| measure()).collect();
    rounds.sort();
    rounds[ROUNDS / 2]
}

/// Reads the files into values, each document for itself, with a word for each value of the platform.
fn read(files: &[PathBuf]) -> Duration {
    let value = regex::Regex::new(r"\$\{[^}]*\}").expect("a pattern");
    let began = Instant::now();
    for file in files {
        let text = std::fs::read_to_string(file).expect("readable");
        // Each a word of its own, as some are names of keys.
        let mut count = 0;
        let text = value.replace_all(&text, |_: &regex::Captures<'_>| {
            count += 1;
            format!("value-{count}")
        });
        for document in text.split("\n---\n") {
            let value: serde_json::Value = serde_saphyr::from_str(document).expect("YAML");
            assert!(value.is_object(), "{}", file.display());
        }
    }
    began.elapsed()
}

fn run(command: &str, folder: &Path) -> Duration {
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_smokejumper"));
    let status = child.arg(command).arg(folder).stdout(Stdio::null()).stderr(Stdio::inherit()).status();
    assert!(status.expect("the product starts").success(), "`{command}` found something");
    began.elapsed()
}
