//! The rules, alerts and receiver that ship, as files of a story: byte for byte, but for lengths of time.
//!
//! What is shortened stands in [`IN_RULES`], [`IN_ALERTS`] and [`IN_RECEIVER`]. A length that was expected and is not there
//! fails the story: then what ships has changed, and nobody knows any more what is played.

use regex::{Captures, Regex};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One minute of what ships is two seconds here.
const FASTER: u64 = 30;

/// Nothing that Prometheus or the service counts is shorter.
const LEAST_SECONDS: u64 = 1;

/// Windows and distances of PromQL.
const WINDOWS: [&str; 2] = [r"\[(\d+[smhd])\]", r"\boffset (\d+[smhd])\b"];

/// How long a remedy is given before it is looked at, and how long it must hold.
const IN_RULES: [&str; 2] = [r"\bsettle: (\d+[smhd])\b", r"\bhold: (\d+[smhd])\b"];

/// Until when a remedy must have helped, and not the time that people have for a task, which stands deeper. Only the story
/// that lets every rung fail waits for it.
const UNTIL_FAILED: &str = r"(?m)^ {8}within: (\d+m)$";

/// How long an alert waits, and how often it is looked at.
const IN_ALERTS: [&str; 2] = [r"(?m)^ +for: (\d+[smhd])$", r"(?m)^ +interval: (\d+[smhd])$"];

/// How long alerts are gathered.
const IN_RECEIVER: [&str; 3] = [
    r"(?m)^ +group_wait: (\d+[smhd])$",
    r"(?m)^ +group_interval: (\d+[smhd])$",
    r"(?m)^ +repeat_interval: (\d+[smhd])$",
];

/// Values of the platforms that are names and addresses of the cluster, by file and key.
pub type Names = BTreeMap<(&'static str, &'static str), String>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All YAML files below a folder, but for tests.
fn documents(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("it ships").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(documents(&path));
        } else if path.extension().is_some_and(|kind| kind == "yaml")
            && !path.to_string_lossy().ends_with(".test.yaml")
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn seconds(length: &str) -> u64 {
    let (number, unit) = length.split_at(length.len() - 1);
    let number: u64 = number.parse().expect("the pattern allows digits alone");
    number
        * match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            _ => 86_400,
        }
}

/// The text with every length that the patterns find divided, and how many there were.
fn shorten(text: &str, patterns: &[&str], by: u64) -> (String, usize) {
    let mut text = text.to_owned();
    let mut count = 0;
    for pattern in patterns {
        let pattern = Regex::new(pattern).expect("a pattern");
        let short = pattern.replace_all(&text, |found: &Captures<'_>| {
            count += 1;
            let length = seconds(&found[1]);
            let short = if length == 0 { 0 } else { length.div_ceil(by).max(LEAST_SECONDS) };
            found[0].replace(&found[1], &format!("{short}s"))
        });
        text = short.into_owned();
    }
    (text, count)
}

/// Writes all rules that ship into `folder/rules`, with these names of the cluster, and makes sure that the rule of this
/// story is among them. In the story of a hopeless ladder a remedy has failed sooner, by this divisor.
pub fn rules(folder: &Path, story: &str, names: &Names, until_failed_by: Option<u64>) {
    let mut names = names.clone();
    let mut is_there = false;
    for path in documents(&root().join("rules")) {
        let name = path.strip_prefix(root()).expect("below the root");
        let shipped = read(&path);
        let (mut text, _) = shorten(&shipped, &WINDOWS, FASTER);
        let (short, mut lengths) = shorten(&text, &IN_RULES, FASTER);
        text = short;
        if name == Path::new(story) {
            is_there = true;
            if let Some(by) = until_failed_by {
                let (short, found) = shorten(&text, &[UNTIL_FAILED], by);
                (text, lengths) = (short, lengths.min(found));
            }
            assert!(lengths > 0, "{story} has no `settle`, `hold` or `within` to shorten");
        }
        names.retain(|(file, key), value| {
            if name != Path::new(file) {
                return true;
            }
            let line = Regex::new(&format!(r"(?m)^    {}: \S+", regex::escape(key))).expect("a pattern");
            assert_eq!(line.find_iter(&text).count(), 1, "{file} has one value `{key}`");
            text = line.replace(&text, regex::NoExpand(&format!("    {key}: {value}"))).into_owned();
            false
        });
        write(&folder.join(name), &text);
    }
    assert!(is_there, "{story} does not ship");
    assert!(names.is_empty(), "no such file: {names:?}");
}

/// Writes all alerting and recording rules that ship into `folder/alerts`. Those about the service itself stay as they are:
/// they wait for what it does once a minute by the real clock.
pub fn alerts(folder: &Path) {
    for path in documents(&root().join("deploy/prometheus/rules")) {
        let name = path.file_name().expect("a name");
        let mut text = read(&path);
        if name != "smokejumper.yaml" {
            let (short, waits) = shorten(&text, &IN_ALERTS, FASTER);
            assert!(waits > 0, "{} has no `for` and no `interval`", path.display());
            (text, _) = shorten(&short, &WINDOWS, FASTER);
        }
        write(&folder.join("alerts").join(name), &text);
    }
}

/// The configuration of Alertmanager that ships, with this address and token.
pub fn receiver(url: &str, token: &str) -> String {
    let shipped = read(&root().join("deploy/alertmanager/receiver.yml"));
    let (mut text, lengths) = shorten(&shipped, &IN_RECEIVER, FASTER);
    assert!(lengths >= IN_RECEIVER.len(), "the receiver has no lengths to shorten");
    for (theirs, ours) in [
        (r"url: http://\S+", format!("url: {url}")),
        (r"credentials_file: \S+", format!("credentials: {token}")),
    ] {
        let pattern = Regex::new(theirs).expect("a pattern");
        assert_eq!(pattern.find_iter(&text).count(), 1, "the receiver has one `{theirs}`");
        text = pattern.replace(&text, regex::NoExpand(&ours)).into_owned();
    }
    text
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("below a folder")).expect("a folder");
    std::fs::write(path, text).expect("a file");
}
