//! What a backtest stands on: settings, rules, and what has to be taken for granted.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::app::engine_settings;
use crate::backtest::play::Ground;
use crate::cli::failure::Failure;
use crate::rules::RuleBook;
use crate::settings::{Mode, Settings};
use crate::testing::platform;
use crate::yaml::Problem;

/// Settings and rules.
pub(super) struct Grounds {
    pub(super) settings: Settings,
    pub(super) rules: Ground,
    pub(super) against: Option<Ground>,
    /// The settings say dry run, which is not played: nothing would ever count against a limit.
    is_dry: bool,
}

/// Reads them.
pub(super) fn read(
    config: Option<&Path>,
    rules: &[String],
    against: &[String],
    environment: &BTreeMap<String, String>,
) -> Result<Grounds, Failure> {
    let settings = match config {
        Some(path) => Settings::load(Some(path), environment).map_err(|error| Failure::of(error.into()))?,
        None => platform::defaults(),
    };
    if config.is_none() && rules.is_empty() {
        return Err(Failure::usage("there are no rules to play")
            .with_help("add --rules FOLDER, or --config FILE with a settings file that names them"));
    }
    let is_dry = config.is_some() && settings.mode == Mode::DryRun;
    let patterns = match rules.is_empty() {
        true => settings.rules.0.clone(),
        false => rules.iter().map(|name| platform::pattern(name)).collect(),
    };
    let known = config.map(|_| &settings);
    let mut engine = engine_settings(&settings);
    engine.dry_run = false;
    let ground = |patterns: &[String]| -> Result<Ground, Failure> {
        Ok(Ground { book: book(patterns, known)?, engine: engine.clone() })
    };
    let rules = ground(&patterns)?;
    let against: Vec<String> = against.iter().map(|name| platform::pattern(name)).collect();
    let against = if against.is_empty() { None } else { Some(ground(&against)?) };
    Ok(Grounds { settings, rules, against, is_dry })
}

fn book(patterns: &[String], settings: Option<&Settings>) -> Result<Arc<RuleBook>, Failure> {
    platform::read_book(patterns, settings).map_err(|problems| {
        let told: Vec<String> = problems.iter().map(Problem::to_string).collect();
        let told = told.join("\n");
        Failure::usage(told.strip_prefix("error: ").unwrap_or(&told))
    })
}

/// What nobody can know of the past.
pub(super) fn assumed(grounds: &Grounds, diagnoses: bool, has_labels: bool) -> Vec<String> {
    let evidence = match diagnoses {
        true => {
            "Evidence: Prometheus was asked as of that time; what is not PromQL, or not in --findings, is unknown, so that conditions over it do not apply."
        }
        false => {
            "Evidence: none was gathered, so that conditions over findings do not apply; --diagnose asks Prometheus as of that time, --findings takes some for granted."
        }
    };
    let mut assumed = vec![
        evidence,
        "Remedies: their targets allow them, they are carried out on paper and change nothing; alerts end when they ended, so that a remedy is never seen to help.",
        "People: nobody acknowledges, approves, takes over or resolves; calls are the most that there would have been.",
        "Alertmanager: no silences, inhibitions, routes or waiting times of groups; each alert comes when Prometheus raised it.",
        "Alerts: annotations are not remembered by Prometheus; what began or ended between two points is told at the later one.",
    ];
    if !has_labels {
        assumed.push(
            "Labels: those that Prometheus adds when it sends (`external_labels`) are missing; --label NAME=VALUE adds them.",
        );
    }
    if grounds.is_dry {
        assumed
            .push("Mode: the settings say dry run; enforce was played, so that limits and cooldowns count.");
    }
    assumed.into_iter().map(str::to_owned).collect()
}
