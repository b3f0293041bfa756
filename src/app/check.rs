//! `smokejumper check`: reads settings and rules as a start would, and collects everything that is wrong with them.
//!
//! Nothing is started, opened or asked over the network (that is [`super::online`]), and no secret has to be there: what this machine lacks is a
//! warning, since a check often runs where the service does not.

use super::rulebook;
use crate::domain::catalog::Catalog;
use crate::domain::people::Role;
use crate::rules::Known;
use crate::rules::book::DEFAULT_POLICY_KEY;
use crate::rules::load::{Survey, no_policy, survey};
use crate::settings::{ApiToken, Locator, Settings};
use crate::yaml::{Place, Problem};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is wrong with links when the service listens on all addresses and nobody says under which it is reached.
pub(super) const NO_LINKS: &str = "links in messages lead nowhere: this address stands for all of a machine";
const NO_LINKS_HELP: &str = "say under which address people reach the service, such as `external_url: https://smokejumper.example.com`";

/// What `check` was told.
#[derive(Debug, Clone, Default)]
pub struct CheckOptions {
    /// The settings file. Without one, the settings are only looked at where `rules` names no file.
    pub config: Option<PathBuf>,
    /// Rule files, folders or patterns to look at instead of those that the settings name.
    pub rules: Vec<String>,
}

/// What `check` found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Whether the settings can be used.
    pub settings_are_good: bool,
    /// How many rule files were read.
    pub files: usize,
    /// How many rules there are, broken ones included; likewise the others.
    pub rules: usize,
    /// How many escalation policies.
    pub policies: usize,
    /// How many schedules.
    pub schedules: usize,
    /// The mistakes: those of the settings first, then by file and line.
    pub errors: Vec<Problem>,
    /// What is doubtful.
    pub warnings: Vec<Problem>,
    /// Secrets and files that the settings name and that cannot be had on this machine.
    pub absent: Vec<Problem>,
}

/// Looks at everything.
pub fn check(options: &CheckOptions, environment: &BTreeMap<String, String>) -> Checked {
    let config = options.config.as_deref();
    let patterns: Vec<String> = options.rules.iter().map(|name| pattern(name)).collect();
    if config.is_none() && !patterns.is_empty() {
        // Rules by themselves: every name that settings could define is taken to exist.
        let mut checked = Checked { settings_are_good: true, ..Checked::default() };
        checked.take(survey_named(&patterns, &rulebook::kinds(), &Known::everything()));
        return checked;
    }
    match Settings::load(config, environment) {
        Ok(settings) => with_settings(&settings, &patterns, config, environment),
        Err(error) => {
            let mut checked = Checked { errors: error.problems, ..Checked::default() };
            match error.rest {
                // What the settings define is known, though it does not fit together.
                Some(rest) if rest.is_whole => {
                    let (catalog, known) =
                        (rulebook::catalog(&rest.settings), rulebook::known(&rest.settings));
                    checked.take(survey_rules(&rest.settings, &patterns, &catalog, &known));
                }
                // A name that is missing may stand in what could not be read.
                Some(rest) => {
                    let (catalog, known) = (rulebook::kinds(), Known::everything());
                    let mut found = survey_rules(&rest.settings, &patterns, &catalog, &known);
                    // So may the patterns of the rules.
                    found.warnings.retain(|warning| !matches!(warning.place, Place::File { .. }));
                    checked.take(found);
                }
                None if patterns.is_empty() => {}
                None => checked.take(survey_named(&patterns, &rulebook::kinds(), &Known::everything())),
            }
            checked
        }
    }
}

fn with_settings(
    settings: &Settings,
    patterns: &[String],
    config: Option<&Path>,
    environment: &BTreeMap<String, String>,
) -> Checked {
    let locator = Locator::new(config, environment);
    let absent = locator.absent(settings, environment);
    let mut checked = Checked { settings_are_good: true, absent, ..Checked::default() };
    let (catalog, known) = (rulebook::catalog(settings), rulebook::known(settings));
    let found = survey_rules(settings, patterns, &catalog, &known);
    if let Some(name) =
        settings.escalation.default_policy.as_ref().filter(|name| !found.policies.contains(*name))
    {
        let (message, help) = no_policy(name, found.policies.iter().map(String::as_str));
        let path: Vec<&str> = DEFAULT_POLICY_KEY.split('.').collect();
        checked.errors.push(locator.problem(&path, message, help));
    }
    if settings.server.links_lead_nowhere() {
        checked.warnings.push(locator.problem(&["server", "listen"], NO_LINKS, NO_LINKS_HELP));
    }
    checked.warnings.extend(nobodys_tokens(settings, &locator));
    checked.take(found);
    checked
}

/// Tokens that may approve and name nobody, where there are people to name: what two people have to approve does not count
/// by them.
fn nobodys_tokens(settings: &Settings, locator: &Locator) -> Vec<Problem> {
    let is_nobodys = |token: &ApiToken| token.role >= Role::Approver && token.person.is_none();
    let tokens = settings.api.tokens.iter().enumerate().filter(|(_, token)| is_nobodys(token));
    let tokens = tokens.filter(|_| !settings.people.is_empty());
    let problem = |(index, token): (usize, &ApiToken)| {
        let message = format!(
            "the token `{}` may approve, and does not say whose it is: it does not count where two people have to approve \
             (T3)",
            token.name
        );
        let help = "name its holder, such as `person: una`, by a name under `people`; a machine needs the role `responder` at \
                    most";
        locator.problem(&["api", "tokens", &index.to_string(), "role"], message, help)
    };
    tokens.map(problem).collect()
}

impl Checked {
    fn take(&mut self, found: Survey) {
        self.files = found.files;
        self.rules = found.rules;
        self.policies = found.policies.len();
        self.schedules = found.schedules;
        self.errors.extend(found.errors);
        self.warnings.extend(found.warnings);
    }
}

/// The rules that the caller named, or else those of the settings.
fn survey_rules(settings: &Settings, patterns: &[String], catalog: &Catalog, known: &Known) -> Survey {
    if patterns.is_empty() {
        survey(&settings.rules.0, catalog, known)
    } else {
        survey_named(patterns, catalog, known)
    }
}

/// Rule files that the caller named: finding none is a mistake then, and no new installation.
fn survey_named(patterns: &[String], catalog: &Catalog, known: &Known) -> Survey {
    let mut found = survey(patterns, catalog, known);
    let is_named =
        |problem: &Problem| matches!(&problem.place, Place::File { file } if patterns.contains(file));
    let (empty, warnings): (Vec<_>, Vec<_>) = found.warnings.into_iter().partition(is_named);
    found.warnings = warnings;
    found.errors.splice(0..0, empty);
    found
}

/// A folder stands for all YAML files in it and below it.
fn pattern(name: &str) -> String {
    if Path::new(name).is_dir() {
        format!("{}/**/*.y*ml", name.trim_end_matches('/'))
    } else {
        name.to_owned()
    }
}
